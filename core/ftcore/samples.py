"""Reads records and judges each: whose mode's it is, and whether it is a valid sample."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import attrs
from attrs import frozen

from ftcore.contamination import contamination, foreign_markers
from ftcore.ledger import Entry, State
from ftcore.mode import Mode, placed
from ftcore.origins import SOMEWHERE
from ftcore.schemata import shown
from ftcore.shapes import Imported, Importing, import_record, mode_of
from ftcore.sources import Source, read_source
from ftcore.values import Problem, Sample

T = TypeVar("T")

Record = tuple[Sample | Problem, str | None]
"""What was read, and the mode that its source says it is of."""


@frozen
class Judged:
    """One record, and whether it is a sample."""

    sample: Sample | None
    """The valid sample; None if ``entry`` says what became of the record."""
    mode: Mode | None
    """The mode that judged the record."""
    shape: str = ""
    """The shape that the record was written in; empty where it was not looked at."""
    ignored: tuple[str, ...] = ()
    """Keys of a foreign shape that nothing reads."""
    notes: tuple[str, ...] = ()
    """What was done to a record of a foreign shape beyond writing it in other words."""
    problems: tuple[Problem, ...] = ()
    """Errors, or warnings about a sample that is used all the same."""
    entry: Entry | None = None


def judge_samples(
    modes: Mapping[str, Mode],
    sources: Sequence[Source],
    *,
    known_modes: Iterable[str],
    importing: Importing,
    in_turn: bool = False,
) -> Iterator[Judged]:
    """Reads and validates all records of all sources in bounded memory.

    :param modes: the one mode that was asked for, or several for mixed training, where every
        record must say its ``cognitive_mode``, unless its source does.
    :param known_modes: all installed modes: a sample of one that is not in ``modes`` is left out,
        one of an unknown mode is a problem.
    :param in_turn: take one record of every source, then the next of every source, and so on.
    :raises InputError: a source cannot be read.
    """
    judge = open_judge(modes, known_modes, importing)
    yield from map(judge, read_records(sources, in_turn=in_turn))


def read_records(sources: Sequence[Source], *, in_turn: bool) -> Iterator[Record]:
    """All records of all sources.

    :param in_turn: one record of every source, then the next of every source, and so on.
    :raises InputError: a source cannot be read.
    """
    readers = [_records(source) for source in sources]
    return _in_turn(readers) if in_turn else chain.from_iterable(readers)


def open_judge(
    modes: Mapping[str, Mode], known_modes: Iterable[str], importing: Importing
) -> Callable[[Record], Judged]:
    """What judges one record: see :func:`judge_samples`."""
    known = sorted({*known_modes, *modes})
    foreign = foreign_markers(modes)

    def judge(record: Record) -> Judged:
        item, owner = record
        if isinstance(item, Problem):
            return _refused((item,))
        named = mode_of(item, importing)
        choice = _choose(owner if named is None else named, item, modes, known)
        if isinstance(choice, str):
            return Judged(None, None, entry=entry(item, "other_mode", f"of the mode {choice!r}"))
        if isinstance(choice, Problem):
            return _refused((choice,))
        return _judge(item, choice, importing, foreign[choice.name])

    return judge


def _in_turn(readers: Sequence[Iterator[T]]) -> Iterator[T]:
    """One of each in turn, until all are at their end."""
    left = deque(readers)
    while left:
        reader = left.popleft()
        for item in reader:
            yield item
            left.append(reader)
            break


def _records(source: Source) -> Iterator[Record]:
    for item in read_source(source):
        yield item, source.mode


def _judge(record: Sample, mode: Mode, importing: Importing, foreign: Mapping[str, str]) -> Judged:
    imported = import_record(record, mode, importing)
    if isinstance(imported, Problem):
        return _refused((imported,), mode)
    sample = imported.sample
    found = mode.problems(sample)
    if not any(problem.severity == "error" for problem in found):
        found += placed(contamination(sample, foreign), sample)
    if any(problem.severity == "error" for problem in found):
        return _refused(found, mode, imported)
    # what points into the record from now on is rare, and the record itself much to keep
    valid = attrs.evolve(sample, origins=SOMEWHERE if sample.origins else {})
    return Judged(valid, mode, imported.shape, imported.ignored, imported.notes, found)


def _refused(
    problems: tuple[Problem, ...], mode: Mode | None = None, imported: Imported | None = None
) -> Judged:
    first = next(problem for problem in problems if problem.severity == "error")
    entry = Entry(first.file, first.line, "refused", first.message)
    judged = Judged(None, mode, problems=problems, entry=entry)
    if imported is None:
        return judged
    return attrs.evolve(
        judged, shape=imported.shape, ignored=imported.ignored, notes=imported.notes
    )


def _choose(
    name: object, sample: Sample, modes: Mapping[str, Mode], known: Sequence[str]
) -> Mode | Problem | str:
    """The mode of that name; the name itself if it is installed and not being trained."""
    if name is None and len(modes) == 1:
        return next(iter(modes.values()))
    if isinstance(name, str) and name in modes:
        return modes[name]
    if isinstance(name, str) and name in known:
        return name
    close = difflib.get_close_matches(str(name), known, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    message = f"there is no mode {shown(name)}"
    return Problem(
        "the key 'cognitive_mode' is missing" if name is None else message,
        pointer="" if name is None else "/cognitive_mode",
        hint=f"{meant}installed modes: {', '.join(known)}"
        + ("; or train one mode alone: --mode NAME" if name is None else ""),
        file=sample.file,
        line=sample.line,
    )


def entry(item: Sample | Problem, state: State, reason: str) -> Entry:
    """The entry of a record that is not used."""
    return Entry(item.file, item.line, state, reason)
