"""Reads JSON records strictly: a line of JSONL is a sample that knows its place, or a problem."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

from ftcore.errors import InputError
from ftcore.values import Problem, Sample

MAX_LINE_BYTES = 16 * 2**20
"""Longest record that is read. A sample of this size is over a hundred times any context."""

MAX_DEPTH = 100
"""Deepest nesting that is read, so that nothing that walks a sample later runs out of stack."""

MAX_DIGITS = 400
"""Longest integer that is read. No float reaches further, and Python itself stops at 4300."""

BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
CHUNK = 2**16

NESTING = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""Brackets, and strings as a whole, so that brackets inside of them are passed over."""


class RefusedError(ValueError):
    """Something that parsers let pass and training must not."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def read_jsonl(path: Path) -> Iterator[Sample | Problem]:
    """Each line of a JSONL file as a sample, or the problem that keeps it from being one.

    :raises InputError: the file is not there or cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield from jsonl_records(file, str(path))
    except OSError as error:
        raise InputError(f"the data file {path} cannot be read: {error.strerror}") from error


def jsonl_records(file: io.BufferedIOBase, name: str) -> Iterator[Sample | Problem]:
    """Each line of ``file`` as a sample, or the problem that keeps it from being one.

    A byte-order mark, CRLF line ends and blank lines are accepted. A file that holds no record
    at all is a problem at its line 1.
    """
    empty = True
    for number, line in enumerate(_lines(file, MAX_LINE_BYTES), start=1):
        raw = line.removeprefix(BOM) if number == 1 else line
        if not raw.strip():
            continue
        empty = False
        yield parse_record(raw, name, number)
    if empty:
        yield no_record(name, "a JSONL file has one JSON object on each line")


def no_record(file: str, hint: str, line: int = 1) -> Problem:
    """The problem of a file that holds nothing."""
    return Problem("the file holds no record", hint=hint, file=file, line=line)


def _lines(file: io.BufferedIOBase, limit: int) -> Iterator[bytes]:
    """Lines without their ends, of at most ``limit`` + 1 bytes: the rest of one is thrown away."""
    while line := file.readline(limit + 2):
        ended = line.endswith(b"\n")
        yield line.rstrip(b"\r\n")[: limit + 1]
        while not ended and (rest := file.readline(CHUNK)):
            ended = rest.endswith(b"\n")


def parse_record(
    raw: bytes, file: str, line: int, column: int = 1, unit: Literal["line", "record"] = "line"
) -> Sample | Problem:
    """The sample that ``raw`` holds as JSON, or the problem that keeps it from being one.

    :param column: 1-based column of the file's ``line`` on which ``raw`` begins.
    :param unit: what ``raw`` is: a line of JSONL, or a record that may run over several lines.
    """

    def problem(message: str, hint: str) -> Problem:
        return Problem(message, hint=hint, file=file, line=line)

    if len(raw) > MAX_LINE_BYTES:
        own = "a line" if unit == "line" else "a record"
        return problem(
            f"the {unit} is longer than {MAX_LINE_BYTES // 2**20} MiB",
            f"put each sample on {own} of its own; no model reads a sample of this length",
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if raw.startswith(UTF_16) else "latin1"
        return problem(
            f"byte {error.start + 1} of the {unit} is not UTF-8 (0x{raw[error.start]:02x})",
            f"save the file as UTF-8: iconv -f {encoding} -t utf-8 FILE > NEW",
        )
    if nesting(text) > MAX_DEPTH:
        return problem(f"the JSON is nested more than {MAX_DEPTH} deep", "flatten the record")
    try:
        value = cast(object, DECODER.decode(text))
    except json.JSONDecodeError as error:
        place = f"column {error.colno + column - 1}"
        if error.lineno > 1:
            place = f"line {line + error.lineno - 1}, column {error.colno}"
        hint = f"each {unit} must be one whole JSON object"
        if unit == "line" and line == 1 and text.lstrip().startswith("["):
            hint = "this looks like a JSON array; JSONL has one object on each line, no brackets"
        return problem(f"broken JSON at {place}: {error.msg}", hint)
    except RefusedError as error:
        return problem(str(error), error.hint)
    if "\\u" in text and has_half_pair(value):  # only an escape can smuggle in half of a pair
        return problem(
            "a string holds half of a surrogate pair (\\ud800-\\udfff), which is no character",
            "write the character itself, or both halves of the pair",
        )
    if not isinstance(value, dict):
        return problem(
            f"a sample must be a JSON object, this is {_kind(value)}",
            f"each {unit} must be one whole JSON object: {{…}}",
        )
    return Sample(cast("dict[str, Any]", value), file, line)


def has_half_pair(value: object) -> bool:
    """Whether a JSON value holds half of a surrogate pair, in a key or a text."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def nesting(text: str) -> int:
    """How deep brackets outside of strings are nested, in a text that may be broken."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for match in NESTING.finditer(text):
        match match[0]:
            case "{" | "[":
                depth += 1
                deepest = max(deepest, depth)
            case "}" | "]":
                depth -= 1
            case _:
                continue
    return deepest


def _kind(value: object) -> str:
    match value:
        case list():
            return "an array"
        case str():
            return "a string"
        case bool():
            return "a boolean"
        case None:
            return "null"
        case _:
            return "a number"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys must differ: of two values for one key, one would be lost."""
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RefusedError(f"the key {key!r} stands twice", "keep one of its values")
            seen.add(key)
    return result


def _no_constant(constant: str) -> NoReturn:
    raise RefusedError(f"{constant} is not JSON", "use null or a number")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise RefusedError(
            f"the number {digits[:40]} is too large", "no float reaches beyond 1.8e308"
        )
    return value


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        message = f"a number of {len(digits)} digits is too long"
        raise RefusedError(message, "put quotes around it to keep it as a text")
    return int(digits)


DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_float, parse_int=_int
)
"""Python's parser without what it lets pass; raises :class:`RefusedError` for that."""
