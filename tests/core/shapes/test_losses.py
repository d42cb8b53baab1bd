"""What a record says and no sample could keep is refused at its place, or listed; never dropped."""

from __future__ import annotations

from typing import Any

import pytest

from ftcore.shapes import Imported, Importing, mode_of
from ftcore.values import Problem, Sample

USER = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "ho"}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
USE = {"type": "tool_use", "id": "b", "name": "weather", "input": {"city": "Oslo"}}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "7"}
CALLS = {"role": "assistant", "content": "", "tool_calls": [{**CALL, "id": "a"}]}


def spoken(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"turns": [{"speaker": "Ann", "text": "a"}, *turns], **more}


def persona(**more: Any) -> dict[str, Any]:
    return {"speaker": "persona", "text": "b", **more}


def messages(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [*turns], **more}


def refused(found: Imported | Problem) -> tuple[str, str]:
    assert isinstance(found, Problem), found
    assert found.hint
    return found.pointer, found.message


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an image of a turn of people": (spoken(persona(image="x.png")), "/turns/1/image", "image"),
    "two texts of a turn of people": (spoken(persona(texts=["c"])), "/turns/1/text", "different"),
    "a call of a turn of people": (
        spoken(persona(tool_calls=[CALL])),
        "/turns/1/tool_calls",
        "would be lost",
    ),
    "reasoning of a turn of people": (
        spoken(persona(reasoning="hm")),
        "/turns/1/reasoning",
        "would be lost",
    ),
    "a turn of people that is not to be learned": (
        spoken(persona(weight=0)),
        "/turns/1/weight",
        "not to be learned",
    ),
    "a misspelt key of a turn of people": (
        spoken(persona(utterence="c")),
        "/turns/1/utterence",
        "unknown key",
    ),
    "a role beside a speaker": (spoken(persona(role="user")), "/turns/1/role", "would be lost"),
    "two speakers to learn": (
        spoken(persona(), {"speaker": "Assistant", "text": "c"}),
        "/turns",
        "several of the speakers could be the one to be learned: persona, Assistant",
    ),
    "a tool among the speakers": (
        spoken({"speaker": "Tool", "text": "7"}, persona()),
        "/turns/1/speaker",
        "no place for tools",
    ),
    "calls of the user": (
        {"id": 1, **messages({**USER, "tool_calls": [CALL]}, SAID)},
        "/messages/0/tool_calls",
        "not read in a turn of the user",
    ),
    "reasoning of the user": (
        messages({**USER, "reasoning_content": "hm"}, SAID),
        "/messages/0/reasoning_content",
        "not read in a turn of the user",
    ),
    "the id of a call in a reply": (
        {"id": 1, **messages(USER, {**SAID, "tool_call_id": "a"})},
        "/messages/1/tool_call_id",
        "not read in a turn of the assistant",
    ),
    "two roles": (messages({**USER, "from": "gpt"}, SAID), "/messages/0/from", "different"),
    "two contents": (messages(USER, {**SAID, "value": "no"}), "/messages/1/value", "different"),
    "a text beside a content": (
        messages(USER, {**SAID, "text": "no"}),
        "/messages/1/text",
        "different",
    ),
    "words beside a result": (
        messages(USER, CALLS, {"role": "tool", "content": [{"type": "text", "text": "x"}, RESULT]}),
        "/messages/2/content/0/text",
        "other words beside the result",
    ),
    "reasoning beside a result": (
        messages(
            USER,
            CALLS,
            {
                "role": "tool",
                "content": [{"type": "reasoning", "text": "x"}, {"type": "text", "text": "7"}],
            },
        ),
        "/messages/2/content/0/text",
        "reasoning beside the result",
    ),
    "a call beside a result": (
        messages(USER, CALLS, {"role": "tool", "content": [RESULT, USE]}),
        "/messages/2/content",
        "a call beside the result",
    ),
    "a result after a call": (
        messages(USER, {"role": "assistant", "content": [USE, RESULT]}, SAID),
        "/messages/1/content/1",
        "a result stands after a call",
    ),
    "a picture beside a tool's text": (
        messages(
            USER,
            CALLS,
            {"role": "tool", "content": [{"type": "text", "text": "7"}, {"type": "image"}]},
        ),
        "/messages/2/content/1",
        '"image"',
    ),
    "a result that says nothing": (
        messages(USER, CALLS, {"role": "user", "content": [{"type": "tool_result"}]}),
        "/messages/2/content/0",
        "this result says nothing",
    ),
    "a result that says two things": (
        messages(USER, CALLS, {"role": "user", "content": [{**RESULT, "output": "8"}]}),
        "/messages/2/content/0/output",
        "different",
    ),
    "images of a turn": (
        messages({**USER, "images": ["a.png"]}, SAID),
        "/messages/0/images",
        "the turn comes with images",
    ),
    "a sound of a turn": (
        messages({**USER, "audio": {"id": "x"}}, SAID),
        "/messages/0/audio",
        "the turn comes with audio",
    ),
    "an input that is no text": (
        {"instruction": "a", "input": False, "output": "b"},
        "/input",
        "must be text, it is false",
    ),
    "a system text that is none": (messages(USER, SAID, system=0), "/system", "no text: 0"),
    "a misspelt mode": (messages(USER, SAID, cognitiv_mode="x"), "/cognitiv_mode", "unknown key"),
    "a completion and a response": (
        {"prompt": "a", "completion": "b", "response": "c"},
        "/response",
        "different",
    ),
    "two lists of turns": (
        {"conversations": [USER, SAID], "conversation": [USER]},
        "/conversation",
        "different",
    ),
    "two system texts": (messages(USER, SAID, system="a", system_prompt="b"), "/system_prompt", ""),
    "tools and functions": (
        messages(USER, SAID, tools=[{"name": "f"}], functions=[{"name": "g"}]),
        "/functions",
        "different",
    ),
    "a chat in the mode's key and another": (
        {"conversations": [USER, SAID], "messages": "hi ho"},
        "/messages",
        "the record says two things for 'messages'",
    ),
}


