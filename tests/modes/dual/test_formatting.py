"""What dual mode makes of a sample: golden cases in ``cases/``, and properties.

A case is a file: a line ``# target:`` with what the chat template can express, the sample, a line
``# output``, and the conversation as :func:`written` prints it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.markers import structural_tags
from ftcore.values import Conversation, Target
from ftcore_dual.formatting import MARKERS, TAGS, format_sample

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))
ALL = Target(tools=True, system=True, reasoning=True)
NOTHING = Target(tools=False, system=False, reasoning=False)
PAIR = {"thought": "It is too salty.", "world": "Could I have some water?"}


def written(conversation: Conversation) -> str:
    assert conversation.tools == ()
    lines: list[str] = []
    for message in conversation.messages:
        assert not message.reasoning
        lines.append(message.role + " trained" * message.trained)
        for part in message.content:
            lines.append(f"  {part.label}: {json.dumps(part.text, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_sample_becomes_this_conversation(case: Path):
    head, rest = case.read_text(encoding="utf-8").split("\n", 1)
    source, expected = rest.split("# output\n")
    able = head.removeprefix("# target:").split()
    target = Target("tools" in able, "system" in able, "reasoning" in able)
    assert written(format_sample(json.loads(source), target)) == expected


def test_there_are_cases():
    assert len(CASES) >= 5


def test_the_two_shapes_differ_in_what_the_model_is_trained_to_say():
    dual = format_sample({"user": "Is dinner good?", **PAIR}, ALL)
    inverted = format_sample({"shape": "inverted", **PAIR}, ALL)
    said = [[m.text for m in c.messages if m.trained] for c in (dual, inverted)]
    assert said == [
        ["<thought>It is too salty.</thought>\n<world>Could I have some water?</world>"],
        ["<world>Could I have some water?</world>"],
    ]


def test_the_markers_are_the_tags_that_a_reply_is_written_with():
    (_, reply) = format_sample({"user": "Is dinner good?", **PAIR}, ALL).messages
    tags = "".join(part.text for part in reply.content if part.label == "tag")
    assert tags.split() == [MARKERS[0] + MARKERS[1], MARKERS[2] + MARKERS[3]]
    assert tuple(tag.written for tag in structural_tags(reply.text, TAGS)) == MARKERS


texts = st.text(min_size=1, max_size=12)
exchanges = st.fixed_dictionaries({"user": texts, "world": texts}, optional={"thought": texts})
dual_samples = st.fixed_dictionaries(
    {"user": texts, "thought": texts, "world": texts},
    optional={
        "shape": st.just("dual"),
        "system": texts,
        "history": st.lists(exchanges, max_size=3),
        "answer": texts,
    },
)
inverted_samples = st.fixed_dictionaries(
    {"shape": st.just("inverted"), "thought": texts, "world": texts}
)


@given(dual_samples | inverted_samples, st.sampled_from([ALL, NOTHING]))
def test_no_text_is_lost_or_changed(sample: dict[str, Any], target: Target):
    before = json.dumps(sample)
    made = format_sample(sample, target)
    assert json.dumps(sample) == before
    assert format_sample(sample, target) == made
    given_texts = [sample[key] for key in ("user", "thought", "world") if key in sample]
    for turn in reversed(sample.get("history", [])):
        given_texts = [turn[k] for k in ("user", "thought", "world") if k in turn] + given_texts
    if "system" in sample:
        given_texts.insert(0, sample["system"] + "\n\n" * (not target.system))
    parts = [part for message in made.messages for part in message.content]
    assert [part.text for part in parts if part.label != "tag"] == given_texts
    assert all(m.role == "assistant" for m in made.messages if m.trained)


@given(dual_samples)
def test_every_reply_with_a_thought_is_trained_and_no_other(sample: dict[str, Any]):
    replies = [m for m in format_sample(sample, ALL).messages if m.role == "assistant"]
    turns = [*sample.get("history", []), sample]
    assert [reply.trained for reply in replies] == ["thought" in turn for turn in turns]
