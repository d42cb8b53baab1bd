"""Takes the content of a message apart that is written as a list of typed parts."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import cast

from attrs import define, evolve, field, frozen

from ftcore.schemata import shown
from ftcore.shapes.calls import Call, read_calls, split_raw_results
from ftcore.shapes.embedded import ShapeError
from ftcore.shapes.keys import one_key, pointer_to
from ftcore.values import Json

_TEXT = frozenset({"text", "input_text", "output_text"})
_REASONING = frozenset({"reasoning", "thinking", "think", "thought"})
_CALL = frozenset({"tool_call", "tool_calls", "tool_use", "function_call"})
_RESULT = frozenset({"tool_result", "tool_response", "function_call_output"})
_KNOWN = _TEXT | _REASONING | _CALL | _RESULT
_MEDIA = re.compile(r"image|audio|video|file")


@frozen
class Piece:
    """A piece of text with its place in the record; of a tool's result, the id of its call."""

    text: str
    at: str
    call_id: str | None = None


@define
class Content:
    """What a content holds, piece by piece."""

    text: list[Piece] = field(factory=list[Piece])
    reasoning: list[Piece] = field(factory=list[Piece])
    calls: list[Call] = field(factory=list[Call])
    results: list[Piece] = field(factory=list[Piece])


def read_content(content: object, at: str) -> Content:
    """Takes a content apart: a text, a typed part or a list of parts.

    Known are parts of text, of reasoning, calls and results of tools, under the names of OpenAI,
    Anthropic and LLaMA-Factory.

    :param at: JSON pointer to the content in the record.
    :raises ShapeError: a part shows an image, say, or stands where no chat template can write it.
    """
    found = Content()
    if isinstance(content, str):
        found.text.append(Piece(content, at))
        return found
    parts = cast("list[object]", content) if isinstance(content, list) else [content]
    for index, part in enumerate(parts):
        place = f"{at}/{index}" if isinstance(content, list) else at
        if isinstance(part, str):
            found.text.append(Piece(part, place))
        elif isinstance(part, dict):
            _read_part(cast("Json", part), place, found)
        elif part is not None:
            raise _unreadable(part, place)
    return found


def read_results(content: object, at: str, call_id: str | None = None) -> list[Piece]:
    """The results that the content of a tool's message holds, one or several.

    JSON that is no list of typed parts is written out as text; ``<tool_response>`` tags, which
    the chat template writes, are taken off.

    :raises ShapeError: something stands beside the results that is none.
    """
    if _is_parts(content):
        read = read_content(content, at)
        beside = [*read.reasoning, *(read.text if read.results else ())]
        place = next((piece.at for piece in beside if piece.text.strip()), None)
        if read.calls or place is not None:
            what = "a call" if read.calls else "reasoning" if read.reasoning else "other words"
            raise ShapeError(
                f"the message of a tool holds {what} beside the result",
                at if read.calls else str(place),
                "make two messages of it: a tool's message is what it gave back",
            )
        if read.results:
            return [evolve(piece, call_id=piece.call_id or call_id) for piece in read.results]
        text = "".join(piece.text for piece in read.text)
        at = read.text[0].at if len(read.text) == 1 else at
    else:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return [Piece(result, at, call_id) for result in split_raw_results(text)]


def _read_part(part: Json, at: str, found: Content) -> None:
    kind = _kind(part)
    if kind in _TEXT or (not kind and isinstance(part.get("text"), str)):
        piece = _text_of(part, at, ("text", "value", "content"))
        if found.calls and piece.text.strip():
            raise _misplaced("words", "a call", at)
        found.text.append(piece)
    elif kind in _REASONING:
        if found.calls or any(piece.text.strip() for piece in found.text):
            raise _misplaced("reasoning", "words or a call", at)
        keys = ("value", kind, "text", "content", "thinking", "reasoning")
        found.reasoning.append(_text_of(part, at, keys))
    elif kind in _CALL:
        key = next((k for k in ("value", kind, "content") if k in part), None)
        found.calls += (
            read_calls(part, at) if key is None else read_calls(part[key], pointer_to(at, key))
        )
    elif kind in _RESULT:
        if found.calls:
            raise _misplaced("a result", "a call", at)
        key = one_key(part, ("content", "value", "output", "result", "text"), at)
        if key is None:
            raise ShapeError(
                "this result says nothing",
                at,
                'write what the tool gave back as "content"; "" if that was nothing',
            )
        ids = (part.get(k) for k in ("tool_use_id", "tool_call_id", "call_id"))
        call_id = next((str(identifier) for identifier in ids if identifier), None)
        found.results += read_results(part[key], pointer_to(at, key), call_id)
    else:
        raise _unreadable(part, at)


def _is_parts(content: object) -> bool:
    """Whether it is made of typed parts. A picture makes it so only beside a part of text."""
    items = cast("list[object]", content) if isinstance(content, list) else [content]
    kinds = [_kind(item) for item in items]
    others = [kind for kind in kinds if kind not in _KNOWN]
    return len(others) < len(kinds) and all(map(_MEDIA.search, others))


def _kind(part: object) -> str:
    kind: object = cast("Json", part).get("type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def _text_of(part: Json, at: str, keys: Collection[str]) -> Piece:
    for key in keys:
        if isinstance(part.get(key), str):
            return Piece(part[key], pointer_to(at, key))
    raise ShapeError(
        f"this part of the content holds no text: {shown(part)}",
        at,
        'a part is {"type": "text", "text": …}',
    )


def _unreadable(part: object, at: str) -> ShapeError:
    kind = _kind(part)
    what = f"a part of the type {shown(kind)}" if kind else f"no part of a message: {shown(part)}"
    return ShapeError(
        f"the content holds {what}",
        at,
        "a model of text learns only from text, reasoning, calls and results of tools: leave the "
        "record out, or say in words what the part shows",
    )


def _misplaced(what: str, before: str, at: str) -> ShapeError:
    return ShapeError(
        f"{what} {'stand' if what == 'words' else 'stands'} after {before} in one message",
        at,
        "make two messages of it: a message is reasoning, then words, then calls",
    )
