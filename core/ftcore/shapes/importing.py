"""Turns a record of any shape into a sample of a mode, one record at a time."""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import cast

import attrs
from attrs import field, frozen

from ftcore.errors import InputError
from ftcore.mode import CORE_KEYS, Mode
from ftcore.origins import Origins, enclosing, trace, translate
from ftcore.shapes.chats import KEYS, is_plain, read_chat
from ftcore.shapes.checks import (
    check_media,
    check_one_value,
    check_place,
    check_some_key,
    check_spelling,
    check_whole,
)
from ftcore.shapes.embedded import ShapeError
from ftcore.shapes.formats import FORMATS, Format
from ftcore.shapes.keys import READ_KEYS
from ftcore.shapes.schema_keys import SchemaKeys, schema_keys
from ftcore.shapes.table import MISSING, find_column, no_column, read_columns
from ftcore.shapes.turns import is_empty_system
from ftcore.values import Json, Problem, Sample

NATIVE = "native"
TABLE = "table"
SHAPES = (NATIVE, *FORMATS, TABLE)
"""What ``--shape`` takes."""


@frozen
class Importing:
    """What the user said about the shape of the data."""

    shape: str | None = None
    """One of :data:`SHAPES`; None: each record's shape is found out from its keys."""
    columns: Mapping[str, str] = field(factory=dict[str, str])
    """``--map KEY=COLUMN``: keys of a sample and the columns that hold their values."""

    @property
    def of_core(self) -> Mapping[str, str]:
        """The columns of the core's own keys: a record of any shape may have them."""
        return {key: column for key, column in self.columns.items() if key in CORE_KEYS}

    @property
    def of_shape(self) -> Mapping[str, str]:
        """All other columns."""
        return {key: column for key, column in self.columns.items() if key not in CORE_KEYS}


@frozen
class Imported:
    """A record as a sample of its mode, not yet validated."""

    sample: Sample
    shape: str
    ignored: tuple[str, ...] = ()
    """What was left out because nothing reads it: keys of the record, keys of turns."""
    notes: tuple[str, ...] = ()
    """What was done to the record beyond writing it in other words; a few fixed sentences."""


def check_importing(importing: Importing, modes: Iterable[Mode] = ()) -> None:
    """Looks at ``--shape`` and ``--map`` before anything is read.

    :param modes: the modes of the run; given any, each mapped key must be one that a mode knows
        or that belongs to another shape.
    :raises InputError: a name is unknown, or the two options do not go together.
    """
    shape, columns = importing.shape, importing.of_shape
    if shape is not None and shape not in SHAPES:
        raise InputError(
            f"there is no shape {shape!r} of records",
            f"{_meant(shape, SHAPES)}--shape takes one of: {', '.join(SHAPES)}",
        )
    if shape == TABLE and not columns:
        raise InputError(
            "--shape table needs to know which column is what",
            "name the columns: --map KEY=COLUMN, once for each key of a sample",
        )
    if shape == "turns" and columns.keys() - {"assistant"}:
        raise InputError(
            "with --shape turns, --map names only the speaker who is learned",
            "write --map assistant=SPEAKER",
        )
    if columns and shape not in (None, TABLE, "turns"):
        raise InputError(
            f"--map does not go together with --shape {shape}",
            "leave --shape out: what the mapped keys make is found out from their names",
        )
    known = [key for mode in modes for key in _keys(mode).properties]
    if not known:
        return
    known += [key for shape in FORMATS.values() for key in shape.known]
    known += CORE_KEYS
    for key in columns.keys() - {*known, "assistant"}:
        raise InputError(
            f"--map {key}={columns[key]}: no sample has a key {key!r}",
            f"{_meant(key, known)}keys: {', '.join(dict.fromkeys(known))}",
        )


def import_record(sample: Sample, mode: Mode, importing: Importing) -> Imported | Problem:
    """The sample that a record stands for, or why it is none.

    A record that has the mode's own shape, or that no shape fits, is handed on as it is: then the
    mode's schema says what is wrong. The core's own keys (``cognitive_mode``, …) are kept. A key
    that holds null counts as left out, unless the mode's schema takes null there.

    :raises PluginError: the mode fails on a chat.
    """
    keys = _keys(mode)
    columns = importing.of_shape
    try:
        core = _core_values(sample, importing.of_core)
        spent = () if columns else importing.of_core.values()
        given = {k: v for k, v in sample.data.items() if k not in CORE_KEYS and k not in spent}
        record = {key: v for key, v in given.items() if v is not None or keys.takes_null(key)}
        if columns and not _names_speaker(record, keys, importing):
            source = _Source(attrs.evolve(sample, data=given), mode, keys)
            made = _from_table(source, columns)
        else:
            source = _Source(attrs.evolve(sample, data=record), mode, keys)
            shape = importing.shape or _detect(record, keys)
            if importing.shape is None and shape == NATIVE:
                check_some_key(record, mode, keys)
            made = _from_shape(source, shape, columns.get("assistant"))
    except ShapeError as error:
        at = enclosing(error.pointer, sample.data)
        return Problem(error.message, at, error.hint, sample.file, sample.line)
    data = {**made.sample.data, **core}
    if data == sample.data:
        return attrs.evolve(made, sample=sample)
    origins = made.sample.origins
    if isinstance(origins, Origins):
        origins = attrs.evolve(origins, record=sample.data)
    return attrs.evolve(made, sample=attrs.evolve(made.sample, data=data, origins=origins))


def mode_of(sample: Sample, importing: Importing) -> object:
    """What a record says of its mode: in the column that ``--map cognitive_mode=COLUMN`` names, or
    else under the key; None where it says nothing.
    """
    found = MISSING
    if "cognitive_mode" in importing.columns:
        found = find_column(sample.data, importing.columns["cognitive_mode"])
    return sample.data.get("cognitive_mode") if found is MISSING or found is None else found


