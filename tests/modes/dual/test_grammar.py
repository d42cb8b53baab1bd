"""Under the grammar of dual mode even an untrained model keeps to the form."""

from __future__ import annotations

import json

import pytest

from ftcore.chat import Chat
from ftcore.export.runtime import Sampling, open_runtime
from ftcore.gbnf import parse_gbnf
from ftcore.grammar import answer_grammar
from ftcore.plugins import open_mode
from ftcore.values import Message, Part
from ftcore_dual.grammar import GRAMMAR
from ftcore_dual.replies import read_reply

PROMPTS = ("What is the capital of France?", "Shall we go?", "Do you like him?")
SEEDS = (1, 2)

REPLIES = [
    "<thought>a</thought>\n<world>b</world>",
    "<thought>Is 1 < 2?\n\nYes, <b>it is</b>.</thought>\n<world>「はい。」 \n</world>",
    "<thought>&lt;</thought>\n<world><<b</world>",
]
NONE = [
    "",
    "Hello.",
    "<thought>a</thought><world>b</world>",
    "<thought>a</thought>\n<world>b</world>\n",
    "<thought>a</thought>\n<world>b",
    "<thought></thought>\n<world>b</world>",
    "<thought>\u200b\n</thought>\n<world>b</world>",
    "<thought>a</thought>\n<world>b</world>\n<world>c</world>",
    "<thought>a<world>b</world></thought>\n<world>c</world>",
    "<thought>a <THOUGHT>b</thought>\n<world>c</world>",
    "<thought>a <<thought>b</thought>\n<world>c</world>",
    "<world>b</world>",
]


@pytest.mark.parametrize("text", REPLIES)
def test_a_reply_is_described(text):
    assert parse_gbnf(GRAMMAR).accepts(text)
    assert read_reply(text, world_only=False).well_formed


@pytest.mark.parametrize("text", NONE)
def test_anything_else_is_not(text):
    assert not parse_gbnf(GRAMMAR).accepts(text)


def message(role, text) -> Message:
    return Message(role, (Part("", text),))


HISTORY = (
    message("user", "Are you cold?"),
    message(
        "assistant",
        "<thought>My hands are stiff, but I will not say so.</thought>\n"
        '<world>"Not at all," I say, and put them in my pockets.</world>',
    ),
    message("user", "Would you like some tea?"),
    message("assistant", '<thought>Tea would warm me.</thought>\n<world>"Yes, please."</world>'),
)
"""Short replies, so that the untrained model comes to an end."""


@pytest.fixture(scope="module")
def said(untrained):
    """What the model says with and without the grammar: (text, ended) by prompt and seed."""
    grammar = answer_grammar(open_mode("dual"), (), lambda: pytest.fail("no calls are written"))
    found: dict[bool, list[tuple[str, bool]]] = {True: [], False: []}
    with open_runtime(untrained, context=2048, threads=1) as runtime:
        for constrained in found:
            for prompt in PROMPTS:
                for seed in SEEDS:
                    sampling = Sampling(1.0, seed, grammar if constrained else None)
                    chat = Chat(runtime, sampling=sampling, max_tokens=150)
                    chat.messages = HISTORY
                    answer = chat.ask(prompt, lambda piece: None)
                    found[constrained].append((answer.text, answer.ended))
    return found


def test_every_answer_under_the_grammar_is_well_formed(said):
    finished = [text for text, ended in said[True] if ended]
    assert len(finished) > len(said[True]) / 2
    assert all(read_reply(text, world_only=False).well_formed for text in finished)
    grammar = parse_gbnf(GRAMMAR)
    assert all(grammar.accepted(text) == len(text) for text, ended in said[True] if not ended)


def test_without_it_answers_are_not(said):
    assert not all(read_reply(text, world_only=False).well_formed for text, _ in said[False])
    grammar = parse_gbnf(GRAMMAR)
    assert any(grammar.accepted(text) < len(text) for text, _ in said[False])


def test_the_command_prints_the_grammar(ftcore, untrained, tmp_path):
    done = ftcore("grammar", untrained, "--mode", "dual", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, GRAMMAR, "")


def test_a_chat_shows_thought_and_world_apart(ftcore, untrained, tmp_path):
    options = ("--mode", "dual", "--constrain", "--seed", "3", "--max-tokens", "60")
    command = ("chat", untrained, *options)
    (tmp_path / "in").write_text("Hello.\n\n/reset\nHello.\n", encoding="utf-8")
    piped = ("sh", "-c", 'exec "$@" < in', "sh")
    done = ftcore(*command, "--json", cwd=tmp_path, prefix=piped)
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == second  # the same seed, and the first was forgotten
    assert first["text"].startswith("<thought>")
    assert first["parts"][0]["label"] == "thought"
    plain = ftcore(*command, cwd=tmp_path, prefix=piped)
    assert plain.stdout.startswith(f"thought: {first['parts'][0]['text']}\n")
    assert "\x1b" not in plain.stdout + plain.stderr
