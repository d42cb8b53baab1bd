"""Makes a record of the columns of a table that the user named with ``--map KEY=COLUMN``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from ftcore.origins import Origins
from ftcore.schemata import pointer
from ftcore.shapes.embedded import ShapeError
from ftcore.shapes.formats import Laid
from ftcore.shapes.schema_keys import SchemaKeys
from ftcore.values import Json

MISSING = object()
OF_FORMATS = frozenset({"instruction", "output", "prompt", "completion", "response"})
"""Keys of other shapes under which there must be a text."""
TEXTS_OF_FORMATS = OF_FORMATS | {"input", "system"}


def read_columns(record: Json, columns: Mapping[str, str], keys: SchemaKeys) -> Laid:
    """The mapped keys with the values of their columns, and nothing else.

    A column is named as it is, or as a path into nested columns: ``meta.question``, or a JSON
    pointer ``/meta/question``. A number becomes text where the mode's schema wants a text. An
    empty cell is left out under a key that the mode does not need.

    :raises ShapeError: the record lacks a column, or the cell of a needed key is empty.
    """
    data: dict[str, object] = {}
    places: dict[str, str] = {}
    read: set[str] = set()
    for key, column in columns.items():
        steps = _steps(record, column)
        value, place = find_column(record, column), pointer(steps)
        read.add(steps[0])
        if value is MISSING:
            raise no_column(record, key, column)
        if _is_empty(value):
            if key not in keys.required and key not in OF_FORMATS:
                continue
            others = ", ".join(k for k, v in record.items() if not _is_empty(v)) or "none"
            raise ShapeError(
                f"the column {column!r} is empty, which --map {key}={column} names",
                place,
                f"fill it, or leave the record out; columns that are not empty: {others}",
            )
        is_text = keys.takes_text(key) or (key not in keys.properties and key in TEXTS_OF_FORMATS)
        if is_text and isinstance(value, int | float):
            value = json.dumps(value)
        data[key] = value
        places[f"/{key}"] = place
    return Laid(data, Origins(places), frozenset(read))


def find_column(record: Json, column: str) -> object:
    """The value of a column; :data:`MISSING` where the record has no such column."""
    return _find(record, _steps(record, column))


def no_column(record: Json, key: str, column: str) -> ShapeError:
    """The fault of a record without a column that ``--map`` names."""
    return ShapeError(
        f"there is no column {column!r}, which --map {key}={column} names",
        "",
        f"the columns of this record: {', '.join(record) or 'none'}",
    )


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _steps(record: Json, column: str) -> list[str]:
    """The path to a column: one step, unless no column has this very name."""
    if column in record:
        return [column]
    if column.startswith("/"):
        return [s.replace("~1", "/").replace("~0", "~") for s in column[1:].split("/")]
    return column.split(".")


def _find(record: Json, steps: Sequence[str]) -> object:
    value: object = record
    for number, step in enumerate(steps):
        # what lies in an empty cell is empty; Parquet's readers leave nulls in structs out
        if number and (value is None or value == {}):
            return None
        if isinstance(value, dict):
            value = cast("Json", value).get(step, MISSING)
            continue
        items = cast("list[object]", value) if isinstance(value, list) else []
        value = items[int(step)] if step.isdecimal() and int(step) < len(items) else MISSING
    return value
