"""Under the grammar of agent mode even an untrained model writes calls that would work."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ftcore.chat import Chat
from ftcore.export.runtime import Sampling, open_runtime
from ftcore.gbnf import parse_gbnf
from ftcore.grammar import answer_grammar
from ftcore.plugins import open_mode
from ftcore.served import served_call_frame
from ftcore_agent.calls import read_calls
from ftcore_agent.tool_schemas import argument_faults

PROMPTS = ("Weather in Rome for 3 days?", "Wake me at seven.", "What is a whale?")
SEEDS = (1, 2)
CLOCK = {
    "type": "object",
    "properties": {
        "hour": {"type": "integer", "minimum": 0, "maximum": 23},
        "minute": {"type": "integer", "minimum": 0, "maximum": 59},
    },
    "required": ["hour"],
    "additionalProperties": False,
}
PARAMETERS: dict[str, Any] = {
    "get_weather": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 2, "maxLength": 20},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "unit": {"enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
    "set_alarm": {
        "type": "object",
        "properties": {
            "time": CLOCK,
            "weekdays": {"type": "array", "items": {"enum": ["mon", "tue"]}, "maxItems": 2},
            "loud": {"type": ["boolean", "null"]},
        },
        "required": ["time"],
        "additionalProperties": False,
    },
}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "parameters": parameters}}
    for name, parameters in PARAMETERS.items()
]


def sound(text: str) -> bool:
    """By the mode's own reader: calls of known tools whose arguments fit, and nothing broken."""
    read = read_calls(text, TOOLS)
    return read.broken == 0 and all(
        call.name in PARAMETERS and not argument_faults(PARAMETERS[call.name], call.arguments)
        for call in read.calls
    )


@pytest.fixture(scope="module")
def said(untrained):
    """By kind of grammar, the answers that ended, the calls that the chat read, and the GBNF."""
    mode = open_mode("agent")
    found: dict[str, list[Any]] = {}
    with open_runtime(untrained, context=2048, threads=2) as runtime:
        frame = served_call_frame(runtime, TOOLS)
        grammars = {
            "calls": answer_grammar(mode, TOOLS, lambda: frame, require_call=True),
            "any": answer_grammar(mode, TOOLS, lambda: frame),
            "none": None,
        }
        for kind, grammar in grammars.items():
            found[kind] = []
            for prompt in PROMPTS:
                for seed in SEEDS if grammar else SEEDS[:1]:
                    sampling = Sampling(1.0, seed, grammar)
                    chat = Chat(
                        runtime, tools=TOOLS, frame=frame, sampling=sampling, max_tokens=200
                    )
                    found[kind].append(chat.ask(prompt, lambda piece: None))
    return found, grammars


def test_a_required_call_is_always_one_that_would_work(said):
    answers, grammars = said
    finished = [answer for answer in answers["calls"] if answer.ended]
    assert len(finished) > len(answers["calls"]) / 2
    for answer in finished:
        assert read_calls(answer.text, TOOLS).calls
        assert sound(answer.text)
        assert [call.name for call in answer.calls] == [
            call.name for call in read_calls(answer.text, TOOLS).calls
        ]
    grammar = parse_gbnf(grammars["calls"])
    cut = [answer.text for answer in answers["calls"] if not answer.ended]
    assert all(grammar.accepted(text) == len(text) for text in cut)


def test_words_are_allowed_where_no_call_is_required(said):
    answers, _ = said
    assert all(sound(answer.text) for answer in answers["any"] if answer.ended)
    assert any(not answer.calls for answer in answers["any"])


def test_without_a_grammar_the_model_does_not_call(said):
    answers, _ = said
    assert not all(answer.calls and sound(answer.text) for answer in answers["none"])


def test_a_mode_without_tools_prescribes_nothing():
    assert answer_grammar(open_mode("agent"), (), lambda: pytest.fail("no calls")) is None


@pytest.fixture
def tools_file(tmp_path):
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS), encoding="utf-8")
    return "tools.json"


def test_the_command_prints_a_grammar_that_the_chat_uses(ftcore, untrained, tools_file, tmp_path):
    options = ("--mode", "agent", "--tools", tools_file)
    done = ftcore("grammar", untrained, *options, "--require-call", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    call = '{"name": "set_alarm", "arguments": {"time": {"hour": 7}, "loud": true}}'
    grammar = parse_gbnf(done.stdout)
    assert grammar.accepts(f"<tool_call>\n{call}\n</tool_call>")
    assert not grammar.accepts("Hello.")
    other = ftcore("grammar", untrained, *options, cwd=tmp_path)
    assert parse_gbnf(other.stdout).accepts("Hello.")
