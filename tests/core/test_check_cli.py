"""``ftcore check``: every problem with its place, then figures that are pleasant to read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ftcore.cli.data_options import data_options
from ftcore.cli.main import cli
from ftcore.fillers import EXCLAMATIONS, PHRASES
from ftcore.shapes import Importing


@pytest.fixture
def check(tmp_path, distribution):
    """``check(records, *options)``: the command in a process of its own."""
    package = distribution("ftc-haiku", mode="haiku")

    def run(records, *options, mode="haiku", **env):
        path = tmp_path / "data.jsonl"
        lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        command = ["check", "--mode", mode] if mode else ["check"]
        return subprocess.run(
            [sys.executable, "-m", "ftcore", *command, "--data", "data.jsonl", *options],
            cwd=tmp_path,
            env={
                **{key: value for key, value in os.environ.items() if key != "COLUMNS"},
                "PYTHONPATH": os.pathsep.join([str(package.parent), *sys.path]),
                "HF_HUB_OFFLINE": "1",
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def sample(index: int, words: int = 12) -> dict[str, str]:
    said = " ".join(f"w{index}x{at}" for at in range(words))
    return {"ask": f"question {index}", "say": said}


def test_good_data_get_a_report_and_exit_0(check):
    done = check([sample(index) for index in range(20)])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 records: valid 20 haiku; none refused" in done.stdout
    for name in ("Length of a sample", "Answers that are learned", "Duplicates", "Held out"):
        assert name in done.stdout
    assert not done.stderr, "nothing but the report when nobody watches"


def test_every_problem_comes_first_with_place_pointer_and_hint_and_exits_2(check):
    done = check([sample(0), {"ask": "a"}, {"ask": 1, "say": "b"}, "{broken"])
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    problems = [line for line in lines if re.match(r"data\.jsonl:\d+: ", line)]
    assert [line.split(":")[1] for line in problems] == ["2", "3", "4"]
    assert "/ask" in problems[1]
    assert lines.index(problems[-1]) < next(
        index for index, line in enumerate(lines) if line.startswith("Records")
    )
    assert "3 refused" in lines[-1]


def test_many_problems_are_counted_by_what_they_say(check):
    done = check([*["{broken"] * 60, *[{"ask": "a"}] * 30, sample(1)])
    assert done.returncode == 2
    assert len(re.findall(r"^data\.jsonl:\d+: ", done.stdout, re.MULTILINE)) == 50
    assert "… and 40 more; all 90 by what they say:" in done.stdout
    assert re.search(r"^ +60  broken JSON", done.stdout, re.MULTILINE)
    assert re.search(r"^ +30  .*say", done.stdout, re.MULTILINE)


def test_json_has_the_same_and_nothing_else(check):
    done = check([*["{broken"] * 1200, *[sample(index) for index in range(3)]], "--json")
    assert done.returncode == 2
    report = json.loads(done.stdout)
    assert report["lines"] == 1203
    assert report["valid"] == {"haiku": 3}
    assert report["problem_count"] == 1200
    assert len(report["problems"]) == 1000
    assert sum(report["problems_by_message"].values()) == 1200
    assert report["refused"] == 1200


@pytest.mark.parametrize("columns", [None, "80", "200"])
def test_lines_end_without_spaces_and_fit(check, columns):
    env = {"COLUMNS": columns} if columns else {}
    records = [sample(index % 70, 3000 if index == 4 else 12) for index in range(80)]
    done = check(records, **env)
    for line in done.stdout.splitlines():
        assert line == line.rstrip()
        assert len(line) <= int(columns or 120)
    assert "\x1b" not in done.stdout, "a pipe gets no colours"


def test_without_the_base_model_one_line_says_why_tokens_are_not_counted(check):
    done = check([sample(1), sample(2)], COLUMNS="200")
    assert done.returncode == 0
    said = next(line for line in done.stdout.splitlines() if line.startswith("Tokens"))
    assert "not counted" in said and "not on this machine" in said and "--base-model" in said
    assert json.loads(check([sample(1)], "--json").stdout)["tokens"] is None


def test_a_base_model_that_was_named_must_be_there(check):
    for option in (("--base-model", "./nowhere"), ("--set", "base_model=./nowhere")):
        done = check([sample(1)], *option)
        assert done.returncode == 2
        assert "nowhere" in done.stderr


def test_tokens_are_counted_with_the_tokenizer_that_was_named(check):
    done = check(
        [sample(1), sample(2), sample(3, 400)],
        *("--base-model", "smollm2:135m", "--set", "max_seq_length=64"),
        COLUMNS="200",
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Tokens +[\d,]+, [\d,]+ of them trained", done.stdout, re.MULTILINE)
    assert "tokens  data.jsonl:3" in done.stdout
    assert "long_samples_limit" in done.stdout


def test_what_the_base_model_cannot_be_taught_is_a_problem(check):
    done = check([sample(1), {"ask": "a", "say": "<|im_start|>"}], "--base-model", "smollm2:135m")
    assert done.returncode == 2
    assert re.search(r"^data\.jsonl:2: .*<\|im_start\|>", done.stdout, re.MULTILINE)
    assert "valid 1 haiku" in done.stdout


def test_too_few_samples_are_said_and_no_problem(check):
    done = check([sample(1)], "--set", "dataset_requirements.min_samples=10", COLUMNS="200")
    assert done.returncode == 0
    assert re.search(r"^Enough\? +too few: 1 of at least 10", done.stdout, re.MULTILINE)
    done = check([sample(1)], "--set", "dataset_requirements.min_samples=1", COLUMNS="200")
    assert "too few" not in done.stdout


def test_settings_that_do_not_hold_are_refused_as_train_refuses_them(check):
    done = check([sample(1)], "--set", "max_seq_lenght=3")
    assert done.returncode == 2
    assert "did you mean 'max_seq_length'" in done.stderr


def test_mixed_data_are_counted_by_mode_against_their_shares(check):
    records = [{**sample(index), "cognitive_mode": "haiku"} for index in range(3)]
    share = ("--set", "dataset_requirements.mode_distribution.haiku=0.5")
    other = ("--set", "dataset_requirements.mode_distribution.ode=0.2")
    done = check(records, *share, *other, mode=None, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert "3 valid, haiku (100.0%); at least 50% are asked for\n" in done.stdout
    assert "0 valid, ode (0.0%); at least 20% are asked for: too few\n" in done.stdout
    modes = json.loads(check(records, *share, "--json", mode=None).stdout)["modes"]
    assert modes["haiku"]["least_share"] == 0.5


def test_without_data_there_is_nothing_to_check():
    done = CliRunner().invoke(cli, ["check"])
    assert done.exit_code == 2
    assert "--data" in done.output


def test_counting_no_tokens_needs_no_torch(check, tmp_path):
    """Data are checked on laptops; torch alone takes seconds and half a gigabyte."""
    check([sample(1)])
    code = (
        "import sys; from ftcore.cli.main import cli\n"
        "cli.main(['check', '--mode', 'haiku', '--data', 'data.jsonl'], standalone_mode=False)\n"
        "print('HELD', *(m for m in ('torch', 'transformers') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "site-packages"), *sys.path]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "HELD", done.stderr


@click.command()
@data_options
def shown(data: tuple[Path, ...], importing: Importing, control_tokens: str | None) -> None:
    """Prints what a command gets."""
    paths, columns = [str(path) for path in data], dict(importing.columns)
    click.echo(json.dumps([paths, importing.shape, columns, control_tokens]))


def test_data_options_give_paths_and_how_to_import():
    given = ["--data", "a.jsonl", "--data", "-", "--shape", "alpaca"]
    given += ["--map", "user=question", "--map", "world = the answer=42"]
    given += ["--control-tokens", "escape"]
    done = CliRunner().invoke(shown, given)
    columns = {"user": "question", "world": "the answer=42"}
    assert json.loads(done.output) == [["a.jsonl", "-"], "alpaca", columns, "escape"]
    assert json.loads(CliRunner().invoke(shown).output) == [[], None, {}, None]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["user"], "KEY=COLUMN"),
        (["=question"], "KEY=COLUMN"),
        (["user="], "KEY=COLUMN"),
        (["user=a", "user=b"], "twice"),
    ],
)
def test_a_map_that_cannot_be_read_is_refused(given, said):
    done = CliRunner().invoke(shown, [part for text in given for part in ("--map", text)])
    assert done.exit_code == 2
    assert said in done.output


def test_the_page_explains_every_line_column_and_key(check):
    page = (Path(__file__).parents[2] / "docs/check.md").read_text(encoding="utf-8")
    records = [*[sample(0)] * 2, *[sample(index) for index in range(1, 9)], {"ask": 1}]
    records.append(sample(9, 500))
    model = ("--base-model", "smollm2:135m", "--set", "max_seq_length=256")
    labels = re.findall(
        r"^([A-Z][A-Za-z? ]*?)(?:  |$)", check(records, *model).stdout, re.MULTILINE
    )
    assert len(labels) >= 9
    assert [label for label in labels if label not in page] == []
    explained = page[page.index("## For scripts") :]

    def keys(value):
        for key, inner in value.items():
            if key not in ("haiku", "native"):
                yield key
            for one in inner if isinstance(inner, list) else [inner]:
                if isinstance(one, dict) and not key.endswith("by_message"):
                    yield from keys(one)

    report = json.loads(check(records, *model, "--json").stdout)
    unsaid = {key for key in keys(report) if f"`{key}`" not in explained}
    assert unsaid <= {"severity", "place"}


def test_the_page_lists_all_filler():
    page = (Path(__file__).parents[2] / "docs/check.md").read_text(encoding="utf-8").lower()
    listed = " ".join(page[page.index("**filler**") : page.index("## tokens")].split())
    for phrase in (*EXCLAMATIONS, *PHRASES):
        spelt = phrase.replace("that is", "that's").replace("i would", "i'd")
        assert spelt in listed.replace("(that is) ", "").replace("(i would) ", ""), phrase
