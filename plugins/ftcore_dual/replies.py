"""Reads a generated reply: its thought, its world, and whether it keeps to the form."""

from __future__ import annotations

import re

from attrs import frozen

from ftcore.markers import blank, structural_tags, unquoted_tags
from ftcore_dual.formatting import TAGS


@frozen
class Reply:
    """What a model said, taken apart."""

    thought: str | None
    world: str | None
    well_formed: bool
    """Nothing but the parts that the shape asks for, each once, in order, neither of them empty."""
    outward: str
    """The world; where the reply has none, all that stands outside of the thought."""


def read_reply(text: str, *, world_only: bool) -> Reply:
    """Takes a reply apart. Never raises.

    :param text: what the model said, without its end-of-turn token.
    :param world_only: a reply of the inverted shape is one world and nothing else.

    A reply that does not keep to the form is read with lenience: its thought begins at the first
    ``<thought>`` and ends before ``</thought>``, ``<world>`` or the end; its world begins at the
    first ``<world>`` and ends before ``</world>`` or the end.
    """
    said = text.strip()
    return (_world_alone(said) if world_only else _thought_and_world(said)) or _lenient(said)


def _thought_and_world(said: str) -> Reply | None:
    start, end = len("<thought>"), len(said) - len("</world>")
    if not said.startswith("<thought>") or not said.endswith("</world>"):
        return None
    # A text may mention the tags, so the first place that could be the border need not be it.
    for border in _BORDER.finditer(said, start, max(start, end)):
        thought, world = said[start : border.start()], said[border.end() : end]
        if _sound(thought) and _sound(world):
            return Reply(thought, world, well_formed=True, outward=world)
    return None


def _world_alone(said: str) -> Reply | None:
    world = said.removeprefix("<world>").removesuffix("</world>")
    if said != f"<world>{world}</world>" or not _sound(world):
        return None
    return Reply(None, world, well_formed=True, outward=world)


def _sound(text: str) -> bool:
    return not blank(text) and not structural_tags(text, TAGS)


def _lenient(said: str) -> Reply:
    thought = _stretch(said, "<thought>", ("</thought>", "<world>"))
    world = _stretch(said, "<world>", ("</world>",))
    beside = said[: thought.start] + said[thought.stop :] if thought else said
    return Reply(
        thought=said[thought] if thought else None,
        world=said[world] if world else None,
        well_formed=False,
        outward=said[world] if world else beside,
    )


def _stretch(said: str, opening: str, ends: tuple[str, ...]) -> slice | None:
    """From the first ``opening`` to the first of ``ends`` after it, or to the end."""
    start: int | None = None
    for tag in unquoted_tags(said, TAGS):
        if start is None and tag.written == opening:
            start = tag.end
        elif start is not None and tag.written in ends:
            return slice(start, tag.start)
    return None if start is None else slice(start, len(said))


_BORDER = re.compile(r"</thought>\s*<world>")
