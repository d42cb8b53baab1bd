"""Reads the weights of a model folder in pieces: names, shapes and rows, never a whole model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from attrs import evolve, frozen
from gguf.utility import LocalTensor, SafetensorsLocal

from ftcore.errors import InputError
from ftcore.export.architectures import Hyperparameters, Weight, mixed_model, weights
from ftcore.export.mixtures import file_order, mixed_types
from ftcore.export.quantizations import QUANTIZATIONS
from ftcore.export.quantize import tensor_type

CHUNK_WEIGHTS = 2**18
"""Weights read at a time (one row or head where that is more): few enough for a core's cache."""

DTYPES: Mapping[str, torch.dtype] = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}

ROPE_FREQUENCIES = "rope_freqs.weight"


@frozen
class PlannedTensor:
    """One tensor of the GGUF, and where its weights come from."""

    name: str
    shape: tuple[int, ...]
    """As torch has it; GGUF counts dimensions the other way round."""
    type: str
    source: LocalTensor | None
    """None: computed (the frequencies of the rope scaling)."""
    source_name: str
    heads: int
    """The rows of this many heads are reordered; 0: none are."""
    values: tuple[float, ...] = ()
    """Of a computed tensor."""


def read_config(model: Path) -> dict[str, Any]:
    """The ``config.json`` of a model folder.

    :raises InputError: the folder is no model folder, or the file no JSON object.
    """
    path = model / "config.json"
    if not model.is_dir():
        raise InputError(f"{model}: there is no such folder", "give the folder of a saved model")
    if not path.is_file() and (model / "adapter_config.json").is_file():
        raise InputError(
            f"{model} holds an adapter that is not merged into its base model",
            "merge it (peft: merge_and_unload) and export the merged model",
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{model}: no config.json, so this is no model folder",
            "give the folder of a saved model, with config.json and model.safetensors",
        ) from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: must hold a JSON object")
    return cast("dict[str, Any]", config)


def open_weights(model: Path) -> dict[str, LocalTensor]:
    """Every tensor of ``model.safetensors`` or its shards, in the order of llama.cpp's converter.

    :raises InputError: no weights, a missing or damaged shard, or weights of another kind.
    """
    found: dict[str, LocalTensor] = {}
    for path in _parts(model):
        try:
            found.update(SafetensorsLocal(path).tensors)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: cannot be read as safetensors: {error}", "save the model again"
            ) from error
        size = path.stat().st_size
        for name, tensor in SafetensorsLocal(path).tensors.items():
            if tensor.data_range.offset + tensor.data_range.size > size:
                raise InputError(
                    f"{path}: the file ends before its tensor {name}",
                    "it was not copied or saved whole: copy or save it again",
                )
    return found


def plan_tensors(
    model: Hyperparameters, found: Mapping[str, LocalTensor], quantization: str
) -> list[PlannedTensor]:
    """What goes into the file, in the order of the checkpoint, as llama.cpp's converter has it.

    A quantization that the converter does not write has ``llama-quantize``'s order and types.

    :raises InputError: a tensor is missing, unexpected, of the wrong shape or dtype, or an
        output matrix differs from the embedding that it is said to be tied to.
    """
    wanted = {weight.source: weight for weight in weights(model)}
    _refuse_strangers(model, found, wanted)
    for name in wanted:
        if name not in found:
            raise InputError(
                f"the checkpoint lacks the tensor {name}",
                "config.json does not fit the weights, or the model was not saved whole",
            )
    planned: list[PlannedTensor] = []
    for name, tensor in found.items():
        weight = wanted.get(name)
        if weight is None:
            continue
        expected = _shape(weight, model)
        if tensor.shape != expected:
            raise InputError(
                f"the tensor {name} has the shape {list(tensor.shape)}; "
                f"config.json asks for {list(expected)}",
                "after adding tokens, resize the embedding and save model and config together",
            )
        heads = getattr(model, weight.permuted) if weight.permuted else 0
        kind = tensor_type(tensor.shape, quantization)
        planned.append(PlannedTensor(weight.target, tensor.shape, kind, tensor, name, heads))
    factors = rope_factors(model)
    if factors:
        planned.insert(
            0,
            PlannedTensor(
                ROPE_FREQUENCIES, (len(factors),), "F32", None, "rope_parameters", 0, factors
            ),
        )
    return (
        planned if QUANTIZATIONS[quantization].converted else _mixed(planned, quantization, model)
    )


def _mixed(
    planned: list[PlannedTensor], quantization: str, model: Hyperparameters
) -> list[PlannedTensor]:
    """The tensors as ``llama-quantize`` has them: sorted, and of types of its choice."""
    types = mixed_types(
        {tensor.name: tensor.shape for tensor in planned}, quantization, mixed_model(model)
    )
    ordered = sorted(planned, key=lambda tensor: file_order(tensor.name))
    return [evolve(tensor, type=types[tensor.name]) for tensor in ordered]


