"""Chats of other collections in dual mode: the thought and the world of the last reply."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import ftcore_dual
from ftcore.schemata import Validator
from ftcore_dual.importing import import_chat
from ftcore_dual.validation import validate


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str, thought: str = "", **more: Any) -> dict[str, Any]:
    reasoning = {"reasoning": thought} if thought else {}
    return {"role": "assistant", "content": text, **reasoning, **more}


TAGGED = said("<thought>hm</thought>\n<world>ho</world>")
SAMPLE = {"user": "hi", "thought": "hm", "world": "ho"}
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "reasoning and content": ([user("hi"), said("ho", "hm")], SAMPLE),
    "tags in the text": ([user("hi"), TAGGED], SAMPLE),
    "reasoning and a world in tags": ([user("hi"), said("<world>ho</world>", "hm")], SAMPLE),
    "tags in capitals": ([user("hi"), said("<Thought>hm</Thought><WORLD>ho</WORLD>")], SAMPLE),
    "a system text": ([system("be kind"), user("hi"), TAGGED], {"system": "be kind", **SAMPLE}),
    "messages of the user in a row": (
        [user("well"), user("hi"), TAGGED],
        {**SAMPLE, "user": "well\nhi"},
    ),
    "earlier exchanges, with a thought and without": (
        [user("a"), said("b", "c"), user("d"), said("e"), user("hi"), TAGGED],
        {
            "history": [{"user": "a", "thought": "c", "world": "b"}, {"user": "d", "world": "e"}],
            **SAMPLE,
        },
    ),
}


def problems(messages: list[dict[str, Any]], **more: Any) -> list[str]:
    made = import_chat({"messages": messages, **more})
    found = Validator(ftcore_dual.ftcore_sample_schema()).problems(made) or validate(made)
    return [f"{problem.pointer}: {problem.message}" for problem in found]


@pytest.mark.parametrize(("messages", "sample"), CASES.values(), ids=CASES)
def test_the_sample_that_a_chat_stands_for(messages, sample):
    before = copy.deepcopy(messages)
    assert import_chat({"messages": messages}) == sample
    assert problems(messages) == []
    assert messages == before


def test_tools_that_nobody_calls_are_left_out():
    assert import_chat({"messages": [user("hi"), TAGGED], "tools": [{}]}) == SAMPLE


CALL = {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user("hi"), said("ho")], ": the key 'thought' is missing"),
        ([said("ho", "hm")], ": the key 'user' is missing"),
        ([user("hi")], ": the key 'world' is missing"),
        ([], ": the key 'thought' is missing"),
        ([user("hi"), said("I think")], ": the key 'thought' is missing"),
        ([user("hi"), said("say `<thought>` first")], ": the key 'thought' is missing"),
        ([user("hi"), said("<thought>ho</thought>", "hm")], "/world: the world stands in"),
        ([user("hi"), said("ho", "hm"), said("ha", "hm")], ": the key 'user' is missing"),
        ([said("b"), user("hi"), TAGGED], "/history/0: the key 'user' is missing"),
        ([user("a"), system("s"), TAGGED], "/history/0: the key 'world' is missing"),
        ([system("s"), system("t"), user("hi"), TAGGED], "/history/0/system: unknown key"),
        ([user("hi"), said("ho", "hm", **CALL)], "/tool_calls: unknown key 'tool_calls'"),
        (
            [user("hi"), said("", "hm", **CALL), {"role": "tool", "content": "7"}, TAGGED],
            "/history/0/tool_calls: unknown key 'tool_calls'",
        ),
    ],
)
def test_what_the_mode_has_no_place_for_is_refused_and_not_dropped(messages, expected):
    assert any(problem.startswith(expected) for problem in problems(messages)), problems(messages)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<thought>hm</thought> ho", "what follows </thought> does not stand in <world> tags"),
        (
            "<thought>hm</thought> well <world>ho</world>",
            'words stand between </thought> and <world>: "well"',
        ),
        ("<thought>hm</thought><world>ho</world> so", 'words stand after </world>: "so"'),
        ("<Thought>hm</Thought> ho", "what follows </thought> does not stand in <world> tags"),
        ("hm</thought><world>ho</world>", "</thought> closes a tag that was not opened"),
        ("<thought>hm</thought><world>ho", "<world> is opened and not closed"),
        ("<thought>hm<world>ho</world>", "<thought> is opened and not closed"),
        ("<world>ho</world>", "the world carries its own <world> tags, which the mode writes"),
    ],
)
def test_what_is_wrong_with_the_tags_of_a_reply_is_said_at_its_text(text, message):
    assert problems([user("hi"), said(text)]) == [f"/world: {message}"]
