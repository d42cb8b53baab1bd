"""Reads calls of tools: their arguments, and whole calls out of a text that a model generated.

The syntaxes are those that chat templates teach:

* Hermes and Qwen: ``<tool_call>{"name": …, "arguments": {…}}</tool_call>``, repeated in a row;
* Qwen3-Coder: ``<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function>
  </tool_call>``;
* Llama 3: the bare object ``{"name": …, "parameters": {…}}`` as the whole message;
* Mistral: ``[TOOL_CALLS][{"name": …, "arguments": {…}}]``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, cast

from attrs import frozen

from ftcore.values import Json


@frozen
class Call:
    """A call that a model wrote."""

    name: str
    arguments: Json


@frozen
class Reading:
    """What a generated text holds beside prose."""

    calls: tuple[Call, ...] = ()
    broken: int = 0
    """Calls that were begun and cannot be parsed."""

    @property
    def attempted(self) -> bool:
        """Whether the model meant to call something."""
        return bool(self.calls) or self.broken > 0


def read_arguments(arguments: object) -> dict[str, Any]:
    """The arguments of a call, from either form that a sample may hold.

    :param arguments: a JSON object, or a string that holds one (OpenAI's wire form).
    :returns: the arguments with their order and the types of their numbers kept.
    :raises ValueError: the string is no JSON, repeats a key, holds a number that JSON does not
        have, or holds something other than an object.
    """
    if isinstance(arguments, dict):
        return cast(dict[str, Any], arguments)
    if not isinstance(arguments, str):
        raise ValueError(f"must be a JSON object, is {type(arguments).__name__}")
    try:
        value: object = _STRICT.decode(arguments)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply to be read") from error
    if not isinstance(value, dict):
        raise ValueError("valid JSON, but not an object in {…}")
    return cast(dict[str, Any], value)


def read_calls(text: str, tools: Sequence[Json]) -> Reading:
    """The calls in a generated text. Never raises.

    :param text: what the model said, without its end-of-turn token. Thinking in
        ``<think>…</think>`` is left out of account.
    :param tools: OpenAI-style definitions; Qwen3-Coder's syntax writes values without quotes, so
        that only the tool's schema tells ``5`` from ``"5"``.
    """
    said = _without_thinking(text).strip().removeprefix("<|python_tag|>").lstrip()
    # What opens first decides: a marker further on may stand inside an argument.
    opened = sorted((said.find(mark), mark) for mark in _MARKS if mark in said)
    if not opened or _BARE.match(said):
        return _read_bare(said)
    start, mark = opened[0]
    if mark == "<tool_call>":
        return _read_tagged(said, tools)
    return _read_mistral(said[start + len(mark) :])


def same_json(one: object, other: object) -> bool:
    """Whether two JSON values are equal: ``1`` equals ``1.0``, ``true`` does not equal ``1``."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        left, right = cast(Json, one), cast(Json, other)
        return left.keys() == right.keys() and all(same_json(left[k], right[k]) for k in left)
    if isinstance(one, list) and isinstance(other, list):
        mine, theirs = cast(list[Any], one), cast(list[Any], other)
        return len(mine) == len(theirs) and all(map(same_json, mine, theirs))
    return one == other


def _without_thinking(text: str) -> str:
    """The text after the reasoning at its head; nothing where that does not end."""
    before, _, after = text.partition("</think>")
    if text.lstrip().startswith("<think>"):
        return after
    # Some templates open the thinking in the prompt: then only its end is generated.
    called = _BARE.match(before.lstrip()) or any(mark in before for mark in _MARKS)
    return text if called or "</think>" not in text else after


def _read_tagged(text: str, tools: Sequence[Json]) -> Reading:
    calls: list[Call] = []
    broken = 0
    position = text.find("<tool_call>")
    while position >= 0:
        start = position + len("<tool_call>")
        start += len(text[start:]) - len(text[start:].lstrip())
        call, end = (
            _read_function(text, start, tools)
            if text.startswith("<function=", start)
            else _read_object(text, start)
        )
        closing = re.compile(r"\s*(?:</tool_call>|$)").match(text, end)
        if call is not None and closing:
            calls.append(call)
            end = closing.end()
        else:
            broken += 1
        position = text.find("<tool_call>", end)
    return Reading(tuple(calls), broken)


def _read_object(text: str, start: int) -> tuple[Call | None, int]:
    """A call as a JSON object at ``start``, and where it ends."""
    try:
        value, end = _STRICT.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
    return _call(value), end


def _read_function(text: str, start: int, tools: Sequence[Json]) -> tuple[Call | None, int]:
    """A call in Qwen3-Coder's syntax at ``start``, and where it ends."""
    found = _FUNCTION.match(text, start)
    if found is None:
        return None, start
    name, body = found.group(1).strip(), found.group(2)
    types = _parameter_types(name, tools)
    arguments: dict[str, Any] = {}
    for parameter in _PARAMETER.finditer(body):
        key = parameter.group(1).strip()
        if key in arguments:
            return None, found.end()
        arguments[key] = _typed(parameter.group(2), types.get(key))
    if _PARAMETER.sub("", body).strip():
        return None, found.end()
    return Call(name, arguments), found.end()


def _read_mistral(text: str) -> Reading:
    try:
        value, end = _STRICT.raw_decode(text, len(text) - len(text.lstrip()))
    except (ValueError, RecursionError):
        return Reading(broken=1)
    if not isinstance(value, list) or not value or text[end:].strip():
        return Reading(broken=1)
    calls = [_call(item) for item in cast(list[object], value)]
    whole = tuple(call for call in calls if call is not None)
    return Reading(whole, len(calls) - len(whole))


def _read_bare(text: str) -> Reading:
    """Calls as bare objects, which must be all that the message holds."""
    calls: list[Call] = []
    position = 0
    while position < len(text):
        call, end = _read_object(text, position) if text[position] == "{" else (None, position)
        if call is None:
            # Prose, or JSON that the user asked for, is no call; what follows a call must be one.
            return Reading(tuple(calls), 1) if calls or _BARE.match(text) else Reading()
        calls.append(call)
        position = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]
    return Reading(tuple(calls))