@pytest.mark.parametrize(("record", "at", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_lost_is_refused_at_its_place(record, at, message, chat, imported):
    pointer, said = refused(imported(record, chat))
    assert pointer == at
    assert message in said


def test_a_key_of_the_mode_that_says_something_else_than_the_chat_is_refused(haiku, imported):
    record = {"prompt": "hi", "completion": "ho", "say": "ha"}
    at, message = refused(imported(record, haiku))
    assert at == "/say"
    assert '"ha" here, and "ho" in its chat' in message
    assert imported(record | {"say": " ho"}, haiku).sample.data == {"ask": "hi", "say": "ho"}
    assert imported(record | {"say": ""}, haiku).sample.data == {"ask": "hi", "say": "ho"}


KEPT: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "a call after a result in one turn": (
        messages(
            USER, CALLS, {"role": "assistant", "content": [RESULT, USE]}, {**SAID, "weight": 1}
        ),
        [
            USER,
            CALLS,
            {"role": "tool", "content": "7", "tool_call_id": "a"},
            {"role": "assistant", "content": "", "tool_calls": [{**CALL, "id": "b"}]},
            SAID,
        ],
    ),
    "reasoning after a result in one turn": (
        messages(USER, CALLS, {"role": "assistant", "reasoning": "hm", "content": [RESULT]}),
        [
            USER,
            CALLS,
            {"role": "tool", "content": "7", "tool_call_id": "a"},
            {"role": "assistant", "content": "", "reasoning": "hm"},
        ],
    ),
    "a result called result": (
        messages(
            USER, CALLS, {"role": "user", "content": [{"type": "tool_result", "result": "7"}]}, SAID
        ),
        [USER, CALLS, {"role": "tool", "content": "7"}, SAID],
    ),
    "reasoning of a turn that is a call": (
        {
            "conversations": [
                USER,
                {
                    "from": "function_call",
                    "value": '{"name": "weather", "arguments": {"city": "Oslo"}}',
                    "reasoning_content": "hm",
                },
            ]
        },
        [USER, {"role": "assistant", "content": "", "reasoning": "hm", "tool_calls": [CALL]}],
    ),
    "a turn that is a call under its own key": (
        messages(USER, {"role": "tool_call", "tool_calls": [CALL]}),
        [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}],
    ),
    "an input of zero": (
        {"instruction": "Double.", "input": 0, "output": "0"},
        [{"role": "user", "content": "Double.\n0"}, {"role": "assistant", "content": "0"}],
    ),
    "the same under two keys": (
        messages({**USER, "from": "human", "value": "hi "}, {**SAID, "value": ""}),
        [USER, SAID],
    ),
    "an empty key before one that is not": (
        {"prompt": "hi", "completion": "", "response": "ho"},
        [USER, SAID],
    ),
    "an empty chat beside another": (
        {"messages": [], "prompt": "hi", "completion": "ho"},
        [USER, SAID],
    ),
    "names in another case": (
        {
            "turns": [
                {"speaker": "Ann", "texts": ["hi"], "text": "hi"},
                {"speaker": "Persona", "text": "h"},
                {"speaker": "persona ", "text": "o"},
            ]
        },
        [USER, {**SAID, "content": "h\no"}],
    ),
}


