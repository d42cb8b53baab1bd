"""Makes a sample of dual mode of a chat: the last reply's thought and world, and what led to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ftcore.markers import structural_tags
from ftcore.values import Json
from ftcore_dual.formatting import TAGS
from ftcore_dual.replies import read_reply

_UNREAD = "?"
"""Stands for the thought of a reply whose tags are broken: the schema asks for one, and only after
it the validator sees the tags and says what is wrong with them. No such sample is valid."""


def import_chat(chat: Json) -> dict[str, Any]:
    """The sample that a chat in OpenAI's form stands for. Never raises.

    A reply's thought is its reasoning and its world what it says; a reply may also hold both as
    ``<thought>…</thought><world>…</world>``, in any case of the letters. What this mode has no
    place for (calls of tools, a second system text, a reply that answers nobody) is kept under
    its own name, or leaves a key out: then the schema refuses the sample and says so.
    """
    sample: dict[str, Any] = {}
    messages = list(cast(Sequence[Json], chat["messages"]))
    if messages and messages[0]["role"] == "system":
        sample["system"] = messages.pop(0)["content"]
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "assistant":
            turn = turns.pop() if turns and "world" not in turns[-1] else {}
            turns.append(turn | _reply(message))
        elif message["role"] == "user":
            if turns and turns[-1].keys() == {"user"}:
                turns[-1]["user"] += f"\n{message['content']}"
            else:
                turns.append({"user": message["content"]})
        else:
            turns.append({message["role"]: message["content"]})
    if turns[:-1]:
        sample["history"] = turns[:-1]
    sample |= turns[-1] if turns else {}
    if "thought" not in sample and structural_tags(sample.get("world", ""), TAGS):
        sample["thought"] = _UNREAD
    if chat.get("tools") and any("tool_calls" in message for message in messages):
        sample["tools"] = chat["tools"]
    return sample


def _reply(message: Json) -> dict[str, Any]:
    said = str(message["content"])
    lowered = _lowered(said)
    # Where the tags are not whole, the text stays as it is, and the validator says why.
    whole = read_reply(lowered, world_only=False)
    world = read_reply(lowered, world_only=True)
    calls = {"tool_calls": message["tool_calls"]} if "tool_calls" in message else {}
    if "reasoning" in message:
        return {
            "thought": message["reasoning"],
            "world": world.world if world.well_formed else said,
        } | calls
    if whole.well_formed:
        return {"thought": whole.thought, "world": whole.world} | calls
    return {"world": said} | calls


def _lowered(said: str) -> str:
    """The text of a reply with its tags as the mode writes them."""
    for tag in structural_tags(said, TAGS):
        written = said[tag.start : tag.end]
        if written.lower() == tag.written:
            said = f"{said[: tag.start]}{tag.written}{said[tag.end :]}"
    return said
