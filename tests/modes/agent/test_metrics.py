"""The figures of agent mode: what each counts, and of what."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftcore_agent
from ftcore.values import Message, Part, Prediction, Target, ToolCall
from ftcore_agent.formatting import format_sample
from ftcore_agent.metrics import metrics

NAMES = {
    "call_decision",
    "valid_json",
    "known_tool",
    "arguments_valid",
    "exact_call",
    "ended",
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
OSLO: Mapping[str, Any] = {"city": "Oslo", "days": 2}


def calling(*arguments: Mapping[str, Any]) -> Message:
    return Message("assistant", tool_calls=tuple(ToolCall("weather", a) for a in arguments))


def saying(text: str) -> Message:
    return Message("assistant", content=(Part("prose", text),))


def hermes(*arguments: Mapping[str, Any], name: str = "weather") -> str:
    return "\n".join(
        "<tool_call>\n" + json.dumps({"name": name, "arguments": a}) + "\n</tool_call>"
        for a in arguments
    )


def predicted(text: str, reference: Message, ended: bool = True) -> Prediction:
    return Prediction(
        sample={}, reference=reference, history=(), tools=(WEATHER,), text=text, ended=ended
    )


def test_nothing_predicted_gives_zeros():
    assert metrics([]) == {}


def test_the_modes_own_examples_said_back_are_perfect():
    lines = Path(ftcore_agent.__file__).with_name("examples.jsonl").read_text("utf-8").splitlines()
    predictions: list[Prediction] = []
    for line in lines:
        sample = json.loads(line)
        conversation = format_sample(sample, Target(tools=True, system=True, reasoning=False))
        for index, message in enumerate(conversation.messages):
            if message.trained:
                calls = [{"name": c.name, "arguments": c.arguments} for c in message.tool_calls]
                text = message.text + "\n".join(
                    f"<tool_call>\n{json.dumps(c, ensure_ascii=False)}\n</tool_call>" for c in calls
                )
                history = conversation.messages[:index]
                predictions.append(
                    Prediction(sample, message, history, conversation.tools, text, ended=True)
                )
    assert metrics(predictions) == dict.fromkeys(NAMES, 1.0)


# what was generated for a call with OSLO: (text, figures that are not 1)
OF_ATTEMPTS = ("valid_json", "known_tool", "arguments_valid")
CALLS: dict[str, tuple[str, dict[str, float | None]]] = {
    "the same": (hermes(OSLO), {}),
    "another order of keys": (hermes({"days": 2, "city": "Oslo"}), {}),
    "a float for an integer": (hermes({"city": "Oslo", "days": 2.0}), {}),
    "another value": (hermes({"city": "Rome", "days": 2}), {"exact_call": 0}),
    "one argument fewer": (hermes({"city": "Oslo"}), {"exact_call": 0}),
    "a wrong type": (
        hermes({"city": "Oslo", "days": "2"}),
        {"arguments_valid": 0, "exact_call": 0},
    ),
    "true for one": (
        hermes({"city": "Oslo", "days": True}),
        {"arguments_valid": 0, "exact_call": 0},
    ),
    "an unknown tool": (
        hermes(OSLO, name="clock"),
        {"known_tool": 0, "arguments_valid": 0, "exact_call": 0},
    ),
    "broken JSON": (
        hermes(OSLO).replace('"}', "}").replace("2}", "2"),
        {"valid_json": 0, "known_tool": 0, "arguments_valid": 0, "exact_call": 0},
    ),
    "one call too many": (hermes(OSLO, OSLO), {"exact_call": 0}),
    "prose": (
        "It rains.",
        {"call_decision": 0, "exact_call": 0} | dict.fromkeys(OF_ATTEMPTS),
    ),
    "qwen3-coder": (
        "<tool_call>\n<function=weather>\n<parameter=city>\nOslo\n</parameter>\n"
        "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
        {},
    ),
    "llama 3": ('{"name": "weather", "parameters": {"city": "Oslo", "days": 2}}', {}),
    "mistral": ('[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Oslo", "days": 2}}]', {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_scored(name: str):
    text, lower = CALLS[name]
    expected = dict.fromkeys(NAMES, 1.0) | lower
    left_out = {figure for figure, value in expected.items() if value is None}
    figures = metrics([predicted(text, calling(OSLO))])
    assert figures == {k: v for k, v in expected.items() if k not in left_out}


def test_parallel_calls_count_in_any_order_but_as_often():
    rome = {"city": "Rome"}
    reference = calling(OSLO, rome, rome)
    assert metrics([predicted(hermes(rome, OSLO, rome), reference)])["exact_call"] == 1
    assert metrics([predicted(hermes(rome, OSLO, OSLO), reference)])["exact_call"] == 0


def test_a_call_where_prose_was_right_is_a_wrong_decision():
    figures = metrics([predicted(hermes(OSLO), saying("Where?"))])
    assert figures["call_decision"] == 0
    assert figures["arguments_valid"] == 1
    assert "exact_call" not in figures  # its denominator, references that call, is empty


def test_each_share_has_its_own_denominator():
    figures = metrics(
        [
            predicted(hermes(OSLO), calling(OSLO)),
            predicted(hermes(OSLO, name="clock"), calling(OSLO), ended=False),
            predicted("It rains.", calling(OSLO)),
            predicted("Where?", saying("Where?")),
        ]
    )
    assert figures == {
        "call_decision": 3 / 4,
        "valid_json": 2 / 2,
        "known_tool": 1 / 2,
        "arguments_valid": 1 / 2,
        "exact_call": 1 / 3,
        "ended": 3 / 4,
    }


@given(st.lists(st.tuples(st.text(), st.booleans(), st.booleans())))
def test_shares_are_finite_and_nested_whatever_was_generated(drawn: list[tuple[str, bool, bool]]):
    figures = metrics(
        [
            predicted(
                f"<tool_call>{text}" if attempts else text,
                calling(OSLO) if attempts else saying("x"),
                ended,
            )
            for text, attempts, ended in drawn
        ]
    )
    assert figures.keys() <= NAMES
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in figures.values())
    if any(attempts for _, attempts, _ in drawn):
        assert figures["arguments_valid"] <= figures["known_tool"] <= figures["valid_json"]
