"""Reads calls of tools in the forms that collections hold, and gives them OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from attrs import field, frozen

from ftcore.origins import Origins
from ftcore.schemata import shown
from ftcore.shapes.embedded import ShapeError, read_json, read_json_start

HINT = 'a call is {"name": "…", "arguments": {…}}, or the same under "function"'

_RAW = re.compile(r"(?<![`'\"])<tool_call>\s*(?=\{|\[\s*\{|<function=)")
_END = re.compile(r"\s*(?:</tool_call>\s*|$)")
_RESULTS = re.compile(r"\s*(?:<tool_response>.*?</tool_response>\s*)+", re.DOTALL)
_RESULT = re.compile(r"<tool_response>\s?(.*?)\s?</tool_response>", re.DOTALL)
_NAMES = ("arguments", "parameters", "input", "args")


@frozen
class Call:
    """A call as ``{"id"?, "type": "function", "function": {"name", "arguments": {…}}}``."""

    data: dict[str, Any]
    origins: Origins = field(factory=Origins)
    """From pointers below the call."""


def read_calls(value: object, at: str) -> list[Call]:
    """The calls of one turn.

    :param value: a call, a list of calls, or JSON text of either. A call is OpenAI's or bare
        (``{"name", "arguments"}``; ``parameters`` and ``input`` mean the same), its arguments an
        object or JSON text of one.
    :param at: JSON pointer to the value in the record.
    :raises ShapeError: it is something else, or has no name.
    """
    if isinstance(value, str):
        parsed = read_json(value, at, "the text of the call")
        return [Call(call.data, Origins(texts={"": at})) for call in _items(parsed, at)]
    return list(_items(value, at))


def has_raw_calls(text: str) -> bool:
    """Whether an assistant's text holds calls as ``<tool_call>{…}</tool_call>``."""
    return "<tool_call>" in text and bool(_RAW.search(text))


def split_raw_calls(text: str, at: str) -> tuple[str, list[Call]]:
    """The words before the calls that are written into a text, and the calls.

    A tag in quotation marks or backticks, or one that no ``{`` follows, is a mention.

    :raises ShapeError: a call cannot be read, or words follow one.
    """
    first = _RAW.search(text)
    if first is None:
        return text, []
    calls: list[Call] = []
    found: re.Match[str] | None = first
    while found is not None:
        if text.startswith("<function=", found.end()):
            raise ShapeError(
                "a call is written as <function=…>, which says no types of its arguments",
                at,
                f"write it as JSON: {HINT}",
            )
        value, end = read_json_start(text, at, "the text of the call", found.end())
        calls += [Call(call.data, Origins(texts={"": at})) for call in _items(value, at)]
        closing = _END.match(text, end)
        if closing is None or (closing.end() < len(text) and not _RAW.match(text, closing.end())):
            words = text[closing.end() if closing else end :]
            raise ShapeError(
                f"after a call stand other words: {shown(words)}",
                at,
                "move them before the calls, or into a message of their own: a turn ends with "
                "its calls",
            )
        found = _RAW.match(text, closing.end())
    return text[: first.start()].rstrip(), calls


def has_raw_results(text: str) -> bool:
    """Whether a text is nothing but ``<tool_response>…</tool_response>``, once or repeated."""
    return "<tool_response>" in text and bool(_RESULTS.fullmatch(text))


def split_raw_results(text: str) -> list[str]:
    """What each ``<tool_response>`` of a text holds; the text itself where it is none."""
    return _RESULT.findall(text) if has_raw_results(text) else [text]


def _items(value: object, at: str) -> Iterator[Call]:
    if not isinstance(value, list):
        yield _read_call(value, at)
        return
    for index, item in enumerate(cast("list[object]", value)):
        yield _read_call(item, f"{at}/{index}")


def _read_call(value: object, at: str) -> Call:
    if not isinstance(value, Mapping):
        raise ShapeError(f"this is no call of a tool: {shown(value)}", at, HINT)
    outer = cast("Mapping[str, Any]", value)
    inner = outer.get("function", outer)
    below = at if inner is outer else f"{at}/function"
    if not isinstance(inner, Mapping):
        inner, below = outer, at
    function = cast("Mapping[str, Any]", inner)
    name: object = function.get("name", outer.get("function"))
    if not isinstance(name, str) or not name.strip():
        raise ShapeError("this call names no tool", at, HINT)
    key = next((k for k in _NAMES if k in function), "arguments")
    place = f"{below}/{key}" if key in function else below
    written: object = function.get(key)
    arguments = written
    if isinstance(written, str):
        what = f"the arguments of the call of {shown(name)}"
        arguments = read_json(written, place, what) if written.strip() else None
    if arguments is None:
        arguments = cast("dict[str, Any]", {})
    if not isinstance(arguments, dict):
        raise ShapeError(
            f"the arguments of the call of {shown(name)} must be an object, they are "
            f"{shown(arguments)}",
            place,
            'write them by name: {"city": "Oslo"}',
        )
    identifier: object = outer.get("id", outer.get("call_id"))
    call: dict[str, Any] = {} if identifier in (None, "") else {"id": str(identifier)}
    call |= {"type": "function", "function": {"name": name, "arguments": arguments}}
    places = {"": at, "/function": below}
    texts: dict[str, str] = {}
    (texts if isinstance(written, str) else places)["/function/arguments"] = place
    return Call(call, Origins(places, texts))
