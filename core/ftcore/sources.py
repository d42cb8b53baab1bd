"""Finds what ``--data`` names and reads it record by record, whatever container it is in."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import stat
import sys
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

from attrs import field, frozen

from ftcore.delimited import csv_records, tsv_records
from ftcore.documents import json_records
from ftcore.errors import InputError
from ftcore.records import BOM, jsonl_records
from ftcore.values import Problem, Sample

Kind = Literal["jsonl", "json", "csv", "tsv", "parquet", "hub", "stdin"]

ENDINGS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
"""Of files that hold records; all but Parquet may be compressed, with ``.gz`` behind them."""

NO_DATA = frozenset(("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"))
"""Files in folders of data sets that describe the data and hold none."""

STDIN = Path("-")
HEAD = 2**18
"""So many bytes of a file decide what it is."""

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
FOREIGN = {
    b"PK\x03\x04": ("a zip or an Excel file", "unpack it; from Excel, save the table as CSV UTF-8"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file", "save the table as CSV UTF-8"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it: zstd -d FILE"),
    b"\xfd7zXZ\x00": ("compressed with xz", "unpack it: xz -d FILE"),
    b"BZh": ("compressed with bzip2", "unpack it: bzip2 -d FILE"),
    b"ARROW1": ("an Arrow file", "write it as Parquet or JSONL"),
    b"version https://git-lfs": ("a pointer to the data, not the data", "fetch it: git lfs pull"),
}
"""How files begin that hold records and cannot be read, and what to do about it."""

_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(:\w[\w.-]*)?")


class Digest:
    """Size and SHA-256 of what was read; complete when its source was read to the end."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing was read."""
        self.bytes = 0
        self._hash = hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        """Counts what was read."""
        self.bytes += len(data)
        self._hash.update(data)

    def hexdigest(self) -> str:
        """The SHA-256 in hexadecimal."""
        return self._hash.hexdigest()


@frozen
class Source:
    """Something that holds records: a file, standard input or a data set of the Hub."""

    name: str
    """As problems name it."""
    kind: Kind
    path: Path | None
    mode: str | None = None
    """The mode of the records that name none."""
    digest: Digest = field(factory=Digest, eq=False, repr=False)
    """Of the bytes of the file, compressed as it is; of a Hub data set, of the records as JSON
    with sorted keys, each on a line."""


def find_sources(data: Sequence[Path]) -> tuple[Source, ...]:
    """Checks what is given with ``--data`` before anything is read.

    A folder stands for all files in it that have one of the :data:`ENDINGS`, in the order of
    their names; folders in it are passed over. ``-`` is standard input. ``owner/name`` or
    ``owner/name:split``, where no such file exists, is a data set of the Hub. What a file holds
    is told by its first bytes, and only where these leave it open by the ending of its name.

    :raises InputError: a path that does not exist, is no regular file, cannot be read or holds
        nothing that can be read; a folder without data; standard input twice, or a terminal.
    """
    if list(data).count(STDIN) > 1:
        raise InputError("standard input (-) can be read only once", "name - once")
    return tuple(source for path in data for source in _find(path))


def read_source(source: Source) -> Iterator[Sample | Problem]:
    """Each record as a sample, or the problem that keeps it from being one.

    The ``line`` of a sample is where its record begins; in Parquet files and Hub data sets, the
    number of the row. A source that holds no record at all is a problem at its line 1. When the
    last record was given, ``source.digest`` tells what was read.

    :raises InputError: the source cannot be read, is damaged or cut off; standard input was read
        before; the Hub cannot be reached or does not have the data set.
    """
    if source.kind == "stdin" and source.digest.bytes:
        raise InputError("standard input can be read only once", "save it to a file")
    source.digest.reset()
    if source.kind == "hub":
        from ftcore.hub_data import hub_records

        yield from hub_records(source.name, source.digest.update)
    elif source.kind == "parquet" and source.path is not None:
        from ftcore.tables import parquet_records

        with _reading(source) as file:
            _drain(file)
        yield from parquet_records(source.path, source.name)
    else:
        with _reading(source) as file:
            yield from _records(file, source)
            _drain(file)


def size_of(source: Source) -> int:
    """How many bytes a source has; 0 where that is known only when it was read."""
    return source.path.stat().st_size if source.path else 0


def _find(path: Path) -> Iterator[Source]:
    if path == STDIN:
        if sys.stdin.isatty():
            message = "--data - reads standard input, and nothing is piped into it"
            raise InputError(message, "for example: zcat FILE.jsonl.gz | ftcore check --data -")
        yield Source("stdin", "stdin", None)
    elif _is_hub_name(path):
        yield Source(path.as_posix(), "hub", None)
    elif _check(path):
        for file in _files(path):
            if _check(file):
                continue  # a folder that is named like a file
            yield _file(file)
    else:
        yield _file(path)


def _is_hub_name(path: Path) -> bool:
    """Whether a path can only mean a data set: it has no data file's ending, and neither it nor
    the folder that it would be in exists.
    """
    if not _HUB_NAME.fullmatch(path.as_posix()) or _ending(path) is not None:
        return False
    return not os.path.lexists(path) and not path.parent.exists()


