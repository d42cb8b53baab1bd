"""Messages as chat templates take them, and as clients of a server send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ftcore.values import Message


def template_message(message: Message) -> dict[str, Any]:
    """A message as chat templates take it, in the shape that transformers documents."""
    result: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.reasoning:
        result["reasoning_content"] = message.reasoning_text
    if message.tool_calls:
        result["tool_calls"] = [
            {
                "type": "function",
                **({"id": call.id} if call.id is not None else {}),
                "function": {"name": call.name, "arguments": dict(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        result["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        result["name"] = message.name
    return result


def as_openai(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as clients of a server send it: the arguments of calls are JSON text."""
    if not message.get("tool_calls"):
        return dict(message)
    calls = [
        {
            **call,
            "function": {
                **call["function"],
                "arguments": json.dumps(call["function"]["arguments"], ensure_ascii=False),
            },
        }
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}
