"""Reads a GGUF's header, and weights in pieces.

The gguf package's reader needs seconds for the strings of a vocabulary, this one a tenth of one.
Source of the format: docs/gguf.md of the ggml repository.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from ftcore.errors import InputError

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
"""``struct`` formats of gguf_metadata_value_type."""

_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32


@frozen
class StoredTensor:
    """A tensor of the file."""

    path: Path
    name: str
    shape: tuple[int, ...]
    """As torch has it; the file counts dimensions the other way round."""
    type: str
    offset: int
    """Of its first byte in the file."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType[self.type]]
        return self.shape[-1] // block * size

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows as they are encoded: ``(stop - start, row_bytes)``."""
        count = (stop - start) * self.row_bytes
        at = self.offset + start * self.row_bytes
        return np.fromfile(self.path, np.uint8, count, offset=at).reshape(stop - start, -1)


@frozen
class Header:
    """What stands before the weights."""

    metadata: dict[str, Any]
    """Keys and values in the file's order; arrays are lists."""
    tensors: tuple[StoredTensor, ...]


def read_header(path: Path) -> Header:
    """The header of a GGUF file.

    :raises InputError: there is no such file, or it is no whole GGUF.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header = _Parser(path, data).header()
            size = len(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, struct.error, KeyError, UnicodeDecodeError, IndexError) as error:
        raise InputError(f"{path}: is no whole GGUF file: {error}", "export it again") from error
    for tensor in header.tensors:
        rows = int(np.prod(tensor.shape[:-1]))
        if tensor.offset + rows * tensor.row_bytes > size:
            raise InputError(
                f"{path}: the file ends before its tensor {tensor.name}", "export it again"
            )
    return header


class _Parser:
    """A cursor over the file's bytes."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self._at = 0

    def header(self) -> Header:
        if self._data[:4] != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self._at = 4
        version = self._scalar("I")
        if version not in (2, 3):
            raise ValueError(f"its version {version} is unknown")
        tensor_count, key_count = self._scalar("Q"), self._scalar("Q")
        metadata: dict[str, Any] = {}
        for _ in range(key_count):
            key = self._string()
            metadata[key] = self._value(self._scalar("I"))
        infos = [self._tensor_info() for _ in range(tensor_count)]
        alignment = int(metadata.get("general.alignment", _ALIGNMENT))
        start = self._at + -self._at % alignment
        return Header(
            metadata,
            tuple(
                StoredTensor(self._path, name, shape, kind, start + offset)
                for name, shape, kind, offset in infos
            ),
        )

    def _tensor_info(self) -> tuple[str, tuple[int, ...], str, int]:
        name, dimensions = self._string(), self._scalar("I")
        shape = tuple(reversed([self._scalar("Q") for _ in range(dimensions)]))
        kind = GGMLQuantizationType(self._scalar("I")).name
        return name, shape, kind, self._scalar("Q")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._scalar(_SCALARS[kind])
        kind, count = self._scalar("I"), self._scalar("Q")
        if kind in (_STRING, _ARRAY):
            return [self._value(kind) for _ in range(count)]
        values = struct.unpack_from(f"<{count}{_SCALARS[kind]}", self._data, self._at)
        self._at += struct.calcsize(f"<{count}{_SCALARS[kind]}")
        return list(values)

    def _string(self) -> str:
        length = self._scalar("Q")
        end = self._at + length
        if end > len(self._data):
            raise ValueError("it ends within its header")
        text = self._data[self._at : end].decode("utf-8")
        self._at = end
        return text

    def _scalar(self, kind: str) -> Any:
        (value,) = struct.unpack_from("<" + kind, self._data, self._at)
        self._at += struct.calcsize("<" + kind)
        return value
