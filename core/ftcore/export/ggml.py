"""Calls the quantizers of ggml that the llama.cpp runtime carries."""

from __future__ import annotations

import ctypes
import importlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftcore.errors import InputError
from ftcore.export.mixtures import needs_ggml
from ftcore.export.quantizations import QUANTIZATIONS
from ftcore.export.runtime import RUNTIME, runtime_available


class GgmlRefusedError(ValueError):
    """ggml finds no valid encoding: a scale of the block is no finite number."""


def check_quantizers(quantization: str, hidden: int) -> None:
    """Refuses a quantization that this machine cannot make. Cheap: call it before training.

    :param hidden: the model's ``hidden_size``.
    :raises InputError: it needs ggml's quantizers, and no runtime is installed that has them.
    """
    if not needs_ggml(quantization, hidden) or _library() is not None:
        return
    without = ", ".join(name for name in QUANTIZATIONS if not needs_ggml(name, hidden))
    if runtime_available() is None:
        raise InputError(
            f"the quantization {quantization} is made by llama.cpp's own code, which is not "
            "installed",
            f"pip install 'ftcore[llamacpp]', or choose one that needs none: {without}",
        )
    raise InputError(
        f"the quantization {quantization} is made by llama.cpp's own code, which "
        f"{RUNTIME} {runtime_available()} does not let others call on this machine",
        f"choose one that needs none: {without}",
    )


def quantize_rows(rows: NDArray[np.float32], kind: str) -> NDArray[np.uint8]:
    """The bytes of whole rows, as ``llama-quantize`` without an importance matrix stores them.

    The interpreter is free meanwhile: other threads run, and may call this too.

    :param rows: ``(rows, columns)``, contiguous, all finite; columns are whole blocks.
    :param kind: a type that needs no importance matrix, by ggml's name.
    :raises GgmlRefusedError: a scale becomes infinite or NaN.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    library = _library()
    assert library is not None, "check_quantizers() comes first"
    block, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    count, columns = rows.shape
    # ggml ends the whole process where this does not hold
    assert columns % block == 0 and rows.dtype == np.float32 and rows.flags.c_contiguous
    encoded = np.empty(rows.size // block * size, np.uint8)
    number = int(GGMLQuantizationType[kind])
    library.ggml_quantize_chunk(
        number, rows.ctypes.data, encoded.ctypes.data, 0, count, columns, None
    )
    if not library.ggml_validate_row_data(number, encoded.ctypes.data, encoded.size):
        raise GgmlRefusedError(f"holds weights that {kind} cannot represent")
    return encoded


@cache
def _library() -> Any:
    """The runtime's library, or None where it does not show ggml's functions.

    They are part of ggml.h, take and return plain numbers and pointers, and no structure whose
    layout a release could change.
    """
    try:
        library: Any = ctypes.CDLL(importlib.import_module(f"{RUNTIME}.{RUNTIME}").__file__)
        quantize, validate = library.ggml_quantize_chunk, library.ggml_validate_row_data
    except (ImportError, OSError, AttributeError):
        return None
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    quantize.argtypes = (ctypes.c_int, pointer, pointer, number, number, number, pointer)
    quantize.restype = ctypes.c_size_t
    validate.argtypes = (ctypes.c_int, pointer, ctypes.c_size_t)
    validate.restype = ctypes.c_bool
    return library
