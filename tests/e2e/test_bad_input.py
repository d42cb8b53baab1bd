"""Whatever is wrong, a person gets one clear message and the right exit code, nothing half-made."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest


def assert_refused(done, code, *said):
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    for text in said:
        assert text in done.stderr + done.stdout


@pytest.fixture
def attempt(ftcore, workspace, tiny_model):
    """``ftcore train`` that must be refused before a run begins."""

    def run(*arguments, **options):
        done = ftcore(
            *("train", "--mode", "agent", "--base-model", tiny_model, *arguments),
            cwd=workspace,
            **options,
        )
        assert not (workspace / "runs").exists(), "nothing is half-made"
        return done

    return run


FILES = {
    "empty": (b"", ["holds no record"]),
    "broken": (b'{"messages": [1,}\n', ["data2.jsonl:1", "broken JSON at column"]),
    "latin": ('{"messages": "ä"}\n'.encode("latin-1"), ["data2.jsonl:1", "UTF-8"]),
    "array": (b'[\n  {"messages": []}\n]\n', ["data2.jsonl:2", "/messages"]),
    "scalar": (b"[1, 2]\n", ["data2.jsonl:1", "must be a JSON object"]),
    "long": (b'{"messages": "' + b"x" * 50_000_000 + b'"}\n', ["data2.jsonl:1", "MiB"]),
    "unknown-key": (b'{"messagez": []}\n', ["/messagez", "did you mean 'messages'"]),
    "wrong-type": (b'{"messages": 3}\n', ["/messages", "array"]),
}


@pytest.mark.parametrize("name", FILES)
def test_bad_files(ftcore, workspace, attempt, name):
    content, said = FILES[name]
    (workspace / "data2.jsonl").write_bytes(content)
    assert_refused(attempt("--data", "data2.jsonl"), 2, *said)
    assert_refused(
        ftcore("check", "--mode", "agent", "--data", "data2.jsonl", cwd=workspace), 2, *said
    )


def test_data_are_refused_before_torch_is_imported(workspace, attempt):
    (workspace / "data2.jsonl").write_bytes(FILES["unknown-key"][0])
    done = attempt("--data", "data2.jsonl", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 2
    imported = set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "ftcore.run" in imported
    assert not imported & {"torch", "transformers"}


def test_bom_and_crlf_are_no_fault(ftcore, workspace):
    text = (workspace / "data.jsonl").read_text(encoding="utf-8").replace("\n", "\r\n")
    (workspace / "windows.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    done = ftcore("check", "--mode", "agent", "--data", "windows.jsonl", cwd=workspace)
    assert done.returncode == 0, done.stdout
    assert "12" in done.stdout


def test_missing_file_and_directory(workspace, attempt):
    assert_refused(attempt("--data", "nowhere.jsonl"), 2, "nowhere.jsonl", "does not exist")
    (workspace / "empty").mkdir()
    assert_refused(attempt("--data", "empty"), 2, "empty", ".jsonl")


def test_modes_and_plugins(ftcore, workspace, tmp_path_factory):
    done = ftcore("train", "--mode", "agnet", "--data", "data.jsonl", cwd=workspace)
    assert_refused(done, 2, "did you mean 'agent'")
    site = tmp_path_factory.mktemp("site")
    (site / "broken_mode.py").write_text("import no_such_module\n")
    info = site / "broken-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[ftcore.modes]\nbroken = broken_mode\n")
    env = {"PYTHONPATH": str(site), "FTCORE_PLUGINS": "agent,broken"}
    done = ftcore("train", "--mode", "broken", "--data", "data.jsonl", cwd=workspace, env=env)
    assert_refused(done, 2, "broken 1.2", "no_such_module", "--no-plugin broken")
    done = ftcore("plugins", "--json", cwd=workspace, env=env)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert "no_such_module" in rows["broken"]["error"]
    assert rows["agent"]["error"] is None
    done = ftcore("check", "--mode", "agent", "--data", "data.jsonl", cwd=workspace, env=env)
    assert done.returncode == 0, "another broken mode is in nobody's way"


def test_settings(workspace, attempt):
    base = ("--data", "data.jsonl")
    assert_refused(attempt(*base, "--set", "learning_rat=1"), 2, "did you mean 'learning_rate'")
    assert_refused(attempt(*base, "--set", "warmup_steps=many"), 2, "integer")
    (workspace / "my.json").write_text('{\n  "learning_rate": "fast"\n}\n')
    assert_refused(attempt(*base, "--config", "my.json"), 2, "my.json:2", "/learning_rate")
    done = attempt(*base, "--set", "load_in_8bit=true")
    assert_refused(done, 2, "load_in_8bit", "training_mode=lora", "load_in_8bit=false")
    done = attempt(*base)
    assert_refused(done, 2, "12 samples", "2000")


def test_base_models(ftcore, workspace):
    def train(name):
        return ftcore(
            *("train", "--mode", "agent", "--data", "data.jsonl", "--allow-small"),
            *("--base-model", name),
            cwd=workspace,
        )

    assert_refused(train("smollm:135m"), 2, "smollm2:135m")
    assert_refused(train("nobody/no-such-model"), 2, "nobody/no-such-model")
    assert_refused(train("./data.jsonl"), 2, "data.jsonl")
    assert not (workspace / "runs").exists()


def test_an_architecture_that_cannot_be_exported_is_refused_before_training(
    workspace, attempt, tiny_model, tmp_path
):
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    config = json.loads((other / "config.json").read_text())
    config |= {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}
    (other / "config.json").write_text(json.dumps(config))
    done = attempt("--data", "data.jsonl", "--allow-small", "--base-model", other)
    assert_refused(done, 2, "GPT2LMHeadModel", "LlamaForCausalLM")


def test_an_output_that_exists_is_left_alone(workspace, attempt):
    folder = workspace / "mine"
    folder.mkdir()
    (folder / "precious").write_text("x")
    done = attempt("--data", "data.jsonl", "--allow-small", "--output", "mine")
    assert_refused(done, 2, "mine", "exists")
    assert [path.name for path in folder.iterdir()] == ["precious"]


@pytest.fixture
def on_tmpfs(workspace):
    """A prefix for commands that sees an own tmpfs at ``small/``, mounted with the options."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        pytest.skip("needs Linux's unshare to mount a file system of its own")
    (workspace / "small").mkdir()
    (workspace / "home").mkdir()
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")

    def prefix(options, after="true"):
        script = f'mount -t tmpfs -o {options} tmpfs small && {after} && exec "$@"'
        return ("unshare", *user, "--mount", "sh", "-c", script, "sh")

    probe = subprocess.run([*prefix("size=1m"), "true"], cwd=workspace, check=False)
    if probe.returncode != 0:
        pytest.skip("this machine does not let a test mount a tmpfs")
    return prefix


