"""What became of every input line: exactly one state each, so that the lines add up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import attrs
from attrs import frozen

from ftcore.files import write_whole

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
    """Writes one JSON object a line, in the order of the input."""
    lines = (json.dumps(attrs.asdict(entry), ensure_ascii=False) + "\n" for entry in entries)
    write_whole(path, "".join(lines))
