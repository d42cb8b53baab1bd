"""Makes a sample of emulation mode of a chat: the assistant is the persona."""

from __future__ import annotations

from typing import Any

from ftcore.values import Json


def import_chat(chat: Json) -> dict[str, Any]:
    """The sample that a chat in OpenAI's form stands for. Never raises.

    Tools that nobody calls are left out: this mode speaks of none. Calls, results and reasoning
    are kept, and the schema refuses them: a persona's chat without them would be another chat.
    """
    called = any(
        message["role"] == "tool" or "tool_calls" in message for message in chat["messages"]
    )
    return {key: value for key, value in chat.items() if key != "tools" or called}
