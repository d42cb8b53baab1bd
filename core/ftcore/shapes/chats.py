"""Makes one chat in OpenAI's plain form of the turns, the tools and the system text of a record."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, cast

from attrs import frozen

from ftcore.origins import Origins
from ftcore.schemata import shown
from ftcore.shapes.embedded import ShapeError
from ftcore.shapes.keys import is_empty
from ftcore.shapes.tools import REWRITTEN, read_tools
from ftcore.shapes.turns import Turn, is_empty_system, is_foreign, read_turn
from ftcore.values import Json

CUT = "turns after the last reply of the assistant were cut"
"""What is said of a record that ended before a reply was given."""

KEYS = ("role", "content", "reasoning", "tool_calls", "tool_call_id", "name")
"""The keys of a message in a chat."""


@frozen
class Chat:
    """A chat: what :func:`ftcore.hookspecs.ftcore_import_chat` takes."""

    data: dict[str, Any]
    origins: Origins
    ignored: tuple[str, ...]
    """Keys of turns that nothing reads."""
    notes: tuple[str, ...]
    """What was done to the record beyond writing it in other words."""


def is_plain(record: Json, known: Collection[str]) -> bool:
    """Whether a record's ``messages`` and ``tools`` are OpenAI's plain form already.

    :param known: the keys that a message of the mode may have.
    """
    messages, tools = record.get("messages"), record.get("tools", [])
    if not isinstance(messages, list) or not isinstance(tools, list):
        return not isinstance(messages, str) and isinstance(tools, list)
    if any(
        is_foreign(message, known)
        for message in cast("list[object]", messages)
        if not is_empty_system(message)
    ):
        return False
    try:
        return not tools or read_tools(cast("list[object]", tools), "").definitions == tools
    except ShapeError:
        return True  # the mode's schema says what is wrong with them


def read_chat(record: Json, keep: Collection[str]) -> Chat:
    """The chat of a record of ``messages``, and of ``tools`` and a ``system`` text if it has any.

    Calls in a turn of their own join the assistant's turn before them. What follows the
    assistant's last message is cut: nothing answers it.

    :param keep: further keys that the mode knows in a message.
    :raises ShapeError: something in it has a meaning that would be lost.
    """
    value: object = record["messages"]
    if not isinstance(value, list):
        raise ShapeError(
            f"the messages must be a list, this is {shown(value)}",
            "/messages",
            'write [{"role": "user", "content": …}, {"role": "assistant", "content": …}]',
        )
    ignored: set[str] = set()
    turns: list[Turn] = []
    system: object = record.get("system")
    if isinstance(system, str) and system.strip():
        at = {"": "/system", "/role": "/system", "/content": "/system"}
        turns.append(Turn({"role": "system", "content": system}, at))
    elif not is_empty(system):
        raise ShapeError(f"the system text is no text: {shown(system)}", "/system", "write a text")
    for index, item in enumerate(cast("list[object]", value)):
        turns += read_turn(item, f"/messages/{index}", keep, ignored)
    turns = _without_repeats([turn for turn in turns if not _is_empty(turn)])
    whole = _joined(turns)
    kept = _until_last_reply(whole)
    tools = read_tools(record.get("tools", record.get("functions")), _tools_key(record))
    notes = [CUT] if len(kept) < len(whole) else []
    notes += [REWRITTEN] if tools.rewritten else []
    data: dict[str, Any] = {"messages": [_message(turn) for turn in kept]}
    origins = [(f"/messages/{i}", origin) for i, t in enumerate(kept) for origin in _origins(t)]
    if tools.definitions:
        data["tools"] = tools.definitions
        origins.append(("/tools", tools.origins))
    places = {at + key: place for at, o in origins for key, place in o.places.items()}
    texts = {at + key: place for at, o in origins for key, place in o.texts.items()}
    return Chat(data, Origins(places, texts), tuple(sorted(ignored)), tuple(notes))


def _tools_key(record: Json) -> str:
    return "/tools" if "tools" in record else "/functions"


def _is_empty(turn: Turn) -> bool:
    """A system message without a text, as exports write it where there is none."""
    return turn.data["role"] == "system" and not str(turn.data["content"]).strip()


def _without_repeats(turns: list[Turn]) -> list[Turn]:
    """One system message where the record says the same in its own key and as a message."""
    heads = [turn.data for turn in turns[:2]]
    repeated = len(heads) == 2 and heads[0] == heads[1] and heads[0]["role"] == "system"
    return turns[1:] if repeated else turns


def _joined(turns: list[Turn]) -> list[Turn]:
    found: list[Turn] = []
    for turn in turns:
        before = found[-1] if found else None
        if (
            turn.only_calls
            and "reasoning" not in turn.data
            and before is not None
            and before.data["role"] == "assistant"
        ):
            before.calls += turn.calls
        else:
            found.append(turn)
    return found


def _until_last_reply(turns: list[Turn]) -> list[Turn]:
    """All turns up to the assistant's last; all of them where it has none."""
    last = max((i for i, turn in enumerate(turns) if turn.data["role"] == "assistant"), default=-1)
    return turns[: last + 1] if last >= 0 else turns


def _message(turn: Turn) -> dict[str, Any]:
    calls = {"tool_calls": [call.data for call in turn.calls]} if turn.calls else {}
    return turn.data | calls


def _origins(turn: Turn) -> Iterator[Origins]:
    yield Origins(turn.places)
    for index, call in enumerate(turn.calls):
        at = f"/tool_calls/{index}"
        places = {at + key: place for key, place in call.origins.places.items()}
        yield Origins(places, {at + key: place for key, place in call.origins.texts.items()})
