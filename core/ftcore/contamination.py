"""Refuses samples of one mode that hold the structure of another, before both are learned."""

from __future__ import annotations

from collections.abc import Mapping

from ftcore.markers import structural_tags
from ftcore.mode import Mode
from ftcore.values import Problem, Sample
from ftcore.whereabouts import texts_of


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
        for at, text in texts_of(sample)
        if (tag := next(iter(structural_tags(text, tuple(foreign))), None))
    )


def _tag_name(marker: str) -> str:
    return marker.strip("</>").lower()
