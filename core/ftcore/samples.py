"""Collects the samples of a run: reads, sorts by mode, validates, and accounts for every line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from ftcore.ledger import Entry
from ftcore.mode import Mode
from ftcore.records import find_files, read_jsonl
from ftcore.schemata import shown
from ftcore.values import Problem, Sample


@frozen
class Collected:
    """The valid samples with their modes, and what became of all other lines."""

    samples: tuple[tuple[Sample, Mode], ...] = field(repr=False)
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    """What modes and extensions find worth saying about samples that are used all the same."""
    entries: tuple[Entry, ...] = field(repr=False)
    """Of the lines that gave no sample: refused, of another mode, beyond the maximum."""

    @property
    def lines(self) -> int:
        """How many records the files hold."""
        return len(self.samples) + len(self.entries)


def collect_samples(
    modes: Mapping[str, Mode],
    files: Sequence[Path],
    *,
    known_modes: Iterable[str],
    limit: int | None = None,
) -> Collected:
    """Reads and validates all lines of all files, in order.

    ``modes`` holds the one mode that was asked for, or several for mixed training, where every
    sample must say its ``cognitive_mode``. ``known_modes`` are all installed ones: a sample of
    another installed mode is left out, one of an unknown mode is a problem. Valid samples beyond
    the first ``limit`` are left out too.

    :raises InputError: a file cannot be read.
    """
    samples: list[tuple[Sample, Mode]] = []
    problems: list[Problem] = []
    warnings: list[Problem] = []
    entries: list[Entry] = []
    known = sorted({*known_modes, *modes})
    for file in find_files(files):
        for item in read_jsonl(file):
            mode, found = _judge(item, modes, known)
            errors = [problem for problem in found if problem.severity == "error"]
            if errors:
                problems += errors
                entries.append(Entry(errors[0].file, errors[0].line, "refused", errors[0].message))
            elif isinstance(item, Problem) or mode is None:
                name = item.data["cognitive_mode"] if isinstance(item, Sample) else None
                entries.append(Entry(item.file, item.line, "other_mode", f"of the mode {name!r}"))
            elif limit is not None and len(samples) >= limit:
                reason = f"beyond the first {limit} samples"
                entries.append(Entry(item.file, item.line, "over_max", reason))
            else:
                warnings += found
                samples.append((item, mode))
    return Collected(tuple(samples), tuple(problems), tuple(warnings), tuple(entries))


def _judge(
    item: Sample | Problem, modes: Mapping[str, Mode], known: Sequence[str]
) -> tuple[Mode | None, tuple[Problem, ...]]:
    """The mode of a record, None if it is not being trained, and what is wrong with the record."""
    if isinstance(item, Problem):
        return None, (item,)
    choice = _choose(item, modes, known)
    if isinstance(choice, Problem):
        return None, (choice,)
    return choice, choice.problems(item) if choice else ()


def _choose(
    sample: Sample, modes: Mapping[str, Mode], known: Sequence[str]
) -> Mode | Problem | None:
    """The sample's mode; None if it is an installed one that is not being trained."""
    name = sample.data.get("cognitive_mode")
    if name is None and len(modes) == 1:
        return next(iter(modes.values()))
    if isinstance(name, str) and name in modes:
        return modes[name]
    if isinstance(name, str) and name in known:
        return None
    close = difflib.get_close_matches(str(name), known, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    message = (
        "the key 'cognitive_mode' is missing" if name is None else f"there is no mode {shown(name)}"
    )
    return Problem(
        message,
        pointer="" if name is None else "/cognitive_mode",
        hint=f"{meant}installed modes: {', '.join(known)}",
        file=sample.file,
        line=sample.line,
    )
