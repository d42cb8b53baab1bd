"""Which type each tensor of a quantized file has: ``llama-quantize``'s choice without a matrix.

Source of the rules: ``llama_tensor_get_type_impl``, ``tensor_type_fallback`` and
``tensor_allows_quantization`` in src/llama-quant.cpp of llama.cpp (b11434), for the
architectures and quantizations of ftcore and without an importance matrix. Nothing here needs
torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from ftcore.export.quantizations import QUANTIZATIONS

SUPER_BLOCK = 256
"""Weights of a block of the K types and of IQ4_XS."""
BLOCK = 32
"""Weights of a block of the other types."""

_SUPER_BLOCKED = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS")

SEARCHED = (*_SUPER_BLOCKED, "IQ4_NL")
"""Types that ggml's own code makes: it searches for the scales with the least error."""

FALLBACK = {
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
    "IQ4_XS": "IQ4_NL",
}
"""What a matrix whose rows are no whole super-blocks becomes."""


@frozen
class MixedModel:
    """What the choice looks at beside a tensor's own name and shape."""

    layers: int
    heads_per_kv_head: int
    experts: int = 0
    seventy_billion: bool = False
    """llama.cpp takes it for a 70B model: 80 layers, of Llama with grouped queries or Qwen2."""


@frozen
class _Place:
    """Where a tensor stands: the how manieth of how many, and in what model."""

    index: int
    count: int
    model: MixedModel


_Rule = tuple[Callable[[_Place], bool], str]


def _always(place: _Place) -> bool:
    del place
    return True


def _first(count: int) -> Callable[[_Place], bool]:
    return lambda place: place.index < count


def _first_part(share: int) -> Callable[[_Place], bool]:
    """The first ``1/share`` of the layers."""
    return lambda place: place.index < place.count // share


def _sensitive(place: _Place) -> bool:
    """The first and last eighth, and every third between (``use_more_bits``)."""
    eighth = place.count // 8
    return (
        place.index < eighth
        or place.index >= 7 * place.count // 8
        or (place.index - eighth) % 3 == 2
    )


def _grouped(place: _Place) -> bool:
    """Four query heads and more share one value head, so its matrix is small."""
    return place.model.heads_per_kv_head >= 4


_MIXTURES: Mapping[str, Mapping[str, tuple[_Rule, ...]]] = {
    "Q2_K": {
        "attn_v": ((_grouped, "Q4_K"), (_always, "Q3_K")),
        "attn_output": ((_always, "Q3_K"),),
        "ffn_down": ((_always, "Q3_K"),),
    },
    "Q3_K_M": {
        "attn_v": ((_first(2), "Q5_K"), (_always, "Q4_K")),
        "attn_output": ((_always, "Q4_K"),),
        "ffn_down": ((_first_part(16), "Q5_K"), (_always, "Q4_K")),
    },
    "Q3_K_L": {
        "attn_v": ((_always, "Q5_K"),),
        "attn_output": ((_always, "Q5_K"),),
        "ffn_down": ((_always, "Q5_K"),),
    },
    "Q4_K_S": {
        "attn_v": ((_first(4), "Q5_K"),),
        "ffn_down": ((_first_part(8), "Q5_K"),),
    },
    "Q4_K_M": {
        "attn_v": ((_sensitive, "Q6_K"),),
        "ffn_down": ((_sensitive, "Q6_K"),),
    },
    "Q5_K_M": {
        "attn_v": ((_sensitive, "Q6_K"),),
        "ffn_down": ((_sensitive, "Q6_K"),),
    },
    "IQ4_NL": {
        "attn_v": ((_grouped, "Q5_K"),),
        "ffn_down": ((_first_part(8), "Q5_K"),),
    },
    "IQ4_XS": {
        "attn_v": ((_grouped, "Q5_K"),),
        "ffn_down": ((_first_part(8), "Q5_K"),),
    },
}
"""Of a quantization, kinds of matrices that have another type than most; the first rule counts."""

