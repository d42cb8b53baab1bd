"""Reads JSON files that people edit: the line of every key, and errors with line and column."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from attrs import frozen

from ftcore.errors import ProblemsError
from ftcore.values import Problem

MAX_BYTES = 2**20
"""A file that a person edits is never longer than this."""
MAX_DEPTH = 64
MAX_DIGITS = 400

_SPACE = re.compile(r"[ \t\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\[^\n])*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[^\s,:\[\]{}\"]+")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class JsonTextError(ValueError):
    """A text is not JSON: what is wrong at which line and column, and how to mend it."""

    def __init__(self, message: str, line: int, column: int, hint: str = "") -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint


@frozen
class Duplicate:
    """A key that one object holds twice."""

    pointer: str
    line: int
    first_line: int


@frozen
class JsonDocument:
    """A JSON value with the place of everything in it."""

    value: Any
    lines: dict[str, int]
    """By RFC 6901 pointer: the 1-based line of a key, or of an item of a list."""
    duplicates: tuple[Duplicate, ...]

    def line(self, pointer: str) -> int:
        """The line of ``pointer``, or of the nearest thing around it that is in the text."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)


def parse_json(text: str) -> JsonDocument:
    """The value of a JSON text (RFC 8259), strictly: no comments, no NaN, no trailing comma.

    Lines may end in LF, CRLF or CR. Of a key that stands twice, the last value holds, and
    ``duplicates`` names it.

    :raises JsonTextError: the text is not JSON, is nested more than 64 deep, or holds a number
        that no float can hold.
    """
    parser = _Parser(text.replace("\r\n", "\n").replace("\r", "\n"))
    value = parser.document()
    return JsonDocument(value, parser.lines, tuple(parser.duplicates))


