"""Finds what a JSON Schema cannot say about a sample of agent mode, in the order it is read."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from attrs import define, frozen

from ftcore.schemata import pointer, shown
from ftcore.values import Json, Problem
from ftcore_agent.calls import read_arguments
from ftcore_agent.tool_schemas import argument_faults, schema_faults


@frozen
class _Tools:
    """The tools of a sample by name; ``usable`` are those whose own schema is sound."""

    known: Mapping[str, Json]
    usable: frozenset[str]


@define
class _Turn:
    """The last assistant turn and which of its calls have been answered."""

    index: int
    calls: Sequence[Json]
    answered: set[int]

    def open_calls(self) -> list[int]:
        return [i for i in range(len(self.calls)) if i not in self.answered]


def validate(sample: Json) -> list[Problem]:
    """Every problem of a sample that satisfies the mode's schema. Never raises on one."""
    messages = cast(Sequence[Json], sample["messages"])
    tools, problems = _check_tools(cast(Sequence[Json], sample.get("tools", ())))
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            problems += _check_assistant(message, index, tools)
    problems += _check_order(messages)
    return problems


def _check_tools(tools: Sequence[Json]) -> tuple[_Tools, list[Problem]]:
    known: dict[str, Json] = {}
    usable: set[str] = set()
    problems: list[Problem] = []
    for index, tool in enumerate(tools):
        function = cast(Json, tool["function"])
        name = str(function["name"])
        at = ["tools", index, "function"]
        if name in known:
            problems.append(
                Problem(
                    f"a second tool is named {name!r}",
                    pointer([*at, "name"]),
                    "give each tool a name of its own",
                )
            )
            continue
        known[name] = function
        faults = schema_faults(function.get("parameters", {}))
        problems += [
            Problem(
                f"the parameters of tool {name!r} are no valid JSON Schema: {fault.message}",
                pointer([*at, "parameters", *fault.path]),
                fault.hint or "mend the schema; json-schema.org explains its keywords",
            )
            for fault in faults
        ]
        if not faults:
            usable.add(name)
    return _Tools(known, frozenset(usable)), problems


def _check_assistant(message: Json, index: int, tools: _Tools) -> Iterator[Problem]:
    calls = cast(Sequence[Json], message.get("tool_calls", ()))
    if not calls and not str(message.get("content") or "").strip():
        yield Problem(
            "this assistant turn neither says nor calls anything",
            pointer(["messages", index]),
            'give it a "content" or "tool_calls"; reasoning alone is no answer',
        )
    seen: list[object] = []
    for position, call in enumerate(calls):
        at: list[str | int] = ["messages", index, "tool_calls", position]
        identifier = call.get("id")
        if identifier is None and len(calls) > 1:
            yield Problem(
                "a call of a turn with several calls has no id",
                pointer(at),
                'add an "id", and repeat it in the result as "tool_call_id"',
            )
        if identifier is not None and identifier in seen:
            yield Problem(
                f"two calls of this turn have the id {shown(identifier)}",
                pointer([*at, "id"]),
                "give each call of a turn an id of its own",
            )
        seen.append(identifier)
        yield from _check_call(cast(Json, call["function"]), [*at, "function"], tools)


def _check_call(function: Json, at: list[str | int], tools: _Tools) -> Iterator[Problem]:
    name = str(function["name"])
    known = name in tools.known
    if not known:
        close = difflib.get_close_matches(name, tools.known, n=1)
        listed = ", ".join(sorted(tools.known)) or "none"
        meant = f"did you mean {close[0]!r}? " if close else ""
        yield Problem(
            f'no tool named {shown(name)} is listed in "tools"',
            pointer([*at, "name"]),
            f"{meant}listed: {listed}",
        )
    at = [*at, "arguments"]
    written = function["arguments"]
    try:
        arguments = read_arguments(written)
    except ValueError as error:
        yield Problem(
            f"the arguments cannot be read: {error}",
            pointer(at),
            "write an object, or a string that holds one, such as "
            '{"city": "Oslo"} or "{\\"city\\": \\"Oslo\\"}"',
        )
        return
    odd = _not_finite(arguments)
    if odd is not None:
        yield Problem(
            "the arguments hold NaN or Infinity, which JSON does not have",
            pointer([*at, *odd]),
            "use a number, null or a string",
        )
        return
    if not known or name not in tools.usable:
        return
    for fault in argument_faults(tools.known[name].get("parameters"), arguments):
        inside = isinstance(written, str) and fault.path
        where = f" at {pointer(fault.path)}" if inside else ""
        yield Problem(
            f"the arguments{where} do not satisfy the schema of tool {name!r}: {fault.message}",
            pointer(at if isinstance(written, str) else [*at, *fault.path]),
            fault.hint or "mend the arguments, or the tool's parameters if those are too narrow",
        )


