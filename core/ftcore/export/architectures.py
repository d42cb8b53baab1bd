"""What each supported model class becomes in GGUF: names of tensors, permuted rows, metadata.

An architecture is one declarative entry of :data:`ARCHITECTURES`. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from attrs import frozen

from ftcore.errors import InputError
from ftcore.export.ggml import check_quantizers
from ftcore.export.mixtures import MixedModel
from ftcore.export.quantizations import check_quantization

ROPE_TYPES = ("default", "linear", "llama3")
"""The ``rope_type`` values that llama.cpp can be told about here."""


@frozen
class Weight:
    """One tensor of the checkpoint and its name in GGUF.

    Of a layer, both lack what names the layer: ``model.layers.7.`` and ``blk.7.``.
    """

    source: str
    target: str
    permuted: Literal["", "heads", "kv_heads"] = ""
    """Whether the rows of every head are reordered, and which count says how many heads.

    transformers rotates the two halves of a head (``rotate_half``), llama.cpp's ``llama``
    architecture neighbouring pairs, as the first Llama code did.
    """
    when: Literal["", "attention_bias", "mlp_bias"] = ""
    """The hyperparameter that says that the tensor is there."""


@frozen
class Architecture:
    """How one model class of transformers is written."""

    model_class: str
    gguf: str
    """llama.cpp's name of it, the prefix of its metadata keys."""
    activation: str
    model: tuple[Weight, ...]
    layer: tuple[Weight, ...]


LLAMA = Architecture(
    model_class="LlamaForCausalLM",
    gguf="llama",
    activation="silu",
    model=(
        Weight("model.embed_tokens.weight", "token_embd.weight"),
        Weight("model.norm.weight", "output_norm.weight"),
        Weight("lm_head.weight", "output.weight"),
    ),
    layer=(
        Weight("input_layernorm.weight", "attn_norm.weight"),
        Weight("self_attn.q_proj.weight", "attn_q.weight", permuted="heads"),
        Weight("self_attn.q_proj.bias", "attn_q.bias", permuted="heads", when="attention_bias"),
        Weight("self_attn.k_proj.weight", "attn_k.weight", permuted="kv_heads"),
        Weight("self_attn.k_proj.bias", "attn_k.bias", permuted="kv_heads", when="attention_bias"),
        Weight("self_attn.v_proj.weight", "attn_v.weight"),
        Weight("self_attn.v_proj.bias", "attn_v.bias", when="attention_bias"),
        Weight("self_attn.o_proj.weight", "attn_output.weight"),
        Weight("self_attn.o_proj.bias", "attn_output.bias", when="attention_bias"),
        Weight("post_attention_layernorm.weight", "ffn_norm.weight"),
        Weight("mlp.gate_proj.weight", "ffn_gate.weight"),
        Weight("mlp.gate_proj.bias", "ffn_gate.bias", when="mlp_bias"),
        Weight("mlp.up_proj.weight", "ffn_up.weight"),
        Weight("mlp.up_proj.bias", "ffn_up.bias", when="mlp_bias"),
        Weight("mlp.down_proj.weight", "ffn_down.weight"),
        Weight("mlp.down_proj.bias", "ffn_down.bias", when="mlp_bias"),
    ),
)

ARCHITECTURES: Mapping[str, Architecture] = {entry.model_class: entry for entry in (LLAMA,)}


@frozen
class Rope:
    """Rotary position embedding: base, and how it is stretched to longer contexts."""

    theta: float
    type: str
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192


@frozen
class Hyperparameters:
    """The figures of a model's ``config.json`` that its GGUF needs, defaults filled in."""

    architecture: Architecture
    layers: int
    context: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    rms_eps: float
    rope: Rope
    tied: bool
    """The embedding is the output matrix too."""
    attention_bias: bool
    mlp_bias: bool


MetadataValue = int | float | str
MetadataType = Literal["uint32", "float32", "string"]


def check_exportable(config: Mapping[str, Any], quantization: str) -> None:
    """Refuses a model or quantization that cannot be exported. Cheap: call it before training.

    :param config: the model's ``config.json`` as a mapping.
    :raises InputError: says what is not supported and what is, or what is not installed.
    """
    name = check_quantization(quantization)
    check_quantizers(name, read_hyperparameters(config).hidden)


