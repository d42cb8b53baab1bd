"""Reads what a model's config says for its GGUF, and refuses what cannot be exported.

The model classes are the entries of :mod:`ftcore.export.entries`. Nothing here needs weights.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from copy import deepcopy
from operator import attrgetter
from typing import Any, cast

from attrs import evolve

from ftcore.errors import InputError
from ftcore.export.entries import ENTRIES, FILE_TYPE
from ftcore.export.layout import (
    Architecture,
    Hyperparameters,
    MetadataType,
    MetadataValue,
    Rope,
    Weight,
)

QUANTIZATIONS = ("F32", "F16", "BF16", "Q8_0")
"""The types that matrices can be written in."""

ARCHITECTURES: Mapping[str, Architecture] = {entry.model_class: entry for entry in ENTRIES}

_COUNTS = (
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
)


def check_exportable(config: Mapping[str, Any], quantization: str) -> None:
    """Refuses a model or quantization that cannot be exported. Cheap: call it before training.

    :param config: the model's ``config.json`` as a mapping.
    :raises InputError: says what is not supported and what is.
    """
    check_quantization(quantization)
    read_hyperparameters(config)


def check_quantization(quantization: str) -> str:
    """The quantization in its usual spelling.

    :raises InputError: there is no such quantization here.
    """
    name = quantization.upper()
    if name in QUANTIZATIONS:
        return name
    close = difflib.get_close_matches(name, QUANTIZATIONS, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise InputError(
        f"the quantization {quantization!r} cannot be written",
        f"{meant}choose one of {', '.join(QUANTIZATIONS)}",
    )


def read_hyperparameters(config: Mapping[str, Any]) -> Hyperparameters:
    """The hyperparameters of a ``config.json``; defaults are those of transformers' config class.

    :raises InputError: the architecture, its rope scaling, a figure that llama.cpp computes with
        one value only, or a quantized checkpoint is not supported, or a figure is missing or no
        number.
    """
    architecture = _architecture(config)
    if config.get("quantization_config"):
        method = cast("Mapping[str, Any]", config["quantization_config"]).get("quant_method", "?")
        raise InputError(
            f"the model's weights are quantized already ({method}), so the exact ones are lost",
            "export the model that was trained in full precision, or merge the adapter into it",
        )
    full = _complete(config, architecture)
    for fixed in architecture.fixed:
        if full.get(fixed.key) != fixed.value:
            raise InputError(
                f"config.json: {fixed.key} is {full.get(fixed.key)!r}; llama.cpp computes "
                f"{architecture.model_class} with {fixed.value!r}"
            )
    if reason := architecture.refused(full):
        raise InputError(
            f"config.json: {reason}; llama.cpp computes {architecture.model_class} otherwise"
        )
    heads = int(full["num_attention_heads"])
    head_dim = full.get("head_dim")
    return Hyperparameters(
        architecture=architecture,
        layers=full["num_hidden_layers"],
        context=full["max_position_embeddings"],
        hidden=full["hidden_size"],
        feed_forward=full["intermediate_size"],
        heads=heads,
        kv_heads=full.get("num_key_value_heads") or heads,
        head_dim=head_dim or full["hidden_size"] // heads,
        head_dim_written=head_dim,
        vocabulary=full["vocab_size"],
        rms_eps=float(full["rms_norm_eps"]),
        rope=_rope(full, architecture, head_dim or full["hidden_size"] // heads),
        tied=bool(full.get("tie_word_embeddings", False)),
        attention_bias=bool(full.get("attention_bias", False)),
        mlp_bias=bool(full.get("mlp_bias", False)),
        sliding_window=full.get("sliding_window"),
        experts=full.get("num_local_experts") or full.get("num_experts"),
        experts_used=full.get("num_experts_per_tok"),
        expert_feed_forward=full.get("moe_intermediate_size"),
        softcap=full.get("final_logit_softcapping"),
    )


def weights(model: Hyperparameters) -> list[Weight]:
    """Every tensor of the GGUF, names filled in, the untied output included."""
    found = [
        weight
        for weight in model.architecture.model
        if not (model.tied and weight.target == "output.weight")
    ]
    for layer in range(model.layers):
        found += [
            evolve(
                weight,
                source=f"model.layers.{layer}.{weight.source}",
                target=f"blk.{layer}.{weight.target}",
                fused=weight.fused and f"model.layers.{layer}.{weight.fused}",
            )
            for weight in model.architecture.layer
            if not weight.when or getattr(model, weight.when)
        ]
    return found


def model_metadata(
    model: Hyperparameters, file_type: int
) -> list[tuple[str, MetadataType, MetadataValue]]:
    """Keys, types and values that describe the model, in the order of llama.cpp's converter."""
    prefix = model.architecture.gguf
    found: list[tuple[str, MetadataType, MetadataValue]] = []
    for key in model.architecture.keys:
        if key is FILE_TYPE:
            found.append((key.name, key.type, file_type))
            continue
        value = cast("MetadataValue | None", attrgetter(key.value)(model))
        value = key.absent if value is None else value
        if value is not None:
            found.append((f"{prefix}.{key.name}", key.type, value))
    return found


