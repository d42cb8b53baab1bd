"""Turns a valid sample of agent mode into a conversation of labelled parts.

Labels of what the model learns: ``reasoning``, ``prose``, ``tool_name`` and ``arguments`` (the
last two inside a :class:`~ftcore.values.ToolCall`, which the chat template writes). What others
say is labelled ``prose`` too, a tool's answer ``result``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import attrs

from ftcore.values import (
    SYSTEM,
    Conversation,
    Json,
    Message,
    Part,
    Role,
    Target,
    ToolCall,
    with_system,
)
from ftcore_agent.calls import read_arguments

MARKERS = ("<tool_call>", "</tool_call>", "<think>", "</think>")
"""Structure of generated calls and reasoning, in the words of the most common templates."""


def format_sample(sample: Json, target: Target) -> Conversation:
    """The conversation of a valid sample; every assistant message is trained.

    Where the chat template has no place for it, reasoning stands at the head of the assistant's
    content as ``<think>…</think>``, and the system's text at the head of the first user message.
    Tool definitions and calls are left to the template: the core arranges for one that has them.
    """
    messages: list[Message] = []
    pending: list[ToolCall] = []
    for data in cast(Sequence[Json], sample["messages"]):
        message = _message(data, target)
        if message.role == "assistant":
            pending = list(message.tool_calls)
        elif message.role == "tool":
            message = _name_result(message, pending)
        messages.append(message)
    if not target.system:
        system = "".join(message.text for message in messages if message.role == "system")
        messages = [message for message in messages if message.role != "system"]
        messages = list(with_system(messages, system, target)) if system else messages
    return Conversation(tuple(messages), tuple(cast(Sequence[Json], sample.get("tools", ()))))


def _message(data: Json, target: Target) -> Message:
    role = cast(Role, data["role"])
    label = {"tool": "result", "system": SYSTEM}.get(role, "prose")
    content = (Part(label, data["content"]),) if data.get("content") else ()
    thought = str(data.get("reasoning", ""))
    reasoning = (Part("reasoning", thought),) if thought.strip() else ()
    if reasoning and not target.reasoning:
        content = (Part("reasoning", f"<think>\n{thought}\n</think>\n\n"), *content)
        reasoning = ()
    return Message(
        role=role,
        content=content,
        reasoning=reasoning,
        tool_calls=tuple(_call(call) for call in data.get("tool_calls", ())),
        tool_call_id=data.get("tool_call_id"),
        name=data.get("name"),
        trained=role == "assistant",
    )


def _call(data: Json) -> ToolCall:
    function: dict[str, Any] = data["function"]
    return ToolCall(
        name=function["name"],
        arguments=read_arguments(function["arguments"]),
        id=data.get("id"),
    )


def _name_result(message: Message, pending: list[ToolCall]) -> Message:
    """A result with the name and id of its call, which some chat templates write."""
    for call in pending:
        if message.tool_call_id in (None, call.id):
            return attrs.evolve(message, name=message.name or call.name, tool_call_id=call.id)
    return message