def chunks(tensor: PlannedTensor) -> Iterator[torch.Tensor]:
    """The weights in file order, some rows at a time: ``(rows, columns)``, the source's dtype."""
    if tensor.source is None:
        yield torch.tensor(tensor.values, dtype=torch.float32)[None]
        return
    columns = tensor.shape[-1]
    rows = math.prod(tensor.shape[:-1])
    if tensor.heads and len(tensor.shape) == 1:
        rows, columns = columns, 1
    step = max(1, CHUNK_WEIGHTS // columns)
    if tensor.heads:
        per_head = rows // tensor.heads
        step = max(1, step // per_head) * per_head
    for start in range(0, rows, step):
        part = _read_rows(tensor.source, start, min(start + step, rows), columns)
        yield _paired(part, rows // tensor.heads) if tensor.heads else part


def rope_factors(model: Hyperparameters) -> tuple[float, ...]:
    """By how much llama.cpp must divide each rotary frequency; empty where it divides none.

    Source: ``_compute_llama3_parameters`` of transformers (modeling_rope_utils). The arithmetic
    is in float32, as in llama.cpp's converter.
    """
    rope = model.rope
    if rope.type != "llama3":
        return ()
    exponents = torch.arange(0, model.head_dim, 2, dtype=torch.float32) / model.head_dim
    longest = rope.original_context / rope.low_freq_factor
    shortest = rope.original_context / rope.high_freq_factor
    factors: list[float] = []
    for frequency in 1.0 / (rope.theta**exponents):
        length = 2 * math.pi / frequency
        if length < shortest:
            factors.append(1.0)
        elif length > longest:
            factors.append(rope.factor)
        else:
            smooth = (rope.original_context / length - rope.low_freq_factor) / (
                rope.high_freq_factor - rope.low_freq_factor
            )
            factors.append(float(1 / ((1 - smooth) / rope.factor + smooth)))
    return tuple(factors)


def _parts(model: Path) -> list[Path]:
    index = model / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(
                set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{index}: is no index of safetensors files: {error}") from error
        missing = [name for name in names if not (model / name).is_file()]
        if missing:
            raise InputError(
                f"{model}: the shard {missing[0]} is missing ({len(missing)} of {len(names)})",
                "copy or save the model again",
            )
        return [model / name for name in names]
    if (model / "model.safetensors").is_file():
        return [model / "model.safetensors"]
    if (model / "adapter_config.json").is_file():
        raise InputError(
            f"{model} holds an adapter that is not merged into its base model",
            "merge it (peft: merge_and_unload) and export the merged model",
        )
    raise InputError(
        f"{model}: no model.safetensors",
        "save the model with save_pretrained; older .bin files must be saved as safetensors",
    )


def _refuse_strangers(
    model: Hyperparameters, found: Mapping[str, LocalTensor], wanted: Mapping[str, Weight]
) -> None:
    for name, tensor in found.items():
        if any(mark in name for mark in (".lora_", ".base_layer.", ".modules_to_save.")):
            raise InputError(
                f"the tensor {name} belongs to an adapter that is not merged",
                "merge it (peft: merge_and_unload) and export the merged model",
            )
        if (
            name.endswith((".SCB", ".absmax", ".quant_map"))
            or ".quant_state." in name
            or tensor.dtype not in DTYPES
        ):
            raise InputError(
                f"the tensor {name} is stored as {tensor.dtype}: quantized weights",
                "export the model in F32, F16 or BF16: load it without bitsandbytes and save it",
            )
        if name == "lm_head.weight" and model.tied:
            _refuse_untied_output(name, tensor, found)
        elif name not in wanted and not name.endswith(".rotary_emb.inv_freq"):
            raise InputError(
                f"the checkpoint holds the tensor {name}, which "
                f"{model.architecture.model_class} with this config.json does not have",
                "config.json does not fit the weights: save model and config together",
            )


def _refuse_untied_output(name: str, tensor: LocalTensor, found: Mapping[str, LocalTensor]) -> None:
    """GGUF leaves a tied output out, so one that was trained apart would be lost."""
    embedding = found.get("model.embed_tokens.weight")
    if embedding is None or embedding.shape != tensor.shape:
        raise InputError(f"the tensor {name} has another shape than the embedding it is tied to")
    rows, columns = tensor.shape
    step = max(1, CHUNK_WEIGHTS // columns)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        output = _read_rows(tensor, start, stop, columns).to(torch.float32)
        if not torch.equal(output, _read_rows(embedding, start, stop, columns).to(torch.float32)):
            raise InputError(
                f"config.json says that {name} is the embedding (tie_word_embeddings), but the "
                "two differ: the output that was trained would be lost",
                "set tie_word_embeddings to false in config.json",
            )


def _shape(weight: Weight, model: Hyperparameters) -> tuple[int, ...]:
    """The shape that the hyperparameters ask for, read off the GGUF name."""
    query, key = model.heads * model.head_dim, model.kv_heads * model.head_dim
    name, kind = weight.target.rsplit(".", 2)[-2:]
    shapes = {
        "token_embd": (model.vocabulary, model.hidden),
        "output": (model.vocabulary, model.hidden),
        "attn_q": (query, model.hidden),
        "attn_k": (key, model.hidden),
        "attn_v": (key, model.hidden),
        "attn_output": (model.hidden, query),
        "ffn_gate": (model.feed_forward, model.hidden),
        "ffn_up": (model.feed_forward, model.hidden),
        "ffn_down": (model.hidden, model.feed_forward),
    }
    shape = shapes.get(name, (model.hidden,))
    return shape if kind == "weight" else shape[:1]


def _read_rows(tensor: LocalTensor, start: int, stop: int, columns: int) -> torch.Tensor:
    dtype = DTYPES[tensor.dtype]
    raw = np.fromfile(
        tensor.data_range.filename,
        dtype=np.uint8,
        count=(stop - start) * columns * dtype.itemsize,
        offset=tensor.data_range.offset + start * columns * dtype.itemsize,
    )
    return torch.frombuffer(raw, dtype=dtype).reshape(stop - start, columns)


def _paired(rows: torch.Tensor, per_head: int) -> torch.Tensor:
    """Rows of whole heads, from two halves to neighbouring pairs."""
    count, columns = rows.shape
    halves = rows.reshape(count // per_head, 2, per_head // 2, columns)
    return halves.swapaxes(1, 2).reshape(count, columns)
