"""Chats of other collections in emulation mode: the assistant is the persona."""

from __future__ import annotations

import copy

import pytest

import ftcore_emulation
from ftcore.schemata import Validator
from ftcore_emulation.importing import import_chat
from ftcore_emulation.validation import validate

USER = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "ho"}
CALL = {"type": "function", "function": {"name": "f", "arguments": {}}}


def problems(chat) -> list[str]:
    made = import_chat(chat)
    found = Validator(ftcore_emulation.ftcore_sample_schema()).problems(made) or validate(made)
    return [problem.message for problem in found]


def test_a_chat_is_a_sample_and_tools_that_nobody_calls_are_left_out():
    chat = {"messages": [{"role": "system", "content": "s"}, USER, SAID], "tools": [{}]}
    before = copy.deepcopy(chat)
    assert import_chat(chat) == {"messages": chat["messages"]}
    assert problems(chat) == []
    assert chat == before


@pytest.mark.parametrize(
    ("messages", "key"),
    [
        ([USER, {**SAID, "tool_calls": [CALL]}, {"role": "tool", "content": "7"}, SAID], "tools"),
        ([USER, {**SAID, "tool_calls": [CALL]}], "tool_calls"),
        ([USER, {**SAID, "reasoning": "hm"}], "reasoning"),
    ],
)
def test_calls_and_reasoning_are_refused_and_not_dropped(messages, key):
    assert f"unknown key {key!r}" in problems({"messages": messages, "tools": [{}]})
