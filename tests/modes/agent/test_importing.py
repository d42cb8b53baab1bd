"""Chats of other collections in agent mode: every result finds its call."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

import ftcore_agent
from ftcore.schemata import Validator
from ftcore_agent.importing import import_chat
from ftcore_agent.validation import validate

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("weather", "clock")
]
USER = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "ho"}


def call(name: str = "weather", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": {}}, **more}


def result(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **more}


def chat(calls: list[dict[str, Any]], *results: dict[str, Any]) -> dict[str, Any]:
    turn = {"role": "assistant", "content": "", "tool_calls": calls}
    return {"messages": [USER, turn, *results, SAID], "tools": TOOLS}


def pairs(made: dict[str, Any]) -> list[tuple[str | None, str]]:
    """The id of each call with the text that answers it."""
    turn = next(m for m in made["messages"] if "tool_calls" in m)
    texts = {m.get("tool_call_id"): m["content"] for m in made["messages"] if m["role"] == "tool"}
    return [(c.get("id"), texts.get(c.get("id"), "")) for c in turn["tool_calls"]]


BOTH = json.dumps([{"name": "clock", "content": "9"}, {"name": "weather", "content": {"c": 7}}])
WITH_IDS = json.dumps(
    [
        {"tool_call_id": "x", "name": "weather", "content": "7"},
        {"tool_call_id": "y", "name": "clock", "content": "9"},
    ]
)
PAIRED = {
    "one call needs no id": (chat([call()], result("7")), [(None, "7")]),
    "one call takes its result's id": (chat([call()], result("7", tool_call_id="x")), [("x", "7")]),
    "one result takes its call's id": (chat([call(id="x")], result("7")), [("x", "7")]),
    "several calls are answered in order": (
        chat([call(), call()], result("7"), result("9")),
        [("call_1", "7"), ("call_2", "9")],
    ),
    "by name before order": (
        chat([call(), call("clock")], result("9", name="clock"), result("7")),
        [("call_1", "7"), ("call_2", "9")],
    ),
    "by id before all": (
        chat([call(id="x"), call(id="y")], result("9", tool_call_id="y"), result("7")),
        [("x", "7"), ("y", "9")],
    ),
    "ids that only results have": (
        chat([call(), call()], result("7", tool_call_id="x"), result("9", tool_call_id="y")),
        [("x", "7"), ("y", "9")],
    ),
    "a given id is not given again": (
        chat([call(id="call_1"), call()], result("7"), result("9")),
        [("call_1", "7"), ("call_2", "9")],
    ),
    "one result that lists all answers": (
        chat([call(), call("clock")], result(BOTH)),
        [("call_1", '{"c": 7}'), ("call_2", "9")],
    ),
    "one result that lists all answers with ids": (
        chat([call(), call("clock")], result(WITH_IDS)),
        [("x", "7"), ("y", "9")],
    ),
}


@pytest.mark.parametrize(("given", "expected"), PAIRED.values(), ids=PAIRED)
def test_results_are_paired_with_their_calls(given, expected):
    before = copy.deepcopy(given)
    made = import_chat(given)
    assert pairs(made) == expected
    assert Validator(ftcore_agent.ftcore_sample_schema()).problems(made) == []
    assert validate(made) == []
    assert given == before


@pytest.mark.parametrize(
    "given",
    [
        chat([call(), call()], result("7")),
        chat([call(), call("clock")], result(json.dumps([{"name": "weather", "content": "7"}]))),
        chat([call(), call("clock")], result(json.dumps(["7", "9"]))),
        chat([call(), call()], result("7"), result("8"), result("9")),
        chat([call()], result("7", name="clock")),
        chat([call(id="x")], result("7", tool_call_id="y")),
    ],
    ids=["too few", "list of one", "list without names", "too many", "wrong name", "wrong id"],
)
def test_what_cannot_be_paired_is_left_for_the_validator(given):
    made = import_chat(given)
    assert Validator(ftcore_agent.ftcore_sample_schema()).problems(made) == []
    assert validate(made) != []


def test_ids_of_later_turns_go_on_counting():
    turn = {"role": "assistant", "content": "", "tool_calls": [call(), call()]}
    made = import_chat(
        {"messages": [USER, turn, result("a"), result("b"), turn, result("c"), result("d"), SAID]}
    )
    ids = [m["tool_call_id"] for m in made["messages"] if m["role"] == "tool"]
    assert ids == ["call_1", "call_2", "call_3", "call_4"]


def test_a_chat_that_needs_nothing_is_made_of_the_same_messages():
    results = result("7", tool_call_id="x"), result("9", tool_call_id="y")
    given = chat([call(id="x"), call(id="y")], *results)
    made = import_chat(given)
    assert all(new is old for new, old in zip(made["messages"], given["messages"], strict=True))
    assert import_chat({"messages": []}) == {"messages": []}
