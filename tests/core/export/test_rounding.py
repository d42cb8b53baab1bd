"""A right encoding keeps every bound, and the least fault breaks one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.export.quantize import encode
from ftcore.export.rounding import LOST, bound, searched

BLOCKED = ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
SEARCHED = ("Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "IQ4_NL", "IQ4_XS")
KINDS = ("F32", "F16", "BF16", *BLOCKED, *SEARCHED)

SHAPES = ("normal", "uniform", "heavy", "of many sizes", "all positive", "zeros")


def weights(shape: str, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    normal = torch.randn(8, 512, generator=random)
    return {
        "normal": normal * 0.05,
        "uniform": torch.rand(8, 512, generator=random) - 0.5,
        "heavy": normal**5,
        "of many sizes": normal * 10.0 ** torch.randint(-6, 2, (8, 512), generator=random),
        "all positive": torch.rand(8, 512, generator=random) + 1,
        "zeros": torch.zeros(8, 512),
    }[shape]


def encoded(values: torch.Tensor, kind: str) -> np.ndarray:
    return encode(values, kind).reshape(len(values), -1)


def worst(values: torch.Tensor, rows: np.ndarray, kind: str) -> float:
    """The largest error in units of its bound."""
    decoded = torch.tensor(dequantize(rows, GGMLQuantizationType[kind]), dtype=torch.float32)
    error = (decoded.reshape(values.shape) - values).abs()
    return float((error / bound(values, rows, kind).reshape(values.shape)).max())


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(shape=st.sampled_from(SHAPES), seed=st.integers(0, 2**32 - 1))
def test_every_weight_of_a_right_encoding_is_within_its_bound(kind: str, shape: str, seed: int):
    values = weights(shape, seed)
    assert worst(values, encoded(values, kind), kind) <= 1


@pytest.mark.parametrize("kind", (*BLOCKED, *SEARCHED))
@pytest.mark.parametrize("seed", range(5))
def test_one_other_code_breaks_a_bound(kind: str, seed: int):
    """Any bit of the codes of any weight, where that does not stand halfway between two."""
    rows = encoded(weights("normal", seed), kind)
    values = torch.tensor(dequantize(rows, GGMLQuantizationType[kind]))
    rows = encoded(values, kind)
    size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]][1]
    # the last code byte of a block: bits of the codes of two or four weights, or of one
    at = {"Q3_K": 95, "Q6_K": 191, "Q2_K": 79}.get(kind, size - 1)
    for bit in range(8):
        changed = rows.copy()
        changed[3, size + at] ^= 1 << bit
        assert worst(values, changed, kind) > 1, bit


@pytest.mark.parametrize("kind", SEARCHED)
def test_scales_of_no_use_show_in_the_norm(kind: str):
    """Encoded for weights a tenth of these, the codes are the nearest that the scales offer."""
    values = weights("normal", 1)
    decoded = dequantize(encoded(values / 10, kind), GGMLQuantizationType[kind])
    error = torch.tensor(decoded) - values
    assert searched(kind)
    assert float(error.norm() / values.norm()) > LOST


@pytest.mark.parametrize("kind", SEARCHED)
@pytest.mark.parametrize("shape", SHAPES[:-1])
def test_the_norm_of_a_right_encoding_is_well_within_the_limit(kind: str, shape: str):
    values = weights(shape, 3)
    decoded = dequantize(encoded(values, kind), GGMLQuantizationType[kind])
    assert float((torch.tensor(decoded) - values).norm() / values.norm()) < 0.9 * LOST
