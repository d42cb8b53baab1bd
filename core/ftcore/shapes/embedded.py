"""Reads JSON that stands as text inside a record, and refuses what would be lost by reading it."""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Any, NoReturn, cast

MAX_DEPTH = 100
"""Deepest nesting that is read, as in a record itself."""

_PYTHON = re.compile(r"\s*\[?\s*\{\s*'")
_OPENING = re.compile(r"[\[{]")


class ShapeError(ValueError):
    """A record cannot be read in its shape.

    ``pointer`` leads into the record as its author wrote it.
    """

    def __init__(self, message: str, pointer: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.hint = hint


def read_json(text: str, at: str, what: str) -> Any:
    """The JSON value of all of ``text``.

    A dictionary as Python prints it (``{'city': 'Oslo'}``), which some collections hold, is read
    too.

    :param at: JSON pointer to the text, for messages.
    :param what: what the text should be ("the tools").
    :raises ShapeError: it is neither, repeats a key, holds NaN, or is nested too deeply.
    """
    value, end = read_json_start(text, at, what)
    if text[end:].strip():
        raise ShapeError(
            f"after {what} stands more text: {_excerpt(text[end:])}",
            at,
            "remove it; the text must be one whole JSON value",
        )
    return value


def read_json_start(text: str, at: str, what: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at ``start``, white space aside, and where it ends.

    Raises as :func:`read_json` does.
    """
    start += len(text[start:]) - len(text[start:].lstrip())
    try:
        if _PYTHON.match(text, start):
            value, end = _read_python(text, start)
        else:
            value, end = _STRICT.raw_decode(text, start)
    except json.JSONDecodeError as error:
        where = f"at character {error.pos + 1}" if error.pos < len(text) else "at its end"
        raise ShapeError(
            f"{what} cannot be read as JSON: {error.msg} {where}",
            at,
            "mend the JSON in this text, or leave the record out",
        ) from error
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        reason = str(error) if type(error) is ValueError else "it is no JSON value"
        raise ShapeError(
            f"{what} cannot be read as JSON: {reason}", at, "mend the JSON in this text"
        ) from error
    if len(_OPENING.findall(text, start, end)) > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ShapeError(
            f"{what}: the JSON is nested more than {MAX_DEPTH} deep", at, "flatten the value"
        )
    return value, end


def _read_python(text: str, start: int) -> tuple[Any, int]:
    """A literal of Python, which has no decoder that stops at its end: brackets tell where."""
    end, depth, quote = start, 0, ""
    while end < len(text):
        character = text[end]
        if quote:
            if character == "\\":
                end += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
            if depth == 0:
                break
        end += 1
    value: object = ast.literal_eval(text[start : end + 1])
    # a set, a tuple as a key or a complex number is no JSON
    return json.loads(json.dumps(value, allow_nan=False)), end + 1


def _depth(value: object) -> int:
    deepest = 0
    waiting: list[tuple[int, object]] = [(1, value)]
    while waiting:
        depth, item = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(item, dict):
            waiting += [(depth + 1, v) for v in cast("dict[str, object]", item).values()]
        elif isinstance(item, list):
            waiting += [(depth + 1, v) for v in cast("list[object]", item)]
    return deepest


def _excerpt(text: str, limit: int = 40) -> str:
    shown = " ".join(text.split())
    return repr(shown if len(shown) <= limit else f"{shown[: limit - 1]}…")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number that JSON has")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value


_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
)
