"""Chats in the shapes that collections have: what each becomes, and that nothing is lost unsaid."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ftcore.shapes import Imported
from ftcore.shapes.chats import CUT
from ftcore.shapes.tools import REWRITTEN
from ftcore.values import Problem

USER = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "ho"}
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {}}}


def call(arguments: dict[str, Any], name: str = "weather", **more: Any) -> dict[str, Any]:
    return {**more, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made: dict[str, Any], content: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(made)}


def turn(said: str, value: Any) -> dict[str, Any]:
    return {"from": said, "value": value}


def result(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": text, **more}


OSLO = call({"city": "Oslo"})
OSLO_TEXT = '{"name": "weather", "arguments": {"city": "Oslo"}}'
ROME_TEXT = OSLO_TEXT.replace("Oslo", "Rome")


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [USER, SAID]},
        {"messages": [USER, {**SAID, "accent": "scots"}], "mood": "merry"},
        {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [OSLO]}]},
        {"messages": [USER, calls(call("{}", id="a")), result("7", tool_call_id="a"), SAID]},  # type: ignore[arg-type]
        {"messages": [USER, SAID], "tools": [{"type": "function", "function": TOOL}]},
        {"messages": [USER, {**SAID, "content": "write <think> and `<tool_call>{}` as it is"}]},
        {"messages": [USER, {**SAID, "content": "then `</think>` ends the thinking"}]},
        {"messages": [USER, SAID], "cognitive_mode": "chat", "notes": "n", "comment": "c"},
        {"messages": [{"role": "asistant", "content": "ho"}]},
        {"messages": [USER, {**SAID, "reasonin": "hm"}]},
        {"messages": "none"},
        {"messages": {}, "tools": 3},
        {"mesages": [USER, SAID]},
        {},
    ],
)
def test_what_the_mode_can_judge_by_itself_is_handed_on_as_the_very_same_object(
    record, chat, imported
):
    found = imported(record, chat)
    assert found.sample.data is record
    assert found == Imported(found.sample, "native")


def test_a_trailing_null_is_a_key_that_was_left_out(chat, imported):
    found = imported({"messages": [USER, SAID], "tools": None, "rubric": None}, chat)
    assert found.sample.data == {"messages": [USER, SAID]}


@pytest.mark.parametrize("nothing", [{"content": ""}, {"content": None}, {"content": " "}, {}])
def test_a_system_message_without_a_text_is_left_out_and_makes_no_chat_foreign(
    nothing, chat, imported
):
    found = imported({"messages": [{"role": "system", **nothing}, USER, SAID, USER]}, chat)
    assert found.sample.data == {"messages": [USER, SAID, USER]}
    assert (found.shape, found.notes) == ("native", ())
    loud = {**USER, "content": "a" * 300}
    found = imported({"messages": [{"role": "system", **nothing}, loud]}, chat)
    assert [problem.pointer for problem in chat.problems(found.sample)] == ["/messages/1/content"]


CASES: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "roles in other words": (
        "messages",
        {
            "messages": [
                {"role": "developer", "content": "be kind"},
                {"role": "Human", "content": "hi"},
                {"role": "model", "content": "ho"},
            ]
        },
        [{"role": "system", "content": "be kind"}, USER, SAID],
    ),
    "nulls and empty lists of an export": (
        "messages",
        {"messages": [{**USER, "tool_calls": None, "name": None}, {**SAID, "tool_calls": []}]},
        [USER, SAID],
    ),
    "typed parts": (
        "messages",
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "h"}, "i"]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "reasoning", "value": "hm"},
                        {"type": "text", "value": "let me see"},
                        {"type": "tool_call", "value": OSLO_TEXT},
                        {"type": "tool_call", "value": {"name": "clock", "arguments": {}}},
                    ],
                },
                {"role": "tool", "content": [{"type": "text", "value": "7"}]},
                SAID,
            ]
        },
        [
            USER,
            calls(OSLO, call({}, "clock"), content="let me see") | {"reasoning": "hm"},
            result("7"),
            SAID,
        ],
    ),
    "Anthropic's parts": (
        "messages",
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm"},
                        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "X"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t1",
                            "content": [{"type": "text", "text": "7"}],
                        }
                    ],
                },
                SAID,
            ]
        },
        [
            USER,
            calls(call({"city": "X"}, id="t1")) | {"reasoning": "hm"},
            result("7", tool_call_id="t1"),
            SAID,
        ],
    ),
    "OpenAI's older function_call": (
        "messages",
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": None,
                    "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'},
                },
                {"role": "function", "name": "weather", "content": {"degrees": 7}},
                SAID,
            ]
        },
        [USER, calls(OSLO), result('{"degrees": 7}', name="weather"), SAID],
    ),
    "reasoning_content": (
        "messages",
        {"messages": [USER, {**SAID, "reasoning_content": "hm"}]},
        [USER, {**SAID, "reasoning": "hm"}],
    ),
    "think at the head of the text": (
        "messages",
        {"messages": [USER, {**SAID, "content": "\n<think>\nhm\n</think>\n\nho"}]},
        [USER, {**SAID, "reasoning": "hm"}],
    ),
    "thinking that the template opened": (
        "messages",
        {"messages": [USER, {**SAID, "content": "hm\n</think>\n\nho"}]},
        [USER, {**SAID, "reasoning": "hm"}],
    ),
    "an empty think": (
        "messages",
        {"messages": [USER, {**SAID, "content": "<think>\n\n</think>\n\nho"}]},
        [USER, SAID],
    ),
    "calls and results as Qwen's and Hermes' text": (
        "messages",
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": "<think>hm</think>I look.\n<tool_call>\n"
                    f"{OSLO_TEXT}\n</tool_call>\n<tool_call>\n{ROME_TEXT}\n</tool_call>",
                },
                {
                    "role": "user",
                    "content": "<tool_response>\n7\n</tool_response>\n<tool_response>\n9\n"
                    "</tool_response>",
                },
                SAID,
            ]
        },
        [
            USER,
            calls(OSLO, call({"city": "Rome"}), content="I look.") | {"reasoning": "hm"},
            result("7"),
            result("9"),
            SAID,
        ],
    ),
    "Hermes' calls in Python's notation": (
        "sharegpt",
        {
            "conversations": [
                turn("human", "hi"),
                turn(
                    "gpt",
                    "<tool_call>\n{'arguments': {'city': \"L'Aquila {}\"}, 'name': 'weather'}\n"
                    "</tool_call>",
                ),
                turn("tool", '<tool_response>\n{"degrees": 7}\n</tool_response>'),
                turn("gpt", "ho"),
            ]
        },
        [USER, calls(call({"city": "L'Aquila {}"})), result('{"degrees": 7}'), SAID],
    ),
    "ShareGPT": (
        "sharegpt",
        {
            "system": "be kind",
            "conversations": [turn("human", "hi"), turn("gpt", "ho")],
        },
        [{"role": "system", "content": "be kind"}, USER, SAID],
    ),
    "ShareGPT's calls": (
        "sharegpt",
        {
            "conversations": [
                turn("human", "hi"),
                turn("gpt", "let me see"),
                turn("function_call", f"[{OSLO_TEXT}]"),
                turn("function_call", ROME_TEXT),
                turn("observation", "7"),
                turn("observation", "9"),
                turn("function_call", f"<think>again</think>{OSLO_TEXT}"),
                turn("observation", "8"),
                turn("gpt", "ho"),
            ]
        },
        [
            USER,
            calls(OSLO, call({"city": "Rome"}), content="let me see"),
            result("7"),
            result("9"),
            calls(OSLO) | {"reasoning": "again"},
            result("8"),
            SAID,
        ],
    ),
    "conversations with role and content": (
        "sharegpt",
        {"conversations": [USER, SAID]},
        [USER, SAID],
    ),
    "conversations as JSON text, from a table": (
        "sharegpt",
        {"conversations": json.dumps([USER, SAID])},
        [USER, SAID],
    ),
    "the same system text twice": (
        "messages",
        {"system": "s", "messages": [{"role": "system", "content": "s"}, USER, SAID]},
        [{"role": "system", "content": "s"}, USER, SAID],
    ),
    "Alpaca": (
        "alpaca",
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        [{"role": "user", "content": "Add.\n1 and 2"}, {"role": "assistant", "content": "3"}],
    ),
    "Alpaca with a history and a system text": (
        "alpaca",
        {
            "instruction": "hi",
            "input": "",
            "output": "<think>hm</think>ho",
            "system": "s",
            "history": [["a", "b"]],
        },
        [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            USER,
            {**SAID, "reasoning": "hm"},
        ],
    ),
    "prompt and completion": (
        "prompt_completion",
        {"prompt": "hi", "completion": "ho"},
        [USER, SAID],
    ),
    "prompt and response": ("prompt_completion", {"prompt": "hi", "response": "ho"}, [USER, SAID]),
    "prompt and completion as messages": (
        "prompt_completion",
        {"prompt": [{"role": "system", "content": "s"}, USER], "completion": [SAID]},
        [{"role": "system", "content": "s"}, USER, SAID],
    ),
    "bubbles of speakers": (
        "turns",
        {
            "turns": [
                {"speaker": "partner", "texts": ["h", "i"]},
                {"speaker": "persona", "texts": ["", " "]},
                {"speaker": "third", "text": "and hello"},
                {"speaker": "persona", "texts": ["ho"]},
            ]
        },
        [{"role": "user", "content": "h\ni\nand hello"}, SAID],
    ),
}


@pytest.mark.parametrize(("shape", "record", "messages"), CASES.values(), ids=CASES)
def test_the_chat_that_a_record_stands_for(shape, record, messages, chat, imported):
    before = copy.deepcopy(record)
    found = imported(record, chat)
    assert isinstance(found, Imported), found
    assert found.sample.data["messages"] == messages
    assert found.shape == shape
    assert (found.ignored, found.notes) == ((), ())
    assert record == before


@pytest.mark.parametrize(
    "tools",
    [
        [TOOL],
        [{"type": "function", **TOOL}],
        [{"type": "function", "function": TOOL}],
        {"name": "weather", "input_schema": TOOL["parameters"]},
        json.dumps([TOOL]),
        json.dumps({"type": "function", "function": TOOL}),
    ],
    ids=["bare", "Responses", "wrapped", "Anthropic", "text", "text of one"],
)
@pytest.mark.parametrize("key", ["tools", "functions"])
def test_tools_are_read_however_they_are_written(key, tools, chat, imported):
    found = imported({"conversations": [turn("human", "hi"), turn("gpt", "ho")], key: tools}, chat)
    assert found.sample.data["tools"] == [{"type": "function", "function": TOOL}]
    assert found.notes == ()


@pytest.mark.parametrize("nothing", ["", "  ", "[]", [], None])
def test_no_tools_are_no_key(nothing, chat, imported):
    found = imported({"conversations": [USER, SAID], "tools": nothing}, chat)
    assert found.sample.data == {"messages": [USER, SAID]}


def test_types_of_tools_in_pythons_words_become_json_schema_and_that_is_said(chat, imported):
    flat = {
        "city": {"type": "str", "default": "dict"},
        "days": {"type": "int, optional"},
        "near": {"type": "List[float]"},
        "extra": {"type": "Any", "enum": ["int"]},
    }
    nested = {"type": "dict", "properties": {"type": {"type": "Dict[str, Any]"}}}
    tools = [{"name": "a", "parameters": flat}, {"name": "b", "parameters": nested, "required": []}]
    found = imported({"messages": [USER, SAID], "tools": tools}, chat)
    first, second = (tool["function"]["parameters"] for tool in found.sample.data["tools"])
    assert first == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "default": "dict"},
            "days": {"type": "integer"},
            "near": {"type": "array", "items": {"type": "number"}},
            "extra": {"enum": ["int"]},
        },
        "required": ["city", "near", "extra"],
    }
    assert second == {
        "type": "object",
        "properties": {"type": {"type": "object"}},
        "required": [],
    }
    assert found.notes == (REWRITTEN,)


def test_what_follows_the_last_reply_is_cut_and_that_is_said(chat, imported):
    found = imported({"conversations": [USER, SAID, USER, {"role": "tool", "content": ""}]}, chat)
    assert found.sample.data["messages"] == [USER, SAID]
    assert found.notes == (CUT,)


def test_a_chat_without_a_reply_is_left_for_the_mode_to_refuse(chat, imported):
    found = imported({"conversations": [USER]}, chat)
    assert found.sample.data["messages"] == [USER]
    assert found.notes == ()


def test_what_nothing_reads_is_left_out_and_listed(chat, imported):
    record = {
        "id": 7,
        "messages": [
            {**USER, "timestamp": 1, "name": "Ann"},
            {**SAID, "accent": "scots", "weight": 1},
        ],
        "score": 0.5,
        "mood": "merry",
    }
    found = imported(record, chat)
    assert found.sample.data == {
        "messages": [USER, {**SAID, "accent": "scots"}],
        "mood": "merry",
    }
    assert found.ignored == (
        "id",
        "score",
        "name of a turn",
        "timestamp of a turn",
        "weight of a turn",
    )


def test_the_cores_own_keys_are_kept(haiku, imported):
    record = {"prompt": "hi", "completion": "ho", "cognitive_mode": "haiku", "notes": "x"}
    assert imported(record, haiku).sample.data == {
        "ask": "hi",
        "say": "ho",
        "cognitive_mode": "haiku",
        "notes": "x",
    }


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown role": (
        {"conversations": [turn("narator", "x"), turn("gpt", "ho")]},
        "/conversations/0/from",
        "there is no role",
    ),
    "nobody speaks": ({"conversations": [{"value": "x"}]}, "/conversations/0", "who speaks"),
    "no object": ({"conversations": [USER, "ho"]}, "/conversations/1", "no object"),
    "an image": (
        {
            "messages": [
                {"role": "user", "content": ["see", {"type": "image_url", "image_url": {}}]}
            ]
        },
        "/messages/0/content/1",
        "image_url",
    ),
    "images beside the chat": (
        {"conversations": [USER, SAID], "images": ["a.png"]},
        "/images",
        "cannot see",
    ),
    "a call that is no JSON": (
        {"conversations": [turn("human", "hi"), turn("function_call", '{"name": "weather"')]},
        "/conversations/1/value",
        "cannot be read as JSON",
    ),
    "a call without a name": (
        {"messages": [USER, {"role": "assistant", "function_call": {"arguments": "{}"}}]},
        "/messages/1/function_call",
        "names no tool",
    ),
    "arguments that are a list": (
        {"id": 1, "messages": [USER, calls(call([1]))]},  # type: ignore[arg-type]
        "/messages/1/tool_calls/0/function/arguments",
        "must be an object",
    ),
    "arguments with a repeated key": (
        {"id": 1, "messages": [USER, calls(call('{"a": 1, "a": 2}'))]},  # type: ignore[arg-type]
        "/messages/1/tool_calls/0/function/arguments",
        "stands twice",
    ),
    "tools that are no JSON": (
        {"conversations": [USER, SAID], "tools": "[{"},
        "/tools",
        "the text of the tools cannot be read",
    ),
    "a tool without a name": (
        {"conversations": [USER, SAID], "tools": [TOOL, {}]},
        "/tools/1",
        "no definition of a tool",
    ),
    "an unclosed think": (
        {"messages": [USER, {**SAID, "content": "<think>hm ho"}]},
        "/messages/1/content",
        "opened and not closed",
    ),
    "a think that was never opened": (
        {"messages": [USER, {**SAID, "content": "ho\n</think>"}]},
        "/messages/1/content",
        "not opened",
    ),
    "two reasonings": (
        {"messages": [USER, {**SAID, "content": "<think>a</think>ho", "reasoning": "b"}]},
        "/messages/1/content",
        "two reasonings",
    ),
    "words after a raw call": (
        {"messages": [USER, {**SAID, "content": f"<tool_call>{OSLO_TEXT}</tool_call> done"}]},
        "/messages/1/content",
        "after a call",
    ),
    "a raw call without quotes": (
        {"messages": [USER, {**SAID, "content": "<tool_call><function=f></function></tool_call>"}]},
        "/messages/1/content",
        "<function=",
    ),
    "reasoning after words": (
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "ho"},
                        {"type": "thinking", "thinking": "h"},
                    ],
                },
            ]
        },
        "/messages/1/content/1",
        "reasoning stands after",
    ),
    "a reply that shall not be learned": (
        {"id": 1, "messages": [USER, {**SAID, "weight": 0}, USER, SAID]},
        "/messages/1/weight",
        "not to be learned",
    ),
    "a misspelt key of a turn": (
        {"id": 1, "messages": [USER, {**SAID, "tool_call": []}]},
        "/messages/1/tool_call",
        "unknown key 'tool_call'",
    ),
    "a misspelt key": (
        {"conversations": [USER, SAID], "tool": [TOOL]},
        "/tool",
        "unknown key 'tool'",
    ),
    "half of a pair": (
        {"instruction": "a", "output": "b", "history": [["c"]]},
        "/history/0",
        "no pair",
    ),
    "a completion that is no text": (
        {"prompt": "a", "completion": {"b": 1}},
        "/completion",
        "must be text",
    ),
    "a message of a completion": (
        {"prompt": "a", "completion": [{"role": "assistant", "content": 1}]},
        "/completion/0/content",
        "no part of a message",
    ),
    "speakers without a persona": (
        {"turns": [{"speaker": "Ann", "text": "a"}, {"speaker": "Bob", "text": "b"}]},
        "/turns",
        "none of the speakers",
    ),
    "a turn without a speaker": ({"turns": [{"text": "a"}]}, "/turns/0", "who speaks"),
    "a turn that says nothing": ({"turns": [{"speaker": "bot"}]}, "/turns/0", "says nothing"),
}


@pytest.mark.parametrize(("record", "at", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_kept_is_refused_at_its_place_in_the_users_record(
    record, at, message, chat, imported
):
    found = imported(record, chat)
    assert isinstance(found, Problem), found
    assert found.pointer == at
    assert message in found.message
    assert found.hint
    assert (found.file, found.line, found.severity) == ("data.jsonl", 7, "error")


def test_the_learned_speaker_can_be_chosen(chat, imported):
    record = {"dialogue": [{"speaker": "Ann", "text": "a"}, {"speaker": "Bob", "text": "b"}]}
    found = imported(record, chat, columns={"assistant": "Bob"})
    assert [m["role"] for m in found.sample.data["messages"]] == ["user", "assistant"]
    other = imported(record, chat, columns={"assistant": "Ann"}, shape="turns")
    assert other.sample.data["messages"] == [{"role": "assistant", "content": "a"}]


def test_a_mode_makes_its_own_sample_of_a_chat(haiku, imported):
    found = imported({"conversations": [USER, SAID], "id": 1}, haiku)
    assert found.sample.data == {"ask": "hi", "say": "ho"}


def test_a_mode_without_chats_points_to_the_option_for_columns(verse, imported):
    found = imported({"conversations": [USER, SAID]}, verse)
    assert "takes no chats" in found.message
    assert "--map KEY=COLUMN" in found.hint
    assert "ask, say" in found.hint


def test_a_forced_shape_that_a_record_lacks_is_named_with_the_likely_one(chat, imported):
    found = imported({"messages": [{**USER, "id": 1}, SAID]}, chat, shape="sharegpt")
    assert found.message == (
        "the record has no 'conversations' or 'conversation', which the shape 'sharegpt' needs"
    )
    assert "its keys: messages; it looks like --shape messages" in found.hint


def test_a_shape_can_be_forced_on_a_record_of_the_modes_own_keys(chat, imported):
    record = {"messages": [USER, SAID, USER]}
    assert imported(record, chat).sample.data is record
    assert imported(record, chat, shape="messages").sample.data == {"messages": [USER, SAID]}
    foreign = {"messages": [{**USER, "role": "human"}]}
    assert imported(foreign, chat, shape="native").sample.data is foreign