def _architecture(config: Mapping[str, Any]) -> Architecture:
    named = cast("list[str]", config.get("architectures") or [])
    for name in named:
        if name in ARCHITECTURES:
            return ARCHITECTURES[name]
    what = named[0] if named else config.get("model_type", "a model that config.json does not name")
    supported = (f"{entry.model_class} ({entry.known_as})" for entry in ENTRIES)
    raise InputError(f"{what} cannot be exported to GGUF yet", f"supported: {', '.join(supported)}")


def _complete(config: Mapping[str, Any], architecture: Architecture) -> dict[str, Any]:
    """The config with every default of transformers' config class, ropes in its newest shape."""
    from transformers import AutoConfig

    for key in _COUNTS:
        value = config.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"config.json: {key} must be a positive whole number, not {value!r}")
    # transformers changes what it is given
    given = {key: deepcopy(value) for key, value in config.items() if key != "model_type"}
    try:
        made: Any = cast("Any", AutoConfig).for_model(architecture.model_type, **given)
        return made.to_dict()
    except Exception as error:  # transformers raises what it likes, over several lines
        reason = " ".join(str(error).split())
        raise InputError(f"config.json: transformers refuses it: {reason}") from error


def _rope(config: Mapping[str, Any], architecture: Architecture, head_dim: int) -> Rope:
    parameters = cast("Mapping[str, Any]", config.get("rope_parameters") or {})
    given = cast("Mapping[str, Any]", parameters.get("full_attention", parameters))
    local = cast("Mapping[str, Any]", parameters.get("sliding_attention", {}))
    kind = str(given.get("rope_type") or given.get("type") or "default")
    for name in (kind, str(local.get("rope_type", "default"))):
        if name not in architecture.ropes or (name != "default" and name != kind):
            raise InputError(
                f"config.json: the rope scaling {name!r} cannot be exported to GGUF yet",
                f"supported: {', '.join(architecture.ropes)}",
            )
    original = given.get("original_max_position_embeddings")
    rope = Rope(
        theta=float(given["rope_theta"]),
        type=kind,
        dimensions=int(head_dim * float(given.get("partial_rotary_factor") or 1.0)),
        factor=_number(given.get("factor")),
        low_freq_factor=float(given.get("low_freq_factor", 1.0)),
        high_freq_factor=float(given.get("high_freq_factor", 4.0)),
        original_context=original or config.get("original_max_position_embeddings"),
        attention_factor=_number(given.get("attention_factor")),
        beta_fast=_number(given.get("beta_fast")),
        beta_slow=_number(given.get("beta_slow")),
        local_theta=_number(local.get("rope_theta")),
        long_factors=tuple(given.get("long_factor") or ()),
        short_factors=tuple(given.get("short_factor") or ()),
    )
    if kind != "longrope":
        return rope
    return evolve(rope, attention_factor=_longrope_attention(config, rope))


def _longrope_attention(config: Mapping[str, Any], rope: Rope) -> float:
    """Source: ``_compute_longrope_parameters`` of transformers (modeling_rope_utils)."""
    original = rope.original_context
    halves = rope.dimensions // 2
    if not original or {len(rope.long_factors), len(rope.short_factors)} != {halves}:
        raise InputError(
            "config.json: a longrope needs original_max_position_embeddings, and long_factor and "
            f"short_factor of {halves} numbers each"
        )
    scale = config["max_position_embeddings"] / original
    return math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
