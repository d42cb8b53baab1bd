"""Turns a valid sample of dual mode into a conversation of labelled parts.

Labels of what the model learns: ``tag``, ``thought`` and ``world``. What others say is labelled
``prose``. The thought is learned text inside the assistant's content, never the chat template's
own reasoning: templates drop that from earlier turns or hide it, and a reply of this mode looks
the same under every template.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ftcore.values import Conversation, Json, Message, Part, Target, with_system

TAGS = ("thought", "world")
MARKERS = ("<thought>", "</thought>", "<world>", "</world>")
"""The structural markers that this mode owns."""


def format_sample(sample: Json, target: Target) -> Conversation:
    """The conversation of a valid sample.

    In the dual shape every reply that carries a thought is trained, earlier ones too: each is a
    whole answer to what stands before it. An earlier reply without a thought is only context:
    trained, it would teach the model to leave the thought out. In the inverted shape the thought
    is the user's message, and the world alone is trained.
    """
    if is_inverted(sample):
        asked = Message("user", (Part("thought", sample["thought"]),))
        said = Message("assistant", _world(sample["world"]), trained=True)
        return Conversation((asked, said))
    messages: list[Message] = []
    for turn in (*cast(Sequence[Json], sample.get("history", ())), sample):
        messages += [Message("user", (Part("prose", turn["user"]),)), _reply(turn)]
    system = sample.get("system")
    if system is None:
        return Conversation(tuple(messages))
    return Conversation(with_system(messages, system, target))


def is_inverted(sample: Json) -> bool:
    """Whether a sample has the inverted shape: the thought is the prompt, the world the answer."""
    return sample.get("shape") == "inverted"


def _reply(turn: Json) -> Message:
    if "thought" not in turn:
        return Message("assistant", _world(turn["world"]))
    thought = (Part("tag", "<thought>"), Part("thought", turn["thought"]))
    return Message(
        "assistant", (*thought, Part("tag", "</thought>\n"), *_world(turn["world"])), trained=True
    )


def _world(text: str) -> tuple[Part, ...]:
    return Part("tag", "<world>"), Part("world", text), Part("tag", "</world>")
