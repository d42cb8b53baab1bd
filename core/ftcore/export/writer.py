"""Writes a model folder as one GGUF file, piece by piece, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from attrs import frozen
from gguf import (
    GGML_QUANT_VERSION,
    GGMLQuantizationType,
    GGUFType,
    GGUFWriter,
    Metadata,
    size_label,
)
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ftcore.errors import FtcoreError, InputError
from ftcore.export.architectures import (
    model_metadata,
    read_hyperparameters,
)
from ftcore.export.checkpoint import (
    PlannedTensor,
    open_weights,
    plan_tensors,
    read_config,
    reads,
)
from ftcore.export.ggml import check_quantizers
from ftcore.export.layout import Hyperparameters
from ftcore.export.mixtures import SEARCHED
from ftcore.export.quantizations import QUANTIZATIONS, check_quantization
from ftcore.export.quantize import UnrepresentableError, encode, encoded_size
from ftcore.export.threads import torch_threads, usable_cores
from ftcore.export.vocabulary import Vocabulary, load_tokenizer, read_vocabulary, write_vocabulary
from ftcore.files import whole_file

WORKERS = 4
"""Threads that encode; as many as there are cores where ggml's slow search is among the work."""

AHEAD = 4
"""Pieces of each thread that may wait to be written."""

EARLY = 2**26
"""Bytes after which the disk is asked to take them."""

_FILE_TYPE = "general.file_type"

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@frozen
class GgufFile:
    """A GGUF that stands whole on disk."""

    path: Path
    size: int
    """Bytes."""
    quantization: str
    tensors: int


def export_gguf(
    model: Path,
    output: Path,
    quantization: str,
    *,
    name: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    progress: Progress | None = None,
) -> GgufFile:
    """Writes the model in ``model`` to ``output``, from the weights as they were saved.

    :param model: a folder with config.json, safetensors in F32, BF16 or F16, and a tokenizer.
    :param quantization: one of :data:`~ftcore.export.quantizations.QUANTIZATIONS`.
    :param name: ``general.name`` in the file; without it llama.cpp's converter's guess.
    :param tokenizer: the model's, where it is loaded already.
    :raises InputError: the model cannot be exported, or ``output`` cannot be written, or it is
        there and is no GGUF.
    :raises FtcoreError: the disk is full or fails. In all cases ``output`` is as it was.
    """
    quantization = check_quantization(quantization)
    config = read_config(model)
    hyperparameters = read_hyperparameters(config)
    check_quantizers(quantization, hyperparameters.hidden)
    tensors = plan_tensors(hyperparameters, open_weights(model), quantization)
    vocabulary = read_vocabulary(tokenizer or load_tokenizer(model), config, model)
    if output.is_dir():
        raise InputError(f"{output} is a folder", "give the name of a file that ends in .gguf")
    if output.exists() and not _is_gguf(output):
        raise InputError(
            f"{output} exists already and is no GGUF", "name another file with --output"
        )
    try:
        with whole_file(output) as temporary:
            writer = _header(model, hyperparameters, tensors, vocabulary, quantization, name)
            writer.write_header_to_file(temporary)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            writer.close()
            _check_space(temporary, output, tensors, writer.data_alignment)
            with temporary.open("ab") as file, _Early(file) as early:
                _write_tensors(early, tensors, writer.data_alignment, progress)
    except OSError as error:
        raise _disk_error(error, output, tensors) from error
    return GgufFile(output, output.stat().st_size, quantization, len(tensors))