@pytest.mark.parametrize(("record", "expected"), KEPT.values(), ids=KEPT)
def test_what_can_be_kept_is_kept(record, expected, chat, imported):
    found = imported(record, chat)
    assert isinstance(found, Imported), found
    assert found.sample.data["messages"] == expected


def test_functions_are_the_tools_where_tools_are_empty(chat, imported):
    found = imported(messages(USER, SAID, tools=[], functions=[{"name": "f"}]), chat)
    assert found.sample.data["tools"] == [{"type": "function", "function": {"name": "f"}}]


def test_what_nothing_reads_in_turns_of_people_is_listed(chat, imported):
    found = imported(spoken(persona(edited=True, reactions=[":)"]), id=1), chat)
    assert found.ignored == ("id", "edited of a turn", "reactions of a turn")


def test_the_speaker_that_the_user_names_is_found_in_any_case(chat, imported):
    record = {
        "turns": [
            {"speaker": "Bot", "text": "hi"},
            {"speaker": "Torvald", "text": "h"},
            {"speaker": "torvald", "text": "o"},
        ]
    }
    found = imported(record, chat, columns={"assistant": "TORVALD"})
    assert found.sample.data["messages"] == [USER, {**SAID, "content": "h\no"}]


def test_a_record_that_nothing_fits_is_one_problem_that_names_the_options(verse, imported):
    record = {"question": "a", "rationale": "b", "id": 3}
    found = imported(record, verse)
    at, message = refused(found)
    assert (at, message) == (
        "",
        "no key of this record is one of the mode 'verse', and no shape fits it",
    )
    assert "--map KEY=COLUMN, once for each key: ask, say" in found.hint
    assert "--shape: messages, sharegpt" in found.hint
    assert found.hint.endswith("the columns of this record: question, rationale, id")
    assert "did you mean 'conversations' by 'conversatons'?" in (
        imported({"conversatons": [USER, SAID]}, verse).hint
    )
    assert refused(imported({"conversations": {"0": "a"}}, verse)) == (
        "/conversations",
        """'conversations' must be a list of turns (shape 'sharegpt'), it is {"0": "a"}""",
    )
    assert imported(record, verse, shape="native").shape == "native"
    assert imported({"ask": "a", "id": 3}, verse).shape == "native"


def test_a_mode_that_takes_any_key_takes_them(distribution, mode_code, imported):
    from ftcore.plugins import open_mode

    code = mode_code.replace('"additionalProperties": False', '"additionalProperties": True')
    assert code != mode_code
    distribution("ftc-open", code, mode="open")
    record = {"question": "a", "rationale": "b"}
    assert imported(record, open_mode("open")).sample.data is record


def test_the_cores_keys_can_be_mapped_in_any_shape(chat, verse, imported):
    columns = {"cognitive_mode": "mode", "notes": "meta.why"}
    record = {**messages(USER, SAID), "mode": "chat", "meta": {"why": "x"}}
    found = imported(record | {"id": 3}, chat, columns=columns)
    assert found.sample.data == {**messages(USER, SAID), "cognitive_mode": "chat", "notes": "x"}
    assert found.ignored == ("meta", "id")
    rows = {"cognitive_mode": "mode", "ask": "q", "say": "a"}
    found = imported({"q": "a", "a": "b", "mode": "verse"}, verse, columns=rows)
    assert found.sample.data == {"ask": "a", "say": "b", "cognitive_mode": "verse"}
    _, message = refused(imported({"q": "a", "a": "b"}, verse, columns=rows))
    assert message == "there is no column 'mode', which --map cognitive_mode=mode names"


@pytest.mark.parametrize(
    ("record", "mode"),
    [
        ({"mode": "a"}, "a"),
        ({"mode": 3}, 3),
        ({"mode": "a", "cognitive_mode": "b"}, "a"),
        ({"mode": None, "cognitive_mode": "b"}, "b"),
        ({"cognitive_mode": "b"}, "b"),
        ({}, None),
    ],
)
def test_the_mode_of_a_record_is_that_of_the_mapped_column(record, mode):
    sample = Sample(record, "f", 1)
    assert mode_of(sample, Importing(None, {"cognitive_mode": "mode"})) == mode
    assert mode_of(sample, Importing()) == record.get("cognitive_mode")
