"""Reads one turn of a chat, in whichever words it is written, as OpenAI's messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any, cast

from attrs import define, field

from ftcore.schemata import shown
from ftcore.shapes.calls import (
    Call,
    has_raw_calls,
    has_raw_results,
    read_calls,
    split_raw_calls,
)
from ftcore.shapes.embedded import ShapeError
from ftcore.shapes.parts import Content, pointer_to, read_content, read_results
from ftcore.values import Json

ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",
    "tool_response": "tool",
    "tool_result": "tool",
    "function_response": "tool",
    "function_call": "call",
    "tool_call": "call",
    "tool_calls": "call",
}
"""What collections call a speaker. ``call``: a turn of the assistant that is nothing but calls."""

READ_KEYS = frozenset(
    {"role", "from", "content", "value", "reasoning", "reasoning_content", "thinking"}
    | {"tool_calls", "function_call", "tool_call_id", "name"}
)
"""The keys of a turn that have a meaning here."""

_REASONING_KEYS = ("reasoning", "reasoning_content", "thinking")
_NEVER_EMPTY = ("tool_calls", "tool_call_id", "name")
_UNTRAINED = {"weight": 0, "train": False, "training": False}
"""How collections mark a reply that is not to be learned."""

_THINK = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
# where the chat template opens the thinking in the prompt, collections hold only its end
_THINK_END = re.compile(r"(.*?)</think>[ \t]*(?:\r?\n\s*|$)", re.DOTALL)


@define
class Turn:
    """A message in the making, with the places of its pieces in the record."""

    data: dict[str, Any]
    places: dict[str, str]
    """From pointers below the message (``/content``)."""
    calls: list[Call] = field(factory=list[Call])
    only_calls: bool = False


def is_foreign(message: object, known: Collection[str]) -> bool:
    """Whether a message must be read to become OpenAI's plain form.

    :param known: the keys that a message of the mode may have. A key that looks like one of them
        misspelt makes no message foreign: the mode's schema has something to say about it.
    """
    if not isinstance(message, dict):
        return False
    turn = cast("Json", message)
    if _is_foreign_role(turn.get("role")) or _is_foreign_content(turn):
        return True
    for key, value in turn.items():
        if (value is None and key != "content") or (not value and key in _NEVER_EMPTY):
            return True
        if key not in known and (key in READ_KEYS or misspelt(key, known, turn) is None):
            return True
    calls: object = turn.get("tool_calls", ())
    if isinstance(calls, list):
        return not all(map(_is_call, cast("list[object]", calls)))
    return isinstance(calls, str)


def _is_foreign_role(role: object) -> bool:
    return isinstance(role, str) and ROLES.get(role) != role and _role_of(role) is not None


def _is_foreign_content(turn: Json) -> bool:
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(content, str):
        return isinstance(content, list | dict) or (content is None and role == "tool")
    if role == "assistant":
        return _starts_with_thinking(content) or has_raw_calls(content)
    if role == "system":
        return not content.strip()
    return has_raw_results(content)


def read_turn(turn: object, at: str, keep: Collection[str], ignored: set[str]) -> list[Turn]:
    """The messages that a turn stands for: one, or several where it holds results of tools.

    :param at: JSON pointer to the turn in the record.
    :param keep: further keys that the mode knows in a message; they are handed on.
    :param ignored: takes what nothing reads.
    :raises ShapeError: something in it has a meaning that would be lost.
    """
    if not isinstance(turn, dict):
        raise ShapeError(
            f"this turn is no object: {shown(turn)}", at, 'a turn is {"role": …, "content": …}'
        )
    given = {k: v for k, v in cast("Json", turn).items() if v is not None}
    role, role_key = _read_role(given, at)
    content_key = next((k for k in ("content", "value", "text") if k in given), "content")
    content: object = given.get(content_key, "")
    content_at = pointer_to(at, content_key) if content_key in given else at
    _check_keys(given, at, role, {role_key, content_key, *keep}, ignored)
    made = Turn(
        {"role": "assistant" if role == "call" else role, "content": ""},
        {"": at, "/role": pointer_to(at, role_key), "/content": content_at},
        only_calls=role == "call",
    )
    made.data |= {key: given[key] for key in keep if key in given}
    if role == "call":
        if isinstance(content, str):
            content = _split_thinking(made, content)
        made.calls += read_calls(content, content_at)
        return [made]
    if role == "tool":
        return _read_results(made, given, content, content_at)
    said = read_content(content, content_at)
    made.data["content"] = "".join(piece.text for piece in said.text)
    if len(said.text) == 1:
        made.places["/content"] = said.text[0].at
    if role == "assistant":
        _read_reply(made, given, said, at)
    elif said.calls or said.reasoning:
        raise ShapeError(
            f"a message of the {role} holds {'a call' if said.calls else 'reasoning'}",
            content_at,
            "move it into a message of the assistant",
        )
    elif role == "user" and has_raw_results(made.data["content"]):
        return _read_results(made, given, made.data["content"], made.places["/content"])
    results = [
        Turn(_result(piece.text, piece.call_id), {"": at, "/content": piece.at})
        for piece in said.results
    ]
    return [*results, made] if made.data["content"] or not results else results


def misspelt(key: str, known: Collection[str], present: Collection[str]) -> str | None:
    """The known key that ``key`` seems to be meant for; None where it is simply another key."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.85)
    return close[0] if close and close[0] not in present else None


