"""Reads the user's JSONL into samples that know their file and line, in bounded memory."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from ftcore.errors import InputError
from ftcore.values import Problem, Sample

MAX_LINE_BYTES = 16 * 2**20
"""Longest line that is read. A sample of this size is over a hundred times any context."""

MAX_DEPTH = 100
"""Deepest nesting that is read, so that nothing that walks a sample later runs out of stack."""

MAX_DIGITS = 400
"""Longest integer that is read. No float reaches further, and Python itself stops at 4300."""

BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
CHUNK = 2**16

_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


class _RefusedError(ValueError):
    """Something that JSON parsers let pass and training must not."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def find_files(data: Sequence[Path]) -> tuple[Path, ...]:
    """Checks the files given with ``--data`` before anything is read.

    :raises InputError: a path that does not exist, is no regular file or cannot be read.
    """
    for path in data:
        try:
            kind = path.stat().st_mode
        except FileNotFoundError as error:
            message = f"the data file {path} does not exist"
            raise InputError(message, "check the path of --data") from error
        except (OSError, ValueError) as error:  # ValueError: the name holds a NUL
            reason = getattr(error, "strerror", error)
            raise InputError(f"the data file {path} cannot be read: {reason}") from error
        if stat.S_ISDIR(kind):
            found = sorted(path.glob("*.jsonl"))
            names = ", ".join(str(p) for p in found[:3])
            raise InputError(
                f"{path} is a directory, not a JSONL file",
                f"name the files in it: {names}" if found else "name a JSONL file",
            )
        if not stat.S_ISREG(kind):
            raise InputError(
                f"{path} is no regular file", "write the data into a file; they are read twice"
            )
        if not os.access(path, os.R_OK):
            raise InputError(f"the data file {path} cannot be read", "check its permissions")
    return tuple(data)


def read_jsonl(path: Path) -> Iterator[Sample | Problem]:
    """Each line of a JSONL file as a sample, or the problem that keeps it from being one.

    A byte-order mark, CRLF line ends and blank lines are accepted. A file that holds no record
    at all is a problem at its line 1.

    :raises InputError: the file vanished or cannot be read.
    """
    empty = True
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file.readline, MAX_LINE_BYTES), start=1):
                raw = line.removeprefix(BOM) if number == 1 else line
                if not raw.strip():
                    continue
                empty = False
                yield _parse(raw, str(path), number)
    except OSError as error:
        raise InputError(f"the data file {path} cannot be read: {error.strerror}") from error
    if empty:
        yield Problem(
            "the file holds no record",
            hint="a JSONL file has one JSON object on each line",
            file=str(path),
            line=1,
        )


def _lines(readline: Any, limit: int) -> Iterator[bytes]:
    """Lines without their ends, of at most ``limit`` + 1 bytes: the rest of one is thrown away."""
    while line := cast(bytes, readline(limit + 2)):
        ended = line.endswith(b"\n")
        yield line.rstrip(b"\r\n")[: limit + 1]
        while not ended and (rest := cast(bytes, readline(CHUNK))):
            ended = rest.endswith(b"\n")


def _parse(raw: bytes, file: str, line: int) -> Sample | Problem:
    def problem(message: str, hint: str) -> Problem:
        return Problem(message, hint=hint, file=file, line=line)

    if len(raw) > MAX_LINE_BYTES:
        return problem(
            f"the line is longer than {MAX_LINE_BYTES // 2**20} MiB",
            "put each sample on a line of its own; no model reads a sample of this length",
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if raw.startswith(UTF_16) else "latin1"
        return problem(
            f"byte {error.start + 1} of the line is not UTF-8 (0x{raw[error.start]:02x})",
            f"save the file as UTF-8: iconv -f {encoding} -t utf-8 FILE > NEW",
        )
    if _nesting(text) > MAX_DEPTH:
        return problem(f"the JSON is nested more than {MAX_DEPTH} deep", "flatten the record")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_int,
        )
        if "\\u" in text:  # only an escape can smuggle in half of a pair
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        hint = "each line must be one whole JSON object"
        if line == 1 and text.lstrip().startswith("["):
            hint = "this looks like a JSON array; JSONL has one object on each line, no brackets"
        return problem(f"broken JSON at column {error.colno}: {error.msg}", hint)
    except UnicodeEncodeError:
        return problem(
            "a string holds half of a surrogate pair (\\ud800-\\udfff), which is no character",
            "write the character itself, or both halves of the pair",
        )
    except _RefusedError as error:
        return problem(str(error), error.hint)
    if not isinstance(value, dict):
        return problem(
            f"a sample must be a JSON object, this is {_kind(value)}",
            "each line must be one whole JSON object: {…}",
        )
    return Sample(cast("dict[str, Any]", value), file, line)


def _nesting(text: str) -> int:
    """How deep brackets outside of strings are nested, in a text that may be broken."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for match in _NESTING.finditer(text):
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
                raise _RefusedError(f"the key {key!r} stands twice", "keep one of its values")
            seen.add(key)
    return result


def _no_constant(constant: str) -> NoReturn:
    raise _RefusedError(f"{constant} is not JSON", "use null or a number")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _RefusedError(
            f"the number {digits[:40]} is too large", "no float reaches beyond 1.8e308"
        )
    return value


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        message = f"a number of {len(digits)} digits is too long"
        raise _RefusedError(message, "put quotes around it to keep it as a text")
    return int(digits)
