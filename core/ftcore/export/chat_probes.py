"""Chats for finding out what a chat template writes: words that none holds, and hard cases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ftcore.jinja import Chat

# Words that no template changes or holds.
SYSTEM, ASKED, SAID, ASKED_AGAIN = "zqsystemqz", "zqfirstqz", "zqanswerqz", "zqsecondqz"
THOUGHT, RESULT, RESULT_2 = "zqthoughtqz", 'zq"resultqz', 'zq"laterqz'


def user(text: str) -> dict[str, Any]:
    """A question."""
    return {"role": "user", "content": text}


def assistant(text: str, *calls: dict[str, Any], thought: str = "") -> dict[str, Any]:
    """An answer."""
    return {
        "role": "assistant",
        "content": text,
        **({"reasoning_content": thought} if thought else {}),
        **({"tool_calls": list(calls)} if calls else {}),
    }


def tool_call(name: str, call_id: str, **arguments: Any) -> dict[str, Any]:
    """A call of a tool."""
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "id": call_id, "function": function}


def tool_result(call: dict[str, Any], text: str) -> dict[str, Any]:
    """What a tool gave."""
    name = call["function"]["name"]
    return {"role": "tool", "content": text, "tool_call_id": call["id"], "name": name}


def tool(name: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """The definition of a tool; its first parameter is required."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)[:1]}
    function = {"name": name, "description": f"zq{name}qz", "parameters": parameters}
    return {"type": "function", "function": function}


SYSTEM_MESSAGE = {"role": "system", "content": SYSTEM}
CALL = tool_call("zqnameqz", "zqcall001", alpha="zqvalueqz")
CALL_2 = tool_call("zqothernameqz", "zqcall002", beta="zqothervalueqz")
TOOLS = [
    tool("zqnameqz", alpha={"type": "string", "description": "b", "enum": ["c", "d"]}),
    tool("zqothernameqz", beta={"type": "integer"}, gamma={"type": "string"}),
]


def probe_chats(*, with_tools: bool) -> Iterator[tuple[Chat, Chat | None]]:
    """Chats that end where the assistant is to speak, with their tools.

    Keys stand in the order in which Ollama hands them to a template.
    """
    rules = {"role": "system", "content": "Answer briefly.\nIn English; “plainly”."}
    asked, more = user('What is 2 < 3 & 3 > 2?\n\nSay "why", and don\'t guess.'), user("And é?")
    last = user("Sure?")
    said = assistant("It is *true*.\n- 2 < 3")
    thought = assistant("Yes.", thought="Is it?\n\nIt is.")
    chats: list[Chat] = [
        [asked],
        [asked, said, more],
        [asked, thought, more, said, last],
        [asked, thought, more, thought, last],
    ]
    listed: list[tuple[Chat, Chat | None]] = [(chat, None) for chat in chats]
    if with_tools:
        look = tool_call("look_up", "abcdef001", place='Bergen <Norway> & "west"\n', times=[1, 2])
        count = tool_call("count", "abcdef002", deep={"a": {"b": None, "c": [True, "x"]}}, n=1.5)
        bare = tool_call("now", "abcdef003")
        tools = [
            tool(
                "look_up",
                place={"type": "string", "description": 'Where? "<city>" & such\n', "enum": ["a"]},
                times={"type": "array", "description": "When", "items": {"type": "integer"}},
            ),
            tool("count", n={"type": "number"}),
            tool("now"),
        ]
        del tools[2]["function"]["parameters"]["required"]
        looked = tool_result(look, '{"rain": "3 < 4 mm", "wind": null}')
        counted, told = tool_result(count, "Twelve.\nOr so."), tool_result(bare, "12:00")
        calls = assistant("", look)
        chats += [
            [asked, calls, looked],
            [asked, calls, looked, said, more],
            [asked, assistant("", look, count), looked, counted],
            [asked, assistant("", look, count, bare), looked, counted, told, said, more],
            [asked, assistant("", bare), told, assistant("", count), counted],
            [asked, assistant("I look.", look), looked],
            [asked, assistant("", look, thought="Where?"), looked],
            [asked, assistant("I look.", look, thought="Where?"), looked, thought, more],
        ]
        listed += [(chat, tools) for chat in chats]
    for chat, given in listed:
        yield chat, given
        yield [rules, *chat], given