def _role_of(name: str) -> str | None:
    return ROLES.get(name.strip().lower().replace("-", "_"))


def _is_call(call: object) -> bool:
    function: object = cast("Json", call).get("function") if isinstance(call, dict) else None
    return isinstance(function, dict)


def _read_role(turn: Json, at: str) -> tuple[str, str]:
    key = next((k for k in ("role", "from") if k in turn), None)
    if key is None:
        raise ShapeError(
            "this turn does not say who speaks",
            at,
            f'add "role" (or "from"), one of: {", ".join(ROLES)}',
        )
    name: object = turn[key]
    role = _role_of(name) if isinstance(name, str) else None
    if role is None:
        close = difflib.get_close_matches(str(name), ROLES, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        raise ShapeError(
            f"there is no role {shown(name)}",
            pointer_to(at, key),
            f"{meant}known: {', '.join(ROLES)}",
        )
    return role, key


def _check_keys(turn: Json, at: str, role: str, known: Collection[str], ignored: set[str]) -> None:
    for key, value in turn.items():
        if role in ("assistant", "call") and key in _UNTRAINED and value == _UNTRAINED[key]:
            raise ShapeError(
                f"this reply is marked as not to be learned ({key!r}: {shown(value)})",
                pointer_to(at, key),
                "every reply of a chat is learned: cut the chat before this reply, or remove the "
                "mark",
            )
        if key in known or (key in READ_KEYS and (key != "name" or role == "tool")):
            continue
        meant = None if key == "name" else misspelt(key, READ_KEYS, turn)
        if meant:
            hint = f"did you mean {meant!r}?"
            raise ShapeError(f"unknown key {key!r} of a turn", pointer_to(at, key), hint)
        ignored.add(f"{key} of a turn")


def _read_reply(made: Turn, turn: Json, said: Content, at: str) -> None:
    """Adds to an assistant's message what it thinks and what it calls."""
    thoughts = list(said.reasoning)
    for key in _REASONING_KEYS:
        if turn.get(key):
            thoughts += read_content(turn[key], pointer_to(at, key)).text
    text = "\n\n".join(dict.fromkeys(piece.text for piece in thoughts))
    if text.strip():
        made.data["reasoning"] = text
        made.places["/reasoning"] = thoughts[0].at
    words = _split_thinking(made, made.data["content"])
    made.data["content"], raw = split_raw_calls(words, made.places["/content"])
    made.calls += [*said.calls, *raw]
    for key in ("tool_calls", "function_call"):
        if turn.get(key):
            made.calls += read_calls(turn[key], pointer_to(at, key))


def _starts_with_thinking(text: str) -> bool:
    if "think>" not in text:
        return False
    return text.lstrip().startswith("<think>") or bool(
        "<think>" not in text and _THINK_END.match(text)
    )


def _split_thinking(made: Turn, text: str) -> str:
    """Moves the thinking at the head of a text into the message's reasoning."""
    if not _starts_with_thinking(text):
        return text
    at = made.places["/content"]
    found = _THINK.match(text) if "<think>" in text else _THINK_END.match(text)
    if not found:
        raise ShapeError("<think> is opened and not closed", at, "add </think> after the thinking")
    thought = found[1].strip()
    given = str(made.data.get("reasoning", "")).strip()
    if "<think>" not in text and (given or found.end() == len(text)):
        raise ShapeError(
            "</think> closes a thinking that was not opened", at, "remove it, or open the thinking"
        )
    if thought and given and thought != given:
        raise ShapeError(
            "this reply has two reasonings: one in <think> and one beside the text",
            at,
            "keep one of them",
        )
    if thought and not given:
        made.data["reasoning"] = thought
        made.places["/reasoning"] = at
    return text[found.end() :]


def _read_results(made: Turn, turn: Json, content: object, at: str) -> list[Turn]:
    """The results that a turn holds, each a message of its own."""
    found: list[Turn] = []
    for piece in read_results(content, at):
        data = _result(piece.text, piece.call_id or turn.get("tool_call_id"))
        if turn.get("name") and made.data["role"] == "tool":
            data["name"] = turn["name"]
        found.append(Turn(data, {**made.places, "/content": piece.at}))
    return found


def _result(text: str, call_id: str | None) -> dict[str, Any]:
    return {"role": "tool", "content": text} | ({"tool_call_id": call_id} if call_id else {})
