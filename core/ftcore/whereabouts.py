"""Finds where in a sample stands what a message of its conversation says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import cast

from ftcore.mode import CORE_KEYS
from ftcore.origins import MIN_PIECE, translate
from ftcore.schemata import pointer
from ftcore.values import Conversation, Message, Sample


def texts_of(sample: Sample) -> Iterator[tuple[str, str]]:
    """Every string of a sample, keys too, but those of the core's keys; with its pointer."""
    stack: list[tuple[str, object]] = [
        (pointer([key]), value) for key, value in sample.data.items() if key not in CORE_KEYS
    ]
    stack.reverse()
    while stack:
        at, value = stack.pop()
        match value:
            case str() as text:
                yield at, text
            case dict():
                inner = cast("dict[str, object]", value)
                for key, value in reversed(inner.items()):
                    stack += [(at + pointer([key]), value), (at + pointer([key]), key)]
            case list():
                items = cast("list[object]", value)
                stack += [(f"{at}/{i}", v) for i, v in reversed(list(enumerate(items)))]
            case _:
                continue


def place_of(sample: Sample, conversation: Conversation, index: int | None, text: str) -> str:
    """JSON pointer, into the record as it was written, to what is wrong; empty if not known.

    A mode says nothing of where it takes its messages from. They are known again by their texts,
    one message after the other, so that of equal ones each finds its own.

    :param index: of the message that is wrong; None: no message is, but what stands beside them.
    :param text: what is wrong in it; empty: all of it.
    """
    texts = list(texts_of(sample))
    done = 0
    for message in conversation.messages[: index or 0]:
        if found := _places(texts, message, done):
            done = found[-1] + 1
    holding = [i for i, (_, held) in enumerate(texts) if text and text in held]
    holding.sort(key=lambda i: i < done)  # what stands before is another message's
    found = holding[:1]
    if not found and index is not None:
        found = _places(texts, conversation.messages[index], done)
    steps = zip(*(texts[i][0].split("/") for i in found), strict=False)
    around = "/".join(step[0] for step in takewhile(lambda step: len(set(step)) == 1, steps))
    return translate(around, sample.origins)


def _places(texts: Sequence[tuple[str, str]], message: Message, begin: int) -> list[int]:
    """Which texts are the message's, looked for from one on, else from the first."""
    parts = [part.text for part in (*message.reasoning, *message.content)]
    pieces = [piece for piece in (*parts, *(call.name for call in message.tool_calls)) if piece]
    for first in (begin, 0):
        at, found = first, list[int]()
        for piece in pieces:
            here = next((i for i in range(at, len(texts)) if _alike(texts[i][1], piece)), None)
            if here is not None:
                found.append(here)
                at = here
        if found:
            return sorted(set(found))
    return []


def _alike(text: str, piece: str) -> bool:
    """Whether the one is the other, or in it and too long to be so by chance."""
    return text == piece or (
        min(len(text), len(piece)) >= MIN_PIECE and (text in piece or piece in text)
    )
