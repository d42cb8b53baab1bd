"""Refuses samples of one mode that hold the structure of another, before both are learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from ftcore.markers import structural_tags
from ftcore.mode import CORE_KEYS, Mode
from ftcore.schemata import pointer
from ftcore.values import Problem, Sample


def foreign_markers(modes: Mapping[str, Mode]) -> dict[str, dict[str, str]]:
    """For each mode, the names of the tags that belong to others only, and to which mode."""
    owned = {name: {_tag_name(m): name for m in mode.markers()} for name, mode in modes.items()}
    return {
        name: {
            tag: owner
            for other, tags in owned.items()
            if other != name
            for tag, owner in tags.items()
            if tag not in owned[name]
        }
        for name in modes
    }


def contamination(sample: Sample, foreign: Mapping[str, str]) -> tuple[Problem, ...]:
    """A problem for every text of a sample that holds a foreign tag as structure.

    :param foreign: names of tags and the modes that own them: one of :func:`foreign_markers`.
    """
    if not foreign:
        return ()
    return tuple(
        Problem(
            f"{tag.written} stands here as structure; it belongs to {foreign[tag.name]} mode",
            at,
            "remove the tag, or name that mode in cognitive_mode; to write about it, put it in "
            f"backticks: `{tag.written}`",
        )
        for at, text in _texts(sample)
        if (tag := next(iter(structural_tags(text, tuple(foreign))), None))
    )


def _tag_name(marker: str) -> str:
    return marker.strip("</>").lower()


def _texts(sample: Sample) -> Iterator[tuple[str, str]]:
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
