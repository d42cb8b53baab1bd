"""Finds where the labelled parts of a message stand in what the chat template made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftcore.values import Message, Part, ToolCall

STRUCTURE = "structure"
"""The part label of what the template writes around the parts."""


class Span(NamedTuple):  # made many times a sample, and in a fifth of the time of other values
    """Characters ``start`` to ``end`` of an answer, and the part that they belong to."""

    start: int
    end: int
    label: str


def part_spans(message: Message, answer: str) -> tuple[tuple[Span, ...], str]:
    """Where the parts of a message stand in its answer, and what the template left out, in words.

    Templates trim texts and choose how to write arguments, so the parts are looked for in the
    order in which templates write them: reasoning, content, calls. What is found nowhere stays
    structure. A text that is itself a piece of the template's structure may be found there.
    """
    spans: list[Span] = []
    lost = ""
    for what, parts in (("the reasoning", message.reasoning), ("the text", message.content)):
        if not parts:
            continue
        names = [call.name for call in message.tool_calls[:1]]
        found, every = _part_places(parts, answer, spans[-1].end if spans else 0, names)
        spans += found
        lost = lost or ("" if every else what)
    cursor = spans[-1].end if spans else 0
    followers = [*(call.name for call in message.tool_calls[1:]), None]
    for call, follower in zip(message.tool_calls, followers, strict=False):
        at = _name_place(call.name, answer, cursor)
        if at < 0:
            lost = lost or f"the call of the tool {call.name!r}"
            continue
        cursor = at + len(call.name)
        spans.append(Span(at, cursor, call.name_label))
        for start, end in _argument_places(call, answer, cursor, follower):
            spans.append(Span(start, end, call.arguments_label))
            cursor = end
    return tuple(spans), lost


def _part_places(
    parts: Sequence[Part], answer: str, cursor: int, names: Sequence[str]
) -> tuple[list[Span], bool]:
    """All parts together, perhaps trimmed; else those that are found one after the other.

    And whether every part is found that is more than white space.

    :param names: of the tool that is called next; white space beyond it is no part.
    """
    spans: list[Span] = []
    whole = parts[0].text if len(parts) == 1 else "".join(part.text for part in parts)
    for text in (whole, whole.strip()):
        found = answer.find(text, cursor)
        if text.isspace() and any(0 <= _name_place(n, answer, cursor) < found for n in names):
            break
        if text and found >= 0:
            beyond = found + len(text)
            at = found - whole.index(text)
            for part in parts:
                start, at = at, at + len(part.text)
                low = start if start > found else found
                high = at if at < beyond else beyond
                if low < high:
                    spans.append(Span(low, high, part.label))
            return spans, True
    every = True
    for part in parts:
        text = part.text.strip()
        at = answer.find(text, cursor)
        if text and at >= 0:
            cursor = at + len(text)
            spans.append(Span(at, cursor, part.label))
        every = every and at >= 0
    return spans, every


def _name_place(name: str, answer: str, cursor: int) -> int:
    """Where a tool's name begins, looked for first as JSON and as XML-like templates write it."""
    for before, after in (('"name": "', '"'), ('"name":"', '"'), ("=", ">"), ("", "")):
        at = answer.find(before + name + after, cursor)
        if at >= 0:
            return at + len(before)
    return -1


def _argument_places(
    call: ToolCall, answer: str, cursor: int, follower: str | None
) -> list[tuple[int, int]]:
    """The arguments as one JSON object in a usual spelling, else each value by itself (XML).

    :param follower: the name of the next call, beyond which they cannot stand.
    """
    places: list[tuple[int, int]] = []

    def found(texts: Iterable[str], cursor: int) -> bool:
        beyond = -1 if follower is None else _name_place(follower, answer, cursor)
        for text in texts:
            at = answer.find(text, cursor)
            if at >= 0 and not 0 <= beyond < at:
                places.append((at, at + len(text)))
                return True
        return False

    if not found(_json_spellings(call.arguments), cursor):
        for value in call.arguments.values():
            itself = [value] if isinstance(value, str) and value else []
            found(chain(itself, _json_spellings(value)), places[-1][1] if places else cursor)
    return places


def _json_spellings(value: object) -> Iterator[str]:
    return (encoder.encode(value) for encoder in _SPELLINGS)


_SPELLINGS = [  # made once: making one takes as long as writing some arguments
    json.JSONEncoder(ensure_ascii=ascii_only, separators=pair)
    for pair in ((", ", ": "), (",", ":"))
    for ascii_only in (False, True)
]


def token_ranges(
    spans: NDArray[np.int64],
    within: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The tokens of each span, from the first to the one before the second; none is in two.

    A token belongs to the span that it overlaps most, the earlier one of two.

    :param spans: the first character of each and one beyond its last, in their order, none over
        another; shape (spans, 2).
    :param within: the first token that may belong to each span, and one beyond the last.
    :param starts: the character at which each token begins.
    :param ends: one beyond the character at which it ends.
    """
    low = np.maximum(np.searchsorted(ends, spans[:, 0], "right"), within[:, 0])
    high = np.minimum(np.searchsorted(starts, spans[:, 1], "left"), within[:, 1])
    high = np.where(spans[:, 0] < spans[:, 1], np.maximum(low, high), low)
    for later in (np.flatnonzero(low[1:] < np.maximum.accumulate(high)[:-1]) + 1).tolist():
        shared = low[later]
        holder = next((i for i in range(later - 1, -1, -1) if low[i] < high[i]), None)
        if holder is None or low[later] == high[later]:
            continue
        both = spans[[holder, later]]
        held = np.minimum(both[:, 1], ends[shared]) - np.maximum(both[:, 0], starts[shared])
        if held[0] < held[1]:
            high[holder] -= 1
        else:
            low[later] += 1
    return np.stack([low, high], axis=1)
