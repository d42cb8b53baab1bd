"""Fits a conversation that is too long into several by leaving out whole old turns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import TypeVar

import attrs

from ftcore.values import SYSTEM, Conversation, Message

T = TypeVar("T")


def windows(
    conversation: Conversation, render: Callable[[Conversation], T | None]
) -> tuple[tuple[T, ...], int]:
    """What ``render`` makes of parts of a conversation that fit, and how many messages are lost.

    Every trained message is trained once, after as much of what stands before it as fits: the
    oldest turns go first, a turn begins with the user's message and goes whole, and the system
    text and the tools stay. A message that does not fit after its own turn's beginning is lost.

    :param render: gives None for a conversation that is too long.
    """
    messages = conversation.messages
    head = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    starts = [i for i, m in enumerate(messages) if i >= head and m.role == "user"] or [head]
    trained = [index for index, message in enumerate(messages) if message.trained]
    found: list[T] = []
    lost = done = 0
    while done < len(trained):
        made, count = _longest(conversation, starts, trained[done:], head, render)
        if made is None:
            lost += 1
            done += 1
        else:
            found.append(made)
            done += count
    return tuple(found), lost


def _longest(
    conversation: Conversation,
    starts: list[int],
    trained: list[int],
    head: int,
    render: Callable[[Conversation], T | None],
) -> tuple[T | None, int]:
    """The window that begins earliest and holds the first of ``trained``, with all that fit."""
    first = trained[0]

    def made(start: int, last: int) -> T | None:
        return render(_window(conversation, head, start, last, first))

    # the later a window begins and the earlier it ends, the shorter it is
    before = [start for start in starts if start < first]
    at = bisect_left(before, True, key=lambda start: made(start, first) is not None)
    if at == len(before):
        return None, 0
    count = bisect_left(trained, True, lo=1, key=lambda last: made(before[at], last) is None)
    return made(before[at], trained[count - 1]), count


def _window(
    conversation: Conversation, head: int, start: int, last: int, first_trained: int
) -> Conversation:
    """System text, then the messages from ``start`` to ``last``; what stands before
    ``first_trained`` is trained in another window.
    """
    messages = conversation.messages
    between = tuple(
        _untrained(message) if index < first_trained else message
        for index, message in enumerate(messages[start : last + 1], start)
    )
    # where the template has no system role, its text stands in the first of the user's messages
    asked = next((i for i, message in enumerate(messages) if message.role == "user"), start)
    rules = tuple(part for part in messages[asked].content if part.label == SYSTEM)
    if rules and start > asked:
        between = (attrs.evolve(between[0], content=(*rules, *between[0].content)), *between[1:])
    return attrs.evolve(conversation, messages=(*messages[:head], *between))


def _untrained(message: Message) -> Message:
    return attrs.evolve(message, trained=False) if message.trained else message
