"""Weights are encoded bit for bit as ggml's reference encodes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import quantize
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.export.quantize import UnrepresentableError, encode, encoded_size, tensor_type

KINDS = ("F32", "F16", "BF16", "Q8_0")

finite = st.floats(-60000, 60000, width=32, allow_subnormal=True)


def reference(values: np.ndarray, kind: str) -> bytes:
    return quantize(values, GGMLQuantizationType[kind]).tobytes()


def ours(values: np.ndarray, kind: str) -> bytes:
    return encode(torch.from_numpy(values), kind).tobytes()


def cases() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    ties = np.arange(-127.5, 128.0, 0.5, dtype=np.float32)
    ties = np.resize(ties, (17, 32))
    ties[:, 0] = 127.0  # scale 1: the others stand exactly between two whole numbers
    below = np.full((1, 32), np.nextafter(np.float32(0.5), np.float32(0)), np.float32)
    below[:, 0] = 127.0
    tiny = (random.standard_normal((8, 32)) * 1e-6).astype(np.float32)
    subnormal = np.full((2, 32), 1e-40, np.float32)
    subnormal[:, 1] = 1.0
    bf16_ties = (np.arange(64, dtype=np.uint32) * 0x8000 + 0x3F800000).view(np.float32)
    f16_ties = (1 + (2 * np.arange(64) + 1) * 2.0**-11).astype(np.float32)
    return {
        "normal": random.standard_normal((64, 96)).astype(np.float32),
        "wide": (random.standard_normal((64, 32)) * 10.0 ** random.integers(-6, 4, (64, 1))).astype(
            np.float32
        ),
        "ties": ties,
        "below a tie": below,
        "zeros": np.zeros((2, 32), np.float32),
        "negative zeros": -np.zeros((2, 32), np.float32),
        "tiny": tiny,
        "subnormal": subnormal,
        "bf16 ties": bf16_ties.reshape(2, 32),
        "f16 ties": f16_ties.reshape(2, 32),
        "f16 subnormals": (np.arange(64) * 2.0**-26).astype(np.float32).reshape(2, 32),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", cases())
def test_the_bytes_are_those_of_the_reference(kind: str, name: str):
    values = cases()[name]
    assert ours(values, kind) == reference(values, kind)


@settings(max_examples=200, deadline=None)
@given(st.lists(finite, min_size=32, max_size=32), st.sampled_from(KINDS))
def test_the_bytes_of_any_block_are_those_of_the_reference(values: list[float], kind: str):
    block = np.array([values], np.float32)
    largest = float(np.abs(block).max())
    if kind == "Q8_0" and 0 < largest / 127 < 1e-38:
        return  # the reference divides by nothing there; see the next test
    assert ours(block, kind) == reference(block, kind)


def test_a_block_too_small_for_its_scale_becomes_zeros():
    block = torch.full((1, 32), 1e-42)
    assert encode(block, "Q8_0").tobytes() == bytes(34)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(kind: str, bad: float):
    values = torch.ones(2, 32)
    values[1, 5] = bad
    with pytest.raises(UnrepresentableError, match="NaN or infinite"):
        encode(values, kind)


@pytest.mark.parametrize(("kind", "value"), [("F16", -65520.0), ("Q8_0", 8.4e6)])
def test_what_would_become_infinite_is_refused(kind: str, value: float):
    values = torch.ones(1, 32)
    values[0, 3] = value
    with pytest.raises(UnrepresentableError, match=f"too large for {kind}"):
        encode(values, kind)
    assert encode(values, "BF16").size == 64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_sources_are_encoded_from_their_exact_values(dtype: torch.dtype):
    values = torch.randn(4, 64, generator=torch.Generator().manual_seed(3)).to(dtype)
    assert encode(values, "Q8_0").tobytes() == reference(values.float().numpy(), "Q8_0")


def test_vectors_stay_f32_and_odd_rows_become_f16():
    assert tensor_type((576,), "Q8_0", "output_norm.weight") == "F32"
    assert tensor_type((576,), "F16", "output_norm.weight") == "F32"
    assert tensor_type((64, 80), "Q8_0", "blk.0.ffn_up.weight") == "F16"
    assert tensor_type((64, 96), "Q8_0", "blk.0.ffn_up.weight") == "Q8_0"
    assert tensor_type((64, 96), "Q8_0", "blk.0.ffn_gate_inp.weight") == "F32"
    assert encoded_size((64, 96), "Q8_0") == 64 * 3 * 34
