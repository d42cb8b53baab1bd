"""Calls are read out of generated text in every syntax that chat templates teach."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore_agent.calls import Call, Reading, read_calls, same_json

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "count": {"type": "integer"},
                    "ratio": {"type": "number"},
                    "on": {"type": "boolean"},
                    "rows": {"type": "array"},
                    "place": {"type": "object"},
                    "size": {"enum": ["s", "1"]},
                    "maybe": {"type": ["string", "null"]},
                    "either": {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
                },
            },
        },
    }
]
OSLO = Call("f", {"city": "Oslo"})
ROME = Call("f", {"city": "Rome"})
HERMES = '<tool_call>\n{"name": "f", "arguments": {"city": "%s"}}\n</tool_call>'
CODER = "<tool_call>\n<function=f>\n<parameter=city>\n%s\n</parameter>\n</function>\n</tool_call>"
LLAMA = '{"name": "f", "parameters": {"city": "%s"}}'

READ = {
    "hermes": (HERMES % "Oslo", (OSLO,)),
    "hermes on one line": ((HERMES % "Oslo").replace("\n", ""), (OSLO,)),
    "hermes, several": (HERMES % "Oslo" + "\n" + HERMES % "Rome", (OSLO, ROME)),
    "hermes after prose": ("I look it up.\n" + HERMES % "Oslo", (OSLO,)),
    "hermes without its end": ((HERMES % "Oslo").removesuffix("</tool_call>"), (OSLO,)),
    "hermes after thinking": ("<think>\nHm <tool_call>\n</think>\n\n" + HERMES % "Oslo", (OSLO,)),
    "thinking opened by the prompt": ("Hm.\n</think>\n\n" + HERMES % "Oslo", (OSLO,)),
    "arguments in a string": (
        '<tool_call>{"name": "f", "arguments": "{\\"city\\": \\"Oslo\\"}"}</tool_call>',
        (OSLO,),
    ),
    "coder": (CODER % "Oslo", (OSLO,)),
    "coder, several": (CODER % "Oslo" + "\n" + CODER % "Rome", (OSLO, ROME)),
    "coder without arguments": (
        "<tool_call>\n<function=f>\n</function>\n</tool_call>",
        (Call("f", {}),),
    ),
    "llama": (LLAMA % "Oslo", (OSLO,)),
    "llama with its tag": ("<|python_tag|>" + LLAMA % "Oslo", (OSLO,)),
    "llama, several": (LLAMA % "Oslo" + "; " + LLAMA % "Rome", (OSLO, ROME)),
    "mistral": ('[TOOL_CALLS][{"name": "f", "arguments": {"city": "Oslo"}}]', (OSLO,)),
    "mistral, several": (
        '[TOOL_CALLS] [{"name": "f", "arguments": {"city": "Oslo"}}, '
        '{"name": "f", "arguments": {"city": "Rome"}}]',
        (OSLO, ROME),
    ),
    "marks inside a bare argument": (
        LLAMA % "<tool_call>[TOOL_CALLS]</think>",
        (Call("f", {"city": "<tool_call>[TOOL_CALLS]</think>"}),),
    ),
    "marks inside an argument": (
        HERMES % "[TOOL_CALLS]<tool_call></think></tool_call>",
        (Call("f", {"city": "[TOOL_CALLS]<tool_call></think></tool_call>"}),),
    ),
}


@pytest.mark.parametrize("name", READ)
def test_calls_are_read(name: str):
    text, calls = READ[name]
    assert read_calls(text, TOOLS) == Reading(calls)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It is raining.",
        "{",
        '{"answer": 42}',
        "{1, 2} is a set.",
        "<think>\n" + HERMES % "Oslo" + "\n</think>\n\nNo call is needed.",
        "<think>\n" + HERMES % "Oslo",
    ],
)
def test_prose_is_no_attempt(text: str):
    assert not read_calls(text, TOOLS).attempted


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        '<tool_call>\n{"name": "f", "arguments": {"city": "Os',
        '<tool_call>{"name": "f", "arguments": {"city": Oslo}}</tool_call>',
        '<tool_call>{"name": "f"}</tool_call>',
        '<tool_call>{"arguments": {}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {"a": 1, "a": 2}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {"a": NaN}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {}} and more</tool_call>',
        "<tool_call>" + '{"name": "f", "arguments": ' + '{"a": ' * 100_000,
        "<tool_call>\n<function=f>\n<parameter=city>\nOslo",
        "<tool_call><function=f>city: Oslo</function></tool_call>",
        "<tool_call><function=f><parameter=a>1</parameter><parameter=a>2</parameter></function>",
        '{"name": "f", "parameters": {"city": "Os',
        "[TOOL_CALLS]",
        "[TOOL_CALLS][]",
        '[TOOL_CALLS][{"name": "f", "arguments": {}}',
        '[TOOL_CALLS]["f"]',
    ],
)
def test_a_call_that_cannot_be_parsed_is_counted_as_broken(text: str):
    assert read_calls(text, TOOLS) == Reading(broken=1)


def test_a_broken_call_does_not_hide_the_good_one_after_it():
    text = "<tool_call>\n{oops}\n</tool_call>\n" + HERMES % "Rome"
    assert read_calls(text, TOOLS) == Reading((ROME,), broken=1)


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("text", "5", "5"),
        ("text", "true", "true"),
        ("text", "two\nlines", "two\nlines"),
        ("text", "", ""),
        ("count", "5", 5),
        ("count", "5.0", 5.0),
        ("count", "5.5", "5.5"),
        ("count", "five", "five"),
        ("ratio", "5", 5),
        ("ratio", "0.5", 0.5),
        ("on", "True", True),
        ("on", "false", False),
        ("rows", "[1, 2]", [1, 2]),
        ("place", '{"city": "Oslo"}', {"city": "Oslo"}),
        ("size", "1", "1"),
        ("maybe", "None", None),
        ("maybe", "5", "5"),
        ("either", "5", 5),
        ("unknown", "5", 5),
        ("unknown", "five", "five"),
    ],
)
def test_unquoted_values_take_the_type_that_the_tool_names(key: str, written: str, value: object):
    text = (
        f"<tool_call>\n<function=f>\n<parameter={key}>\n{written}\n</parameter>\n"
        "</function>\n</tool_call>"
    )
    (call,) = read_calls(text, TOOLS).calls
    assert same_json(call.arguments, {key: value})
    assert type(call.arguments[key]) is type(value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.lists(st.dictionaries(st.text(), json_values, max_size=4), min_size=1, max_size=3),
    st.booleans(),
)
def test_what_a_template_writes_is_read_back(arguments: list[dict[str, Any]], ascii: bool):
    objects = [{"name": f"tool_{i}", "arguments": a} for i, a in enumerate(arguments)]
    written = [json.dumps(item, ensure_ascii=ascii) for item in objects]
    expected = [(item["name"], item["arguments"]) for item in objects]
    for text in (
        "\n".join(f"<tool_call>\n{item}\n</tool_call>" for item in written),
        "[TOOL_CALLS][" + ", ".join(written) + "]",
        "; ".join(written),
    ):
        reading = read_calls(text, [])
        assert reading.broken == 0
        assert [(call.name, call.arguments) for call in reading.calls] == expected


@given(st.text(alphabet=st.sampled_from(list('{}[]":,;<>/=\n 1a')), max_size=40), st.integers(0, 4))
def test_no_text_is_too_broken_to_be_read(noise: str, which: int):
    marks = ["", "<tool_call>", "<tool_call><function=f>", "[TOOL_CALLS]", '{"name": "f", ']
    read_calls(marks[which] + noise, TOOLS)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (False, 0, False),
        (True, True, True),
        ([1, [2]], [1.0, [2]], True),
        ([1, 2], [2, 1], False),
        ([True], [1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": None}, {}, False),
        ("1", 1, False),
        (None, False, False),
        ([1], [1, 2], False),
    ],
)
def test_equality_of_json_values(one: object, other: object, equal: bool):
    assert same_json(one, other) is equal
    assert same_json(other, one) is equal
