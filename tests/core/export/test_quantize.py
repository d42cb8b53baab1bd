"""Weights are encoded bit for bit as ggml's own code encodes them."""

from __future__ import annotations

import platform

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.export.ggml import quantize_rows
from ftcore.export.quantize import UnrepresentableError, encode, encoded_size, tensor_type

KINDS = ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
SEARCHED = ("Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "IQ4_NL", "IQ4_XS")

# ggml's compiler may fuse multiplication and addition elsewhere, and round some ties otherwise
pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the reference is that of x86-64"
)

finite = st.floats(-60000, 60000, width=32, allow_subnormal=True)


def reference(values: np.ndarray, kind: str) -> bytes:
    return quantize_rows(np.ascontiguousarray(values), kind).tobytes()


def ours(values: np.ndarray, kind: str) -> bytes:
    return encode(torch.from_numpy(values), kind).tobytes()


def codes(first: int, last: int) -> np.ndarray:
    """Blocks with scale 1 (or -1) whose weights stand on and exactly between two codes."""
    halves = np.arange(first, last + 0.5, 0.5, dtype=np.float32)
    blocks = np.resize(halves, (5, 32))
    blocks[:, 0], blocks[:, 1] = first, last
    if first < 0:
        blocks = np.clip(blocks, first, last - 0.25)
    return np.concatenate([blocks, -blocks]).astype(np.float32)


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
        "Q4_0 ties": codes(-8, 8),
        "Q5_0 ties": codes(-16, 16),
        "Q4_1 and Q5_1 ties": codes(0, 15),
        "Q5_1 ties": codes(0, 31),
        "least is not zero": codes(0, 31) - 7,
        "both ends as far": np.resize(np.array([-3, 3, 1, 0], np.float32), (2, 32)),
        "zeros of both signs": np.resize(np.array([0.0, -0.0], np.float32), (2, 32)),
        "negative zero first": np.resize(np.array([-0.0, 0.0, 1.0], np.float32), (2, 32)),
        "the same": np.full((2, 32), 0.3, np.float32),
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
    spread = {"Q8_0": np.abs(block).max() / 127, "Q4_0": np.abs(block).max() / 8}
    spread |= {"Q5_0": np.abs(block).max() / 16, "Q4_1": np.ptp(block) / 15}
    spread |= {"Q5_1": np.ptp(block) / 31}
    if 0 < spread.get(kind, 1) < 1e-38:
        return  # the reference divides by nothing there; see the next test
    if np.ptp(block) > 60000 and kind in ("Q4_1", "Q5_1"):
        block /= 2  # the scale of all of f16's range still is in it, the reference's least is not
    assert ours(block, kind) == reference(block, kind)


def test_a_block_too_small_for_its_scale_becomes_zeros():
    block = torch.full((1, 32), 1e-42)
    assert encode(block, "Q8_0").tobytes() == bytes(34)


@pytest.mark.parametrize("kind", SEARCHED)
def test_pieces_of_searched_types_are_the_bytes_of_the_whole(kind: str):
    values = np.random.default_rng(5).standard_normal((24, 512)).astype(np.float32)
    pieces = b"".join(ours(values[start : start + 5], kind) for start in range(0, 24, 5))
    assert pieces == reference(values, kind)


@pytest.mark.parametrize("kind", (*KINDS, *SEARCHED))
def test_the_size_is_foreseen(kind: str):
    assert len(ours(np.ones((3, 256), np.float32), kind)) == encoded_size((3, 256), kind)


@pytest.mark.parametrize("kind", (*KINDS, *SEARCHED))
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(kind: str, bad: float):
    values = torch.ones(2, 256)
    values[1, 5] = bad
    with pytest.raises(UnrepresentableError, match="NaN or infinite"):
        encode(values, kind)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("F16", -65520.0),
        ("Q8_0", 8.4e6),
        ("Q4_0", 5.3e5),
        ("Q5_0", -1.1e6),
        ("Q4_1", 1e6),
        ("Q5_1", -65520.0),
        *((kind, 1e30) for kind in SEARCHED),
    ],
)
def test_what_would_become_infinite_is_refused(kind: str, value: float):
    values = torch.ones(1, 256)
    values[0, 3] = value
    with pytest.raises(UnrepresentableError, match=f"too large for {kind}"):
        encode(values, kind)
    assert encode(values, "BF16").size == 512


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
