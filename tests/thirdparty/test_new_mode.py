"""A generated mode works as a stranger's would: from a wheel, found by its entry point alone."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parents[2]
ALONE = {"FTCORE_PLUGINS": "journal"}


@frozen
class Journal:
    """The mode as it was generated, and the wheel of it that is installed."""

    folder: Path
    wheel: Path


@pytest.fixture(scope="module")
def journal(shell, install: Callable[[Path], Path], tmp_path_factory) -> Journal:
    folder = tmp_path_factory.mktemp("author")
    shell("ftcore", "new-mode", "journal", cwd=folder)
    return Journal(folder / "ftcore-journal", install(folder / "ftcore-journal"))


def test_the_wheel_holds_the_mode_and_nothing_else(journal):
    with zipfile.ZipFile(journal.wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = journal.folder / "ftcore_journal"
    assert found == {f"ftcore_journal/{path.name}" for path in package.iterdir()}
    assert len(found) == 9


def test_its_own_tests_pass(journal, shell):
    done = shell("pytest", cwd=journal.folder, **ALONE)
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}
    assert counts["passed"] >= 8, done.stdout
    assert set(counts) <= {"passed", "warnings"}, done.stdout


def test_it_is_listed_with_its_distribution(journal, shell, tmp_path):
    (listed,) = json.loads(shell("ftcore", "modes", "--json", cwd=tmp_path, **ALONE).stdout)
    assert listed["name"] == "journal"
    assert listed["distribution"] == "ftcore-journal"
    assert listed["error"] is None


def test_it_passes_check_mode(journal, shell, tmp_path):
    shell("ftcore", "check-mode", "journal", cwd=tmp_path, **ALONE)


def test_its_code_is_clean_by_the_usual_tools(journal, shell):
    for command in (("check",), ("format", "--check")):
        ruff = (sys.executable, "-m", "ruff", *command, "--isolated")
        shell(*ruff, journal.folder, cwd=journal.folder)
    config = journal.folder / "pyrightconfig.json"
    config.write_text(json.dumps({"typeCheckingMode": "basic", "extraPaths": [str(ROOT / "core")]}))
    try:
        pyright = (sys.executable, "-m", "pyright", "--pythonpath", shell.python)
        shell(*pyright, cwd=journal.folder)
    finally:
        config.unlink()


def test_its_name_is_taken_now(journal, shell, tmp_path):
    done = shell("ftcore", "new-mode", "journal", cwd=tmp_path, expect=2)
    assert "a mode 'journal' already, of ftcore-journal 0.1.0" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_step_trains_through_the_entry_point_alone(journal, shell, tiny_model, tmp_path):
    examples = journal.folder / "ftcore_journal/examples.jsonl"
    (tmp_path / "data.jsonl").write_bytes(examples.read_bytes())
    settings = {
        "num_train_epochs": 1,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "packing": True,
        "warmup_steps": 0,
        "bf16": False,
        "eval_samples": 2,
        "max_new_tokens": 8,
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    shell(
        *("ftcore", "train", "--mode", "journal", "--data", "data.jsonl", "--allow-small"),
        *("--base-model", tiny_model, "--config", "settings.json", "--output", "run"),
        cwd=tmp_path,
        **ALONE,
    )
    record = json.loads((tmp_path / "run/record.json").read_text(encoding="utf-8"))
    assert record["state"] == "complete"
    assert record["training"]["steps"] == 1
    assert record["modes"] == ["journal"]
    assert [plugin["distribution"] for plugin in record["plugins"]] == ["ftcore-journal"]
    assert record["certificate_passed"] is True
    assert {"exact_answer", "shared_words"} <= set(record["after"]["metrics"])
    assert "answer" in record["after"]["loss_by_part"]
    ledger = (tmp_path / "run/ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(ledger) == len(examples.read_text(encoding="utf-8").splitlines())


def test_without_its_entry_point_there_is_no_such_mode(journal, shell, tmp_path):
    (tmp_path / "data.jsonl").write_text("{}\n")
    command = ("ftcore", "check", "--mode", "journal", "--data", "data.jsonl")
    done = shell(*command, cwd=tmp_path, expect=2, FTCORE_PLUGINS="")
    assert "there is no mode 'journal'" in done.stderr
