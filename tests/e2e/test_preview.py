"""``ftcore preview`` as a person meets it: at a glance, in a pipe, as a page, and refusing."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

PLAIN = {"FORCE_COLOR": "", "NO_COLOR": "", "COLUMNS": ""}
"""Whatever the tests' own environment says about colours."""


def call(id: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "rain", "arguments": arguments}}


TALK: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "Will it rain in Rome or Oslo?"},
        {
            "role": "assistant",
            "reasoning": "Two cities, two calls.",
            "content": "Let me look.",
            "tool_calls": [call("c1", city="Rome"), call("c2", city="Oslo")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "dry"},
        {"role": "tool", "tool_call_id": "c2", "content": "7.5 mm"},
        {"role": "assistant", "content": "Only in Oslo.\n\nTake <an> umbrella & boots."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "rain",
                "description": "Tells the rain.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        }
    ],
}
BAD = {
    "messages": [
        {"role": "user", "content": "Repeat: <|im_end|>"},
        {"role": "assistant", "content": "No."},
    ]
}


@pytest.fixture
def show(ftcore, tmp_path):
    """``show(*arguments)`` on ``talk.jsonl``: the talk, a text with a control token, a fault."""
    lines = [json.dumps(TALK), json.dumps(BAD), '{"messagez": []}']
    (tmp_path / "talk.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(*arguments, model: str | Path = "smollm2:135m", env=PLAIN):
        return ftcore(
            *("preview", "--mode", "agent", "--data", "talk.jsonl"),
            *(("--base-model", model) if model else ()),
            *arguments,
            cwd=tmp_path,
            env=env,
        )

    return run


def rows(text: str) -> list[tuple[str, bool, str]]:
    """Name of the part, whether it is trained, and text of each row that begins a part."""
    found: list[tuple[str, bool, str]] = []
    for line in text.splitlines():
        if match := re.fullmatch(r"(?:(\w+) +[\d,]+ | +)([┃│]) ?(.*)", line):
            if match[1]:
                found.append((match[1], match[2] == "┃", match[3]))
            else:
                found[-1] = (*found[-1][:2], f"{found[-1][2]}\n{match[3]}")
    return found


def test_calls_reasoning_and_results_are_readable_at_a_glance(show):
    done = show("-n", "1")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "ftcore's chat template" in done.stdout
    assert "talk.jsonl:1  agent" in done.stdout
    found = rows(done.stdout)
    named = [(name, text.strip("· ↵\n}")) for name, _, text in found]
    assert [row for row in named if row[0] not in ("structure", "prompt")] == [
        ("reasoning", "Two cities, two calls."),
        ("prose", "Let me look."),
        ("tool_name", "rain"),
        ("arguments", '{"city": "Rome"'),
        ("tool_name", "rain"),
        ("arguments", '{"city": "Oslo"'),
        ("end", "⟦<|im_end|>⟧"),
        ("prose", "Only in Oslo.↵\n↵\nTake <an> umbrella & boots."),
        ("end", "⟦<|im_end|>⟧"),
    ]
    assert {name for name, trained, _ in found if not trained} == {"prompt"}
    asked, results = (text for name, _, text in found if name == "prompt")
    assert "Will it rain in Rome or Oslo?⟦<|im_end|>⟧" in asked
    assert "\ndry\n" in results
    assert "\n7.5 mm\n" in results
    assert re.search(r"\d+ of \d+ tokens are trained \(\d+%\): structure \d+", done.stdout)


def test_no_color_is_honoured(show):
    coloured = show("-n", "1", env={**PLAIN, "FORCE_COLOR": "1", "TERM": "xterm-256color"})
    without = show(
        "-n", "1", env={**PLAIN, "FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm-256color"}
    )
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9)\d(?:;\d+)*m")
    assert colour.search(coloured.stdout)
    assert not colour.search(without.stdout)


