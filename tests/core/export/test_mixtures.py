"""Every tensor has the type that llama-quantize gives it.

The golden file is what llama.cpp b11434 says through quant_types.cpp. To make it again, build
that program and run::

    python tests/core/export/test_mixtures.py PROGRAM > tests/core/golden/mixtures.json
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

from ftcore.export.mixtures import MixedModel, file_order, mixed_types, needs_ggml
from ftcore.export.quantizations import QUANTIZATIONS

GOLDEN = Path(__file__).parents[1] / "golden" / "mixtures.json"

MIXED = [name for name, entry in QUANTIZATIONS.items() if not entry.converted]

# architecture, hidden, feed_forward, layers, heads, kv_heads, experts, head_dim, tied output
MODELS: dict[str, tuple[str, int, int, int, int, int, int, int, bool]] = {
    "Llama 3.1 8B": ("llama", 4096, 14336, 32, 32, 8, 0, 128, False),
    "Llama 3.1 70B": ("llama", 8192, 28672, 80, 64, 8, 0, 128, False),
    "Mixtral 8x7B": ("llama", 4096, 14336, 32, 32, 8, 8, 128, False),
    "SmolLM2 135M": ("llama", 576, 1536, 30, 9, 3, 0, 64, True),
    "Qwen3 0.6B": ("qwen3", 1024, 3072, 28, 16, 8, 0, 128, True),
    "Qwen3 30B-A3B": ("qwen3moe", 2048, 768, 48, 32, 4, 128, 128, False),
    "no whole blocks": ("llama", 80, 100, 3, 4, 1, 0, 20, False),
}


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    _, hidden, feed, layers, heads, kv_heads, experts, head, tied = MODELS[name]
    found = {"token_embd.weight": (1000, hidden), "output_norm.weight": (hidden,)}
    if not tied:
        found["output.weight"] = (1000, hidden)
    stacked = (experts,) if experts else ()
    suffix = "_exps" if experts else ""
    for layer in range(layers):
        tensors = {
            "attn_norm.weight": (hidden,),
            "attn_q.weight": (heads * head, hidden),
            "attn_q.bias": (heads * head,),
            "attn_k.weight": (kv_heads * head, hidden),
            "attn_v.weight": (kv_heads * head, hidden),
            "attn_output.weight": (hidden, heads * head),
            "ffn_norm.weight": (hidden,),
            f"ffn_gate{suffix}.weight": (*stacked, feed, hidden),
            f"ffn_up{suffix}.weight": (*stacked, feed, hidden),
            f"ffn_down{suffix}.weight": (*stacked, hidden, feed),
        }
        if experts:
            tensors["ffn_gate_inp.weight"] = (experts, hidden)
        found |= {f"blk.{layer}.{tensor}": shape for tensor, shape in tensors.items()}
    return found


def ours(name: str, quantization: str) -> dict[str, str]:
    _, _, _, layers, heads, kv_heads, experts, _, _ = MODELS[name]
    big = layers == 80 and heads != kv_heads
    return mixed_types(
        shapes(name), quantization, MixedModel(layers, heads // kv_heads, experts, big)
    )


def llama_cpps(program: str, name: str, quantization: str) -> dict[str, str]:
    *figures, _ = MODELS[name]
    found = shapes(name)
    names = sorted(found, key=file_order)
    lines = [" ".join(map(str, (*figures, QUANTIZATIONS[quantization].file_type, len(names))))]
    for tensor in names:
        columns, rows, matrices = (*reversed(found[tensor]), 1, 1)[:3]
        lines.append(f"{tensor} {columns} {rows} {matrices}")
    done = subprocess.run(
        [program], input="\n".join(lines), check=True, capture_output=True, text=True
    )
    said = dict(line.split() for line in done.stdout.splitlines())
    return {name: kind.upper() for name, kind in said.items()}


def summary(types: dict[str, str]) -> dict[str, str]:
    """Of each kind of tensor the types by layer, those of neighbours counted: ``Q6_K*3 Q4_K*5``."""
    kinds: dict[str, list[str]] = {}
    for name in sorted(types, key=file_order):
        kinds.setdefault(name.split(".", 2)[-1] if name.startswith("blk.") else name, []).append(
            types[name]
        )
    return {
        kind: " ".join(f"{name}*{len(list(same))}" for name, same in groupby(found))
        for kind, found in kinds.items()
        if set(found) != {"F32"}
    }


@pytest.mark.parametrize("name", MODELS)
def test_the_types_are_llama_quantizes(name: str):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    assert {q: summary(ours(name, q)) for q in MIXED} == golden


def test_the_layers_are_sorted_as_numbers():
    names = ["blk.10.a", "blk.9.b", "token_embd.weight", "blk.9.a", "output.weight"]
    assert sorted(names, key=file_order) == [
        *("output.weight", "token_embd.weight", "blk.9.a", "blk.9.b", "blk.10.a"),
    ]


def test_only_what_has_searched_scales_needs_ggml():
    plain = {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"}
    assert {name for name in QUANTIZATIONS if not needs_ggml(name, 576)} == plain
    # an output matrix of whole super-blocks is Q6_K beside them
    assert {name for name in QUANTIZATIONS if not needs_ggml(name, 4096)} == {
        *("F32", "F16", "BF16", "Q8_0")
    }


if __name__ == "__main__":
    said = {n: {q: summary(llama_cpps(sys.argv[1], n, q)) for q in MIXED} for n in MODELS}
    print(json.dumps(said, indent=1))