def _call(value: object) -> Call | None:
    if not isinstance(value, dict):
        return None
    fields = cast(dict[str, object], value)
    name = fields.get("name")
    arguments = fields.get("arguments", fields.get("parameters"))
    if not isinstance(name, str):
        return None
    try:
        return Call(name, read_arguments(arguments))
    except ValueError:
        return None


def _parameter_types(name: str, tools: Sequence[Json]) -> dict[str, frozenset[str]]:
    """The JSON types that a tool's schema names for each of its parameters, where it does."""
    found: dict[str, frozenset[str]] = {}
    for tool in tools:
        function = _mapping(tool.get("function"))
        if function.get("name") == name:
            properties = _mapping(_mapping(function.get("parameters")).get("properties"))
            found = {key: _types(_mapping(schema)) for key, schema in properties.items()}
    return found


def _types(schema: Json) -> frozenset[str]:
    named = schema.get("type")
    if isinstance(named, str):
        return frozenset({named})
    if isinstance(named, list):
        return frozenset(str(item) for item in cast(list[object], named))
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and values:
        return frozenset(_type_of(value) for value in cast(list[object], values))
    members = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(members, list):
        kinds = [_types(_mapping(member)) for member in cast(list[object], members)]
        return frozenset[str]().union(*kinds) if all(kinds) else frozenset()
    return frozenset()


def _typed(written: str, types: frozenset[str] | None) -> Any:
    """The value of an unquoted argument; the text itself where no other allowed type fits."""
    if types == frozenset({"string"}):
        return written
    # The template writes Python's True, False and None.
    words = {"True": "true", "False": "false", "None": "null"}
    try:
        value: object = _STRICT.decode(words.get(written.strip(), written))
    except (ValueError, RecursionError):
        return written
    if not types or _type_of(value) in types:
        return value
    if _type_of(value) == "integer" and "number" in types:
        return value
    if isinstance(value, float) and value.is_integer() and "integer" in types:
        return value
    return written


def _type_of(value: object) -> str:
    for kind, name in _TYPES.items():
        if isinstance(value, kind):
            return name
    return "object"


def _mapping(value: object) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number that JSON has")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits} is too large")
    return value


_STRICT = json.JSONDecoder(
    object_pairs_hook=_refuse_repeats, parse_constant=_refuse_constant, parse_float=_finite
)
_TYPES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",  # before int, of which it is a kind
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
}
_FUNCTION = re.compile(r"<function=([^>\n]+)>(.*?)</function>", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_MARKS = ("<tool_call>", "[TOOL_CALLS]")
_BARE = re.compile(r'\{\s*"name"\s*:\s*"')
_BETWEEN = re.compile(r"[\s;,]*")