def read_json_object(path: Path, name: str) -> JsonDocument:
    """The JSON object in a file of at most 1 MiB, in UTF-8 with or without a BOM.

    :param name: how messages call the file.
    :raises ProblemsError: with one problem; the file is missing, a directory, cannot be read,
        is too large, not UTF-8, not JSON, or no object.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        _refuse(name, Problem(f"there is no file {name}", hint=_similar_file(path)))
    except IsADirectoryError:
        _refuse(
            name, Problem(f"{name} is a directory, not a file", hint="name the JSON file in it")
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        _refuse(name, Problem(f"{name} cannot be read: {reason}"))
    if len(raw) > MAX_BYTES:
        _refuse(
            name,
            Problem(f"{name} is longer than 1 MiB", hint="a settings file holds a few dozen lines"),
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n|\r|\n", raw[: error.start])) + 1
        byte = raw[error.start]
        _refuse(
            name, Problem(f"byte 0x{byte:02x} is not UTF-8", "", "save it as UTF-8", name, line)
        )
    try:
        document = parse_json(text)
    except JsonTextError as error:
        message = f"column {error.column}: {error.message}"
        _refuse(name, Problem(message, "", error.hint, name, error.line))
    if not isinstance(document.value, dict):
        hint = 'the file starts with { and holds "key": value pairs'
        _refuse(name, Problem("must hold one JSON object", "", hint, name, document.line("")))
    return document


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` where one of the known names is close, else an empty text."""
    folded = {choice.casefold(): choice for choice in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"did you mean {folded[close[0]]!r}?" if close else ""


def _refuse(name: str, problem: Problem) -> NoReturn:
    raise ProblemsError(f"{name} cannot be used", (problem,))


def _similar_file(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix == ".json"]
    except OSError:
        return f"there is no folder {path.parent} either"
    return did_you_mean(path.name, names) or "check the path"


class _Parser:
    """One pass over a text whose lines end in LF; recursion is bounded by MAX_DEPTH."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[str, int] = {}
        self.duplicates: list[Duplicate] = []

    def document(self) -> Any:
        self._space()
        self.lines[""] = self._line()
        value = self._value("", 0)
        self._space()
        if self.at < len(self.text):
            self._fail("there is something after the end of the value", "remove it")
        return value

    def _value(self, pointer: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            self._fail(f"nested more than {MAX_DEPTH} deep")
        match self.text[self.at : self.at + 1]:
            case "{":
                return self._object(pointer, depth)
            case "[":
                return self._array(pointer, depth)
            case '"':
                return self._string()
            case _:
                return self._word()

    def _object(self, pointer: str, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self.at += 1
        while not self._closed("}", first=not members):
            if self.text[self.at : self.at + 1] != '"':
                self._fail("a key is expected here", 'keys stand in double quotes: "key"')
            line = self._line()
            key = self._string()
            child = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            if key in members:
                self.duplicates.append(Duplicate(child, line, self.lines[child]))
            self.lines[child] = line
            self._space()
            if self.text[self.at : self.at + 1] != ":":
                self._fail(f"a colon is missing after the key {key!r}")
            self.at += 1
            self._space()
            members[key] = self._value(child, depth + 1)
        return members

    def _array(self, pointer: str, depth: int) -> list[Any]:
        items: list[Any] = []
        self.at += 1
        while not self._closed("]", first=not items):
            child = f"{pointer}/{len(items)}"
            self.lines[child] = self._line()
            items.append(self._value(child, depth + 1))
        return items

    def _closed(self, bracket: str, *, first: bool) -> bool:
        """Goes over the comma between members, or over the bracket that ends them."""
        self._space()
        here = self.text[self.at : self.at + 1]
        if here == bracket:
            self.at += 1
            return True
        if first:
            return False
        if here != ",":
            self._fail(f"a comma or {bracket} is missing before this")
        comma = self.at
        self.at += 1
        self._space()
        if self.text[self.at : self.at + 1] == bracket:
            self.at = comma
            self._fail(f"no comma may stand before {bracket}", "remove the comma")
        return False

    def _string(self) -> str:
        match = _STRING.match(self.text, self.at)
        if match is None:
            self._fail("the text in quotes does not end on its line", 'close it with "')
        try:
            value: str = json.loads(match.group())
            value.encode()
        except json.JSONDecodeError as error:
            self.at += error.pos
            self._fail("wrong escape after a backslash", r"a backslash itself is written \\")
        except UnicodeEncodeError:
            self._fail(r"half of a surrogate pair (\ud800 to \udfff) is no character")
        self.at = match.end()
        return value

    def _word(self) -> Any:
        match = _WORD.match(self.text, self.at)
        if match is None:
            self._fail("a value is expected here")
        word = match.group()
        if word in _CONSTANTS:
            value: Any = _CONSTANTS[word]
        elif _NUMBER.fullmatch(word):
            value = self._number(word)
        else:
            self._fail(f"{word[:40]!r} is no JSON value", _hint_for(word))
        self.at = match.end()
        return value

    def _number(self, word: str) -> int | float:
        if len(word) > MAX_DIGITS:
            self._fail(f"a number of {len(word)} digits is too long")
        if word.lstrip("-").isdigit():
            return int(word)
        value = float(word)
        if not math.isfinite(value):
            self._fail(f"the number {word} is too large")
        return value

    def _space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def _fail(self, message: str, hint: str = "") -> NoReturn:
        if self.at >= len(self.text):
            message, hint = "the text ends too early", "is a closing bracket or quote missing?"
        if not self.text.strip():
            message, hint = "there is nothing in it", "the least is {}"
        rest = self.text[self.at : self.at + 2]
        if rest[:1] == "#" or rest in ("//", "/*"):
            hint = 'JSON has no comments; write a key "comment" instead'
        column = self.at - (self.text.rfind("\n", 0, self.at) + 1) + 1
        raise JsonTextError(message, self._line(), column, hint)


def _hint_for(word: str) -> str:
    if word.lower() in _CONSTANTS or word == "None":
        return f"write {'null' if word == 'None' else word.lower()}"
    if word[0] == "'":
        return 'text stands in double quotes: "text"'
    try:
        number = float(word)
    except ValueError:
        return 'text stands in double quotes: "text"'
    if not math.isfinite(number):
        return "write a finite number"
    return f"write {json.dumps(int(number) if number.is_integer() else number)}"
