"""Examples on disk: the tokens of all of them end to end, so that a million take little memory.

A folder holds token ids (int32) and part numbers (int16) in two flat files, and a table with the
length of each example. The labels follow from both: a token is trained where it has a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from ftcore.errors import FtcoreError
from ftcore.render import Example
from ftcore.scratch import Scratch

IDS, PARTS, TABLE = "ids.int32", "parts.int16", "examples.npz"


@frozen(eq=False)
class Examples(Sequence[Example]):
    """Examples that are read when they are asked for."""

    folder: Path
    ids: NDArray[np.int32] = field(repr=False)
    """Of all examples in the folder, end to end."""
    parts: NDArray[np.int16] = field(repr=False)
    starts: NDArray[np.int64] = field(repr=False)
    """Where in the files each example begins, in tokens."""
    lengths: NDArray[np.int64] = field(repr=False)
    """How many tokens each has."""
    trained: NDArray[np.int64] = field(repr=False)
    """How many of them are trained."""
    scratch: Scratch | None = field(default=None, repr=False)
    """Keeps the folder there, if it is a temporary one."""

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Examples: ...
    def __getitem__(self, index: int | slice) -> Example | Examples:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        begin = int(self.starts[index])
        end = begin + int(self.lengths[index])
        return Example(np.array(self.ids[begin:end]), np.array(self.parts[begin:end]))

    def __reduce__(self) -> tuple[Any, ...]:  # the files are opened again, not copied
        return _opened, (self.folder, self.starts, self.lengths, self.trained)

    def take(self, indices: NDArray[np.int64]) -> Examples:
        """Those of these indices, in their order."""
        starts, lengths = self.starts[indices], self.lengths[indices]
        return evolve(self, starts=starts, lengths=lengths, trained=self.trained[indices])


class ExampleWriter:
    """Writes examples into a folder, one batch after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids = (folder / IDS).open("wb")
        self._parts = (folder / PARTS).open("wb")
        self._lengths: list[NDArray[np.int64]] = []
        self._trained: list[NDArray[np.int64]] = []

    def add(
        self, ids: NDArray[np.int32], parts: NDArray[np.int16], lengths: NDArray[np.int64]
    ) -> None:
        """Adds the examples that lie end to end in ``ids`` and ``parts``.

        :raises FtcoreError: one of them has no trained token.
        """
        if not len(lengths):
            return
        self._ids.write(ids.tobytes())
        self._parts.write(parts.tobytes())
        self._lengths.append(lengths)
        trained = np.add.reduceat((parts >= 0).astype(np.int64), np.cumsum(lengths) - lengths)
        if not trained.all():
            raise FtcoreError(
                "an example has no token to train on, so its loss would tell of nothing",
                "this is a fault of ftcore: please report it with the sample's line",
            )
        self._trained.append(trained)

    def finish(self) -> None:
        """Completes the folder; :func:`open_examples` reads it."""
        self.close()
        none = np.empty(0, np.int64)
        np.savez(
            self._folder / TABLE,
            lengths=np.concatenate([none, *self._lengths]),
            trained=np.concatenate([none, *self._trained]),
        )

    def close(self) -> None:
        """Lets go of the files."""
        self._ids.close()
        self._parts.close()


def open_examples(folder: Path, scratch: Scratch | None = None) -> Examples:
    """The examples that an :class:`ExampleWriter` wrote into a folder.

    :raises FtcoreError: its files do not fit together.
    """
    with np.load(folder / TABLE, allow_pickle=False) as table:
        lengths, trained = table["lengths"], table["trained"]
    found = _opened(folder, np.cumsum(lengths) - lengths, lengths, trained, scratch)
    if not len(found.ids) == len(found.parts) == lengths.sum():
        raise FtcoreError(f"{folder}: the examples kept there are damaged", "delete the folder")
    return found


def store_examples(examples: Iterable[Example]) -> Examples:
    """A few examples in a temporary folder of their own."""
    scratch = Scratch()
    writer = ExampleWriter(scratch.path)
    for one in examples:
        writer.add(one.input_ids, one.parts, np.array([len(one.input_ids)], np.int64))
    writer.finish()
    return open_examples(scratch.path, scratch)


def _opened(
    folder: Path,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    trained: NDArray[np.int64],
    scratch: Scratch | None = None,
) -> Examples:
    ids, parts = _mapped(folder / IDS, np.int32), _mapped(folder / PARTS, np.int16)
    return Examples(folder, ids, parts, starts, lengths, trained, scratch)


def _mapped(path: Path, dtype: Any) -> NDArray[Any]:
    if not path.stat().st_size:  # nothing cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r")
