"""Collects the samples of a run on disk and accounts for every record that gave none."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial

import attrs
import numpy as np
from attrs import field, frozen

from ftcore.balance import choose_balanced
from ftcore.ledger import Entry, Ledger
from ftcore.mode import Mode
from ftcore.plugins import open_mode
from ftcore.samples import Judged, Record, open_judge, read_records
from ftcore.scratch import Scratch
from ftcore.shapes import Importing
from ftcore.sources import Source, size_of
from ftcore.spool import Samples, SampleWriter, Written, open_samples, written
from ftcore.values import Problem
from ftcore.workers import count_workers, in_order

BATCH = 256
"""Records that are judged at once, or fewer where they are long."""
BATCH_BYTES = 2**19

WORTH_A_WORKER = 16 * 2**20
"""Bytes of data for which it is worth starting one more process."""


@frozen(eq=False)
class Collected:
    """The valid samples with their modes, and what became of all other records."""

    samples: Samples = field(repr=False)
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    """What modes and extensions find worth saying about samples that are used all the same."""
    entries: Ledger = field(repr=False)
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


@frozen
class _Verdict:
    """What was found of one record, without what cannot or need not pass between processes."""

    judged: Judged
    written: Written | None
    """The valid sample."""


def collect_samples(
    modes: Mapping[str, Mode],
    sources: Sequence[Source],
    *,
    known_modes: Iterable[str],
    importing: Importing,
    limit: int | None = None,
    in_turn: bool = False,
    workers: int = 1,
    disabled: frozenset[str] = frozenset(),
) -> Collected:
    """What :func:`ftcore.samples.judge_samples` finds, all of it; the samples on disk.

    Valid samples beyond ``limit`` are left out. The result is the same however many processes
    judge the records.

    :param workers: processes that judge records; 0: as many as it is worth.
    :param disabled: plugins that are turned off, wherever modes are opened.
    :raises InputError: a source cannot be read.
    """
    workers = count_workers(workers, sum(map(size_of, sources)), WORTH_A_WORKER)
    scratch = Scratch()
    writer = SampleWriter(scratch.path)
    problems: list[Problem] = []
    warnings: list[Problem] = []
    entries = Ledger()
    shapes: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    known = tuple(known_modes)
    if workers == 1:
        open_verdicts = partial(_open_here, modes, known, importing)
    else:
        open_verdicts = partial(_open_there, tuple(modes), disabled, known, importing)
    batches = _packed(read_records(sources, in_turn=in_turn), single=workers == 1)
    with closing(writer), closing(in_order(open_verdicts, batches, workers)) as verdicts:
        for verdict in (verdict for batch in verdicts for verdict in batch):
            one = verdict.judged
            shapes.update([one.shape] if one.shape else [])
            ignored.update(one.ignored)
            notes.update(one.notes)
            if one.entry is not None:
                problems += [problem for problem in one.problems if problem.severity == "error"]
                entries.add(one.entry)
            elif verdict.written is not None:
                sample = verdict.written
                if limit is not None and len(writer) >= limit:
                    reason = f"beyond the first {limit} samples"
                    entries.add(Entry(sample.file, sample.line, "over_max", reason))
                else:
                    warnings += one.problems
                    writer.add(sample)
        writer.finish()
    samples = open_samples(scratch.path, modes, scratch)
    return Collected(samples, tuple(problems), tuple(warnings), entries, shapes, ignored, notes)


def balance_samples(
    collected: Collected, minimums: Mapping[str, float], seed: int, limit: int | None = None
) -> Collected:
    """Leaves out samples of the modes that are too many: see :mod:`ftcore.balance`."""
    samples = collected.samples
    kinds = samples.kinds()
    kept = np.zeros(len(samples), np.bool_)
    kept[list(choose_balanced(kinds, minimums, seed, limit))] = True
    entries = Ledger(collected.entries)
    for index in np.flatnonzero(~kept).tolist():
        reason = f"{kinds[index]} mode has more than its share"
        entries.add(Entry(*samples.place(index), "balanced_out", reason))
    return attrs.evolve(collected, samples=samples.take(np.flatnonzero(kept)), entries=entries)


def _packed(records: Iterator[Record], *, single: bool) -> Iterator[Sequence[Record | bytes]]:
    """The records in batches of bounded size, pickled where they go to another process."""
    if single:
        for record in records:
            yield [record]
        return
    batch: list[bytes] = []
    size = 0
    for record in records:
        batch.append(pickle.dumps(record))
        size += len(batch[-1])
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _open_here(
    modes: Mapping[str, Mode], known_modes: Sequence[str], importing: Importing
) -> Callable[[Sequence[Record | bytes]], list[_Verdict]]:
    judge = open_judge(modes, known_modes, importing)

    def verdict(record: Record | bytes) -> _Verdict:
        one = judge(pickle.loads(record) if isinstance(record, bytes) else record)
        if one.sample is None or one.mode is None:
            return _Verdict(attrs.evolve(one, mode=None), None)
        return _Verdict(attrs.evolve(one, sample=None, mode=None), written(one.sample, one.mode))

    return lambda batch: [verdict(record) for record in batch]


def _open_there(
    names: Sequence[str],
    disabled: frozenset[str],
    known_modes: Sequence[str],
    importing: Importing,
) -> Callable[[Sequence[Record | bytes]], list[_Verdict]]:
    """In a process that has nothing but what can be pickled."""
    modes = {name: open_mode(name, disabled) for name in names}
    return _open_here(modes, known_modes, importing)
