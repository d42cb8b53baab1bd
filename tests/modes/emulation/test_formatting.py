"""What emulation mode makes of a sample: golden cases in ``cases/``, and properties.

A case is a file: a line ``# target:`` with what the chat template can express, the sample, a line
``# output``, and the conversation as :func:`written` prints it.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.values import Conversation, Target
from ftcore_emulation.formatting import MARKERS, format_sample
from ftcore_emulation.validation import validate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


def target(system: bool = True) -> Target:
    return Target(tools=False, system=system, reasoning=False)


def written(conversation: Conversation) -> str:
    lines: list[str] = []
    for message in conversation.messages:
        lines.append(message.role + " trained" * message.trained)
        for part in message.content:
            lines.append(f"  {part.label}: {json.dumps(part.text, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def read(case: Path) -> tuple[dict[str, Any], Target, str]:
    head, rest = case.read_text(encoding="utf-8").split("\n", 1)
    source, expected = rest.split("# output\n")
    able = head.removeprefix("# target:").split()
    return json.loads(source), target("system" in able), expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_sample_becomes_this_conversation(case: Path):
    sample, able, expected = read(case)
    assert validate(sample) == []
    assert written(format_sample(sample, able)) == expected


def test_there_are_cases():
    assert len(CASES) >= 6


texts = st.text(min_size=1, max_size=9).filter(str.strip)
turns = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), min_size=1, max_size=8)
descriptions = st.sampled_from(["nothing", "persona", "system", "system message"])


def sample_of(said: list[tuple[str, str]], description: str) -> dict[str, Any]:
    messages = [{"role": role, "content": text} for role, text in said]
    messages += [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    if description == "system message":
        return {"messages": [{"role": "system", "content": "Who."}, *messages]}
    return {"messages": messages} | ({} if description == "nothing" else {description: "Who."})


@given(turns, descriptions, st.booleans())
def test_no_word_is_lost_speakers_alternate_and_the_sample_stays_as_it_was(
    said: list[tuple[str, str]], description: str, system: bool
):
    sample = sample_of(said, description)
    before = json.dumps(sample)
    made = format_sample(sample, target(system))
    assert json.dumps(sample) == before
    assert format_sample(sample, target(system)) == made
    roles = [message.role for message in made.messages]
    assert all(a != b for a, b in pairwise(roles))
    for role in ("user", "assistant"):
        spoken = "\n".join(m["content"] for m in sample["messages"] if m["role"] == role)
        kept = "\n".join(m.text for m in made.messages if m.role == role)
        described = "Who.\n\n" if role == "user" and description != "nothing" and not system else ""
        assert kept == described + spoken
    assert ("system" in roles) == (system and description != "nothing")


@given(turns, descriptions, st.booleans())
def test_what_answers_a_user_is_trained_and_nothing_else(
    said: list[tuple[str, str]], description: str, system: bool
):
    messages = format_sample(sample_of(said, description), target(system)).messages
    asked = next(index for index, message in enumerate(messages) if message.role == "user")
    for index, message in enumerate(messages):
        assert message.trained == (message.role == "assistant" and index > asked)
        labels = {part.label for part in message.content} - {"system"}
        expected = {"reply"} if message.trained else {"prose"}
        assert labels == (set() if message.role == "system" else expected)


@given(texts)
def test_all_three_ways_to_describe_the_persona_are_the_same(text: str):
    plain = sample_of([], "nothing")["messages"]
    made = [
        format_sample(sample, target(system))
        for system in (True, False)
        for sample in (
            {"persona": text, "messages": plain},
            {"system": text, "messages": plain},
            {"messages": [{"role": "system", "content": text}, *plain]},
        )
    ]
    assert made[0] == made[1] == made[2]
    assert made[3] == made[4] == made[5]
    assert made[0] != made[3]


def test_through_a_real_template_exactly_the_replies_are_learned(
    tokenizer: PreTrainedTokenizerBase,
):
    from ftcore.render import Renderer

    sample, _, _ = read(next(case for case in CASES if case.stem == "the_persona_begins"))
    sample["messages"] += [
        {"role": "user", "content": "Still?"},
        {"role": "assistant", "content": "Still."},
        {"role": "assistant", "content": "Ring your bell."},
    ]
    renderer = Renderer(tokenizer)
    conversation = format_sample(sample, renderer.target)
    (example,) = renderer.examples(conversation)
    learned = tokenizer.decode(example.labels[example.labels >= 0])
    assert learned == "It is.<|im_end|>Still.\nRing your bell.<|im_end|>"
    assert set(example.parts) == {-1, *map(renderer.part_labels.index, ("reply", "end"))}
    whole = tokenizer.decode(example.input_ids)
    assert "<|im_start|>assistant\nKettle's on.\nYou rang?<|im_end|>" in whole
    assert not any(marker in whole for marker in MARKERS)
