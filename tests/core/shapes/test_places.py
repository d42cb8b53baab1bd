"""A problem of a converted sample points to the place in the record as its author wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
    "a key that is handed on": (
        {"prompt": "a", "response": "b", "mood": 3},
        ["/mood"],
    ),
}


@pytest.mark.parametrize(("record", "expected"), CASES.values(), ids=CASES)
def test_a_problem_points_into_the_users_record(record, expected, chat, imported):
    assert sorted(places(chat, imported(record, chat))) == sorted(expected)


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
