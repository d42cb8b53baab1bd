"""The demo does what the README says: the model learns the mode, and the GGUF is that model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from ftcore.record import ArtifactKind

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo(ftcore, tmp_path_factory) -> dict[str, Any]:
    """One run of the README's demo, in an empty folder."""
    folder = tmp_path_factory.mktemp("demo")
    done = ftcore("train", "--mode", "agent", "--demo", cwd=folder)
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "runs").iterdir()
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    return {"folder": folder, "run": run, "record": record, "done": done}


def test_the_held_out_loss_falls_by_a_third_at_least(demo):
    before, after = demo["record"]["before"], demo["record"]["after"]
    assert after["loss"] < before["loss"] * 2 / 3
    assert after["loss_by_part"]["tool_name"] < before["loss_by_part"]["tool_name"]
    assert after["loss_by_part"]["arguments"] < before["loss_by_part"]["arguments"]
    assert after["loss_by_part"]["end"] < before["loss_by_part"]["end"]


def test_the_model_learns_to_call_tools(demo):
    before, after = demo["record"]["before"]["metrics"], demo["record"]["after"]["metrics"]
    assert after["valid_json"] >= 0.7 > before.get("valid_json", 0.0)
    assert after["exact_call"] > before["exact_call"]
    assert after["call_decision"] > before["call_decision"]
    assert after["ended"] > before["ended"]


def test_the_certificate_passes_and_names_its_limits(demo):
    certificate = json.loads((demo["run"] / "certificate.json").read_text(encoding="utf-8"))
    assert demo["record"]["certificate_passed"] is True
    assert certificate["passed"] is True
    assert len(certificate["checks"]) >= 6
    for check in certificate["checks"]:
        assert check["passed"], check


def test_the_record_satisfies_its_schema_and_accounts_for_every_line(demo):
    schema = json.loads((ROOT / "schemas/run-record.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(demo["record"])
    assert demo["record"]["state"] == "complete"
    ledger = [json.loads(line) for line in (demo["run"] / "ledger.jsonl").open(encoding="utf-8")]
    examples = ROOT / "plugins/ftcore_agent/examples.jsonl"
    assert len(ledger) == len(examples.read_text(encoding="utf-8").splitlines())
    states = ("trained", "held_out", "dropped", "refused", "other_mode", "over_max", "balanced_out")
    assert sum(demo["record"]["ledger"][state] for state in states) == len(ledger)
    trained = sum(entry["trained_tokens"] for entry in ledger if entry["state"] == "trained")
    assert demo["record"]["ledger"]["trained_tokens"] == trained > 0


def test_the_artifacts_have_the_hashes_of_the_record(demo):
    from ftcore.files import sha256

    kinds = {artifact["kind"] for artifact in demo["record"]["artifacts"]}
    # without tools a grammar would have nothing to hold agent mode's answers to
    assert kinds == set(get_args(ArtifactKind)) - {"grammar"}
    for artifact in demo["record"]["artifacts"]:
        path = demo["run"] / artifact["path"]
        assert path.stat().st_size == artifact["bytes"]
        assert sha256(path) == artifact["sha256"]


def test_the_table_shows_figures_and_paths(demo):
    text = demo["done"].stdout
    for wanted in ("held-out loss", "exact call", "before", "after", "GGUF", "passed"):
        assert wanted in text
    gguf = next(a for a in demo["record"]["artifacts"] if a["kind"] == "gguf")
    assert gguf["path"] in text.replace("\n", "")
    assert "\x1b" not in text, "colours are for terminals"


def test_the_log_holds_rates_and_norms(demo):
    log = [json.loads(line) for line in (demo["run"] / "log.jsonl").open(encoding="utf-8")]
    steps = [entry for entry in log if "loss" in entry]
    assert steps[-1]["step"] == demo["record"]["training"]["steps"]
    for entry in steps:
        assert entry["grad_norm"] > 0
        assert entry["tokens_per_second"] > 0
        assert entry["learning_rate"] <= demo["record"]["settings"]["learning_rate"]["value"]


def test_the_learning_rate_of_the_settings_reaches_the_optimizer(demo):
    log = [json.loads(line) for line in (demo["run"] / "log.jsonl").open(encoding="utf-8")]
    highest = max(entry["learning_rate"] for entry in log if "learning_rate" in entry)
    asked = demo["record"]["settings"]["learning_rate"]["value"]
    assert highest == pytest.approx(asked, rel=0.02)


def test_the_gguf_says_the_text_that_the_model_says(demo, ftcore):
    """At full precision the GGUF's greedy text is the model's, prompt for prompt."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ftcore.export.runtime import open_runtime

    model_folder = demo["run"] / "model"
    exported = demo["folder"] / "model-f32.gguf"
    done = ftcore(
        "export", demo["run"], "--quantization", "F32", "--output", exported, cwd=demo["folder"]
    )
    assert done.returncode == 0, done.stderr
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    assert model.dtype == torch.float32, "the model is saved from the master weights"
    lines = (demo["run"] / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [json.loads(line)["prompt"] for line in lines[:4]]
    with open_runtime(exported, context=1024, threads=2) as runtime:
        for prompt in prompts:
            ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
            said = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False
            )
            text = tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)
            tokens = list(runtime.greedy(ids[0].tolist(), 40).ids)
            served = tokenizer.decode(tokens, skip_special_tokens=True)
            assert served == text


def test_verify_runs_from_the_files_alone(demo, ftcore):
    gguf = next(a["path"] for a in demo["record"]["artifacts"] if a["kind"] == "gguf")
    done = ftcore(
        "verify", demo["run"] / gguf, "--against", demo["run"], "--json", cwd=demo["folder"]
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"] is True


def test_the_demo_layer_is_visible(demo, ftcore):
    done = ftcore("config", "show", "--mode", "agent", "--demo", cwd=demo["folder"])
    (line,) = [row for row in done.stdout.splitlines() if re.match(r"\s*learning_rate\b", row)]
    assert "demo-config.json" in line
