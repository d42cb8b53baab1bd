"""Rows of examples, as micro-batches are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from ftcore.examples import Examples
from ftcore.packing import pack


@frozen(eq=False)
class Rows:
    """Lines of micro-batches: in each, examples side by side that must not see each other."""

    examples: Examples = field(repr=False)
    order: NDArray[np.int64] = field(repr=False)
    """Indices of examples, row by row."""
    ends: NDArray[np.int64] = field(repr=False)
    """Where in ``order`` each row ends."""

    def __len__(self) -> int:
        return len(self.ends)

    def row(self, index: int) -> NDArray[np.int64]:
        """The indices of a row's examples."""
        begin = self.ends[index - 1] if index else 0
        return self.order[begin : self.ends[index]]

    def columns(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[list[int]]]:
        """Rows as the columns that TRL's padding-free collator takes, and ``parts`` beside them.

        :param batch: the rows' numbers under ``row``.
        """
        rows = [[self.examples[int(i)] for i in self.row(int(row))] for row in batch["row"]]
        return {
            "input_ids": [np.concatenate([e.input_ids for e in row]).tolist() for row in rows],
            "labels": [np.concatenate([e.labels for e in row]).tolist() for row in rows],
            "parts": [np.concatenate([e.parts for e in row]).tolist() for row in rows],
            "seq_lengths": [[len(e.input_ids) for e in row] for row in rows],
        }


def make_rows(examples: Examples, *, packing: bool, max_seq_length: int) -> Rows:
    """The examples as rows: packed to ``max_seq_length`` tokens, or one example a row."""
    if packing:
        return Rows(examples, *pack(examples.lengths, max_seq_length))
    order = np.arange(len(examples))
    return Rows(examples, order, order + 1)
