"""The samples that agent mode ships: valid, varied, and short enough for the demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ftcore_agent
from ftcore.schemata import Validator
from ftcore_agent.validation import validate

LINES = Path(ftcore_agent.__file__).with_name("examples.jsonl").read_text("utf-8").splitlines()
SAMPLES: list[dict[str, Any]] = [json.loads(line) for line in LINES]


def turns(sample: dict[str, Any], role: str) -> list[dict[str, Any]]:
    return [message for message in sample["messages"] if message["role"] == role]


def arguments(samples: list[dict[str, Any]]) -> list[object]:
    """Every value that is passed to a tool, nested ones included."""
    waiting = [
        json.loads(given) if isinstance(given, str) else given
        for sample in samples
        for turn in turns(sample, "assistant")
        for call in turn.get("tool_calls", ())
        for given in [call["function"]["arguments"]]
    ]
    values: list[object] = []
    while waiting:
        inner = list(waiting.pop().values())
        values += inner
        waiting += [value for value in inner if isinstance(value, dict)]
    return values


KINDS = {
    "calls": lambda s: any("tool_calls" in m for m in turns(s, "assistant")),
    "calls nothing": lambda s: not any("tool_calls" in m for m in turns(s, "assistant")),
    "tool result, then an answer": lambda s: bool(turns(s, "tool")),
    "parallel calls": lambda s: any(
        len(m.get("tool_calls", ())) > 1 for m in turns(s, "assistant")
    ),
    "reasoning": lambda s: any("reasoning" in m for m in turns(s, "assistant")),
    "several user turns": lambda s: len(turns(s, "user")) > 1,
    "a system message": lambda s: bool(turns(s, "system")),
    "several tools to choose from": lambda s: len(s["tools"]) > 1,
    "Unicode": lambda s: not json.dumps(s, ensure_ascii=False).isascii(),
}


def test_all_are_valid():
    validator = Validator(ftcore_agent.ftcore_sample_schema())
    faults = [
        f"line {number}: {problem}"
        for number, sample in enumerate(SAMPLES, start=1)
        for problem in (validator.problems(sample) or validate(sample))
    ]
    assert faults == []


def test_there_are_enough_and_none_twice():
    assert len(SAMPLES) >= 180
    assert len({json.dumps(sample["messages"]) for sample in SAMPLES}) == len(SAMPLES)


def test_tools_are_many_and_each_is_called_several_times():
    called: dict[str, int] = {}
    for sample in SAMPLES:
        for turn in turns(sample, "assistant"):
            for call in turn.get("tool_calls", ()):
                called[call["function"]["name"]] = called.get(call["function"]["name"], 0) + 1
    assert len(called) >= 30
    assert min(called.values()) >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_sixty_show_every_kind(kind: str):
    assert sum(map(KINDS[kind], SAMPLES[:60])) >= 2


def test_a_good_share_rightly_calls_nothing():
    share = sum(map(KINDS["calls nothing"], SAMPLES)) / len(SAMPLES)
    assert 0.1 <= share <= 0.25


@pytest.mark.parametrize("kind", [str, int, float, bool, list, dict])
def test_arguments_have_every_type(kind: type):
    assert sum(type(value) is kind for value in arguments(SAMPLES)) >= 3


def test_both_forms_of_arguments_are_shown():
    calls = [c for s in SAMPLES for t in turns(s, "assistant") for c in t.get("tool_calls", ())]
    assert {type(call["function"]["arguments"]) for call in calls} == {str, dict}


def test_they_are_short():
    lengths = sorted(map(len, LINES))
    assert lengths[len(lengths) // 2] < 700  # characters of JSON; rendered, about 180 tokens
    assert lengths[-1] < 2000
