"""Encodes rows of weights as GGUF stores them, bit for bit as ggml's reference code does.

The formulas of the types with blocks of 32 are those of ``quantize_row_*_ref`` in ggml-quants.c,
as compiled for a processor without fused multiply-add (the gguf package imitates one that has it,
and rounds a few weights the other way). All other types are encoded by ggml itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from ftcore.export.ggml import GgmlRefusedError, quantize_rows

BLOCK = 32
"""Weights that share one scale in Q8_0 and the like (``QK8_0`` of ggml)."""

_LARGEST_SEARCHED = 65504 * 128 * 32
"""The largest weight of Q6_K, with which no other type whose scales are searched for keeps up:
the largest f16, scale and code."""

_HALF = float(np.nextafter(np.float32(0.5), np.float32(0.0)))


class UnrepresentableError(ValueError):
    """A weight is no finite number, or too large for the type."""


def tensor_type(shape: tuple[int, ...], quantization: str, name: str) -> str:
    """The type that llama.cpp's converter writes a tensor in.

    Vectors (norms, biases) stay F32: llama.cpp computes with them in nothing else; and so does
    the matrix that chooses the experts, whose rounding would choose others. A matrix whose rows
    are no whole number of blocks becomes F16.
    """
    if len(shape) < 2 or name.endswith("ffn_gate_inp.weight"):
        return "F32"
    if quantization == "Q8_0" and shape[-1] % BLOCK:
        return "F16"
    return quantization


def encoded_size(shape: tuple[int, ...], kind: str) -> int:
    """Bytes that a tensor takes in the file, padding aside."""
    block, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    return math.prod(shape) // block * size


def encode(rows: torch.Tensor, kind: str) -> NDArray[np.uint8]:
    """The bytes of ``rows`` (any floating dtype, last dimension = columns) in type ``kind``.

    :raises UnrepresentableError: a weight is NaN or infinite, or would become so.
    """
    if kind in _PLAIN:
        dtype = _PLAIN[kind]
        _check_range(torch.stack(torch.aminmax(rows)).to(torch.float32), dtype, kind)
        return _bytes(rows.to(dtype).contiguous())
    values = rows.to(torch.float32, copy=True).contiguous()
    if kind in ENCODERS:
        return ENCODERS[kind](values)
    _check_range(torch.stack(torch.aminmax(values)), torch.float32, kind)
    if float(values.abs().max()) > _LARGEST_SEARCHED:  # ggml's sums overflow, and say zero
        raise UnrepresentableError(f"holds weights too large for {kind}")
    try:
        return quantize_rows(values.numpy(), kind)
    except GgmlRefusedError as error:
        raise UnrepresentableError(f"holds weights too large for {kind}") from error


def _q8_0(values: torch.Tensor) -> NDArray[np.uint8]:
    """Per block of 32: scale max|x|/127 as f16, then 32 whole numbers x/scale.

    ggml rounds halves away from zero (C's ``roundf``); torch's own ``round`` would round them
    to even.
    """
    blocks = values.reshape(-1, BLOCK)
    scale = blocks.abs().amax(dim=1, keepdim=True) / 127
    _check_range(scale, torch.float16, "Q8_0")
    exact = blocks.mul_(_inverse(scale))
    # adding just less than a half keeps 0.49999997 down; a plain 0.5 would carry it up to 1
    exact.add_(exact.sign(), alpha=_HALF)
    return _joined(_halves(scale), _bytes(exact.to(torch.int8)).reshape(-1, BLOCK))


def _q4_0(values: torch.Tensor) -> NDArray[np.uint8]:
    scale, codes = _around_zero(values, 8, "Q4_0")
    return _joined(_halves(scale), _nibbles(codes))


def _q5_0(values: torch.Tensor) -> NDArray[np.uint8]:
    scale, codes = _around_zero(values, 16, "Q5_0")
    return _joined(_halves(scale), _fifth_bits(codes), _nibbles(codes))


def _q4_1(values: torch.Tensor) -> NDArray[np.uint8]:
    scale, least, codes = _from_least(values, 15, "Q4_1")
    return _joined(_halves(scale), _halves(least), _nibbles(codes))


def _q5_1(values: torch.Tensor) -> NDArray[np.uint8]:
    scale, least, codes = _from_least(values, 31, "Q5_1")
    return _joined(_halves(scale), _halves(least), _fifth_bits(codes), _nibbles(codes))


def _around_zero(values: torch.Tensor, steps: int, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and codes per block: the weight furthest from zero stands at ``-steps``, code 0.

    Its sign is the scale's, so that of a range from ``-steps`` to ``steps - 1`` nothing is
    wasted; what would come to ``steps`` loses one.
    """
    blocks = values.reshape(-1, BLOCK)
    furthest = blocks.gather(1, blocks.abs().argmax(dim=1, keepdim=True))
    scale = (furthest + 0.0) / -steps  # ggml starts from 0, so no block's scale is that of -0
    _check_range(scale, torch.float16, kind)
    codes = torch.trunc(blocks * _inverse(scale) + (steps + 0.5))
    return scale, codes.clamp_(max=2 * steps - 1).to(torch.uint8)


def _from_least(
    values: torch.Tensor, steps: int, kind: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scale, least weight and codes per block: codes count steps above the least weight."""
    blocks = values.reshape(-1, BLOCK)
    least = blocks.min(dim=1, keepdim=True).values
    scale = (blocks.amax(dim=1, keepdim=True) - least + 0.0) / steps
    _check_range(torch.cat((scale, least)), torch.float16, kind)
    codes = torch.trunc((blocks - least) * _inverse(scale) + 0.5)
    return scale, least, codes.clamp_(max=steps).to(torch.uint8)


def _inverse(scale: torch.Tensor) -> torch.Tensor:
    """``1 / scale``, and 0 of no scale.

    A scale so small that its inverse overflows is 0 in f16: its weights are 0 whatever we write.
    """
    inverse = scale.reciprocal()
    return inverse.masked_fill_(torch.isinf(inverse), 0.0)


def _halves(values: torch.Tensor) -> NDArray[np.uint8]:
    """One f16 per block."""
    return _bytes(values.to(torch.float16)).reshape(-1, 2)


def _nibbles(codes: torch.Tensor) -> NDArray[np.uint8]:
    """The lower four bits: those of the block's second half above those of its first."""
    low = codes & 15
    pairs = low[:, : BLOCK // 2] | (low[:, BLOCK // 2 :] << 4)
    return pairs.numpy()


def _fifth_bits(codes: torch.Tensor) -> NDArray[np.uint8]:
    """The highest bit of the 32 codes, the first code's the lowest."""
    return np.packbits((codes >> 4).numpy(), axis=1, bitorder="little")


def _joined(*parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate(parts, axis=1).reshape(-1)


def _check_range(extremes: torch.Tensor, dtype: torch.dtype, kind: str) -> None:
    """``extremes`` hold the largest weights, or NaN if any weight is NaN."""
    largest = extremes.abs().amax()  # NaN if any is
    if not bool(torch.isfinite(largest.to(dtype))):
        if not bool(torch.isfinite(largest)):
            raise UnrepresentableError("holds NaN or infinite weights")
        raise UnrepresentableError(f"holds weights too large for {kind}")


def _bytes(values: torch.Tensor) -> NDArray[np.uint8]:
    return values.reshape(-1).view(torch.uint8).numpy()


_PLAIN: Mapping[str, torch.dtype] = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}

ENCODERS: Mapping[str, Callable[[torch.Tensor], NDArray[np.uint8]]] = {
    "Q8_0": _q8_0,
    "Q5_1": _q5_1,
    "Q5_0": _q5_0,
    "Q4_1": _q4_1,
    "Q4_0": _q4_0,
}
"""Of the types that are encoded here, not by ggml."""
