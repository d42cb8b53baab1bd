"""Finds what a record of a foreign shape says and its sample would not: it is refused for that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from ftcore.mode import Mode
from ftcore.origins import Origins, enclosing, translate
from ftcore.schemata import pointer, shown
from ftcore.shapes.embedded import ShapeError
from ftcore.shapes.formats import FORMATS
from ftcore.shapes.keys import check_media, is_empty, misspelt, same
from ftcore.shapes.schema_keys import SchemaKeys
from ftcore.values import Json

__all__ = [
    "check_media",
    "check_one_value",
    "check_place",
    "check_some_key",
    "check_spelling",
    "check_whole",
]


def check_some_key(record: Json, mode: Mode, keys: SchemaKeys) -> None:
    """Refuses a record of which the mode knows no key, and that no shape fits, all at once.

    :raises ShapeError: with how to name its columns.
    """
    known = [*keys.properties]
    if (
        not keys.closed
        or not record
        or any(key in known or misspelt(key, known, record) for key in record)
    ):
        return
    for form in FORMATS.values():
        if not form.missing(record):
            key = next(key for key in form.keys[0] if record.get(key) is not None)
            raise ShapeError(
                f"{key!r} must be a list of turns (shape {form.name!r}), it is "
                f"{shown(record[key])}",
                pointer([key]),
                "write […], or the same as JSON text",
            )
    every = sorted({key for form in FORMATS.values() for key in form.known})
    close = ((key, misspelt(key, every, record)) for key in record)
    meant = next((f"did you mean {m!r} by {key!r}? " for key, m in close if m), "")
    raise ShapeError(
        f"no key of this record is one of the mode {mode.name!r}, and no shape fits it",
        "",
        f"{meant}say which column is what with --map KEY=COLUMN, once for each key: "
        f"{', '.join(known)}; or name the shape with --shape: {', '.join(FORMATS)}; the columns "
        f"of this record: {', '.join(record)}",
    )


def check_spelling(unread: Iterable[str], record: Json, known: Sequence[str]) -> None:
    """A key that nothing reads is no fault; one that was meant to be read is.

    :raises ShapeError: there is one.
    """
    for key in unread:
        meant = misspelt(key, known, record)
        if meant:
            raise ShapeError(
                f"unknown key {key!r}",
                pointer([key]),
                f"did you mean {meant!r}? a key that nothing shall read needs a name that is "
                "less like it",
            )


def check_one_value(unread: Iterable[str], record: Json, data: Json, shape: str) -> None:
    """A key of the mode that stands beside a chat must not say something else than the chat.

    :raises ShapeError: one does.
    """
    for key in unread:
        if key in data and not is_empty(record[key]) and not same(record[key], data[key]):
            raise ShapeError(
                f"the record says two things for {key!r}: {shown(record[key])} here, and "
                f"{shown(data[key])} in its chat (shape {shape!r})",
                pointer([key]),
                f"keep the right one: remove {key!r}, or the chat beside it",
            )


def check_place(data: Json, mode: Mode, keys: SchemaKeys, origins: Origins, record: Json) -> None:
    """What was read out of a chat and the mode does not know at all is told in the chat's words.

    :param origins: from the sample that the mode made to the record.
    :raises ShapeError: the sample holds calls or reasoning, of which the mode's schema knows
        nothing.
    """
    for at, item in _objects(data):
        for key, first, what, tag in (
            ("tool_calls", "/0", "a call of a tool", "<tool_call>"),
            ("reasoning", "", "reasoning", "<think>"),
        ):
            if key not in item or key in keys.named:
                continue
            place = enclosing(translate(f"{at}/{key}{first}", origins), record)
            written = _value(record, place)
            if isinstance(written, str) and (tag in written or "</think>" in written):
                what = f"{what} (read from {tag} in this text)"
            raise ShapeError(
                f"the mode {mode.name!r} has no place for {what}",
                place,
                "leave the record out, or write the reply without it",
            )


def check_whole(data: Json, mode: Mode, chat: Json, shape: str) -> None:
    """Says of what a mode needs and did not find in a chat that the reply lacks it.

    :raises ShapeError: it leads into the chat.
    """
    schema = mode.schema
    for key in cast("list[str]", schema.get("required", ())):
        messages = cast("list[Json]", chat["messages"])
        if key in data or not messages or messages[-1]["role"] != "assistant":
            continue
        about = cast("Json", cast("Json", schema.get("properties", {})).get(key, {}))
        raise ShapeError(
            f"this reply has no {key!r}, which the mode {mode.name!r} needs (shape {shape!r})",
            f"/messages/{len(messages) - 1}/content",
            str(about.get("description", "")) or "add it, or leave the record out",
        )


def _objects(data: Json) -> Iterator[tuple[str, Json]]:
    """A sample and the objects in its lists, with their places."""
    yield "", data
    for key, value in data.items():
        items = cast("list[object]", value) if isinstance(value, list) else []
        for index, item in enumerate(items):
            if isinstance(item, dict):
                yield pointer([key, index]), cast("Json", item)


def _value(record: Json, at: str) -> object:
    value: Any = record
    for step in at.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        value = value[int(key) if isinstance(value, list) else key]
    return cast("object", value)
