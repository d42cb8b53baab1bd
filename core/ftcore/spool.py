"""Valid samples on disk, as JSON lines, so that a million of them take little memory."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from ftcore.mode import Mode
from ftcore.origins import SOMEWHERE
from ftcore.scratch import Scratch
from ftcore.splits import content_key
from ftcore.values import Sample

LINES, TABLE, NAMES = "samples.jsonl", "samples.npy", "samples.json"

CHUNK = 4096
"""Samples whose places are looked up at once."""

COLUMNS = np.dtype(
    [
        ("start", np.int64),  # of its JSON in the file, in bytes
        ("size", np.int64),
        ("mode", np.int32),  # index into the modes' names
        ("file", np.int32),  # index into the files' names
        ("line", np.int64),
        ("converted", np.bool_),  # from a record that says the same in another shape
        ("key", np.uint64),  # its content's, of which the split is made
    ]
)


@frozen
class Written:
    """A sample as it is written down."""

    mode: str
    file: str
    line: int
    converted: bool
    json: bytes
    key: int


@frozen(eq=False)
class Samples(Sequence[tuple[Sample, Mode]]):
    """Samples with their modes, in the order of the data, read when they are asked for."""

    path: Path
    """JSON lines. Keys keep their order and numbers their types."""
    table: NDArray[Any] = field(repr=False)
    """One entry a sample, of :data:`COLUMNS`."""
    files: tuple[str, ...]
    """Where samples are from."""
    mode_names: tuple[str, ...]
    modes: Mapping[str, Mode] = field(repr=False)
    scratch: Scratch | None = field(default=None, repr=False)
    """Keeps the file there, if it is a temporary one."""

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[tuple[Sample, Mode]]:
        with self.path.open("rb") as file:
            place = 0
            for at in range(0, len(self), CHUNK):
                rows: list[tuple[int, ...]] = self.table[at : at + CHUNK].tolist()
                for start, size, mode, source, line, converted, _ in rows:
                    if start != place:
                        file.seek(start)
                    place = start + size + 1
                    data = json.loads(file.read(size + 1))
                    sample = Sample(data, self.files[source], line)
                    sample = evolve(sample, origins=SOMEWHERE) if converted else sample
                    yield sample, self.modes[self.mode_names[mode]]

    @overload
    def __getitem__(self, index: int) -> tuple[Sample, Mode]: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> tuple[Sample, Mode] | Samples:
        if isinstance(index, slice):
            return self._with(self.table[index])
        return next(iter(self._with(self.table[[index]])))

    def take(self, indices: NDArray[np.int64]) -> Samples:
        """Those of these indices, in their order."""
        return self._with(self.table[indices])

    def _with(self, table: NDArray[Any]) -> Samples:
        return evolve(self, table=table)

    def place(self, index: int) -> tuple[str, int]:
        """File and line of a sample."""
        one = self.table[index]
        return self.files[int(one["file"])], int(one["line"])

    def kinds(self) -> list[str]:
        """The name of each sample's mode."""
        return [self.mode_names[mode] for mode in self.table["mode"].tolist()]

    @property
    def bytes(self) -> int:
        """How much text the samples are."""
        return int(self.table["size"].sum())


class SampleWriter:
    """Writes samples into a folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO = (folder / LINES).open("wb")
        self._at = 0
        self._modes: dict[str, int] = {}
        self._files: dict[str, int] = {}
        self._numbers = array("q")
        self._keys = array("Q")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, written: Written) -> None:
        """Adds a sample."""
        size = self._file.write(written.json)
        mode = self._modes.setdefault(written.mode, len(self._modes))
        source = self._files.setdefault(written.file, len(self._files))
        self._numbers.extend((self._at, size, mode, source, written.line, written.converted))
        self._keys.append(written.key)
        self._at += size + self._file.write(b"\n")

    def finish(self) -> None:
        """Completes the folder; :func:`open_samples` reads it."""
        self.close()
        table = np.empty(len(self._keys), COLUMNS)
        numbers = np.frombuffer(self._numbers, np.int64).reshape(-1, 6)
        for place, name in enumerate(("start", "size", "mode", "file", "line", "converted")):
            table[name] = numbers[:, place]
        table["key"] = np.frombuffer(self._keys, np.uint64)
        np.save(self._folder / TABLE, table)
        names = {"modes": list(self._modes), "files": list(self._files)}
        (self._folder / NAMES).write_text(json.dumps(names), encoding="utf-8")

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()


def written(sample: Sample, mode: Mode) -> Written:
    """A sample as it is written down."""
    data = json.dumps(sample.data, separators=(",", ":")).encode()
    converted = bool(sample.origins)
    return Written(mode.name, sample.file, sample.line, converted, data, content_key(sample))


def open_samples(
    folder: Path, modes: Mapping[str, Mode], scratch: Scratch | None = None
) -> Samples:
    """The samples that a :class:`SampleWriter` wrote into a folder."""
    names = json.loads((folder / NAMES).read_text(encoding="utf-8"))
    table = np.load(folder / TABLE, allow_pickle=False)
    return Samples(
        folder / LINES, table, tuple(names["files"]), tuple(names["modes"]), modes, scratch
    )


def store_samples(samples: Iterable[tuple[Sample, Mode]]) -> Samples:
    """A few samples in a temporary folder of their own."""
    scratch = Scratch()
    writer = SampleWriter(scratch.path)
    modes: dict[str, Mode] = {}
    for sample, mode in samples:
        modes[mode.name] = mode
        writer.add(written(sample, mode))
    writer.finish()
    return open_samples(scratch.path, modes, scratch)
