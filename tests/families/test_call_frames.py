"""Calls are described and read as each family's chat template spells them."""

from __future__ import annotations

from typing import Any

import pytest

from ftcore.call_frame import CallFrame, find_call_frame
from ftcore.errors import InputError
from ftcore.gbnf import parse_gbnf
from ftcore.render import Renderer, renderer_for
from ftcore.values import Conversation, Message, Part, ToolCall

TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "now",
            "description": "The time.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
)
WEATHER = ToolCall("get_weather", {"city": "Zürich <b> 'n' \"é\"", "days": [1, -2]}, id="a1b2c3d4e")
NOW = ToolCall("now", {}, id="f1b2c3d4e")


def answer(renderer: Renderer, message: Message) -> str:
    asked = Message("user", (Part("", "When and where?"),))
    trained = Message("assistant", message.content, (), message.tool_calls, trained=True)
    return renderer.turns(Conversation((asked, trained), TOOLS))[0].answer


@pytest.fixture
def renderer(tokenizer) -> Renderer:
    return renderer_for(tokenizer, tools=True)


@pytest.fixture
def frame(family, renderer) -> CallFrame:
    if family.name == "qwen3-coder":
        with pytest.raises(InputError, match="as one JSON object"):
            find_call_frame(lambda message: answer(renderer, message))
        pytest.skip("arguments are written as XML, and that was told")
    return find_call_frame(lambda message: answer(renderer, message))


def test_what_is_trained_is_what_the_grammar_describes(family, renderer, frame):
    end = renderer.tokenizer.convert_ids_to_tokens(renderer.end_ids()[0])
    grammar = parse_gbnf(f"root ::= prose? tool-calls\n{frame.rules(TOOLS)}")
    calls_alone = parse_gbnf(f"root ::= tool-calls\n{frame.rules(TOOLS)}")
    own = renderer.target.tools and family.tools  # otherwise ftcore's template is in its place
    turns = [((), (WEATHER,)), ((), (NOW,))]
    if family.parallel or not own:
        turns.append(((), (NOW, WEATHER)))
    if family.words_and_calls or not own:
        turns.append(((Part("", "I look."),), (WEATHER,)))
    for content, calls in turns:
        said = answer(renderer, Message("assistant", content, tool_calls=calls))
        said = said[: said.rindex("<|eom_id|>" if "<|eom_id|>" in said else end)]
        assert grammar.accepts(said), (said, grammar.accepted(said))
        assert content or calls_alone.accepts(said)
        read = frame.read(said[frame.place(said) :])
        assert read is not None
        assert [(c.name, c.arguments) for c in read] == [(c.name, c.arguments) for c in calls]


def test_words_are_no_call(renderer, frame):
    grammar = parse_gbnf(f"root ::= prose\n{frame.rules(TOOLS)}")
    assert grammar.accepts("It is < 3, [1] and {2}.")
    said = answer(renderer, Message("assistant", tool_calls=(NOW,)))
    assert not grammar.accepts(said[said.index(frame.mark) :])
