"""All modes in one model: each sample goes to its own, and the mix is what was asked for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ftcore.plugins import open_mode

MODES = ("agent", "dual", "emulation")

QUICK = (
    *("--set", "num_train_epochs=1", "--set", "gradient_accumulation_steps=8"),
    *("--set", "bf16=false", "--set", "save_checkpoints=false", "--set", "eval_samples=6"),
    *("--set", "load_best_model_at_end=false", "--set", "max_new_tokens=4"),
    *("--set", "output_format=safetensors"),
)


def examples(mode: str, count: int) -> list[dict[str, Any]]:
    lines = open_mode(mode).examples().read_text(encoding="utf-8").splitlines()[:count]
    return [{"cognitive_mode": mode, **json.loads(line)} for line in lines]


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def demo(ftcore, tiny_model, tmp_path_factory) -> Path:
    """A run of the mixed demo: every mode's own samples, a third of them each."""
    folder = tmp_path_factory.mktemp("mixed")
    done = ftcore(
        *("train", "--demo", "--base-model", tiny_model, "--output", "run"),
        *("--set", "learning_rate=3e-3", "--set", "max_new_tokens=4", "--max", "48"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert "agent, dual, emulation" in done.stdout
    return folder / "run"


def record_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "record.json").read_text(encoding="utf-8"))


def ledger_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "ledger.jsonl").open(encoding="utf-8")]


def test_the_demo_takes_the_modes_in_turn_and_measures_each(demo):
    record = record_of(demo)
    assert record["modes"] == list(MODES)
    assert record["certificate_passed"] is True
    assert record["after"]["loss"] < record["before"]["loss"]
    used = Counter(Path(e["file"]).parent.name for e in ledger_of(demo) if e["tokens"])
    assert set(used) == {f"ftcore_{mode}" for mode in MODES}
    assert max(used.values()) - min(used.values()) <= 1
    assert sum(used.values()) == record["settings"]["max_samples"]["value"]
    assert {name.partition("/")[0] for name in record["after"]["metrics"]} == set(MODES)


def test_each_mode_trains_its_own_words(demo):
    """The three modes differ in what the model is trained to say."""
    parts = set(record_of(demo)["after"]["loss_by_part"])
    assert {"tool_name", "arguments", "tag", "thought", "world", "reply", "end"} <= parts
    lines = (demo / "log.jsonl").read_text(encoding="utf-8").splitlines()
    logged = {key for line in lines for key in json.loads(line)}
    assert {"loss_arguments", "loss_thought", "loss_reply", "loss_end"} <= logged


def test_the_record_has_the_hash_of_every_file_as_it_was_read(demo):
    for file in record_of(demo)["data"]:
        content = Path(file["path"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["bytes"] == len(content)


@pytest.fixture
def lopsided(tmp_path) -> Path:
    """100 samples of one mode, 10 of another and 5 of the third."""
    counts = {"agent": 5, "dual": 10, "emulation": 100}
    records = [record for mode, count in counts.items() for record in examples(mode, count)]
    return write(tmp_path / "data.jsonl", records)


def test_a_lopsided_mix_is_refused_with_every_share(ftcore, lopsided, tmp_path):
    done = ftcore(
        *("train", "--data", lopsided, "--set", "dataset_requirements.min_samples=1"),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "10 samples (8.7%) are of dual mode" in done.stderr
    assert "5 samples (4.3%) are of agent mode" in done.stderr
    assert "--balance" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_balance_gives_every_mode_its_share_and_accounts_for_the_rest(
    ftcore, tiny_model, lopsided, tmp_path
):
    done = ftcore(
        *("train", "--data", lopsided, "--balance", "--base-model", tiny_model, *QUICK),
        *("--output", "run", "--set", "dataset_requirements.min_samples=1"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    record, ledger = record_of(tmp_path / "run"), ledger_of(tmp_path / "run")
    assert record["settings"]["balance"] == {"value": True, "origin": "--balance"}
    assert record["ledger"]["balanced_out"] == 65
    assert record["ledger"]["lines"] == len(ledger) == 115
    kept = Counter(
        "agent" if e["line"] <= 5 else "dual" if e["line"] <= 15 else "emulation"
        for e in ledger
        if e["state"] != "balanced_out"
    )
    assert kept == {"agent": 5, "dual": 10, "emulation": 35}


def test_with_a_mode_only_its_samples_are_used(ftcore, tiny_model, lopsided, tmp_path):
    done = ftcore(
        *("train", "--mode", "dual", "--data", lopsided, "--base-model", tiny_model, *QUICK),
        *("--output", "run", "--allow-small"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    ledger = record_of(tmp_path / "run")["ledger"]
    assert (ledger["trained"] + ledger["held_out"], ledger["other_mode"]) == (10, 105)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cognitive_mode": "dula"}, ("there is no mode \"dula\"", "did you mean 'dual'")),
        ({"cognitive_mode": None}, ("'cognitive_mode' is missing", "--mode NAME")),
        ({"thought": "I know. <user>"}, ("/thought", "<user>", "emulation mode")),
    ],
)  # fmt: skip
def test_a_sample_that_is_of_no_mode_or_of_two_is_named_by_its_line(
    ftcore, tmp_path, change, words
):
    good = [record for mode in MODES for record in examples(mode, 4)]
    bad = {**examples("dual", 1)[0], **change}
    write(tmp_path / "data.jsonl", [*good, {k: v for k, v in bad.items() if v is not None}])
    done = ftcore("train", "--data", "data.jsonl", "--allow-small", cwd=tmp_path)
    assert done.returncode == 2
    assert "data.jsonl:13: " in done.stderr
    assert done.stderr.count("data.jsonl:") == 1
    for word in words:
        assert word in done.stderr


def test_a_filter_trains_one_mode_of_a_mix(ftcore, tiny_model, lopsided, tmp_path):
    done = ftcore(
        *("train", "--data", lopsided, "--base-model", tiny_model, *QUICK, "--output", "run"),
        *("--set", "dataset_requirements.mode_filter=agent", "--allow-small"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert record_of(tmp_path / "run")["modes"] == ["agent"]
    assert record_of(tmp_path / "run")["ledger"]["other_mode"] == 110
