"""Reads records out of Parquet files, and makes JSON values of what Arrow's tables hold."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from ftcore.errors import InputError
from ftcore.records import (
    DECODER,
    MAX_DEPTH,
    MAX_LINE_BYTES,
    RefusedError,
    nesting,
    no_record,
)
from ftcore.values import Problem, Sample

BATCH = 32
"""Rows of Parquet that are taken out at a time: few, for a small file can hold very long ones."""


def parquet_records(path: Path, name: str) -> Iterator[Sample | Problem]:
    """Each row of a Parquet file; its ``line`` is the number of the row, from 1.

    An empty cell is None. Inside of a cell, null leaves its key out: Arrow fills structs up with
    nulls.

    :raises InputError: the file is no whole Parquet file.
    """
    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            names: list[str] = file.schema_arrow.names
            if twice := {column for column in names if names.count(column) > 1}:
                raise InputError(
                    f"two columns of {name} have the name {min(twice)!r}", "rename one of them"
                )
            schema = file.schema_arrow if "arrow.json" in str(file.schema_arrow) else None
            number = 0
            for batch in file.iter_batches(batch_size=BATCH):
                for row in _rows(batch):
                    number += 1
                    yield table_record(row, name, number, schema)
    except (arrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the data file {name} is damaged or cut off: {reason[:240]}", "fetch it once more"
        ) from error
    if not number:
        yield no_record(name, "the table has no rows")


def _rows(batch: Any) -> Iterator[Mapping[str, Any] | str]:
    """The rows of a batch; of one that is no Python value, why."""
    try:
        yield from batch.to_pylist(maps_as_pydicts="strict")
    except (ValueError, OverflowError, KeyError):  # times in nanoseconds, bad UTF-8, double keys
        for index in range(batch.num_rows):
            try:
                yield from batch.slice(index, 1).to_pylist(maps_as_pydicts="strict")
            except (ValueError, OverflowError, KeyError) as error:
                yield " ".join(str(error).split())


def table_record(
    row: Mapping[str, Any] | str, name: str, number: int, schema: Any = None
) -> Sample | Problem:
    """A row of Python values as a sample; a text says why there is none.

    :param schema: Arrow schema of the row, where the values alone do not say what they are.
    """
    if isinstance(row, str):
        hint = "store the column as text in UTF-8, or leave it out"
        return Problem(f"a value cannot be read: {row}", "", hint, name, number)
    data: dict[str, Any] = {}
    for key, value in row.items():
        try:
            data[key] = _plain(value, None if schema is None else schema.field(key).type)
        except RefusedError as error:
            pointer = f"/{key.replace('~', '~0').replace('/', '~1')}"
            return Problem(str(error), pointer, error.hint, name, number)
    try:
        size = len(json.dumps(data, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        message = "a text holds half of a surrogate pair, which is no character"
        return Problem(message, "", "write the character itself", name, number)
    if size > MAX_LINE_BYTES:
        message = f"the row is longer than {MAX_LINE_BYTES // 2**20} MiB"
        return Problem(message, "", "no model reads a sample of this length", name, number)
    return Sample(data, name, number)


def _plain(value: object, kind: Any = None, depth: int = 1) -> object:
    """A value as JSON has it, without nulls in structs.

    :param kind: its Arrow type; texts of Arrow's JSON type are parsed.
    :raises RefusedError: JSON has no such value.
    """
    if depth > MAX_DEPTH:
        raise RefusedError(f"the value is nested more than {MAX_DEPTH} deep", "flatten the record")
    match value:
        case str():
            return _text(value, kind)
        case bool() | int() | None:
            return value
        case float():
            if not math.isfinite(value):
                raise RefusedError(f"{value} is not JSON", "leave the cell empty")
            return value
        case dict():
            struct = cast("dict[str, object]", value)
            return {
                key: _plain(item, _inner(kind, key), depth + 1)
                for key, item in struct.items()
                if item is not None
            }
        case list() | tuple():
            inner = _inner(kind)
            return [_plain(item, inner, depth + 1) for item in cast("Iterable[object]", value)]
        case datetime.date() | datetime.time():  # a datetime is a date
            return value.isoformat()
        case decimal.Decimal():
            return _number(value)
        case uuid.UUID():
            return str(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise RefusedError("holds bytes, not text", "leave this column out") from None
        case _:
            raise RefusedError(
                f"holds a value of the type {type(value).__name__}, which JSON does not have",
                "leave this column out, or turn it into text",
            )


def _text(value: str, kind: Any) -> object:
    if getattr(kind, "extension_name", "") != "arrow.json":
        return value
    if nesting(value) > MAX_DEPTH:
        raise RefusedError(f"holds JSON nested more than {MAX_DEPTH} deep", "flatten the record")
    try:
        parsed = cast(object, DECODER.decode(value))
    except json.JSONDecodeError as error:
        raise RefusedError(f"holds broken JSON: {error}", "mend it, or store it as text") from None
    return parsed


def _inner(kind: Any, key: str | None = None) -> Any:
    """The Arrow type of a list's items, a struct's field or a map's values."""
    if kind is None:
        return None
    if key is not None and hasattr(kind, "get_field_index"):
        index = kind.get_field_index(key)
        return kind.field(index).type if index >= 0 else None
    return getattr(kind, "item_type" if key is not None else "value_type", None)


def _number(value: decimal.Decimal) -> int | float:
    if not value.is_finite():
        raise RefusedError(f"{value} is not JSON", "leave the cell empty")
    exponent = value.as_tuple().exponent
    return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)
