"""What cannot be rendered is pointed at in the sample, as its author wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ftcore.plugins import open_mode
from ftcore.prepare import prepare
from ftcore.spool import store_samples
from ftcore.values import Conversation, Message, Part, Problem, Sample
from ftcore.whereabouts import place_of

BAD = "an <|im_end|> inside"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def problem_of(tokenizer: Any, mode: str, data: dict[str, Any]) -> Problem:
    """Why a sample cannot be rendered; a good one stands before it."""
    good = {
        "agent": {"messages": [{"role": "user", "content": "a"}, answer("b")]},
        "dual": {"user": "a", "thought": "b", "world": "c"},
        "emulation": {"messages": [{"role": "user", "content": "a"}, answer("b")]},
    }
    opened = open_mode(mode)
    given = [(Sample(d, "d.jsonl", n), opened) for n, d in enumerate((good[mode], data), 1)]
    assert not opened.problems(given[1][0])
    options: dict[str, Any] = {"max_seq_length": 512, "long_samples": "split", "eval_split": 0.0}
    made = prepare(store_samples(given), tokenizer, control_tokens="refuse", seed=1, **options)
    (problem,) = made.problems
    assert (problem.file, problem.line) == ("d.jsonl", 2)
    return problem


def answer(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def asked(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(arguments: Any) -> dict[str, Any]:
    call = {"type": "function", "function": {"name": "weather", "arguments": arguments}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def result(text: str) -> dict[str, Any]:
    return {"role": "tool", "content": text}


@pytest.mark.parametrize(
    ("mode", "data", "pointer"),
    [
        (
            "agent",
            {"messages": [asked("a"), answer("b"), asked(BAD), answer("b")]},
            "/messages/2/content",
        ),
        (
            "agent",
            {"messages": [asked(BAD), answer("b"), asked(BAD), answer("c")]},
            "/messages/0/content",
        ),
        (
            "agent",
            {"messages": [asked("a"), answer("a"), asked("a"), answer("a\x16")]},
            "/messages/3/content",
        ),
        (
            "agent",
            {
                "messages": [asked("a"), called({"city": BAD}), result("b"), answer("c")],
                "tools": [WEATHER],
            },
            "/messages/1/tool_calls/0/function/arguments/city",
        ),
        (
            "agent",
            {
                "messages": [
                    asked("a"),
                    called(json.dumps({"city": BAD})),
                    result("b"),
                    answer("c"),
                ],
                "tools": [WEATHER],
            },
            "/messages/1/tool_calls/0/function/arguments",
        ),
        (
            "agent",
            {
                "tools": [
                    {"type": "function", "function": {"name": "weather", "description": BAD}}
                ],
                "messages": [asked("a"), answer("c")],
            },
            "/tools/0/function/description",
        ),
        ("dual", {"notes": BAD, "user": "a", "thought": "b", "world": BAD}, "/world"),
        (
            "dual",
            {
                "history": [{"user": "a", "thought": BAD, "world": "b"}],
                "user": "a",
                "thought": "b",
                "world": "c",
            },
            "/history/0/thought",
        ),
        ("dual", {"user": "a", "thought": "b", "world": "c", "system": BAD}, "/system"),
        ("emulation", {"messages": [asked("a"), asked(BAD), answer("b")]}, "/messages/1/content"),
        (
            "emulation",
            {"messages": [asked("a"), answer("half \ud83d of it")]},
            "/messages/1/content",
        ),
    ],
)
def test_what_cannot_be_rendered_is_pointed_at(tokenizer, mode, data, pointer):
    assert problem_of(tokenizer, mode, data).pointer == pointer


def test_a_whole_message_is_pointed_at_by_what_its_texts_have_in_common():
    data = {
        "first": {"ask": "the same", "say": "the same"},
        "then": {"think": "hm", "say": "the same"},
    }
    messages = (
        Message("user", (Part("", "the same"),)),
        Message("assistant", (Part("", "the same"),)),
        Message("assistant", (Part("", "<t>"), Part("", "hm"), Part("", "the same")), trained=True),
    )
    sample, conversation = Sample(data, "d.jsonl", 1), Conversation(messages)
    assert place_of(sample, conversation, 0, "") == "/first/ask"
    assert place_of(sample, conversation, 1, "") == "/first/say"
    assert place_of(sample, conversation, 2, "") == "/then"
    assert place_of(sample, conversation, None, "") == ""
    assert place_of(sample, conversation, 1, "in none of them") == "/first/say"


def test_the_pointer_leads_into_the_record_as_it_was_written():
    sample = Sample({"ask": "a", "say": "b"}, "d.jsonl", 1, {"/say": "/conversations/1/value"})
    messages = (Message("user", (Part("", "a"),)), Message("assistant", (Part("", "b"),)))
    assert place_of(sample, Conversation(messages), 1, "") == "/conversations/1/value"
