"""The pages for authors of modes and extensions, followed to the letter from an empty folder."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODE = ROOT / "docs/writing-a-mode.md"
EXTENSION = ROOT / "docs/writing-an-extension.md"
EXAMPLE = ROOT / "examples/ftcore-mask-email"
BLOCK = re.compile(r"^(?:`([^`\n]+)`\n\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """``(path, language, text)`` of every block in order; the path of the file that it is."""
    return [match.groups("") for match in BLOCK.finditer(page.read_text(encoding="utf-8"))]  # type: ignore[misc]


def follow(shell, cwd: Path, console: str) -> None:
    """Runs the commands of a block; each must say what the block shows under it."""
    for step in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, *shown = step.splitlines()
        said = shell(*shlex.split(command), cwd=cwd).stdout
        for line in shown:
            assert line in said, (command, said)


@pytest.fixture
def empty(tmp_path, tiny_model) -> Path:
    """An empty folder, but that the model of the page is a tiny one here."""
    (tmp_path / "etc").mkdir()
    aliases = {"smollm2:135m": {"folder": str(tiny_model)}}
    (tmp_path / "etc/base-models.json").write_text(json.dumps({"aliases": aliases}))
    return tmp_path


def test_the_page_makes_a_mode_that_trains(shell, empty):
    page = blocks(MODE)
    assert page[0][1] == "console"
    assert len(page) >= 10
    for path, language, text in page:
        if language == "console":
            follow(shell, empty, text)
        else:
            assert path, f"a block that is neither a file nor a command:\n{text}"
            assert Path(path).parts[0] in ("ftcore-journal", "my-journal.jsonl")
            (empty / path).write_text(text, encoding="utf-8")
    record = json.loads((empty / "first-run/record.json").read_text(encoding="utf-8"))
    assert record["state"] == "complete"
    assert record["modes"] == ["journal"]
    assert record["ledger"]
    assert {"one_line", "exact_line"} <= set(record["after"]["metrics"])
    assert "line" in record["after"]["loss_by_part"]
    (demo,) = (empty / "runs").glob("*/record.json")
    assert json.loads(demo.read_text(encoding="utf-8"))["certificate_passed"] is True
    # what the page says of the last invalid example
    broken = {"notes_of_the_day": "rain", "line": "one\ntwo"}
    (empty / "my-journal.jsonl").write_text(json.dumps(broken) + "\n")
    command = ("ftcore", "check", "--mode", "journal", "--data", "my-journal.jsonl")
    done = shell(*command, cwd=empty, expect=2)
    assert "my-journal.jsonl:1: /line: must be one line" in done.stdout
    # and its wheel, as the page says how to make it
    (wheel,) = re.findall(r"`(pip wheel .*?)`", MODE.read_text(encoding="utf-8"))
    shell(*shlex.split(wheel), cwd=empty)
    assert list(empty.glob("ftcore_journal-*.whl"))


def test_the_page_lists_the_files_that_new_mode_writes(shell, tmp_path):
    shell("ftcore", "new-mode", "other", cwd=tmp_path)
    written = {path.name for path in (tmp_path / "ftcore-other/ftcore_other").iterdir()}
    table = set(re.findall(r"^\| `([\w.]+)` \|", MODE.read_text(encoding="utf-8"), re.MULTILINE))
    assert table == written - {"py.typed"}
    readme = (tmp_path / "ftcore-other/README.md").read_text(encoding="utf-8")
    assert table == set(re.findall(r"^\| `([\w.]+)` \|", readme, re.MULTILINE))


def test_the_page_of_extensions_shows_the_example_as_it_is(shell, tmp_path):
    code = (EXAMPLE / "ftcore_mask_email/__init__.py").read_text(encoding="utf-8")
    project = (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    page = blocks(EXTENSION)
    assert {language for _, language, _ in page} == {"toml", "python", "console"}
    left_out = shutil.ignore_patterns("build", "*.egg-info", ".*")
    shutil.copytree(EXAMPLE, tmp_path / "examples" / EXAMPLE.name, ignore=left_out)
    for _, language, text in page:
        match language:
            case "console":
                follow(shell, tmp_path, text)
            case "python":
                assert text in code
            case _:
                assert text in project
