"""Reads JSON files that hold an array of records, or records over several lines, one by one."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import Any, cast

import attrs

from ftcore.records import (
    DECODER,
    MAX_DEPTH,
    MAX_LINE_BYTES,
    NESTING,
    has_half_pair,
    nesting,
    no_record,
    parse_record,
)
from ftcore.values import Problem, Sample

CHUNK = 2**18
WRAPPERS = frozenset(
    ("data", "dataset", "entries", "examples", "instances", "items", "records", "rows", "samples",
     "test", "train", "validation")
)  # fmt: skip
"""Keys under which files keep all of their records in one object."""

_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*+"|[^\s,\[\]{}"]++', re.DOTALL)


def json_records(file: io.BufferedIOBase, name: str) -> Iterator[Sample | Problem]:
    """Each record of a JSON array, or of JSON objects that follow each other.

    A sample's line is the one on which its record begins. A record that is broken but whose
    brackets match is one problem; where they do not match, nothing more of the file is read. At
    most one record and 16 MiB of text are in memory.
    """
    window = _Window(file, name)
    match window.peek():
        case "":
            yield no_record(name, "a JSON file holds an array of objects: [{…}, {…}]")
        case "[":
            yield from _array(window)
        case _ if window.is_utf_16():
            hint = "save the file as UTF-8: iconv -f UTF-16 -t utf-8 FILE > NEW"
            yield window.problem("the file is UTF-16, not UTF-8", hint)
        case _:
            yield from _objects(window)


class _Window:
    """The part of a file's text that is being read, and where in the file it stands."""

    def __init__(self, file: io.BufferedIOBase, name: str) -> None:
        self._file = file
        # bytes that are no UTF-8 are kept, so that only the record that holds them is refused
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.name = name
        self.text = ""
        self.at = 0
        self.line = 1
        self.column = 1
        self.ended = False
        self._more()
        self.text = self.text.removeprefix("\ufeff")

    def problem(self, message: str, hint: str) -> Problem:
        """A problem at this place."""
        return Problem(message, hint=hint, file=self.name, line=self.line)

    def is_utf_16(self) -> bool:
        return self.text.startswith(("\udcff\udcfe", "\udcfe\udcff"))

    def _more(self) -> bool:
        """Reads as much again as is unread, so that trying again costs no more than reading."""
        unread = len(self.text) - self.at
        chunk = self._file.read(max(CHUNK, unread))
        self.text = self.text[self.at :] + self._decoder.decode(chunk, final=not chunk)
        self.at = 0
        self.ended = not chunk
        return not self.ended

    def skip(self, end: int) -> None:
        """Goes on to ``end``, an index of the text."""
        if lines := self.text.count("\n", self.at, end):
            self.line += lines
            self.column = end - self.text.rfind("\n", self.at, end)
        else:
            self.column += end - self.at
        self.at = end

    def peek(self) -> str:
        """The next character that is no space; empty at the end of the file."""
        while True:
            match = _SPACE.match(self.text, self.at)
            self.skip(match.end() if match else self.at)
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def record(self) -> tuple[Sample | Problem, bool]:
        """The record that begins here, and whether its end was found."""
        line, column = self.line, self.column
        while True:
            sample, end = self._try()
            if end is not None:
                text = self.text[self.at : end]
                self.skip(end)
                raw = text.encode("utf-8", "surrogateescape") if sample is None else b""
                return sample or parse_record(raw, self.name, line, column, "record"), True
            if len(self.text) - self.at > MAX_LINE_BYTES:
                hint = "put each sample into a record of its own; nothing after this one was read"
                return self.problem(
                    f"the record is longer than {MAX_LINE_BYTES // 2**20} MiB", hint
                ), False
            if not self._more():
                raw = self.text[self.at :].encode("utf-8", "surrogateescape")
                found = parse_record(raw, self.name, line, column, "record")
                hint = "the record that begins on this line does not end; is a bracket missing?"
                return attrs.evolve(cast(Problem, found), hint=hint), False

    def _try(self) -> tuple[Sample | None, int | None]:
        """A faultless record with its end; else only the end, if the text reaches so far."""
        try:
            value, end = cast("tuple[object, int]", DECODER.raw_decode(self.text, self.at))
        except (ValueError, RecursionError):  # cut off, broken or refused: the brackets tell
            return None, _value_end(self.text, self.at, self.ended)
        text = self.text[self.at : end]
        if isinstance(value, dict) and _is_sound(data := cast("dict[str, Any]", value), text):
            return Sample(data, self.name, self.line), end
        return None, _value_end(self.text, self.at, self.ended)


def _is_sound(value: object, text: str) -> bool:
    """Whether nothing is wrong with a record that was parsed from a text."""
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:  # stands for bytes that are no UTF-8
        return False
    if size > MAX_LINE_BYTES or nesting(text) > MAX_DEPTH:
        return False
    return "\\u" not in text or not has_half_pair(value)


def _value_end(text: str, at: int, ended: bool) -> int | None:
    """Where a value that may be broken ends by its brackets; None if that is not in the text."""
    if text[at] not in "{[":
        match = _SCALAR.match(text, at)
        return match.end() if match and (ended or match.end() < len(text)) else None
    depth = 0
    for match in NESTING.finditer(text, at):
        if match[0] in ("{", "["):
            depth += 1
        elif match[0] in ("}", "]"):
            depth -= 1
            if not depth:
                return match.end()
    return None


def _array(window: _Window) -> Iterator[Sample | Problem]:
    start = window.line
    window.skip(window.at + 1)
    empty = comma = True
    while (char := window.peek()) != "]":
        if char == "":
            yield window.problem(
                "the array does not end: its ] is missing", "the file may have been cut off"
            )
            return
        if char == "}":
            yield window.problem("this } closes nothing", "remove it")
            window.skip(window.at + 1)
        elif char == ",":
            if comma:
                yield window.problem("there is no record before this comma", "remove the comma")
            comma = True
            window.skip(window.at + 1)
        else:
            if not comma:
                yield window.problem("a comma is missing before this record", "put one there")
            empty = comma = False
            record, ended = window.record()
            yield record
            if not ended:
                return
    if empty:
        yield no_record(window.name, "the array is empty; put records into it", start)
    elif comma:
        yield window.problem("a comma stands before the ] of the array", "remove the comma")
    window.skip(window.at + 1)
    if window.peek():
        yield window.problem(
            "there is something after the end of the array", "put it into the array, or remove it"
        )


def _objects(window: _Window) -> Iterator[Sample | Problem]:
    first = True
    while char := window.peek():
        if char not in "{[":
            yield window.problem(
                f"a record begins with {{, this begins with {char!r}",
                "a JSON file holds an array of objects, [{…}, {…}], or an object on each line",
            )
            return
        record, ended = window.record()
        if first and isinstance(record, Sample) and not window.peek():
            key = _wrapper(record)
            if key is not None:
                yield Problem(
                    f"the records stand in an array under the key {key!r} of one object",
                    f"/{key}",
                    f"take the array out, for example: jq .{key} FILE > NEW.json",
                    record.file,
                    record.line,
                )
                return
        first = False
        yield record
        if not ended:
            return


def _wrapper(sample: Sample) -> str | None:
    """The key under which an object holds other records, if it is no record itself."""
    for key, value in sample.data.items():
        if key in WRAPPERS and isinstance(value, list) and value:
            items = cast("list[object]", value)
            if all(isinstance(item, dict) for item in items):
                return key
    return None
