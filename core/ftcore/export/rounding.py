"""How far rounding to a type may carry each weight, at most.

F32 2^-24 and BF16 2^-8 of the weight, F16 2^-11 of it or 2^-25 where f16 has no more bits. The
types whose scale follows from the block alone (Q8_0, Q4_0, Q4_1, Q5_0, Q5_1): half a step of
that scale, and what rounding it to f16 does to the largest code. The types whose scales ggml
searches for: the distance to the nearest of the values that the stored scales offer. ggml
chooses the code after the scales, so another code shows whatever they are; that they are good
ones shows in the error of a whole tensor (:data:`LOST`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import IQ4_NL, dequantize
from numpy.typing import NDArray

LOST = 0.5
"""Share of a tensor's norm that the error of a type with searched scales may have. Q2_K, the
coarsest, loses 0.30 of normally distributed weights and 0.39 of weights spread evenly over eight
powers of ten; scales of no use lose all."""

_F16 = 2**-11
_F16_LEAST = 2**-25
"""Half of the distance between two f16 numbers: of the number, and where they are smallest."""

_SLACK = 1 + 1e-5
_LEAST = 1e-37
"""float32 arithmetic, ggml's and the decoder's."""

_BLOCK = 32

_AROUND_ZERO = {"Q4_0": 8, "Q5_0": 16}
_FROM_LEAST = {"Q4_1": 15, "Q5_1": 31}

_CODES: Mapping[str, tuple[slice, int]] = {
    "Q2_K": (slice(16, 80), 3),
    "Q3_K": (slice(0, 96), 7),
    "Q4_K": (slice(16, 144), 15),
    "Q5_K": (slice(16, 176), 31),
    "Q6_K": (slice(0, 192), 63),
    "IQ4_NL": (slice(2, 18), 0),
    "IQ4_XS": (slice(8, 136), 0),
}
"""The bytes of a block that hold codes rather than scales (ggml-common.h), and the largest code
where values are evenly spaced."""


def searched(kind: str) -> bool:
    """Whether ggml searches for the scales of a type."""
    return kind in _CODES


def bound(exact: torch.Tensor, encoded: NDArray[np.uint8], kind: str) -> torch.Tensor:
    """The largest error that each weight may have.

    :param exact: the model's weights ``(rows, columns)``, float32.
    :param encoded: the same rows as the file has them, bytes; only read for their scales.
    """
    size = exact.abs()
    if kind == "F16":
        return torch.clamp(size * _F16, min=_F16_LEAST) * _SLACK
    if kind in ("F32", "BF16"):
        return size * (2**-8 if kind == "BF16" else 2**-24) * _SLACK + _LEAST
    blocks = exact.reshape(-1, _BLOCK)
    if kind == "Q8_0":
        scale = blocks.abs().amax(dim=1, keepdim=True) / 127
        limit = (scale / 2 + 127 * _half_error(scale)).expand(-1, _BLOCK)
    elif kind in _AROUND_ZERO:
        steps = _AROUND_ZERO[kind]
        furthest = blocks.gather(1, blocks.abs().argmax(dim=1, keepdim=True))
        scale = furthest.abs() / steps
        # the furthest is at -steps; there is no code for +steps, so what is nearer to it than
        # half a step loses up to one
        beyond = -blocks * furthest.sign() - (steps - 1) * scale
        limit = torch.maximum(beyond, scale / 2) + steps * _half_error(scale)
    elif kind in _FROM_LEAST:
        steps = _FROM_LEAST[kind]
        least = blocks.amin(dim=1, keepdim=True)
        scale = (blocks.amax(dim=1, keepdim=True) - least) / steps
        limit = scale / 2 + steps * _half_error(scale) + _half_error(least)
        limit = limit.expand(-1, _BLOCK)
    else:
        return _distance(exact, encoded, kind)
    return limit.reshape(exact.shape) * _SLACK + _LEAST


def _half_error(values: torch.Tensor) -> torch.Tensor:
    """What rounding to f16 may change."""
    return torch.clamp(values.abs() * _F16, min=_F16_LEAST)


def _distance(exact: torch.Tensor, encoded: NDArray[np.uint8], kind: str) -> torch.Tensor:
    """How far the nearest value is that a code could stand for."""
    codes, largest = _CODES[kind]
    if not largest:
        return _distance_to_table(exact, _with_codes(encoded, kind, codes, 0x88))
    lowest = _with_codes(encoded, kind, codes, 0x00)
    highest = _with_codes(encoded, kind, codes, 0xFF)
    step = (highest - lowest) / largest
    code = torch.where(step == 0, 0.0, (exact - lowest) / step).round().clamp(0, largest)
    rounding = torch.maximum(lowest.abs(), highest.abs()) * 2**-20
    return (exact - (lowest + code * step)).abs() * _SLACK + rounding + _LEAST


def _distance_to_table(exact: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Of IQ4_NL and IQ4_XS, whose codes stand for 16 uneven values.

    :param scale: decoded from code 8, whose value is 1. The codes were chosen before it was
        rounded to f16, which moves two values by up to 127 times that.
    """
    table = torch.tensor([float(value) for value in IQ4_NL.kvalues])
    between = (table[1:] + table[:-1]) / 2
    position = torch.where(scale == 0, 0.0, exact / scale)
    nearest = table[torch.bucketize(position, between)] * scale
    rounding = torch.clamp(scale.abs() * _F16, min=32 * _F16_LEAST)
    return (exact - nearest).abs() * _SLACK + 2 * 127 * rounding


def _with_codes(encoded: NDArray[np.uint8], kind: str, codes: slice, byte: int) -> torch.Tensor:
    """The decoded rows if every code byte were ``byte``."""
    number = GGMLQuantizationType[kind]
    blocks = encoded.reshape(-1, GGML_QUANT_SIZES[number][1]).copy()
    blocks[:, codes] = byte
    return torch.tensor(dequantize(blocks.reshape(encoded.shape), number))
