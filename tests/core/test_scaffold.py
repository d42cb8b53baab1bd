"""A new mode's distribution: what is written, that it works at once, and what is refused."""

from __future__ import annotations

import ast
import json
import re
import resource
import shutil
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from ftcore.cli.new_mode import new_mode
from ftcore.config import resolve
from ftcore.errors import FtcoreError, InputError
from ftcore.hookspecs import API_VERSION
from ftcore.plugins import open_mode
from ftcore.scaffold import names_of, write_distribution
from ftcore.values import Message, Part, Prediction, Sample, Target

TREE = [
    "README.md",
    "ftcore_my_diary/__init__.py",
    "ftcore_my_diary/defaults.json",
    "ftcore_my_diary/examples.jsonl",
    "ftcore_my_diary/formatting.py",
    "ftcore_my_diary/invalid_examples.jsonl",
    "ftcore_my_diary/metrics.py",
    "ftcore_my_diary/py.typed",
    "ftcore_my_diary/schema.json",
    "ftcore_my_diary/validation.py",
    "pyproject.toml",
    "tests/test_my_diary.py",
    "tox.ini",
]


def tree(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(found)


@pytest.fixture
def written(tmp_path) -> Path:
    folder = tmp_path / "new" / "ftcore-my-diary"
    write_distribution(names_of("my-diary"), folder)
    return folder


def test_the_tree_is_a_whole_distribution(written):
    assert tree(written) == TREE
    assert [path.name for path in written.parent.iterdir()] == ["ftcore-my-diary"]


def test_names_are_filled_in_everywhere(written):
    for path in TREE:
        text = (written / path).read_text(encoding="utf-8")
        assert not re.search(r"\$\{|\$\$|MODULE|MODE\b(?! )", text), path
        if path.endswith(".py"):
            assert ast.get_docstring(ast.parse(text)), path
    project = tomllib.loads((written / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == "ftcore-my-diary"
    assert project["project"]["entry-points"] == {"ftcore.modes": {"my-diary": "ftcore_my_diary"}}
    assert project["tool"]["setuptools"]["packages"] == ["ftcore_my_diary"]
    assert "class TestMyDiary(ModeConformance)" in (written / "tests/test_my_diary.py").read_text()
    assert "FTCORE_PLUGINS = my-diary" in (written / "tox.ini").read_text(encoding="utf-8")


@pytest.fixture
def mode(distribution, written):
    """The new mode, installed as it was written."""
    package = distribution("ftcore-my-diary", "", mode="my-diary")
    shutil.copytree(written / "ftcore_my_diary", package, dirs_exist_ok=True)
    return open_mode("my-diary")


def test_it_is_written_for_this_version_of_the_hooks(mode, written):
    code = (written / "ftcore_my_diary/__init__.py").read_text(encoding="utf-8")
    assert f"FTCORE_API = {API_VERSION}\n" in code


def test_its_examples_are_valid_and_train_their_answer(mode):
    lines = mode.examples().read_text(encoding="utf-8").splitlines()
    assert len(set(lines)) >= 12
    for line in lines:
        sample = Sample(json.loads(line), "examples.jsonl", 1)
        assert mode.problems(sample) == ()
        for system in (True, False):
            conversation = mode.format(sample, Target(tools=False, system=system, reasoning=False))
            *asked, said = conversation.messages
            assert said.trained
            assert said.text == sample.data["answer"]
            assert asked[-1].text.endswith(sample.data["question"])
            assert sample.data.get("system", "") in "".join(message.text for message in asked)
            assert system or all(message.role != "system" for message in asked)


def test_its_invalid_examples_are_refused_at_their_pointer(mode):
    path = mode.examples().with_name("invalid_examples.jsonl")
    cases = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for case in cases:
        problems = mode.problems(Sample(case["sample"], "f.jsonl", 1))
        assert case["pointer"] in [problem.pointer for problem in problems]
        assert all(problem.message for problem in problems)
    by_schema = [case for case in cases if case["sample"].get("answer", "").__class__ is not str]
    assert 0 < len(by_schema) < len(cases)


def test_its_defaults_make_settings_with_their_line(mode):
    resolved = resolve(
        mode="my-diary", mode_defaults=mode.config_defaults(), workspace=Path("/nonexistent")
    )
    assert resolved.settings.max_seq_length == 1024
    assert "defaults.json:" in str(resolved.values["max_seq_length"].origin)


def test_its_metrics_tell_a_right_answer_from_a_wrong_one(mode):
    reference = Message("assistant", (Part("answer", "It is Lisbon."),), trained=True)

    def figures(*said: str) -> dict[str, float]:
        return mode.metrics([Prediction({}, reference, (), (), text, True) for text in said])

    assert figures() == {}
    assert figures("it is  lisbon.\n") == {"exact_answer": 1.0, "shared_words": 1.0}
    assert figures("Porto") == {"exact_answer": 0.0, "shared_words": 0.0}
    assert figures("It is Porto.", "It is Lisbon.") == {
        "exact_answer": 0.5,
        "shared_words": pytest.approx((2 / 3 + 1) / 2),
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "no name"),
        ("My Diary", "did you mean 'my-diary'?"),
        ("my_diary", "did you mean 'my-diary'?"),
        ("../diary", "did you mean 'diary'?"),
        ("a/b", "did you mean 'a-b'?"),
        ("2nd", "did you mean 'nd'?"),
        ("-x", "did you mean 'x'?"),
        ("journal\n", "did you mean 'journal'?"),
        ("tägebuch", "did you mean 'tagebuch'?"),
        ("--", "letters"),
        (".", "letters"),
        ("nul\0", "did you mean 'nul'?"),
        ("a" * 41, "40 characters"),
        ("class", "keyword of Python"),
        ("mixed", "several modes"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_a_way_out(name, said):
    with pytest.raises(InputError) as refused:
        names_of(name)
    assert said in str(refused.value)
    assert refused.value.hint


def test_a_name_that_is_taken_is_refused_even_where_it_is_blocked(distribution, monkeypatch):
    distribution("ftc-haiku", mode="haiku", version="3.1")
    distribution("ftcore-sonnet", "", extension="rhymes")
    monkeypatch.setenv("FTCORE_PLUGINS", "")
    with pytest.raises(InputError, match=r"a mode 'haiku' already, of ftc-haiku 3\.1"):
        names_of("haiku")
    with pytest.raises(InputError, match="module ftcore_sonnet already"):
        names_of("sonnet")
    assert names_of("limerick").module == "ftcore_limerick"


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_what_exists_is_never_written_over(tmp_path, what):
    place = tmp_path / "ftcore-journal"
    match what:
        case "folder":
            place.mkdir()
        case "file":
            place.touch()
        case _:
            place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="exists already"):
        write_distribution(names_of("journal"), place)
    assert list(tmp_path.iterdir()) == [place]
    assert place.is_dir() is (what == "folder")
    assert tree(tmp_path) == (["ftcore-journal"] if what == "file" else [])


def test_a_place_that_cannot_be_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "journal", tmp_path / ("x" * 300), Path("/proc/journal")):
        with pytest.raises(FtcoreError, match="cannot be written") as refused:
            write_distribution(names_of("journal"), place)
        assert "--output" in refused.value.hint
    assert tree(tmp_path) == ["file"]


def test_nothing_half_written_is_left_when_writing_fails_on_the_way(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1600, hard))  # the examples are longer
    try:
        with pytest.raises(FtcoreError, match="File too large"):
            write_distribution(names_of("journal"), tmp_path / "ftcore-journal")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_to_do_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(new_mode, ["my-diary"])
    assert done.exit_code == 0, done.output
    assert tree(tmp_path / "ftcore-my-diary") == TREE
    assert [line.strip() for line in done.output.splitlines() if line.startswith("  ")] == [
        "pip install -e './ftcore-my-diary[test]'",
        "ftcore check-mode my-diary",
        "pytest ./ftcore-my-diary",
        "ftcore train --mode my-diary --demo",
    ]
    done = CliRunner().invoke(new_mode, ["my-diary", "--output", "a b/diary"])
    assert done.exit_code == 0, done.output
    assert tree(tmp_path / "a b/diary") == TREE
    assert "pip install -e './a b/diary[test]'" in done.output
