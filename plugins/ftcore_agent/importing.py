"""Makes a sample of agent mode of a chat: gives each result the id of the call that it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, cast

from ftcore.values import Json

_RESULT_KEYS = ("content", "result", "results", "response", "output")


def import_chat(chat: Json) -> dict[str, Any]:
    """The sample that a chat in OpenAI's form stands for. Never raises.

    Collections often leave ids out. They are given where a result needs one to be told from
    another, or has one that its call lacks: results answer the calls of the turn before them by
    id, else by name, else in order. One result that lists the answers to all calls of a turn
    (``[{"name": …, "content": …}, …]``) is taken apart.
    """
    messages = list(cast(Sequence[Json], chat["messages"]))
    used = {str(call["id"]) for m in messages for call in m.get("tool_calls", ()) if "id" in call}
    fresh = (name for n in count(1) if (name := f"call_{n}") not in used)
    paired: list[Json] = []
    index = 0
    while index < len(messages):
        end = index + 1
        while end < len(messages) and messages[end]["role"] == "tool":
            end += 1
        paired += _pair(messages[index], messages[index + 1 : end], fresh)
        index = end
    return {**chat, "messages": paired}


def _pair(turn: Json, results: Sequence[Json], fresh: Iterator[str]) -> list[Json]:
    """A turn and the results after it, with the ids that they need."""
    calls = list(cast(Sequence[Json], turn.get("tool_calls", ())))
    if len(calls) > 1 and len(results) == 1:
        results = _taken_apart(results[0], calls)
    answered = list(results)
    for number, position in sorted(_answers(calls, results).items()):
        identifier = calls[number].get("id") or results[position].get("tool_call_id")
        if identifier is None and len(calls) > 1:
            identifier = next(fresh)
        if identifier is not None:
            calls[number] = _with(calls[number], "id", identifier)
            answered[position] = _with(results[position], "tool_call_id", identifier)
    if len(calls) > 1:
        calls = [call if "id" in call else _with(call, "id", next(fresh)) for call in calls]
    return [_with(turn, "tool_calls", calls) if calls else turn, *answered]


def _with(message: Json, key: str, value: object) -> Json:
    """The message with a key set; the same object where it is set already."""
    return message if message.get(key) == value else {**message, key: value}


def _answers(calls: Sequence[Json], results: Sequence[Json]) -> dict[int, int]:
    """Of each call that is answered, which result does it: by id, else by name, else in order."""
    answers: dict[int, int] = {}
    waiting = list(range(len(results)))
    rules: tuple[Callable[[Json, Json], bool], ...] = (_same_id, _same_name, _next_unnamed)
    for fits in rules:
        for position in list(waiting):
            open_calls = (n for n in range(len(calls)) if n not in answers)
            number = next((n for n in open_calls if fits(calls[n], results[position])), None)
            if number is not None:
                answers[number] = position
                waiting.remove(position)
    return answers


def _same_id(call: Json, result: Json) -> bool:
    return "id" in call and call["id"] == result.get("tool_call_id")


def _same_name(call: Json, result: Json) -> bool:
    return call["function"]["name"] == result.get("name") and _may_be(call, result)


def _next_unnamed(call: Json, result: Json) -> bool:
    return "name" not in result and _may_be(call, result)


def _may_be(call: Json, result: Json) -> bool:
    """Whether their ids do not say that the result is another call's."""
    return "id" not in call or "tool_call_id" not in result


def _taken_apart(result: Json, calls: Sequence[Json]) -> Sequence[Json]:
    """The answers to all calls of a turn, where one result lists them with the calls' names."""
    try:
        items: object = json.loads(result["content"])
    except (ValueError, RecursionError):
        return [result]
    if not isinstance(items, list) or len(cast(list[object], items)) != len(calls):
        return [result]
    found: list[Json] = []
    for item in cast(list[object], items):
        fields = cast(dict[str, Any], item) if isinstance(item, dict) else {}
        key = next((key for key in _RESULT_KEYS if key in fields), None)
        if key is None or not isinstance(fields.get("name"), str):
            return [result]
        said = fields[key]
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        answer: dict[str, Any] = {"role": "tool", "content": text, "name": fields["name"]}
        if isinstance(fields.get("tool_call_id"), str):
            answer["tool_call_id"] = fields["tool_call_id"]
        found.append(answer)
    names = sorted(call["function"]["name"] for call in calls)
    return found if sorted(answer["name"] for answer in found) == names else [result]
