"""Masks e-mail addresses in what any mode makes of a sample, before a model sees it."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import attrs
from ftcore import hookimpl
from ftcore.values import Conversation, Message, Part

FTCORE_API = 1
"""The version of ftcore's hooks that this extension is written for."""

MASK = "[e-mail address]"

# An apostrophe is a part of an address only inside it (o'neill@…), and a full stop or a hyphen
# after it belongs to the sentence. 64 characters before the @ are all that mail allows; without
# a limit, a long text in Base64 would take time by the square of its length.
ADDRESS = re.compile(
    r"""
    \w (?: [\w.+%-] | '(?=\w) ){0,63}           # whose
    @
    (?: \w [\w-]{0,62} \. )+                    # where
    (?: xn--[a-z0-9]+ | [^\W\d_]{2,63} )        # top-level domain
    """,
    re.VERBOSE | re.IGNORECASE,
)


@hookimpl(wrapper=True)
def ftcore_format_sample() -> Generator[None, Conversation, Conversation]:
    """The mode's conversation, whichever mode it is, without addresses."""
    conversation = yield
    return masked(conversation)


def masked(conversation: Conversation) -> Conversation:
    """The conversation with every address masked: in prompts and answers, calls and tools."""
    return attrs.evolve(
        conversation,
        messages=tuple(_message(message) for message in conversation.messages),
        tools=tuple(_value(tool) for tool in conversation.tools),
    )


def _message(message: Message) -> Message:
    return attrs.evolve(
        message,
        content=_parts(message.content),
        reasoning=_parts(message.reasoning),
        tool_calls=tuple(
            attrs.evolve(call, arguments=_value(call.arguments)) for call in message.tool_calls
        ),
    )


def _parts(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    return tuple(attrs.evolve(part, text=_text(part.text)) for part in parts)


def _value(value: Any) -> Any:
    """A JSON value with its texts masked; keys stay as they are, and in their order."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {key: _value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_value(inner) for inner in value]
    return value


def _text(text: str) -> str:
    return ADDRESS.sub(MASK, text)
