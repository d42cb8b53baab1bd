"""Judges the keys of a turn or a record: which are read, and which must not be passed over."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Set
from functools import lru_cache

from ftcore.schemata import pointer, shown
from ftcore.shapes.embedded import ShapeError
from ftcore.values import Json

MEDIA = ("images", "image", "videos", "video", "audios", "audio")
"""Keys under which records and turns hold what a model of text cannot learn from."""

ROLE_KEYS = ("role", "from")
CONTENT_KEYS = ("content", "value", "text")
REASONING_KEYS = ("reasoning", "reasoning_content", "thinking")
CALL_KEYS = ("tool_calls", "function_call")
RESULT_KEYS = ("tool_call_id", "name")

READABLE: Mapping[str, Collection[str]] = {
    "assistant": (*REASONING_KEYS, *CALL_KEYS),
    "call": (*REASONING_KEYS, *CALL_KEYS),
    "tool": RESULT_KEYS,
}
"""Which keys are read in a turn of a role, beside those that say who speaks and what."""

READ_KEYS = frozenset({*ROLE_KEYS, *CONTENT_KEYS, *REASONING_KEYS, *CALL_KEYS, *RESULT_KEYS})
"""The keys of a turn that have a meaning here, each in the turns of some role."""

_UNTRAINED = {"weight": 0, "train": False, "training": False}
"""How collections mark a reply that is not to be learned."""


def pointer_to(at: str, key: str) -> str:
    """The JSON pointer of a key below ``at``."""
    return at + pointer([key])


def is_empty(value: object) -> bool:
    """Whether a value says nothing: null, a blank text, an empty list or object. A zero does."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, list | dict) and not value)


def same(one: object, other: object) -> bool:
    """Whether two values say the same, white space around texts aside."""
    if isinstance(one, str) and isinstance(other, str):
        return one.strip() == other.strip()
    return one == other


def misspelt(key: str, known: Collection[str], present: Collection[str]) -> str | None:
    """The known key that ``key`` seems to be meant for; None where it is simply another key."""
    close = _closest(key, tuple(known))
    return close if close not in present else None


@lru_cache(maxsize=4096)
def _closest(key: str, known: tuple[str, ...]) -> str | None:
    # the records of a collection have the same keys, and the comparison is slow
    return next(iter(difflib.get_close_matches(key, known, n=1, cutoff=0.85)), None)


def one_key(record: Json, keys: Collection[str], at: str) -> str | None:
    """Which of several keys that mean the same is to be read; None where none is there.

    One that says something goes before one that is empty.

    :param at: JSON pointer to the record.
    :raises ShapeError: two of them say different things.
    """
    there = [key for key in keys if record.get(key) is not None]
    filled = [key for key in there if not is_empty(record[key])]
    for key in filled[1:]:
        if not same(record[key], record[filled[0]]):
            raise two_values(filled[0], record[filled[0]], key, record[key], at)
    return next(iter(filled or there), None)


def two_values(one: str, value: object, other: str, differing: object, at: str) -> ShapeError:
    """Two keys that mean the same, and do not say it."""
    return ShapeError(
        f"{one!r} and {other!r} mean the same, and say different things: {shown(value)} and "
        f"{shown(differing)}",
        pointer_to(at, other),
        f"keep the right one and remove the other: {one!r} or {other!r}",
    )


def check_media(record: Json, at: str, what: str) -> None:
    """Refuses images and sounds that come with a record or a turn.

    :param what: what comes with them ("record").
    :raises ShapeError: there are some.
    """
    for key in MEDIA:
        if key in record and not is_empty(record[key]):
            raise ShapeError(
                f"the {what} comes with {key}, which a model of text cannot see or hear",
                pointer_to(at, key),
                "leave the record out; or remove the key, if the text makes sense by itself",
            )


def check_turn(
    turn: Json, at: str, whose: str, known: Set[str], ignored: set[str], *, learned: bool
) -> None:
    """Looks at every key of a turn: what is not read must be of no weight.

    :param whose: whose turn it is, for messages ("the user").
    :param known: the keys that are read.
    :param ignored: takes what nothing reads.
    :param learned: whether the turn is a reply that is learned.
    :raises ShapeError: a key has a meaning that would be lost, or was meant to have one.
    """
    for key, value in turn.items():
        if learned and key in _UNTRAINED and value == _UNTRAINED[key]:
            raise ShapeError(
                f"this reply is marked as not to be learned ({key!r}: {shown(value)})",
                pointer_to(at, key),
                "every reply of a chat is learned: cut the chat before this reply, or remove the "
                "mark",
            )
        if key in known or (is_empty(value) and key in {*READ_KEYS, *MEDIA}):
            continue
        _check_unread(key, turn, at, whose, known)
        ignored.add(f"{key} of a turn")


def _check_unread(key: str, turn: Json, at: str, whose: str, known: Collection[str]) -> None:
    if key in MEDIA:
        check_media({key: turn[key]}, at, "turn")
    if key in READ_KEYS and key != "name":  # anybody may have a name
        raise ShapeError(
            f"{key!r} is not read in a turn of {whose}, and would be lost: {shown(turn[key])}",
            pointer_to(at, key),
            "move it into a turn whose it is, or remove it",
        )
    meant = None if key == "name" else misspelt(key, sorted({*READ_KEYS, *known}), turn)
    if meant:
        raise ShapeError(
            f"unknown key {key!r} of a turn", pointer_to(at, key), f"did you mean {meant!r}?"
        )