def test_the_page_and_the_json_hold_the_same_tokens(show, tmp_path):
    done = show("-n", "1", "--html", "page.html", "--json")
    assert done.returncode == 0, done.stderr
    (sample,) = json.loads(done.stdout)["samples"]
    (example,) = sample["examples"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = [int(i) for ids in re.findall(r'data-i="([\d ]+)"', page) for i in ids.split()]
    assert shown == [i for s in example["segments"] if s["trained"] for i in s["ids"]]
    assert "Take <an>" not in page
    again = show("-n", "1", "--html", "page.html")
    assert again.returncode == 0
    assert again.stdout.startswith("page.html: ")
    refused = show("-n", "1", "--html", "talk.jsonl")
    assert refused.returncode == 2
    assert "talk.jsonl exists and is no preview" in refused.stderr
    assert (tmp_path / "talk.jsonl").read_text(encoding="utf-8").startswith('{"messages"')


def test_what_cannot_be_trained_on_is_refused_with_its_place(show):
    control = show("--line", "2")
    assert control.returncode == 2
    assert "talk.jsonl:2" in control.stderr
    assert "'<|im_end|>'" in control.stderr
    fault = show("--line", "3")
    assert fault.returncode == 2
    assert "talk.jsonl:3: /messagez" in fault.stderr
    nothing = show("--line", "9")
    assert nothing.returncode == 2
    assert "line 9" in nothing.stderr
    passed_over = show()
    assert passed_over.returncode == 0
    assert "talk.jsonl:2" in passed_over.stderr
    assert "a record has problems" in passed_over.stderr
    for done in (control, fault, nothing, passed_over):
        assert "Traceback" not in done.stderr


def test_without_the_base_model_of_the_settings_one_can_be_named(show):
    done = show(model="", env={**PLAIN, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 2
    assert "base_model=" in done.stderr
    assert "agent-config.json" in done.stderr
    assert "--base-model" in done.stderr


def test_it_says_what_to_show(ftcore, tmp_path):
    done = ftcore("preview", "--mode", "agent", cwd=tmp_path)
    assert done.returncode == 2
    assert "--data" in done.stderr


def test_the_modes_own_samples_can_be_shown(ftcore, tmp_path):
    done = ftcore("preview", "--mode", "agent", "--demo", "-n", "2", cwd=tmp_path, env=PLAIN)
    assert done.returncode == 0, done.stderr
    assert "2 samples: " in done.stdout


def test_a_run_trains_on_what_was_shown(ftcore, tiny_model, workspace):
    """Example for example and token for token, by the run's own ledger."""
    options = ("--mode", "agent", "--data", "data.jsonl", "--base-model", tiny_model)
    seen = ftcore("preview", *options, "-n", "12", "--json", cwd=workspace)
    assert seen.returncode == 0, seen.stderr
    shown: dict[int, Counter[str]] = {}
    for sample in json.loads(seen.stdout)["samples"]:
        counts = shown.setdefault(sample["line"], Counter())
        for example in sample["examples"]:
            trained = {"trained_tokens": example["trained_tokens"]}
            counts.update({"examples": 1, "tokens": example["tokens"], **trained})
    done = ftcore(
        *("train", *options, "--allow-small", "--output", "run"),
        *("--set", "bf16=false", "--set", "certify=false", "--set", "save_checkpoints=false"),
        *("--set", "load_best_model_at_end=false", "--set", "num_train_epochs=1"),
        *("--set", "eval_samples=1", "--set", "max_new_tokens=1", "--set", "warmup_steps=0"),
        cwd=workspace,
    )
    assert done.returncode == 0, done.stderr
    ledger = [json.loads(line) for line in (workspace / "run/ledger.jsonl").open()]
    assert len(ledger) == 12
    assert shown == {
        entry["line"]: Counter(
            {key: entry[key] for key in ("examples", "tokens", "trained_tokens")}
        )
        for entry in ledger
    }
