"""Finds where the labelled parts of a message stand in what the chat template made of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import frozen

from ftcore.values import Message, Part, ToolCall

STRUCTURE = "structure"
"""The part label of what the template writes around the parts."""


@frozen
class Span:
    """Characters ``start`` to ``end`` of an answer, and the part that they belong to."""

    start: int
    end: int
    label: str


def part_spans(message: Message, answer: str) -> tuple[Span, ...]:
    """Where the parts of a message stand in its answer.

    Templates trim texts and choose how to write arguments, so the parts are looked for in the
    order in which templates write them: reasoning, content, calls. What is found nowhere stays
    structure. A text that is itself a piece of the template's structure may be found there.
    """
    spans: list[Span] = []
    for parts in (message.reasoning, message.content):
        spans += _part_places(parts, answer, spans[-1].end if spans else 0)
    cursor = spans[-1].end if spans else 0
    for call in message.tool_calls:
        at = _name_place(call.name, answer, cursor)
        if at < 0:
            continue
        cursor = at + len(call.name)
        spans.append(Span(at, cursor, call.name_label))
        for start, end in _argument_places(call, answer, cursor):
            spans.append(Span(start, end, call.arguments_label))
            cursor = end
    return tuple(spans)


def _part_places(parts: Sequence[Part], answer: str, cursor: int) -> list[Span]:
    """All parts together, perhaps trimmed; else those that are found one after the other."""
    whole = "".join(part.text for part in parts)
    for text in (whole, whole.strip()):
        found = answer.find(text, cursor)
        if text and found >= 0:
            at = found - whole.index(text)
            spans: list[Span] = []
            for part in parts:
                start, at = at, at + len(part.text)
                spans.append(Span(max(start, found), min(at, found + len(text)), part.label))
            return [span for span in spans if span.start < span.end]
    spans = []
    for part in parts:
        text = part.text.strip()
        at = answer.find(text, cursor)
        if text and at >= 0:
            cursor = at + len(text)
            spans.append(Span(at, cursor, part.label))
    return spans


def _name_place(name: str, answer: str, cursor: int) -> int:
    """Where a tool's name begins, looked for first as JSON and as XML-like templates write it."""
    for before, after in (('"name": "', '"'), ('"name":"', '"'), ("=", ">"), ("", "")):
        at = answer.find(before + name + after, cursor)
        if at >= 0:
            return at + len(before)
    return -1


def _argument_places(call: ToolCall, answer: str, cursor: int) -> list[tuple[int, int]]:
    """The arguments as one JSON object in a usual spelling, else each value by itself (XML)."""
    for text in _json_spellings(call.arguments):
        at = answer.find(text, cursor)
        if at >= 0:
            return [(at, at + len(text))]
    places: list[tuple[int, int]] = []
    for value in call.arguments.values():
        for text in (
            (value, *_json_spellings(value)) if isinstance(value, str) else _json_spellings(value)
        ):
            at = answer.find(text, cursor)
            if at >= 0:
                cursor = at + len(text)
                places.append((at, cursor))
                break
    return places


def _json_spellings(value: object) -> list[str]:
    separators: list[tuple[str, str]] = [(", ", ": "), (",", ":")]
    return list(
        dict.fromkeys(
            json.dumps(value, ensure_ascii=ascii_only, separators=pair)
            for pair in separators
            for ascii_only in (False, True)
        )
    )


def label_at(spans: Sequence[Span], start: int, end: int) -> str:
    """The part that a token belongs to: the one it overlaps most, structure where none."""
    best, most = STRUCTURE, 0
    for span in spans:
        overlap = min(end, span.end) - max(start, span.start)
        if overlap > most:
            best, most = span.label, overlap
    return best