def test_a_read_only_output_folder(attempt, on_tmpfs):
    prefix = on_tmpfs("size=1m", "mount -o remount,ro small")
    arguments = ("--data", "data.jsonl", "--allow-small", "--output", "small/run")
    assert_refused(attempt(*arguments, prefix=prefix), 1, "small/run", "--output")


def test_a_disk_too_small_is_refused_with_numbers(attempt, on_tmpfs):
    prefix = on_tmpfs("size=20m")
    arguments = ("--data", "data.jsonl", "--allow-small", "--output", "small/run")
    assert_refused(attempt(*arguments, prefix=prefix), 1, "GB free", "save_total_limit")


def test_a_disk_that_fills_up_while_saving(attempt, on_tmpfs):
    """Enough for the plan, but something else takes the space: the record says so."""
    waits = "while [ ! -e small/run/log.jsonl ]; do sleep 0.1; done"
    prefix = on_tmpfs("size=80m", f"(({waits}; cat /dev/zero >small/filler) 2>/dev/null &)")
    arguments = (
        *("--data", "data.jsonl", "--allow-small", "--output", "small/run"),
        *("--set", "save_checkpoints=false", "--set", "load_best_model_at_end=false"),
        *("--set", "bf16=false", "--set", "num_train_epochs=4", "--set", "logging_steps=1"),
        *("--set", "gradient_accumulation_steps=4"),
    )
    assert_refused(attempt(*arguments, prefix=prefix), 1, "disk is full")