def _not_finite(value: object) -> list[str | int] | None:
    """The path of a number that JSON does not have."""
    waiting: list[tuple[list[str | int], object]] = [([], value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return path
        if isinstance(item, dict):
            waiting += [([*path, str(k)], v) for k, v in cast(dict[Any, object], item).items()]
        if isinstance(item, list):
            waiting += [([*path, i], v) for i, v in enumerate(cast(list[object], item))]
    return None


def _check_order(messages: Sequence[Json]) -> Iterator[Problem]:
    """Roles in order, and every result paired with its call."""
    turn = _Turn(-1, (), set())
    before = "start"
    for index, message in enumerate(messages):
        role = str(message["role"])
        if role == "tool":
            yield from _check_result(message, index, turn)
        else:
            yield from _check_unanswered(turn, role)
            misplaced = _misplaced(role, before)
            if misplaced:
                yield Problem(misplaced[0], pointer(["messages", index, "role"]), misplaced[1])
            calls = message.get("tool_calls", ()) if role == "assistant" else ()
            turn = _Turn(index, cast(Sequence[Json], calls), set())
        if role != "system" or index == 0:
            before = role
    if before != "assistant":
        yield Problem(
            f"the conversation ends with a {before} message",
            pointer(["messages", len(messages) - 1]),
            "end with an assistant message: it is what the model learns to say",
        )


_FOLLOWS = {
    "user": ("start", "system", "assistant"),
    "assistant": ("user", "tool"),
    "system": ("start",),
}
_MISPLACED = {
    "system": (
        "a system message must be the first message, and the only one of its kind",
        "move its text into the first message, or make it a user message",
    ),
    "user": (
        "a user message must follow the assistant's, or open the conversation",
        "join it with the user message before it, or add the assistant's answer between them",
    ),
    "assistant": (
        "an assistant message must answer a user or a tool",
        "add the user's message before it, or join it with the assistant message before it",
    ),
}


def _misplaced(role: str, before: str) -> tuple[str, str] | None:
    return None if before in _FOLLOWS[role] else _MISPLACED[role]


def _check_unanswered(turn: _Turn, role: str) -> Iterator[Problem]:
    for position in turn.open_calls():
        name = turn.calls[position]["function"]["name"]
        yield Problem(
            f"the call of {shown(name)} has no result before the next {role} message",
            pointer(["messages", turn.index, "tool_calls", position]),
            "add the tool's message after this turn, or end the conversation with this turn",
        )


def _check_result(message: Json, index: int, turn: _Turn) -> Iterator[Problem]:
    at: list[str | int] = ["messages", index]
    if not turn.calls:
        yield Problem(
            "a tool message must follow an assistant turn that calls a tool",
            pointer(at),
            'add "tool_calls" to the assistant turn before it, or remove this message',
        )
        return
    identifier = message.get("tool_call_id")
    ids = [call.get("id") for call in turn.calls]
    if identifier is None and len(ids) > 1:
        yield Problem(
            "it is unclear which of several calls this result answers",
            pointer(at),
            f'add "tool_call_id", one of: {_listed(ids)}',
        )
        # Taken as the answer to the next open call, so that one fault is told once.
        matching = turn.open_calls()[:1]
    else:
        matching = [i for i, known in enumerate(ids) if identifier in (None, known)]
    at_id = pointer(at if identifier is None else [*at, "tool_call_id"])
    if identifier is not None and not matching:
        yield Problem(
            f"no call of the turn before has the id {shown(identifier)}",
            at_id,
            f"ids of that turn: {_listed(ids)}",
        )
        return
    if not matching or turn.answered.issuperset(matching):
        yield Problem(
            "this call has a result already",
            at_id,
            "remove one of the two results, or correct its tool_call_id",
        )
        return
    position = next(i for i in matching if i not in turn.answered)
    turn.answered.add(position)
    called = turn.calls[position]["function"]["name"]
    if message.get("name") not in (None, called):
        yield Problem(
            f"this result is named {shown(message['name'])}, and its call {shown(called)}",
            pointer([*at, "name"]),
            "use the name of the tool that was called, or leave it out",
        )


def _listed(ids: Sequence[object]) -> str:
    return ", ".join(shown(i) for i in ids if i is not None) or "none: the call has no id"