class _Early:
    """Writes to a file, and has the disk take what is written so far, in a thread.

    A system keeps much of it in memory by itself, and then all of it waits for the disk at once.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pool = ThreadPoolExecutor(1)
        self._waiting: Future[None] | None = None
        self._fresh = 0

    def __enter__(self) -> _Early:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()
        if kind is None:
            self._raise_what_failed()

    def _raise_what_failed(self) -> None:
        """A system tells that the disk failed only once."""
        if self._waiting is not None:
            self._waiting.result()

    def write(self, data: bytes | memoryview) -> int:
        """:raises OSError: the disk is full or fails."""
        self._fresh += self._file.write(data)
        if self._fresh > EARLY and (self._waiting is None or self._waiting.done()):
            self._raise_what_failed()
            self._file.flush()
            self._waiting = self._pool.submit(os.fsync, self._file.fileno())
            self._fresh = 0
        return len(data)

    def pad(self, alignment: int) -> int:
        """Writes zeros up to a multiple of ``alignment``, and says how many."""
        return self.write(bytes(-self._file.tell() % alignment))


def _is_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False


def _header(
    model: Path,
    hyperparameters: Hyperparameters,
    tensors: Sequence[PlannedTensor],
    vocabulary: Vocabulary,
    quantization: str,
    name: str | None,
) -> GGUFWriter:
    """Everything but the weights, keys in the order of llama.cpp's own program."""
    writer = GGUFWriter(path=None, arch=hyperparameters.architecture.gguf)
    for tensor in tensors:
        kind = GGMLQuantizationType[tensor.type]
        # the dtype is only looked at where raw_dtype is missing, or to read a byte shape
        writer.add_tensor_info(
            tensor.name,
            tensor.shape,
            np.dtype(np.float32),
            encoded_size(tensor.shape, tensor.type),
            raw_dtype=kind,
        )
    total, shared, experts, expert_count = writer.get_total_parameter_count()
    general = Metadata.load(None, model, name, total)
    if general.name is None:
        general.name = model.resolve().name
    if general.size_label is None:
        general.size_label = size_label(total, shared, experts, expert_count)
    writer.add_type(GGUFType.MODEL)
    general.set_gguf_meta_model(writer)
    entry = QUANTIZATIONS[quantization]
    for key, kind, value in model_metadata(hyperparameters, entry.file_type):
        if entry.converted or key != _FILE_TYPE:
            getattr(writer, f"add_{kind}")(key, value)
    if entry.converted:
        writer.add_quantization_version(GGML_QUANT_VERSION)
    write_vocabulary(writer, vocabulary)
    if not entry.converted:  # llama-quantize sets these two anew, so they come last
        writer.add_quantization_version(GGML_QUANT_VERSION)
        writer.add_file_type(entry.file_type)
    return writer


def _write_tensors(
    file: _Early, tensors: Sequence[PlannedTensor], alignment: int, progress: Progress | None
) -> None:
    done, total = 0, _data_size(tensors, alignment)
    tell: Progress = progress or (lambda done, total: None)
    file.pad(alignment)
    current = tensors[0]
    for tensor, data in _encoded(tensors):
        if tensor is not current:
            done += file.pad(alignment)
            current = tensor
        file.write(data.data)
        done += data.nbytes
        tell(done, total)
    file.pad(alignment)
    tell(total, total)


def _encoded(
    tensors: Sequence[PlannedTensor],
) -> Iterator[tuple[PlannedTensor, NDArray[np.uint8]]]:
    """The pieces in order, a few of them encoded ahead while the last ones are written.

    Threads with torch on one thread each: pieces are too small for torch to share one among
    cores without losing more by waiting, and a whole tensor would not fit a cache. Four are
    faster than a disk; a search for the best scales is not.
    """
    pending: deque[Future[tuple[PlannedTensor, NDArray[np.uint8]]]] = deque()
    slow = any(tensor.type in SEARCHED for tensor in tensors)
    workers = usable_cores() if slow else min(WORKERS, usable_cores())
    with torch_threads(1), ThreadPoolExecutor(workers) as pool:
        for tensor in tensors:
            for read in reads(tensor):
                pending.append(pool.submit(_encode_piece, tensor, read))
                if len(pending) > AHEAD * workers:
                    yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _encode_piece(
    tensor: PlannedTensor, read: Callable[[], torch.Tensor]
) -> tuple[PlannedTensor, NDArray[np.uint8]]:
    try:
        return tensor, encode(read(), tensor.type)
    except UnrepresentableError as error:
        raise InputError(
            f"the tensor {tensor.source_name} {error}",
            "the training run diverged, or the checkpoint is damaged"
            if "NaN" in str(error)
            else "choose BF16 or F32, whose range is that of the training",
        ) from error


def _data_size(tensors: Sequence[PlannedTensor], alignment: int) -> int:
    sizes = (encoded_size(tensor.shape, tensor.type) for tensor in tensors)
    return sum(size + -size % alignment for size in sizes)


def _check_space(
    temporary: Path, output: Path, tensors: Sequence[PlannedTensor], alignment: int
) -> None:
    needed, free = _data_size(tensors, alignment), shutil.disk_usage(temporary.parent).free
    if free < needed:
        raise _full(output, needed, free)


def _full(output: Path, needed: int, free: int) -> FtcoreError:
    return FtcoreError(
        f"{output}: the disk is full: {needed:,} bytes are needed, {free:,} are free",
        "make room, write elsewhere (--output), or choose a smaller quantization",
    )


def _disk_error(error: OSError, output: Path, tensors: Sequence[PlannedTensor]) -> FtcoreError:
    folder = output.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = _data_size(tensors, 32)
        return _full(output, needed, shutil.disk_usage(folder).free)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return InputError(f"{folder} cannot be written to", "choose another place with --output")
    if isinstance(error, FileNotFoundError):
        return InputError(f"{folder}: there is no such folder", "make it, or write elsewhere")
    return FtcoreError(f"{output}: writing failed: {error}")
