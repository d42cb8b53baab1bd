"""Finds what a JSON Schema cannot say about a sample of emulation mode, in the order it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import cast

from ftcore.schemata import pointer, shown
from ftcore.values import Json, Problem
from ftcore_emulation.formatting import MARKERS

_LABEL = re.compile(
    rf"\s*({'|'.join(map(re.escape, MARKERS))}"
    # "User:", and as headings and bold text have it: "### User:", "**User:**", "**User**:"
    r"|(?:#+ *|\*\*)?(?:user|human|assistant)(?:\*\*)? ?:)",
    re.IGNORECASE,
)


def validate(sample: Json) -> list[Problem]:
    """Every problem of a sample that satisfies the mode's schema. Never raises on one."""
    messages = cast(Sequence[Json], sample["messages"])
    return [
        *_check_description(sample, messages),
        *_check_texts(messages),
        *_check_order(messages),
    ]


def _check_description(sample: Json, messages: Sequence[Json]) -> Iterator[Problem]:
    given = [key for key in ("system", "persona") if key in sample]
    for key in given:
        if not str(sample[key]).strip():
            yield Problem(
                f"{key!r} holds no text",
                pointer([key]),
                "describe the persona in a sentence, or leave the key out",
            )
    if len(given) > 1:
        yield Problem(
            "the sample has both a 'system' and a 'persona'",
            pointer(["persona"]),
            "join the two texts in one of them: both become the system message",
        )
    if given and messages[0]["role"] == "system":
        yield Problem(
            f"the sample has both a {given[0]!r} and a system message",
            pointer(["messages", 0]),
            f"keep one of them: {given[0]!r} becomes the system message",
        )


def _check_texts(messages: Sequence[Json]) -> Iterator[Problem]:
    for index, message in enumerate(messages):
        text = str(message["content"])
        at = pointer(["messages", index, "content"])
        if not text.strip():
            yield Problem(
                f"this {message['role']} message says nothing", at, "give it a text, or remove it"
            )
        label = _LABEL.match(text)
        if label and message["role"] != "system":
            yield Problem(
                f"the text begins with {shown(label[1])}, the name of a role",
                at,
                'remove it from the text: "role" says who speaks, and the chat template writes '
                "it; where the text holds several turns, make a message of each",
            )


def _check_order(messages: Sequence[Json]) -> Iterator[Problem]:
    """A system message first if at all, somebody to answer, and the persona has the last word."""
    speakers: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] != "system":
            speakers.append(str(message["role"]))
        elif index > 0:
            yield Problem(
                "a system message must be the first message, and the only one of its kind",
                pointer(["messages", index, "role"]),
                "move its text into the first message, or make it a user message",
            )
    if "user" not in speakers:
        yield Problem(
            "the conversation has no user message",
            pointer(["messages"]),
            "add what the persona answers to: a reply is learned together with what led to it",
        )
    if "assistant" not in speakers:
        yield Problem(
            "the conversation has no assistant message",
            pointer(["messages"]),
            "add what the persona answers: it is what the model learns to say",
        )
    elif speakers[-1] == "user":
        yield Problem(
            "the conversation ends with a user message",
            pointer(["messages", len(messages) - 1]),
            "add what the persona answers, or remove this message: it teaches nothing",
        )
