"""A problem of a converted sample points to the place in the record as its author wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ftcore.values import Problem

LONG = "hm" * 11  # more than the mode allows to think
LOUD = "ha" * 101  # more than it allows to say
CALL = {"name": "clokc", "arguments": {"city": 7}}


def turn(said: str, value: Any) -> dict[str, Any]:
    return {"from": said, "value": value}


def places(mode, found) -> list[str]:
    return [problem.pointer for problem in mode.problems(found.sample)]


ASKED = turn("human", "hi")
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a text": (
        {"conversations": [ASKED, turn("gpt", LOUD)]},
        ["/conversations/1/value"],
    ),
    "a system text before all turns": (
        {"conversations": [ASKED, turn("gpt", LOUD)], "system_prompt": LOUD},
        ["/system_prompt", "/conversations/1/value"],
    ),
    "a part": (
        {"messages": [{"role": "assistant", "content": [{"type": "text", "value": LOUD}]}]},
        ["/messages/0/content/0/value"],
    ),
    "reasoning taken out of a text": (
        {"messages": [{"role": "assistant", "content": f"<think>{LONG}</think>ho"}]},
        ["/messages/0/content"],
    ),
    "reasoning under another name": (
        {"messages": [{"role": "assistant", "content": "", "reasoning_content": LONG}]},
        ["/messages/0/reasoning_content"],
    ),
    "a call in a text": (
        {"conversations": [ASKED, turn("function_call", json.dumps(CALL))]},
        ["/conversations/1/value", "/conversations/1/value"],
    ),
    "a call of a turn that joined another": (
        {"conversations": [ASKED, turn("gpt", "well"), turn("function_call", [CALL])]},
        ["/conversations/2/value/0/arguments/city", "/conversations/2/value/0/name"],
    ),
    "arguments in a text": (
        {
            "id": 1,
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {**CALL, "arguments": '{"city": 7}'}}],
                }
            ],
        },
        [
            "/messages/0/tool_calls/0/function/arguments",
            "/messages/0/tool_calls/0/function/name",
        ],
    ),
    "a turn after others were joined or left out": (
        {
            "turns": [
                {"speaker": "bot", "text": " "},
                {"speaker": "bot", "text": "a"},
                {"speaker": "bot", "text": "b"},
                {"speaker": "Ann", "texts": [LOUD]},
                {"speaker": "bot", "text": "c"},
            ]
        },
        ["/turns/3/texts"],
    ),
    "a list in a text": (
        {"conversations": json.dumps([turn("gpt", LOUD)])},
        ["/conversations"],
    ),
    "an answer": ({"instruction": "a", "output": LOUD}, ["/output"]),
    "an earlier answer": (
        {"instruction": "a", "output": "b", "history": [["c", LOUD]]},
        ["/history/0/1"],
    ),
    "a message of a prompt": (
        {"prompt": [{"role": "user", "content": LOUD}], "response": "b"},
        ["/prompt/0/content"],
    ),
    "a key that the record does not have, at what is around it": (
        {"id": 1, "messages": [{"role": "assistant", "function_call": {"name": "clokc"}}]},
        ["/messages/0/function_call/name"],
    ),
    "a key that is handed on": (
        {"prompt": "a", "response": "b", "mood": 3},
        ["/mood"],
    ),
}


@pytest.mark.parametrize(("record", "expected"), CASES.values(), ids=CASES)
def test_a_problem_points_into_the_users_record(record, expected, chat, imported):
    assert sorted(places(chat, imported(record, chat))) == sorted(expected)


def test_pointers_lead_to_something_that_is_there(chat, imported):
    record = {"conversations": [ASKED, turn("gpt", f"hm <tool_call>{json.dumps(CALL)}")]}
    origins = imported(record, chat).sample.origins
    for inside in ("", "/function/arguments/city", "/no/such/key"):
        assert origins[f"/messages/1/tool_calls/0{inside}"] == "/conversations/1/value"
    assert origins["/messages/1/reasoning"] == "/conversations/1"
    assert origins["/messages/7"] == "/conversations"
    assert origins["/mood/x"] == ""


PLAIN = """
from ftcore import hookimpl

@hookimpl
def ftcore_sample_schema():
    message = {
        "type": "object",
        "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"type": "string"}},
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"messages": {"type": "array", "items": message}},
        "required": ["messages"],
        "additionalProperties": False,
    }

@hookimpl
def ftcore_format_sample(sample, target):
    raise NotImplementedError
"""
UNPLACED = "the mode 'plain' has no place for"
CALL_TEXT = f"well <tool_call>{json.dumps(CALL)}</tool_call>"


@pytest.mark.parametrize(
    ("said", "at", "message"),
    [
        (
            {"content": "<think>hm</think>ho"},
            "content",
            "reasoning (read from <think> in this text)",
        ),
        (
            {"content": "hm\n</think>\nho"},
            "content",
            "reasoning (read from <think> in this text)",
        ),
        ({"content": "ho", "reasoning_content": "hm"}, "reasoning_content", "reasoning"),
        (
            {"content": CALL_TEXT},
            "content",
            "a call of a tool (read from <tool_call> in this text)",
        ),
        ({"content": None, "function_call": CALL}, "function_call", "a call of a tool"),
    ],
)
def test_what_a_mode_has_no_place_for_is_told_in_the_words_of_the_record(
    said, at, message, distribution, imported
):
    from ftcore.plugins import open_mode

    distribution("ftc-plain", PLAIN, mode="plain")
    record = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", **said}]}
    found = imported(record, open_mode("plain"))
    assert isinstance(found, Problem), found
    assert (found.pointer, found.message) == (f"/messages/1/{at}", f"{UNPLACED} {message}")


def test_what_a_mode_needs_and_a_reply_lacks_is_told_at_the_reply(distribution, imported):
    from ftcore.plugins import open_mode

    code = PLAIN.replace('"required": ["messages"]', '"required": ["mood"]')
    distribution("ftc-half", code, mode="half")
    found = imported({"prompt": "hi", "completion": "ho"}, open_mode("half"))
    assert isinstance(found, Problem), found
    assert found.pointer == "/completion"
    assert found.message.startswith("this reply has no 'mood', which the mode 'half' needs")


TRANSFORMING = """

@hookimpl
def ftcore_import_chat(chat):
    *_, asked, said = chat["messages"]
    ask, _, rest = said["content"].partition("|")
    return {%s}
"""


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ('"ask": "x" * 30, "say": said["content"]', ["", "/conversations/1/value"]),
        ('"ask": asked, "say": [said["content"]]', ["/conversations/0", "/conversations/1"]),
        ('"ask": [rest], "say": [dict(said)]', ["/conversations/1", "/conversations"]),
    ],
)
def test_what_a_mode_made_of_a_chat_is_known_again(
    result, expected, distribution, mode_code, imported
):
    from ftcore.plugins import open_mode

    short = '{"maxLength": 5, "type": "string"}'
    code = mode_code.replace('"ask": {"type": "string"}', f'"ask": {short}')
    code = code.replace('"minLength": 1', '"maxLength": 5')
    distribution("ftc-haiku", code + TRANSFORMING % result, mode="haiku")
    mode = open_mode("haiku")
    record = {"conversations": [turn("human", "what is it?"), turn("gpt", "before | and after it")]}
    assert sorted(places(mode, imported(record, mode))) == sorted(expected)