def _core_values(sample: Sample, columns: Mapping[str, str]) -> dict[str, object]:
    """The core's keys of a record, or the columns that were named for them."""
    core = {key: v for key, v in sample.data.items() if key in CORE_KEYS and v is not None}
    for key, column in columns.items():
        value = find_column(sample.data, column)
        if value is MISSING:
            raise no_column(sample.data, key, column)
        if value is not None:
            core[key] = value
    return core


@frozen
class _Source:
    """A record without the core's keys, and the mode that it is for."""

    record: Sample
    mode: Mode
    keys: SchemaKeys


def _names_speaker(record: Json, keys: SchemaKeys, importing: Importing) -> bool:
    """Whether ``--map assistant=NAME`` names a speaker and no column."""
    return importing.shape == "turns" or (
        importing.shape is None
        and set(importing.columns) == {"assistant"}
        and "assistant" not in keys.properties
        and FORMATS["turns"].fits(record)
    )


def _detect(record: Json, keys: SchemaKeys) -> str:
    """The shape of a record by its keys, and of a chat in the mode's own keys by its messages."""
    own = record.keys() <= keys.properties.keys()
    if own and ("messages" not in record or is_plain(record, keys.message or KEYS)):
        return NATIVE
    fitting = [shape for shape in FORMATS.values() if shape.fits(record)]
    # an empty list of messages beside a chat in another shape is a column that nobody filled
    fitting.sort(key=lambda shape: not shape.is_filled(record))
    return fitting[0].name if fitting else NATIVE


def _from_table(source: _Source, columns: Mapping[str, str]) -> Imported:
    """A sample of the mapped columns, which may make a record of another shape first."""
    record = source.record
    table = read_columns(record.data, columns, source.keys)
    unread = [key for key, v in record.data.items() if key not in table.read and v is not None]
    check_spelling(unread, record.data, ("cognitive_mode",))
    mapped = attrs.evolve(source, record=attrs.evolve(record, data=table.data))
    with _within(table.origins):
        made = _from_shape(mapped, _detect(table.data, source.keys), None)
    inner = made.sample.origins if isinstance(made.sample.origins, Origins) else Origins()
    return attrs.evolve(
        made,
        sample=attrs.evolve(made.sample, origins=inner.within(table.origins)),
        shape=TABLE,
        ignored=(*unread, *made.ignored),
    )


def _from_shape(source: _Source, shape: str, speaker: str | None) -> Imported:
    if shape == NATIVE:
        return Imported(_without_empty_system(source.record), NATIVE)
    record, form, keys = source.record.data, FORMATS[shape], source.keys
    _check_has(record, form, keys)
    check_media(record, "", "record")
    laid = form.lay_out(record, speaker)
    with _within(laid.origins):
        chat = read_chat(laid.data, keys.message - READ_KEYS)
    data = source.mode.import_chat(chat.data, source.record)
    if data is None:
        raise ShapeError(
            f"this is a chat (shape {shape!r}), and the mode {source.mode.name!r} takes no chats",
            "",
            f"say which column is what with --map KEY=COLUMN; keys of the mode: "
            f"{', '.join(keys.properties)}",
        )
    unread = [key for key in record if key not in laid.read]
    check_one_value([key for key in unread if key in keys.properties], record, data, shape)
    carried = {key: record[key] for key in unread if key in keys.properties and key not in data}
    ignored = [key for key in unread if key not in keys.properties]
    check_spelling(ignored, record, (*form.known, *keys.properties, "cognitive_mode"))
    origins = trace(data, chat.data, chat.origins).within(laid.origins)
    check_place(data, source.mode, keys, origins, record)
    data = {**data, **carried}
    with _within(chat.origins.within(laid.origins)):
        check_whole(data, source.mode, chat.data, shape)
    sample = attrs.evolve(source.record, data=data, origins=origins)
    return Imported(sample, shape, (*ignored, *laid.ignored, *chat.ignored), chat.notes)


def _without_empty_system(record: Sample) -> Sample:
    """The record itself, or without the system's messages that say nothing."""
    messages: object = record.data.get("messages")
    items = cast("list[object]", messages) if isinstance(messages, list) else []
    kept = [index for index, item in enumerate(items) if not is_empty_system(item)]
    if len(kept) == len(items):
        return record
    places = {f"/messages/{new}": f"/messages/{old}" for new, old in enumerate(kept)}
    data = {**record.data, "messages": [items[index] for index in kept]}
    return attrs.evolve(record, data=data, origins=Origins(places))


def _check_has(record: Json, form: Format, keys: SchemaKeys) -> None:
    """What a forced shape lacks; a shape that was found out lacks nothing."""
    missing = form.missing(record)
    if missing:
        wanted = ", ".join(" or ".join(map(repr, some)) for some in missing)
        fitting = _detect(record, keys)
        looks = f"; it looks like --shape {fitting}" if fitting != NATIVE else ""
        raise ShapeError(
            f"the record has no {wanted}, which the shape {form.name!r} needs",
            "",
            f"its keys: {', '.join(record) or 'none'}{looks}",
        )


@contextmanager
def _within(origins: Origins) -> Generator[None]:
    """Faults of a value that was laid out anew point into the value that it was made of."""
    try:
        yield
    except ShapeError as error:
        at = translate(error.pointer, origins)
        raise ShapeError(error.message, at, error.hint) from error


@lru_cache(maxsize=64)
def _keys(mode: Mode) -> SchemaKeys:
    return schema_keys(mode.schema)


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""