def _check(path: Path) -> bool:
    """Whether a path is a folder, and not a file that can be read.

    :raises InputError: it is neither.
    """
    try:
        kind = path.stat().st_mode
    except FileNotFoundError as error:
        message = f"the data file {path} does not exist"
        raise InputError(message, "check the path of --data") from error
    except (OSError, ValueError) as error:  # ValueError: the name holds a NUL
        reason = getattr(error, "strerror", error)
        raise InputError(f"the data file {path} cannot be read: {reason}") from error
    is_folder = stat.S_ISDIR(kind)
    if not is_folder and not stat.S_ISREG(kind):
        raise InputError(
            f"{path} is no regular file", "write the data into a file, or pipe them in: --data -"
        )
    if not os.access(path, os.R_OK | os.X_OK if is_folder else os.R_OK):
        what = "folder" if is_folder else "data file"
        raise InputError(f"the {what} {path} cannot be read", "check its permissions")
    return is_folder


def _ending(path: Path) -> Kind | None:
    """What a file's name says that it holds."""
    return ENDINGS.get(Path(path.name.lower().removesuffix(".gz")).suffix)


def _files(folder: Path) -> list[Path]:
    """The data files in a folder.

    :raises InputError: there are none.
    """
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [e for e in entries if _ending(e) is not None and e.name not in NO_DATA]
    if files:
        return files
    hint = f"files of records end in {', '.join(ENDINGS)}, or the same with .gz"
    deeper = sorted({f.parent.name for f in folder.glob("*/*") if _ending(f) is not None})
    if deeper:
        hint = f"name the folder in it that holds the data: {', '.join(deeper[:3])}"
    elif any(entry.suffix == ".arrow" for entry in entries):
        hint = "it was written by save_to_disk; write the data set with to_parquet or to_json"
    raise InputError(f"the folder {folder} holds no data file", hint)


def _file(path: Path) -> Source:
    """The source that a file is, by its content.

    :raises InputError: it is of a kind that cannot be read.
    """
    source = Source(str(path), "jsonl", path)
    with _errors(source), path.open("rb") as file:
        head = file.read(HEAD)
        if head.startswith(GZIP):
            with gzip.open(path) as unpacked:
                head = unpacked.read(HEAD)
            if head.startswith((GZIP, PARQUET)):
                raise InputError(f"{path} is packed twice", "unpack it once: gunzip FILE")
    return Source(str(path), _kind(head, str(path), _ending(path)), path)


def _kind(head: bytes, name: str, ending: Kind | None) -> Kind:
    """What begins with ``head``; ``ending`` is what the file's name says."""
    if head.startswith(PARQUET):
        return "parquet"
    for magic, (what, hint) in FOREIGN.items():
        if head.startswith(magic):
            raise InputError(f"{name} is {what}", hint)
    text = head.removeprefix(BOM).lstrip()
    first, _, rest = text.partition(b"\n")
    if ending in ("csv", "tsv") and not (text.startswith(b"{") or re.match(rb"\[\s*\{", text)):
        return ending
    if text.startswith(b"["):
        return "jsonl" if rest.strip() and _is_json(first) else "json"
    if text.startswith(b"{"):
        if _is_json(first):
            return "json" if ending == "json" and not rest.strip() else "jsonl"
        if first.strip() == b"{" and rest.lstrip().startswith(b'"'):
            return "json"  # an object over several lines: only a key can follow the bracket
        if ending in ("csv", "tsv"):
            return ending
        opens = ending == "json" and first.count(b"{") > first.count(b"}")
        return "json" if opens else "jsonl"
    if ending == "parquet":
        raise InputError(f"{name} is no Parquet file: it does not begin with PAR1", "fetch it anew")
    return ending or "jsonl"


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _records(file: io.BufferedReader, source: Source) -> Iterator[Sample | Problem]:
    if file.peek(len(GZIP)).startswith(GZIP):
        file = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=file)), HEAD)
    kind = source.kind
    if kind == "stdin":
        kind = _kind(file.peek(HEAD), source.name, None)
    match kind:
        case "jsonl":
            return jsonl_records(file, source.name)
        case "json":
            return json_records(file, source.name)
        case "csv":
            return csv_records(file, source.name)
        case "tsv":
            return tsv_records(file, source.name)
        case _:  # of what is read from standard input
            raise InputError("a Parquet file cannot be read from standard input", "name the file")


class _Counted(io.RawIOBase):
    """A stream whose bytes are counted and hashed as they pass."""

    def __init__(self, stream: io.BufferedIOBase | io.RawIOBase, digest: Digest) -> None:
        self._stream = stream
        self._digest = digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        size = self._stream.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:size])
        return size


@contextmanager
def _errors(source: Source) -> Generator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"the data file {source.name} is damaged or cut off: {error}"
        raise InputError(
            message, "fetch it once more; gzip -t FILE tells whether it is whole"
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"the data file {source.name} cannot be read: {reason}") from error


@contextmanager
def _reading(source: Source) -> Generator[io.BufferedReader]:
    """The bytes of a file or of standard input, counted."""
    with _errors(source):
        if source.path is None:
            stdin = cast(io.BufferedIOBase, sys.stdin.buffer)
            yield io.BufferedReader(_Counted(stdin, source.digest), HEAD)
        else:
            with source.path.open("rb", buffering=0) as raw:
                yield io.BufferedReader(_Counted(raw, source.digest), HEAD)


def _drain(file: io.BufferedIOBase) -> None:
    """Reads what is left, so that the digest is that of the whole."""
    while file.read(HEAD):
        pass
