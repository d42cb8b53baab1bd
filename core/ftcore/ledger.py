"""What became of every input line: exactly one state each, so that the lines add up."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args, overload

import attrs
from attrs import frozen

from ftcore.files import whole_file

State = Literal[
    "trained", "held_out", "dropped", "refused", "other_mode", "over_max", "balanced_out"
]
STATES: tuple[State, ...] = get_args(State)


@frozen
class Entry:
    """The fate of one line of the data.

    ``trained_tokens`` are those that carry a label, of ``tokens`` in all ``examples`` that the
    line became. Both are 0 unless the state is ``trained`` or ``held_out``.
    """

    file: str
    line: int
    state: State
    reason: str = ""
    examples: int = 0
    tokens: int = 0
    trained_tokens: int = 0


WIDTH = len(attrs.fields(Entry))
"""Numbers by which a ledger keeps an entry."""


class Ledger(Sequence[Entry]):
    """Entries in the order in which they were added, in some 50 bytes each."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._files: dict[str, int] = {}
        self._reasons: dict[str, int] = {}
        self._numbers = array("q")
        for entry in entries:
            self.add(entry)

    def __len__(self) -> int:
        return len(self._numbers) // WIDTH

    def __iter__(self) -> Iterator[Entry]:
        return self._read(range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Ledger: ...
    def __getitem__(self, index: int | slice) -> Entry | Ledger:
        if isinstance(index, slice):
            return Ledger(self._read(range(len(self))[index]))
        return next(self._read([range(len(self))[index]]))

    def add(self, entry: Entry) -> None:
        """Adds an entry."""
        self._numbers.extend(
            (
                self._files.setdefault(entry.file, len(self._files)),
                entry.line,
                STATES.index(entry.state),
                self._reasons.setdefault(entry.reason, len(self._reasons)),
                entry.examples,
                entry.tokens,
                entry.trained_tokens,
            )
        )

    def by_place(self) -> Iterator[Entry]:
        """The entries by the names of the files and the lines in them."""
        import numpy as np  # only those who write a ledger need it

        names = list(self._files)
        rank = np.empty(len(names), np.int64)
        rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        table = np.array(self._numbers, np.int64).reshape(-1, WIDTH)
        return self._read(np.lexsort((table[:, 1], rank[table[:, 0]])))

    def _read(self, indices: Iterable[int]) -> Iterator[Entry]:
        files, reasons = list(self._files), list(self._reasons)
        for index in indices:
            at = int(index) * WIDTH
            file, line, state, reason, *counts = self._numbers[at : at + WIDTH]
            yield Entry(files[file], line, STATES[state], reasons[reason], *counts)


@frozen
class Totals:
    """The ledger summed up."""

    lines: int
    trained: int
    held_out: int
    dropped: int
    refused: int
    other_mode: int
    over_max: int
    balanced_out: int
    examples: int
    tokens: int
    trained_tokens: int
    """Tokens of state ``trained`` only: what one epoch learns from."""


def totals(entries: Iterable[Entry]) -> Totals:
    """Sums a ledger. Tokens and examples count those of state ``trained``."""
    counts = dict.fromkeys(STATES, 0)
    lines = examples = tokens = trained_tokens = 0
    for entry in entries:
        lines += 1
        counts[entry.state] += 1
        if entry.state == "trained":
            examples += entry.examples
            tokens += entry.tokens
            trained_tokens += entry.trained_tokens
    return Totals(
        lines=lines,
        examples=examples,
        tokens=tokens,
        trained_tokens=trained_tokens,
        **counts,
    )


def write_ledger(path: Path, entries: Iterable[Entry]) -> None:
    """Writes one JSON object a line, in the order given.

    Bytes of a file's name that are not UTF-8 (surrogates in Python) are written as JSON escapes.
    """
    names = [field.name for field in attrs.fields(Entry)]
    with (
        whole_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        for entry in entries:
            row = {name: getattr(entry, name) for name in names}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
