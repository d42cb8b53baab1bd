"""Finds the system text that all samples have, if they have the same."""

from __future__ import annotations

from collections.abc import Iterable

from ftcore.values import SYSTEM, Conversation


def system_text(conversation: Conversation) -> str | None:
    """The system text of a conversation, wherever :func:`ftcore.values.with_system` put it."""
    for message in conversation.messages:
        if message.role == "system":
            return message.text
        headed = [part.text for part in message.content if part.label == SYSTEM]
        if headed:
            return "".join(headed).removesuffix("\n\n")
    return None


def common_system_text(conversations: Iterable[Conversation]) -> str | None:
    """The system text of each of the conversations; None where two differ or one has none.

    Looks at no more of them than it must.
    """
    remaining = iter(conversations)
    first = next(remaining, None)
    text = first and system_text(first)
    if text is None or any(system_text(other) != text for other in remaining):
        return None
    return text