_OUTPUT_WITH_EIGHT_EXPERTS = (
    "Q2_K",
    "Q3_K_S",
    "Q3_K_M",
    "Q4_K_S",
    "Q4_K_M",
    "IQ4_NL",
    "IQ4_XS",
)
"""Quantizations whose ``attn_output`` is Q5_K in a model of eight experts."""

_KINDS = (
    (re.compile(r"^output\.weight$"), "output"),
    (re.compile(r"^token_embd\.weight$"), "token_embd"),
    (re.compile(r"attn_(v|qkv|kv_b)\.weight$"), "attn_v"),
    (re.compile(r"attn_k\.weight$"), "attn_k"),
    (re.compile(r"attn_output\.weight$"), "attn_output"),
    (re.compile(r"ffn_down"), "ffn_down"),
)


def file_order(name: str) -> tuple[int, str]:
    """The key by which ``llama-quantize`` sorts tensors: by layer, then by name."""
    layer = re.match(r"blk\.(\d+)\.", name)
    return int(layer[1]) if layer else -1, name


def mixed_types(
    shapes: Mapping[str, tuple[int, ...]], quantization: str, model: MixedModel
) -> dict[str, str]:
    """The type of each tensor.

    :param shapes: of all tensors of the file by their GGUF names, as torch has them.
    :param quantization: one that ``llama-quantize`` makes (not ``converted``).
    """
    names = sorted(shapes, key=file_order)
    values = [name for name in names if _kind(name) == "attn_v"]
    tied = "output.weight" not in shapes
    types: dict[str, str] = {}
    for name in names:
        if not _quantized(name, shapes[name]):
            types[name] = "F32"
            continue
        kind = _kind(name)
        columns = shapes[name][-1]
        if kind == "output" or (tied and kind == "token_embd"):
            chosen = _output_type(quantization, columns)
        else:
            index, count = file_order(name)[0], model.layers
            if kind == "attn_v":  # some layers of a model may have none
                index, count = values.index(name), len(values)
            chosen = _layer_type(kind, quantization, _Place(index, count, model))
        types[name] = _fitting(chosen, columns)
    return types


def needs_ggml(quantization: str, hidden: int) -> bool:
    """Whether a file has tensors of the types that only ggml's own code makes.

    :param hidden: columns of the output matrix, which is Q6_K beside 4- and 5-bit types too.
    """
    entry = QUANTIZATIONS[quantization]
    if entry.converted:
        return False
    output = _fitting(_output_type(quantization, hidden), hidden)
    return entry.type in SEARCHED or output in SEARCHED


def _kind(name: str) -> str:
    return next((kind for pattern, kind in _KINDS if pattern.search(name)), "")


def _quantized(name: str, shape: Sequence[int]) -> bool:
    """Norms, biases and the matrix that chooses experts stay as they are."""
    dimensions = len([size for size in shape[:-1] if size > 1]) + 1
    return (
        dimensions >= 2
        and name.endswith("weight")
        and "_norm.weight" not in name
        and "ffn_gate_inp.weight" not in name
    )


def _output_type(quantization: str, columns: int) -> str:
    return "Q8_0" if columns % _block(QUANTIZATIONS[quantization].type) else "Q6_K"


def _layer_type(kind: str, quantization: str, place: _Place) -> str:
    usual = QUANTIZATIONS[quantization].type
    eight = place.model.experts == 8
    if eight and kind in ("attn_v", "attn_k"):
        return "Q8_0"
    if eight and kind == "attn_output":
        return "Q5_K" if quantization in _OUTPUT_WITH_EIGHT_EXPERTS else usual
    rules = _MIXTURES.get(quantization, {}).get(kind, ())
    chosen = next((kind for holds, kind in rules if holds(place)), usual)
    if kind == "attn_v" and place.model.seventy_billion and chosen in ("Q3_K", "Q4_K"):
        return "Q5_K"
    return chosen


def _fitting(chosen: str, columns: int) -> str:
    """The type, or one that rows of so many columns are whole blocks of."""
    if columns % _block(chosen) == 0:
        return chosen
    return FALLBACK.get(chosen, chosen) if columns % BLOCK == 0 else "F16"


def _block(kind: str) -> int:
    return SUPER_BLOCK if kind in _SUPER_BLOCKED else BLOCK
