"""Turns a valid sample of emulation mode into a conversation of labelled parts.

What the model learns is labelled ``reply``; what the user says, what describes the persona, and
what the persona says before the user has spoken are labelled ``prose``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import cast

from ftcore.values import Conversation, Json, Message, Part, Role, Target, with_system

MARKERS = ("<user>", "</user>", "<assistant>", "</assistant>")
"""Structure that older collections of this mode wrote as text. Roles belong to the template."""


def format_sample(sample: Json, target: Target) -> Conversation:
    """The conversation of a valid sample; every reply to a user is trained.

    Consecutive messages of a speaker become one, joined by a line break. What the persona says
    before the user has spoken is context only: a chat is served from the user's message on.
    Where the chat template has no place for a system text, it stands at the head of the first
    user message.
    """
    system = str(sample.get("system") or sample.get("persona") or "")
    messages: list[Message] = []
    asked = False
    for role, text in _turns(cast(Sequence[Json], sample["messages"])):
        if role == "system":
            system = text
            continue
        asked = asked or role == "user"
        said = role == "assistant" and asked
        messages.append(Message(role, (Part("reply" if said else "prose", text),), trained=said))
    return Conversation(with_system(messages, system, target) if system else tuple(messages))


def _turns(messages: Sequence[Json]) -> Iterator[tuple[Role, str]]:
    """Speakers with all that each says before another does."""
    for role, run in groupby(messages, key=lambda message: str(message["role"])):
        yield cast(Role, role), "\n".join(str(message["content"]) for message in run)
