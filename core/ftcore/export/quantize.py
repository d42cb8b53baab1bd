"""Encodes rows of weights as GGUF stores them, bit for bit as ggml's reference code does."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

BLOCK = 32
"""Weights that share one scale in Q8_0 (``QK8_0`` of ggml)."""

TYPE_SIZE = {"F32": 4.0, "F16": 2.0, "BF16": 2.0, "Q8_0": 34 / BLOCK}
"""Bytes per weight."""


_HALF = float(np.nextafter(np.float32(0.5), np.float32(0.0)))


class UnrepresentableError(ValueError):
    """A weight is no finite number, or too large for the type."""


def tensor_type(shape: tuple[int, ...], quantization: str, name: str) -> str:
    """The type that a tensor is written in.

    Vectors (norms, biases) stay F32: llama.cpp computes with them in nothing else; and so does
    the matrix that chooses the experts, whose rounding would choose others. A matrix
    whose rows are no whole number of blocks becomes F16, as llama.cpp's converter does.
    """
    if len(shape) < 2 or name.endswith("ffn_gate_inp.weight"):
        return "F32"
    if quantization == "Q8_0" and shape[-1] % BLOCK:
        return "F16"
    return quantization


def encoded_size(shape: tuple[int, ...], kind: str) -> int:
    """Bytes that a tensor takes in the file, padding aside."""
    return int(math.prod(shape) * TYPE_SIZE[kind])


def encode(rows: torch.Tensor, kind: str) -> NDArray[np.uint8]:
    """The bytes of ``rows`` (any floating dtype, last dimension = columns) in type ``kind``.

    :raises UnrepresentableError: a weight is NaN or infinite, or would become so.
    """
    values = rows.to(torch.float32).contiguous()
    if kind == "Q8_0":
        return _q8_0(values)
    dtype = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[kind]
    _check_range(torch.stack(torch.aminmax(values)), dtype, kind)
    return _bytes(values.to(dtype))


def _q8_0(values: torch.Tensor) -> NDArray[np.uint8]:
    """Per block of 32: scale max|x|/127 as f16, then 32 whole numbers x/scale.

    Source of the formula: ``quantize_row_q8_0_ref`` in ggml-quants.c, which rounds halves away
    from zero (C's ``roundf``); torch's own ``round`` would round them to even.
    """
    blocks = values.reshape(-1, BLOCK)
    scale = blocks.abs().amax(dim=1, keepdim=True) / 127
    _check_range(scale, torch.float16, "Q8_0")
    inverse = torch.where(scale == 0, 0.0, 1 / scale)
    # a scale so small that its inverse overflows is 0 in f16: its weights are 0 whatever we write
    inverse = torch.where(torch.isinf(inverse), 0.0, inverse)
    exact = blocks * inverse
    # adding just less than a half keeps 0.49999997 down; a plain 0.5 would carry it up to 1
    whole = torch.trunc(exact + torch.copysign(torch.tensor(_HALF), exact))
    half = _bytes(scale.to(torch.float16)).reshape(-1, 2)
    return np.concatenate([half, _bytes(whole.to(torch.int8)).reshape(-1, BLOCK)], axis=1).reshape(
        -1
    )


def _check_range(extremes: torch.Tensor, dtype: torch.dtype, kind: str) -> None:
    """``extremes`` hold the largest weights, or NaN if any weight is NaN."""
    if not bool(torch.isfinite(extremes).all()):
        raise UnrepresentableError("holds NaN or infinite weights")
    if not bool(torch.isfinite(extremes.to(dtype)).all()):
        raise UnrepresentableError(f"holds weights too large for {kind}")


def _bytes(values: torch.Tensor) -> NDArray[np.uint8]:
    return values.reshape(-1).view(torch.uint8).numpy()
