"""Calls are described and read as the chat template spells them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ftcore.call_frame import CallFrame, find_call_frame
from ftcore.errors import InputError
from ftcore.gbnf import parse_gbnf
from ftcore.testing.predictions import spoken
from ftcore.values import Message, ToolCall


def hermes(message: Message) -> str:
    return spoken(message) + "<|im_end|>\n<|im_start|>user\n"


def mistral(message: Message) -> str:
    if not message.tool_calls:
        return f" {message.text}</s>[INST] a"
    calls = [
        f'{{"name": "{c.name}", "arguments": {json.dumps(dict(c.arguments), ensure_ascii=False)}, '
        f'"id": "{c.id}"}}'
        for c in message.tool_calls
    ]
    return f"[TOOL_CALLS] [{', '.join(calls)}]</s>[TOOL_RESULTS] {{}}"


def llama(message: Message) -> str:
    if not message.tool_calls:
        return f"{message.text}<|eot_id|>"
    if len(message.tool_calls) > 1:
        raise ValueError("This model only supports single tool-calls at once!")
    (call,) = message.tool_calls
    return f'{{"name": "{call.name}", "parameters": {json.dumps(dict(call.arguments))}}}<|eot_id|>'


def compact(message: Message) -> str:
    """As ``tojson`` with narrow separators writes it."""
    calls = [{"name": c.name, "arguments": dict(c.arguments)} for c in message.tool_calls]
    written = (f"<call>{json.dumps(c, separators=(',', ':'))}</call>" for c in calls)
    return message.text + "".join(written) + "<end>"


def xml(message: Message) -> str:
    calls = [f"<function={c.name}>{list(c.arguments)}</function>" for c in message.tool_calls]
    return message.text + "".join(calls) + "<|im_end|>"


TEMPLATES = {"hermes": hermes, "mistral": mistral, "llama": llama, "compact": compact}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now"}},
]
ONE = ToolCall("get_weather", {"city": 'R"m <tool_call>', "days": -3}, id="a1b2c3d4e")
OTHER = ToolCall("now", {}, id="f1b2c3d4e")


def text(write: Callable[[Message], str], *calls: ToolCall) -> str:
    """The answer alone, without the token that ends it."""
    said = write(Message("assistant", tool_calls=calls))
    ends = ["<|im_end|>", "</s>", "<|eot_id|>", "<end>"]
    return next(said[: said.index(end)] for end in ends if end in said)


@pytest.fixture(params=TEMPLATES)
def write(request) -> Callable[[Message], str]:
    return TEMPLATES[request.param]


@pytest.fixture
def frame(write) -> CallFrame:
    return find_call_frame(write)


def test_what_the_template_writes_is_described_and_read(write, frame):
    grammar = parse_gbnf(f"root ::= tool-calls\n{frame.rules(TOOLS)}")
    several = [(ONE,), (OTHER,)] + ([(ONE, OTHER), (OTHER, OTHER, ONE)] if frame.joint else [])
    assert (frame.joint is None) == (write is llama)
    for calls in several:
        said = text(write, *calls)
        assert grammar.accepts(said)
        read = frame.read(said)
        assert read is not None
        assert [(c.name, c.arguments) for c in read] == [(c.name, c.arguments) for c in calls]
        assert frame.place(said) == 0


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("no_tool", {}, id="a1b2c3d4e"),
        ToolCall("now", {"zone": "x"}, id="a1b2c3d4e"),
        ToolCall("get_weather", {"days": 1}, id="a1b2c3d4e"),
        ToolCall("get_weather", {"city": 1}, id="a1b2c3d4e"),
        ToolCall("get_weather", {"city": "x", "more": 1}, id="a1b2c3d4e"),
    ],
)
def test_a_call_that_would_fail_is_not_described(write, frame, call):
    grammar = parse_gbnf(f"root ::= tool-calls\n{frame.rules(TOOLS)}")
    assert not grammar.accepts(text(write, call))


def test_prose_is_what_begins_no_call(write, frame):
    grammar = parse_gbnf(f"root ::= prose\n{frame.rules(TOOLS)}")
    for words in ("Hello.", "a < b <", "2 [1]", "<<b>\n<|x|>", "It's {json}", "<tool_cal"):
        assert grammar.accepts(words), words
    assert not grammar.accepts("")
    assert not grammar.accepts(text(write, ONE))
    assert not grammar.accepts(frame.mark)


@pytest.mark.parametrize("words", ["ab", "<<tool_call>", "<tool<tool_call>", "\n<tool_call>\n"])
def test_prose_holds_a_tag_nowhere(words):
    grammar = parse_gbnf(f"root ::= prose\n{find_call_frame(hermes).rules(TOOLS)}")
    assert grammar.accepts(words) == ("<tool_call>" not in words)


def test_white_space_may_differ_when_calls_are_read():
    frame = find_call_frame(hermes)
    read = frame.read(' <tool_call>{"name":"now","arguments":{}}</tool_call>\n')
    assert read == (ToolCall("now", {}),)
    for broken in (
        '<tool_call>\n{"name": "now", "arguments": {}}',
        "<tool_call>{}</tool_call>",
        '<tool_call>\n{"name": "now", "arguments": [1]}\n</tool_call>',
        "Hi.",
    ):
        assert frame.read(broken) is None


def test_a_template_without_json_arguments_is_refused_in_words():
    with pytest.raises(InputError, match=r"does not write the arguments .* as one JSON object"):
        find_call_frame(xml)
    with pytest.raises(InputError, match="writes no calls of tools"):
        find_call_frame(lambda message: f"{message.text}<end>")


def test_a_schema_that_no_grammar_holds_is_refused_with_the_tools_name():
    tool = {"type": "object", "properties": {"x": {"type": "string", "pattern": "a"}}}
    tools = [{"type": "function", "function": {"name": "find", "parameters": tool}}]
    with pytest.raises(InputError, match=r"'find'.*/parameters/properties/x/pattern"):
        find_call_frame(hermes).rules(tools)
