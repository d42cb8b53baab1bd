"""``ftcore train`` on a person's own data: what it makes and records, with a tiny model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time

import pytest

FAST = (
    "--allow-small",
    *("--set", "bf16=false"),
    *("--set", "learning_rate=1e-3"),
    *("--set", "warmup_steps=1"),
    *("--set", "gradient_accumulation_steps=2"),
    *("--set", "num_train_epochs=1"),
    *("--set", "logging_steps=2"),
    *("--set", "eval_samples=2"),
    *("--set", "max_new_tokens=8"),
    *("--set", "save_steps=5"),
)


def train(ftcore, model, workspace, *more, **options):
    return ftcore(
        *("train", "--mode", "agent", "--data", "data.jsonl", "--base-model", model, *FAST, *more),
        cwd=workspace,
        **options,
    )


def record_of(folder):
    return json.loads((folder / "record.json").read_text(encoding="utf-8"))


def test_the_best_checkpoint_is_what_ships(ftcore, tiny_model, workspace):
    """The guide's load_best_model_at_end works on ftcore's own held-out loss."""
    done = train(ftcore, tiny_model, workspace, "--output", "run", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["state"] == "complete"
    assert record["certificate_passed"] is True
    log = [json.loads(line) for line in (workspace / "run/log.jsonl").open()]
    measured = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    assert measured
    assert record["after"]["loss"] == pytest.approx(min(measured), abs=1e-6)
    kept = list((workspace / "run/checkpoints").glob("checkpoint-*"))
    assert 1 <= len(kept) <= record["settings"]["save_total_limit"]["value"]


def test_the_same_seed_gives_the_same_model(ftcore, tiny_model, workspace):
    hashes = []
    for name in ("a", "b"):
        done = train(
            *(ftcore, tiny_model, workspace, "--output", name, "--seed", "7"),
            *("--set", "certify=false", "--set", "save_checkpoints=false"),
            *("--set", "load_best_model_at_end=false"),
        )
        assert done.returncode == 0, done.stderr
        record = record_of(workspace / name)
        hashes.append({a["kind"]: a["sha256"] for a in record["artifacts"]})
    assert hashes[0]["model"] == hashes[1]["model"]
    assert hashes[0]["gguf"] == hashes[1]["gguf"]


def test_lora_is_merged_and_proven(ftcore, tiny_model, workspace):
    done = train(
        *(ftcore, tiny_model, workspace, "--output", "run", "--set", "training_mode=lora"),
        *("--set", "save_checkpoints=false", "--set", "load_best_model_at_end=false"),
    )
    assert done.returncode == 0, done.stderr
    record = record_of(workspace / "run")
    assert record["certificate_passed"] is True
    assert record["after"]["loss"] < record["before"]["loss"]
    assert not list((workspace / "run/model").glob("adapter*"))


def test_several_quantizations_are_proven_each(ftcore, tiny_model, workspace):
    done = train(
        *(ftcore, tiny_model, workspace, "--output", "run", "--set", "quantization=F16,Q8_0"),
        *("--set", "save_checkpoints=false", "--set", "load_best_model_at_end=false"),
    )
    assert done.returncode == 0, done.stderr
    record = record_of(workspace / "run")
    assert record["settings"]["quantization"]["value"] == "F16,Q8_0"
    assert record["certificate_passed"] is True
    made = [a["path"] for a in record["artifacts"] if a["kind"] in ("gguf", "certificate")]
    assert [path.rsplit("-", 1)[1] for path in made] == [
        *("F16.gguf", "F16.json", "Q8_0.gguf", "Q8_0.json"),
    ]
    for path in made:
        assert (workspace / "run" / path).is_file()
        assert path in done.stdout.replace("\n", "")


def test_a_profile_holds_data_and_runs(ftcore, tiny_model, workspace):
    home = workspace / "profiles/greggles/data"
    home.mkdir(parents=True)
    shutil.move(workspace / "data.jsonl", home / "chat.jsonl")
    done = ftcore(
        *("train", "--mode", "agent", "--username", "greggles", "--base-model", tiny_model, *FAST),
        *("--set", "save_checkpoints=false", "--set", "load_best_model_at_end=false"),
        *("--max", "6", "--set", "output_format=safetensors"),
        cwd=workspace,
    )
    assert done.returncode == 0, done.stderr
    (run,) = (workspace / "profiles/greggles/runs").iterdir()
    assert "-agent-" in run.name
    record = record_of(run)
    assert record["ledger"]["over_max"] == 6
    assert record["ledger"]["lines"] == 12
    assert record["certificate_passed"] is None
    assert "gguf" not in {artifact["kind"] for artifact in record["artifacts"]}
    assert not (workspace / "runs").exists()


def test_a_run_that_diverges_is_a_failure_with_a_hint(ftcore, tiny_model, workspace):
    done = train(
        *(ftcore, tiny_model, workspace, "--output", "run", "--set", "learning_rate=1"),
        *("--set", "max_grad_norm=0", "--set", "optim=sgd", "--set", "warmup_steps=0"),
        *("--set", "lr_scheduler_type=constant", "--set", "num_train_epochs=30"),
        *("--set", "gradient_accumulation_steps=1", "--set", "max_new_tokens=1"),
        *("--set", "save_checkpoints=false", "--set", "load_best_model_at_end=false"),
        *("--set", "logging_steps=1", "--set", "weight_decay=0"),
    )
    assert done.returncode == 1
    assert "diverged" in done.stderr
    assert "learning_rate=" in done.stderr
    assert "Traceback" not in done.stderr
    record = record_of(workspace / "run")
    assert record["state"] == "failed"
    assert "diverged" in record["error"]
    assert not list((workspace / "run").glob("*.gguf"))


def test_a_template_is_changed_only_where_tools_demand_it(ftcore, tiny_model, workspace):
    done = train(
        *(ftcore, tiny_model, workspace, "--output", "run", "--set", "save_checkpoints=false"),
        *("--set", "load_best_model_at_end=false", "--set", "certify=false"),
    )
    assert done.returncode == 0, done.stderr
    assert "chat template" in done.stderr
    assert record_of(workspace / "run")["own_chat_template"] is True
    template = (workspace / "run/model/chat_template.jinja").read_text(encoding="utf-8")
    assert "<tool_call>" in template


def test_skipped_samples_stand_in_the_ledger(ftcore, tiny_model, workspace):
    with (workspace / "data.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"messages": []}\n{"cognitive_mode": "nonsense", "messages": []}\n')
    refused = train(ftcore, tiny_model, workspace, "--output", "run")
    assert refused.returncode == 2
    assert "data.jsonl:13" in refused.stderr
    assert "data.jsonl:14" in refused.stderr
    assert not (workspace / "run").exists()
    done = train(
        *(ftcore, tiny_model, workspace, "--output", "run", "--set", "invalid_samples=skip"),
        *("--set", "save_checkpoints=false", "--set", "load_best_model_at_end=false"),
        *("--set", "certify=false"),
    )
    assert done.returncode == 0, done.stderr
    ledger = [json.loads(line) for line in (workspace / "run/ledger.jsonl").open()]
    assert [entry["line"] for entry in ledger if entry["state"] == "refused"] == [13, 14]


TRAINED = {
    "dual": ({"tag", "thought", "world", "end"}, {"well_formed", "thought_leak", "exact_answer"}),
    "emulation": ({"reply", "end"}, {"log_likelihood", "boilerplate", "ended"}),
}


@pytest.mark.parametrize("mode", TRAINED)
def test_each_mode_trains_its_own_parts_and_measures_its_own_figures(
    ftcore, tiny_model, workspace, mode
):
    """The modes differ in what the model is trained to say, in the same line of code."""
    done = ftcore(
        *("train", "--mode", mode, "--demo", "--base-model", tiny_model, "--output", "run"),
        *("--set", "learning_rate=3e-3", "--set", "max_new_tokens=8"),
        cwd=workspace,
        env={"FTCORE_PLUGINS": mode},
    )
    assert done.returncode == 0, done.stderr
    record = record_of(workspace / "run")
    parts, figures = TRAINED[mode]
    assert record["modes"] == [mode]
    assert record["certificate_passed"] is True
    assert record["after"]["loss"] < record["before"]["loss"]
    assert set(record["after"]["loss_by_part"]) - {"structure"} == parts
    assert figures <= set(record["after"]["metrics"])
    kinds = {artifact["kind"] for artifact in record["artifacts"]}
    assert ("grammar" in kinds) == (workspace / "run/grammar.gbnf").exists() == (mode == "dual")

    (workspace / "in").write_text("Hello.\n", encoding="utf-8")
    said = ftcore(
        *("chat", "run", "--max-tokens", "9", "--constrain", "--json"),
        cwd=workspace,
        env={"FTCORE_PLUGINS": mode},
        prefix=("sh", "-c", 'exec "$@" < in', "sh"),
    )
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["text"].startswith("<thought>") == (mode == "dual")


def test_samples_that_are_dropped_do_not_count_towards_the_minimum(ftcore, tiny_model, workspace):
    done = ftcore(
        *("train", "--mode", "agent", "--data", "data.jsonl", "--base-model", tiny_model),
        *("--set", "dataset_requirements.min_samples=12", "--set", "max_seq_length=135"),
        *("--set", "long_samples_limit=1", "--max", "1000", "--output", "run"),
        cwd=workspace,
    )
    assert done.returncode == 2, done.stderr
    assert "dataset_requirements.min_samples is 12" in done.stderr
    assert not (workspace / "run").exists()


def test_a_terminated_run_says_so_in_its_record(tiny_model, workspace):
    command = [sys.executable, "-m", "ftcore", "train", "--mode", "agent", "--data", "data.jsonl"]
    command += ["--base-model", str(tiny_model), *FAST, "--set", "num_train_epochs=1000"]
    log = workspace / "run/log.jsonl"
    with subprocess.Popen([*command, "--output", "run"], cwd=workspace) as process:
        for _ in range(1200):
            if log.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        process.terminate()
        assert process.wait(60) == 143
    record = record_of(workspace / "run")
    assert record["state"] == "interrupted"
    assert record["finished"]
    assert not list((workspace / "run").glob("*.gguf"))
