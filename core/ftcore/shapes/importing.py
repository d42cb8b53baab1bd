"""Turns a record of any shape into a sample of a mode, one record at a time."""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache

import attrs
from attrs import field, frozen

from ftcore.errors import InputError
from ftcore.mode import CORE_KEYS, Mode
from ftcore.origins import Origins, trace, translate
from ftcore.schemata import pointer
from ftcore.shapes.chats import KEYS, is_plain, read_chat
from ftcore.shapes.embedded import ShapeError
from ftcore.shapes.formats import FORMATS, MEDIA, Format
from ftcore.shapes.schema_keys import SchemaKeys, schema_keys
from ftcore.shapes.table import read_columns
from ftcore.shapes.turns import READ_KEYS, misspelt
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
    shape, columns = importing.shape, importing.columns
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
    core = {key: value for key, value in sample.data.items() if key in CORE_KEYS}
    keys = _keys(mode)
    given = {key: value for key, value in sample.data.items() if key not in core}
    record = {
        key: value for key, value in given.items() if value is not None or keys.takes_null(key)
    }
    try:
        if importing.columns and not _names_speaker(record, keys, importing):
            source = _Source(attrs.evolve(sample, data=given), mode, keys)
            made = _from_table(source, importing.columns)
        else:
            source = _Source(attrs.evolve(sample, data=record), mode, keys)
            shape = importing.shape or _detect(record, keys)
            made = _from_shape(source, shape, importing.columns.get("assistant"))
    except ShapeError as error:
        return Problem(error.message, error.pointer, error.hint, sample.file, sample.line)
    data = {**made.sample.data, **core}
    if data == sample.data:
        return attrs.evolve(made, sample=sample)
    return attrs.evolve(made, sample=attrs.evolve(made.sample, data=data))


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
    return next((name for name, shape in FORMATS.items() if shape.fits(record)), NATIVE)


def _from_table(source: _Source, columns: Mapping[str, str]) -> Imported:
    """A sample of the mapped columns, which may make a record of another shape first."""
    record = source.record
    table = read_columns(record.data, columns, source.keys)
    mapped = attrs.evolve(source, record=attrs.evolve(record, data=table.data))
    with _within(table.origins):
        made = _from_shape(mapped, _detect(table.data, source.keys), None)
    inner = made.sample.origins if isinstance(made.sample.origins, Origins) else Origins()
    return attrs.evolve(
        made,
        sample=attrs.evolve(made.sample, origins=inner.within(table.origins)),
        shape=TABLE,
        ignored=(*(key for key in record.data if key not in table.read), *made.ignored),
    )


def _from_shape(source: _Source, shape: str, speaker: str | None) -> Imported:
    if shape == NATIVE:
        return Imported(source.record, NATIVE)
    record, form = source.record.data, FORMATS[shape]
    _check_has(record, form, source.keys)
    _check_media(record)
    laid = form.lay_out(record, speaker)
    with _within(laid.origins):
        chat = read_chat(laid.data, source.keys.message - READ_KEYS)
    data = source.mode.import_chat(chat.data, source.record)
    if data is None:
        raise ShapeError(
            f"this is a chat (shape {shape!r}), and the mode {source.mode.name!r} takes no chats",
            "",
            f"say which column is what with --map KEY=COLUMN; keys of the mode: "
            f"{', '.join(source.keys.properties)}",
        )
    unread = [key for key in record if key not in laid.read]
    carried = {
        key: record[key] for key in unread if key in source.keys.properties and key not in data
    }
    ignored = [key for key in unread if key not in carried]
    _check_spelling(ignored, record, (*form.known, *source.keys.properties))
    origins = trace(data, chat.data, chat.origins).within(laid.origins)
    sample = attrs.evolve(source.record, data={**data, **carried}, origins=origins)
    return Imported(sample, shape, (*ignored, *chat.ignored), chat.notes)


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


def _check_media(record: Json) -> None:
    for key in MEDIA:
        if record.get(key):
            raise ShapeError(
                f"the record comes with {key}, which a model of text cannot see or hear",
                pointer([key]),
                "leave the record out; or remove the key, if the text makes sense by itself",
            )


def _check_spelling(unread: Iterable[str], record: Json, known: Sequence[str]) -> None:
    """A key that nothing reads is no fault; one that was meant to be read is."""
    for key in unread:
        meant = misspelt(key, known, record)
        if meant:
            raise ShapeError(
                f"unknown key {key!r}",
                pointer([key]),
                f"did you mean {meant!r}? a key that nothing shall read needs a name that is "
                "less like it",
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
