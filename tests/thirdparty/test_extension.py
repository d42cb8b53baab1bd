"""The example extension, installed from its wheel: active in every mode, and off when asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples/ftcore-mask-email"
ADDRESS = "ann.b+x@mail.example.org"
MASK = "[e-mail address]"

SAMPLES = {
    "agent": {
        "messages": [
            {"role": "system", "content": f"You are {ADDRESS}."},
            {"role": "user", "content": f"Write to {ADDRESS}, please."},
            {
                "role": "assistant",
                "content": f"Writing to {ADDRESS}.",
                "reasoning": f"It is {ADDRESS}!",
                "tool_calls": [
                    {
                        "type": "function",
                        "function": {
                            "name": "mail",
                            "arguments": {"to": [{"z": ADDRESS, "a": 1}], "subject": "hi"},
                        },
                    }
                ],
            },
            {"role": "tool", "name": "mail", "content": f"sent to <{ADDRESS}>"},
            {"role": "assistant", "content": "Done."},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "mail",
                    "parameters": {
                        "type": "object",
                        "properties": {
                            "to": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "properties": {
                                        "z": {"type": "string"},
                                        "a": {"type": "integer"},
                                    },
                                },
                            },
                            "subject": {"type": "string"},
                        },
                    },
                },
            }
        ],
    },
    "dual": {
        "system": f"Ask {ADDRESS}.",
        "user": f"Who is {ADDRESS}?",
        "thought": f"I know {ADDRESS}.",
        "world": f"{ADDRESS} is my friend.",
    },
    "emulation": {
        "system": f"You are {ADDRESS}.",
        "messages": [
            {"role": "user", "content": f"Is it {ADDRESS}?"},
            {"role": "assistant", "content": f"Yes: {ADDRESS}."},
        ],
    },
}
"""A valid sample of each mode with the address in every text."""

FORMAT = """
import attrs, json, sys
from ftcore.plugins import open_mode
from ftcore.values import Sample, Target
name, data, *disabled = sys.argv[1:]
mode = open_mode(name, disabled)
sample = Sample(json.loads(data), "data.jsonl", 1)
assert mode.problems(sample) == (), mode.problems(sample)
conversation = mode.format(sample, Target(tools=True, system=True, reasoning=True))
print(json.dumps(attrs.asdict(conversation)))
"""


@pytest.fixture(scope="module", autouse=True)
def installed(shell, install, tmp_path_factory) -> Path:
    """A copy of the example's folder is built, so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("extension") / SOURCE.name
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("build", "*.egg-info", ".*"))
    return install(folder)


def formatted(shell, cwd: Path, mode: str, *disabled: str) -> str:
    data = json.dumps(SAMPLES[mode])
    return shell(shell.python, "-c", FORMAT, mode, data, *disabled, cwd=cwd).stdout


@pytest.mark.parametrize("mode", SAMPLES)
def test_it_masks_every_text_of_every_mode(shell, tmp_path, mode):
    masked = formatted(shell, tmp_path, mode)
    plain = formatted(shell, tmp_path, mode, "mask-email")
    written = json.dumps(SAMPLES[mode]).count(ADDRESS)
    assert "@" not in masked
    assert plain.count(ADDRESS) >= written
    assert masked == plain.replace(ADDRESS, MASK), "and changes nothing else"


def test_arguments_keep_their_keys_and_order(shell, tmp_path):
    (call,) = (
        call
        for message in json.loads(formatted(shell, tmp_path, "agent"))["messages"]
        for call in message["tool_calls"]
    )
    assert json.dumps(call["arguments"]) == json.dumps(
        {"to": [{"z": MASK, "a": 1}], "subject": "hi"}
    )


def test_it_is_listed_and_off_with_no_plugin(shell, tmp_path):
    def listed(*options: str, **env: str) -> list[str]:
        done = shell("ftcore", "plugins", "--json", *options, cwd=tmp_path, **env)
        rows = json.loads(done.stdout)
        assert [row["error"] for row in rows] == [None] * len(rows)
        return [row["name"] for row in rows if row["kind"] == "extension"]

    assert listed() == ["mask-email"]
    assert listed("--no-plugin", "mask-email") == []
    assert listed(FTCORE_PLUGINS="dual") == []


def test_a_run_records_it_and_trains_what_it_left(shell, tiny_model, tmp_path):
    """What the model was asked stands in the run's folder, masked."""
    places = ("at sea", "in Rome", "under the old bridge", "on the moon", "next door", "at work")
    samples = [{**SAMPLES["dual"], "user": f"Who {place} is {ADDRESS}?"} for place in places]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(s) + "\n" for s in samples))
    shell(
        *("ftcore", "train", "--mode", "dual", "--data", "data.jsonl", "--allow-small"),
        *("--base-model", tiny_model, "--output", "run", "--set", "bf16=false"),
        *("--set", "max_new_tokens=4", "--set", "num_train_epochs=1"),
        *("--set", "output_format=safetensors"),
        cwd=tmp_path,
    )
    record = json.loads((tmp_path / "run/record.json").read_text(encoding="utf-8"))
    assert record["training"]["steps"] == 1
    assert "ftcore-mask-email" in [plugin["distribution"] for plugin in record["plugins"]]
    assert set(record["ledger"]) >= {"trained", "held_out"}
    said = (tmp_path / "run/predictions.jsonl").read_text(encoding="utf-8")
    assert f" is {MASK}?" in said
    assert ADDRESS not in said


def test_its_own_tests_pass(shell, tmp_path):
    shutil.copytree(SOURCE / "tests", tmp_path / "tests")
    shell("pytest", cwd=tmp_path)