def read_hyperparameters(config: Mapping[str, Any]) -> Hyperparameters:
    """The hyperparameters of a ``config.json``; defaults are those of transformers' LlamaConfig.

    :raises InputError: the architecture, its rope scaling, its activation or a quantized
        checkpoint is not supported, or a figure is missing or no number.
    """
    architecture = _architecture(config)
    if config.get("quantization_config"):
        method = cast("Mapping[str, Any]", config["quantization_config"]).get("quant_method", "?")
        raise InputError(
            f"the model's weights are quantized already ({method}), so the exact ones are lost",
            "export the model that was trained in full precision, or merge the adapter into it",
        )
    activation = config.get("hidden_act", "silu")
    if activation != architecture.activation:
        raise InputError(
            f"config.json: hidden_act is {activation!r}; llama.cpp computes "
            f"{architecture.model_class} with {architecture.activation!r}"
        )
    hidden, heads = _count(config, "hidden_size"), _count(config, "num_attention_heads")
    head_dim = config.get("head_dim") or hidden // heads
    return Hyperparameters(
        architecture=architecture,
        layers=_count(config, "num_hidden_layers"),
        context=_count(config, "max_position_embeddings"),
        hidden=hidden,
        feed_forward=_count(config, "intermediate_size"),
        heads=heads,
        kv_heads=_count(config, "num_key_value_heads", heads),
        head_dim=head_dim,
        vocabulary=_count(config, "vocab_size"),
        rms_eps=float(config.get("rms_norm_eps", 1e-6)),
        rope=_rope(config),
        tied=bool(config.get("tie_word_embeddings", False)),
        attention_bias=bool(config.get("attention_bias", False)),
        mlp_bias=bool(config.get("mlp_bias", False)),
    )


def weights(model: Hyperparameters) -> list[Weight]:
    """Every tensor that the checkpoint must hold, names filled in, the untied output included."""
    found = [
        weight
        for weight in model.architecture.model
        if not (model.tied and weight.source == "lm_head.weight")
    ]
    for layer in range(model.layers):
        found += [
            Weight(
                f"model.layers.{layer}.{weight.source}",
                f"blk.{layer}.{weight.target}",
                weight.permuted,
                weight.when,
            )
            for weight in model.architecture.layer
            if not weight.when or getattr(model, weight.when)
        ]
    return found


def mixed_model(model: Hyperparameters) -> MixedModel:
    """What decides about the types of a quantized file's tensors.

    Source of what counts as a 70B model: ``load_arch_hparams`` in src/models of llama.cpp.
    """
    grouped = model.heads != model.kv_heads
    big = {"llama": grouped, "qwen2": True}.get(model.architecture.gguf, False)
    return MixedModel(
        layers=model.layers,
        heads_per_kv_head=model.heads // model.kv_heads,
        seventy_billion=model.layers == 80 and big,
    )


def model_metadata(
    model: Hyperparameters, file_type: int
) -> list[tuple[str, MetadataType, MetadataValue]]:
    """Keys, types and values that describe the model, in the order of llama.cpp's converter."""
    prefix = model.architecture.gguf
    scaling: list[tuple[str, MetadataType, MetadataValue]] = []
    if model.rope.type == "linear":
        scaling = [
            (f"{prefix}.rope.scaling.type", "string", "linear"),
            (f"{prefix}.rope.scaling.factor", "float32", model.rope.factor),
        ]
    return [
        (f"{prefix}.block_count", "uint32", model.layers),
        (f"{prefix}.context_length", "uint32", model.context),
        (f"{prefix}.embedding_length", "uint32", model.hidden),
        (f"{prefix}.feed_forward_length", "uint32", model.feed_forward),
        (f"{prefix}.attention.head_count", "uint32", model.heads),
        (f"{prefix}.attention.head_count_kv", "uint32", model.kv_heads),
        *scaling,
        (f"{prefix}.rope.freq_base", "float32", model.rope.theta),
        (f"{prefix}.attention.layer_norm_rms_epsilon", "float32", model.rms_eps),
        (f"{prefix}.attention.key_length", "uint32", model.head_dim),
        (f"{prefix}.attention.value_length", "uint32", model.head_dim),
        ("general.file_type", "uint32", file_type),
        (f"{prefix}.vocab_size", "uint32", model.vocabulary),
        (f"{prefix}.rope.dimension_count", "uint32", model.head_dim),
    ]


def _architecture(config: Mapping[str, Any]) -> Architecture:
    named = cast("list[str]", config.get("architectures") or [])
    for name in named:
        if name in ARCHITECTURES:
            return ARCHITECTURES[name]
    what = named[0] if named else config.get("model_type", "a model that config.json does not name")
    raise InputError(
        f"{what} cannot be exported to GGUF yet",
        f"supported: {', '.join(ARCHITECTURES)} (SmolLM2, Llama 2 and Llama 3)",
    )


def _rope(config: Mapping[str, Any]) -> Rope:
    """Of a config of transformers 5 (``rope_parameters``) or 4 (``rope_scaling``)."""
    given = cast(
        "Mapping[str, Any]", config.get("rope_parameters") or config.get("rope_scaling") or {}
    )
    kind = str(given.get("rope_type") or given.get("type") or "default")
    if kind not in ROPE_TYPES:
        raise InputError(
            f"config.json: the rope scaling {kind!r} cannot be exported to GGUF yet",
            f"supported: {', '.join(ROPE_TYPES)}",
        )
    theta = given.get("rope_theta", config.get("rope_theta", 10000.0))
    return Rope(
        theta=float(theta),
        type=kind,
        factor=float(given.get("factor", 8.0 if kind == "llama3" else 1.0)),
        low_freq_factor=float(given.get("low_freq_factor", 1.0)),
        high_freq_factor=float(given.get("high_freq_factor", 4.0)),
        original_context=int(given.get("original_max_position_embeddings", 8192)),
    )


def _count(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None:
        value = default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"config.json: {key} must be a positive whole number, not {value!r}")
    return value
