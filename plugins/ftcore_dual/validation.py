"""Finds what a JSON Schema cannot say about a sample of dual mode, in the order it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from ftcore.markers import Tag, blank, structural_tags
from ftcore.schemata import pointer, shown
from ftcore.values import Json, Problem
from ftcore_dual.answers import gives_answer, plain
from ftcore_dual.formatting import TAGS
from ftcore_dual.replies import read_reply

_BLANK_HINTS = {
    "user": "write what is said to the model",
    "thought": "write what the model thinks to itself, or leave it out of an earlier reply",
    "world": "write what the model says or does outwardly",
}


def validate(sample: Json) -> list[Problem]:
    """Every problem of a sample that satisfies the mode's schema. Never raises on one."""
    return list(_problems(sample))


def _problems(sample: Json) -> Iterator[Problem]:
    # A system text may show the tags as they are: to describe the form is what it is for.
    if "system" in sample and blank(sample["system"]):
        yield Problem("the system text is empty", "/system", 'leave "system" out')
    for index, turn in enumerate(cast(Sequence[Json], sample.get("history", ()))):
        yield from _check_turn(turn, ["history", index])
    yield from _check_turn(sample, [])
    if "answer" in sample:
        yield from _check_answer(sample["world"], sample["answer"])


def _check_turn(turn: Json, at: list[str | int]) -> Iterator[Problem]:
    for key in ("user", "thought", "world"):
        if key in turn and blank(turn[key]):
            earlier = (
                ' (an earlier reply may leave "thought" out)' if at and key == "thought" else ""
            )
            yield Problem(f"the {key} is empty", pointer([*at, key]), _BLANK_HINTS[key] + earlier)
        elif key in turn:
            yield from _check_tags(turn[key], key, pointer([*at, key]))
    thought, world = turn.get("thought", ""), turn["world"]
    if not blank(thought) and _same(thought, world):
        yield Problem(
            "the world says the same as the thought",
            pointer([*at, "world"]),
            "write in the thought what is not said, or leave the sample out",
        )


def _same(thought: str, world: str) -> bool:
    one, other = (" ".join(text.split()).casefold() for text in (thought, world))
    return one == other


def _check_tags(text: str, key: str, at: str) -> Iterator[Problem]:
    tags = structural_tags(text, TAGS)
    if tags:
        message, hint = _misplaced(text, key, tags)
        mention = f"to write about a tag, put it in backticks: `{tags[0].written}`"
        yield Problem(message, at, f"{hint}; {mention}")


def _misplaced(text: str, key: str, tags: Sequence[Tag]) -> tuple[str, str]:
    lone = _unbalanced(tags)
    if lone is not None and lone.closing:
        return f"{lone.written} closes a tag that was not opened", f"remove {lone.written}"
    if lone is not None:
        return f"{lone.written} is opened and not closed", f"remove {lone.written}"
    if read_reply(text, world_only=False).well_formed:
        return (
            f"the {key} holds a whole reply with its tags",
            'write its two texts as "thought" and "world", without the tags',
        )
    name = tags[0].name
    if key == "world" and (fault := _fault_of_reply(text, tags)):
        return fault
    around = blank(text[: tags[0].start]) and blank(text[tags[-1].end :]) and len(tags) == 2
    if around and name == key:
        return (
            f"the {key} carries its own <{name}> tags, which the mode writes",
            f"keep the text between <{name}> and </{name}>",
        )
    if around:
        return (
            f"the {key} stands in <{name}> tags, which belong to another text",
            f'remove the tags, or move the text to "{name}"',
        )
    return (
        f"<{name}> tags stand inside the {key}",
        "remove them: a reply has one thought and one world, and neither holds the other",
    )


def _fault_of_reply(text: str, tags: Sequence[Tag]) -> tuple[str, str] | None:
    """What keeps a text that begins as a whole reply from being one."""
    if tags[0].written != "<thought>" or not blank(text[: tags[0].start]) or len(tags) < 2:
        return None
    written = [tag.written for tag in tags]
    if written == ["<thought>", "</thought>"] and not blank(text[tags[1].end :]):
        return (
            "what follows </thought> does not stand in <world> tags",
            "put it between <world> and </world>",
        )
    if written != ["<thought>", "</thought>", "<world>", "</world>"]:
        return None
    for stretch, where in (
        (text[tags[1].end : tags[2].start], "between </thought> and <world>"),
        (text[tags[3].end :], "after </world>"),
    ):
        if not blank(stretch):
            words = shown(stretch.strip())
            return f"words stand {where}: {words}", "move them into the thought or the world"
    return None


def _unbalanced(tags: Sequence[Tag]) -> Tag | None:
    """The first tag that closes what is not open, else one that is left open."""
    opened: list[Tag] = []
    for tag in tags:
        if not tag.closing:
            opened.append(tag)
        elif opened and opened[-1].name == tag.name:
            opened.pop()
        else:
            return tag
    return opened[0] if opened else None


def _check_answer(world: str, answer: str) -> Iterator[Problem]:
    if not plain(answer):
        yield Problem(
            f"the answer {shown(answer)} holds nothing that could be compared",
            "/answer",
            'write the answer in words or digits, or leave "answer" out',
        )
    elif not gives_answer(world, answer):
        yield Problem(
            f"the world does not end with the answer {shown(answer)}",
            "/answer",
            "let the world end with the answer (a number: let it be the last one), or correct "
            'the answer, or leave "answer" out',
        )
