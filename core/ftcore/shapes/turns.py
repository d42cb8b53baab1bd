"""Reads one turn of a chat, in whichever words it is written, as OpenAI's messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
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
from ftcore.shapes.keys import (
    CALL_KEYS,
    CONTENT_KEYS,
    READ_KEYS,
    READABLE,
    REASONING_KEYS,
    ROLE_KEYS,
    check_turn,
    is_empty,
    misspelt,
    one_key,
    pointer_to,
    two_values,
)
from ftcore.shapes.parts import Content, Piece, read_content, read_results
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

_NEVER_EMPTY = ("tool_calls", "tool_call_id", "name")

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
    return isinstance(role, str) and ROLES.get(role) != role and role_of(role) is not None


def _is_foreign_content(turn: Json) -> bool:
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(content, str):
        return isinstance(content, list | dict) or (content is None and role == "tool")
    if role == "assistant":
        return _starts_with_thinking(content) or has_raw_calls(content)
    return role != "system" and has_raw_results(content)


def is_empty_system(message: object) -> bool:
    """Whether a message is the system's and says nothing, as exports write it without a text."""
    if not isinstance(message, dict):
        return False
    given = {key: v for key, v in cast("Json", message).items() if not is_empty(v)}
    return given == {"role": "system"}


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
    content_key = one_key(given, CONTENT_KEYS, at)
    content: object = given[content_key] if content_key else ""
    content_at = pointer_to(at, content_key) if content_key else at
    is_result = role == "user" and isinstance(content, str) and has_raw_results(content)
    readable = READABLE.get("tool" if is_result else role, ())
    check_turn(
        given,
        at,
        f"the {'assistant' if role == 'call' else role}",
        {*ROLE_KEYS, *CONTENT_KEYS, *readable, *keep},
        ignored,
        learned=role in ("assistant", "call"),
    )
    made = Turn(
        {"role": "assistant" if role == "call" else role, "content": ""},
        {"": at, "/role": pointer_to(at, role_key), "/content": content_at},
        only_calls=role == "call",
    )
    made.data |= {key: given[key] for key in keep if key in given}
    if role == "call":
        _read_calls(made, given, content, at)
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
    says = made.data["content"] or made.calls or "reasoning" in made.data
    return [*results, made] if says or not results else results


def role_of(name: str) -> str | None:
    """What :data:`ROLES` says of a speaker, in whichever case the name is written."""
    return ROLES.get(name.strip().lower().replace("-", "_"))


def _is_call(call: object) -> bool:
    function: object = cast("Json", call).get("function") if isinstance(call, dict) else None
    return isinstance(function, dict)


def _read_role(turn: Json, at: str) -> tuple[str, str]:
    """The role that a turn tells, and the key under which it does."""
    found: dict[str, str] = {}
    for key in ROLE_KEYS:
        if is_empty(turn.get(key)):
            continue
        name: object = turn[key]
        role = role_of(name) if isinstance(name, str) else None
        if role is None:
            close = difflib.get_close_matches(str(name), ROLES, n=1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            raise ShapeError(
                f"there is no role {shown(name)}",
                pointer_to(at, key),
                f"{meant}known: {', '.join(ROLES)}",
            )
        found[role] = key
    if not found:
        raise ShapeError(
            "this turn does not say who speaks",
            at,
            f'add "role" (or "from"), one of: {", ".join(ROLES)}',
        )
    if len(found) > 1:
        one, other = found.values()
        raise two_values(one, turn[one], other, turn[other], at)
    return next(iter(found.items()))


def _read_calls(made: Turn, turn: Json, content: object, at: str) -> None:
    """Reads a turn that is nothing but calls, and what the assistant thought before them."""
    _add_reasoning(made, turn, [], at)
    if isinstance(content, str):
        content = _split_thinking(made, content)
    if not is_empty(content) or all(is_empty(turn.get(key)) for key in CALL_KEYS):
        made.calls += read_calls(content, made.places["/content"])
    _add_calls(made, turn, at)


def _read_reply(made: Turn, turn: Json, said: Content, at: str) -> None:
    """Adds to an assistant's message what it thinks and what it calls."""
    _add_reasoning(made, turn, said.reasoning, at)
    words = _split_thinking(made, made.data["content"])
    made.data["content"], raw = split_raw_calls(words, made.places["/content"])
    made.calls += [*said.calls, *raw]
    _add_calls(made, turn, at)


def _add_reasoning(made: Turn, turn: Json, before: Sequence[Piece], at: str) -> None:
    """Adds what a turn's own keys hold of reasoning to that of its content."""
    thoughts = list(before)
    for key in REASONING_KEYS:
        if is_empty(turn.get(key)):
            continue
        place = pointer_to(at, key)
        read = read_content(turn[key], place)
        if read.calls or read.results:
            raise ShapeError("reasoning holds no calls or results", place, "move them out of it")
        thoughts += [*read.reasoning, *read.text]
    text = "\n\n".join(dict.fromkeys(piece.text for piece in thoughts))
    if text.strip():
        made.data["reasoning"] = text
        made.places["/reasoning"] = thoughts[0].at


def _add_calls(made: Turn, turn: Json, at: str) -> None:
    for key in CALL_KEYS:
        if not is_empty(turn.get(key)):
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
