"""Collects the samples of a run: reads, sorts by mode, validates, and accounts for every record."""

from __future__ import annotations

import difflib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import attrs
from attrs import field, frozen

from ftcore.balance import choose_balanced
from ftcore.contamination import contamination, foreign_markers
from ftcore.ledger import Entry, State
from ftcore.mode import Mode, placed
from ftcore.schemata import shown
from ftcore.shapes import Imported, Importing, import_record
from ftcore.sources import Source, read_source
from ftcore.values import Problem, Sample

T = TypeVar("T")


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


@frozen
class Collected:
    """The valid samples with their modes, and what became of all other records."""

    samples: tuple[tuple[Sample, Mode], ...] = field(repr=False)
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    """What modes and extensions find worth saying about samples that are used all the same."""
    entries: tuple[Entry, ...] = field(repr=False)
    """Of the records that gave no sample: refused, of another mode, beyond the maximum."""
    shapes: Mapping[str, int]
    """How many records were written in which shape."""
    ignored: Mapping[str, int]
    """Keys of foreign shapes that nothing reads, and in how many records."""
    notes: Mapping[str, int]
    """What was done to records of foreign shapes, and to how many."""

    @property
    def records(self) -> int:
        """How many records the data hold."""
        return len(self.samples) + len(self.entries)


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
    known = sorted({*known_modes, *modes})
    foreign = foreign_markers(modes)
    readers = [_records(source) for source in sources]
    records = _in_turn(readers) if in_turn else chain.from_iterable(readers)
    for item, owner in records:
        choice = item if isinstance(item, Problem) else _choose(item, owner, modes, known)
        if isinstance(choice, Problem):
            yield _refused((choice,))
        elif isinstance(choice, str):
            yield Judged(None, None, entry=_entry(item, "other_mode", f"of the mode {choice!r}"))
        elif isinstance(item, Sample):  # always: what is no sample is a problem
            yield _judge(item, choice, importing, foreign[choice.name])


def collect_samples(
    modes: Mapping[str, Mode],
    sources: Sequence[Source],
    *,
    known_modes: Iterable[str],
    importing: Importing,
    limit: int | None = None,
    in_turn: bool = False,
) -> Collected:
    """What :func:`judge_samples` finds, all of it; valid samples beyond ``limit`` are left out.

    :raises InputError: a source cannot be read.
    """
    samples: list[tuple[Sample, Mode]] = []
    problems: list[Problem] = []
    warnings: list[Problem] = []
    entries: list[Entry] = []
    shapes: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    judged = judge_samples(
        modes, sources, known_modes=known_modes, importing=importing, in_turn=in_turn
    )
    for one in judged:
        shapes.update([one.shape] if one.shape else [])
        ignored.update(one.ignored)
        notes.update(one.notes)
        if one.entry is not None:
            problems += [problem for problem in one.problems if problem.severity == "error"]
            entries.append(one.entry)
        elif one.sample is not None and one.mode is not None:
            if limit is not None and len(samples) >= limit:
                entries.append(_entry(one.sample, "over_max", f"beyond the first {limit} samples"))
            else:
                warnings += one.problems
                samples.append((one.sample, one.mode))
    return Collected(
        tuple(samples), tuple(problems), tuple(warnings), tuple(entries), shapes, ignored, notes
    )


def balance_samples(collected: Collected, minimums: Mapping[str, float], seed: int) -> Collected:
    """Leaves out samples of the modes that are too many: see :mod:`ftcore.balance`."""
    kept = choose_balanced([mode.name for _, mode in collected.samples], minimums, seed)
    out = [
        _entry(sample, "balanced_out", f"{mode.name} mode has more than its share")
        for index, (sample, mode) in enumerate(collected.samples)
        if index not in kept
    ]
    return attrs.evolve(
        collected,
        samples=tuple(item for index, item in enumerate(collected.samples) if index in kept),
        entries=(*collected.entries, *out),
    )


def _in_turn(readers: Sequence[Iterator[T]]) -> Iterator[T]:
    """One of each in turn, until all are at their end."""
    left = deque(readers)
    while left:
        reader = left.popleft()
        for item in reader:
            yield item
            left.append(reader)
            break


def _records(source: Source) -> Iterator[tuple[Sample | Problem, str | None]]:
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
    valid = attrs.evolve(sample, origins={})  # nothing will point into the record any more
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
    sample: Sample, owner: str | None, modes: Mapping[str, Mode], known: Sequence[str]
) -> Mode | Problem | str:
    """The sample's mode; the name of an installed one that is not being trained."""
    name = sample.data.get("cognitive_mode")
    if name is None:
        name = owner
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


def _entry(item: Sample | Problem, state: State, reason: str) -> Entry:
    return Entry(item.file, item.line, state, reason)
