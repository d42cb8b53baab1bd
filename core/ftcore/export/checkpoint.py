"""Reads the weights of a model folder in pieces: names, shapes and rows, never a whole model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Set
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from attrs import evolve, frozen
from gguf.utility import LocalTensor, SafetensorsLocal

from ftcore.errors import InputError
from ftcore.export.architectures import mixed_model, weights
from ftcore.export.layout import Hyperparameters, Weight
from ftcore.export.mixtures import file_order, mixed_types
from ftcore.export.quantizations import QUANTIZATIONS
from ftcore.export.quantize import tensor_type

CHUNK_WEIGHTS = 2**20
"""Weights read at a time (one row or head where that is more): fewer, and threads would wait for
each other instead of computing; more, and they would not fit a core's cache."""

DTYPES: Mapping[str, torch.dtype] = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


@frozen
class Piece:
    """Rows of a tensor of the checkpoint; all but its last dimension count as rows."""

    tensor: LocalTensor
    start: int
    stop: int


@frozen
class PlannedTensor:
    """One tensor of the GGUF, and where its weights come from."""

    name: str
    shape: tuple[int, ...]
    """As torch has it; GGUF counts dimensions the other way round."""
    type: str
    source_name: str
    """Of the checkpoint's tensor, or of what it is computed from."""
    pieces: tuple[Piece, ...] = ()
    """Rows one after the other; none where it is computed."""
    heads: int = 0
    """The rows of this many heads are reordered; 0: none are."""
    plus_one: bool = False
    """1 is added to each weight."""
    values: tuple[float, ...] = ()
    """Of a computed tensor."""

    @property
    def columns(self) -> int:
        """Weights of a row as they are read: of a vector one, if its rows are reordered."""
        return 1 if self.heads and len(self.shape) == 1 else self.shape[-1]


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
    wanted = weights(model)
    sources = [_sources(weight, model, found) for weight in wanted]
    _refuse_strangers(model, found, {name for names in sources for name in names})
    places = {name: place for place, name in enumerate(found)}
    seen: dict[str, int] = {}  # stacked experts stand where the last one of a layer was found
    planned: list[tuple[str, PlannedTensor]] = []
    for weight, names in zip(wanted, sources, strict=True):
        for name in names:
            if name not in found:
                raise InputError(
                    f"the checkpoint lacks the tensor {name}",
                    "config.json does not fit the weights, or the model was not saved whole",
                )
        together = names[0] if len(names) == 1 else weight.source.partition("{expert}")[0]
        seen[together] = max(seen.get(together, 0), *(places[name] for name in names))
        shape = tuple(model.sizes[dimension] for dimension in weight.shape.split())
        tensor = PlannedTensor(
            name=weight.target,
            shape=shape,
            type=tensor_type(shape, quantization, weight.target),
            source_name=names[0],
            pieces=_pieces(weight, {name: found[name] for name in names}, shape),
            heads=getattr(model, weight.permuted) if weight.permuted else 0,
            plus_one=weight.plus_one,
        )
        planned.append((together, tensor))
    planned.sort(key=lambda item: seen[item[0]])  # stable: down, gate and up keep their order
    computed = [
        PlannedTensor(name, (len(factors),), "F32", "rope_parameters", values=factors)
        for name, factors in rope_factors(model).items()
    ]
    tensors = [*computed, *(tensor for _, tensor in planned)]
    return (
        tensors if QUANTIZATIONS[quantization].converted else _mixed(tensors, quantization, model)
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
    for read in reads(tensor):
        yield read()


def reads(tensor: PlannedTensor) -> Iterator[Callable[[], torch.Tensor]]:
    """What reads each of the chunks: any thread may, at any time."""
    if not tensor.pieces:
        yield lambda: torch.tensor(tensor.values, dtype=torch.float32)[None]
        return
    columns = tensor.columns
    step = max(1, CHUNK_WEIGHTS // columns)
    per_head = 0
    if tensor.heads:
        per_head = math.prod(tensor.shape) // columns // tensor.heads
        step = max(1, step // per_head) * per_head
    for piece in tensor.pieces:
        for start in range(piece.start, piece.stop, step):
            stop = min(start + step, piece.stop)
            yield partial(_read, tensor, piece.tensor, start, stop, per_head)


def read_into(tensor: LocalTensor, into: torch.Tensor) -> torch.Tensor:
    """Reads a whole tensor into one of its shape, contiguous and of any floating dtype.

    In chunks, so that of a large one no second copy is in memory.

    :returns: ``into``.
    """
    columns = tensor.shape[-1] if tensor.shape else 1
    rows = into.view(-1, columns)
    step = max(1, CHUNK_WEIGHTS // columns)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        part.copy_(_read_rows(tensor, start, start + len(part), columns))
    return into


def rope_factors(model: Hyperparameters) -> dict[str, tuple[float, ...]]:
    """Tensors of factors by which llama.cpp divides each rotary frequency, where it divides any.

    Source: ``_compute_llama3_parameters`` of transformers (modeling_rope_utils). The arithmetic
    is in float32, as in llama.cpp's converter.
    """
    rope = model.rope
    if rope.type == "longrope":
        return {
            "rope_factors_long.weight": rope.long_factors,
            "rope_factors_short.weight": rope.short_factors,
        }
    if rope.type != "llama3":
        return {}
    factor, original = rope.factor or 8.0, rope.original_context or 8192
    exponents = torch.arange(0, model.head_dim, 2, dtype=torch.float32) / model.head_dim
    longest, shortest = original / rope.low_freq_factor, original / rope.high_freq_factor
    factors: list[float] = []
    for frequency in 1.0 / (rope.theta**exponents):
        length = 2 * math.pi / frequency
        if length < shortest:
            factors.append(1.0)
        elif length > longest:
            factors.append(factor)
        else:
            smooth = (original / length - rope.low_freq_factor) / (
                rope.high_freq_factor - rope.low_freq_factor
            )
            factors.append(float(1 / ((1 - smooth) / factor + smooth)))
    return {"rope_freqs.weight": tuple(factors)}


def _sources(
    weight: Weight, model: Hyperparameters, found: Mapping[str, LocalTensor]
) -> tuple[str, ...]:
    """Names in the checkpoint: one, or one for each expert."""
    if "{expert}" not in weight.source:
        return (weight.source,)
    if weight.fused in found:
        return (weight.fused,)
    return tuple(weight.source.format(expert=expert) for expert in range(model.experts or 0))


def _pieces(
    weight: Weight, tensors: Mapping[str, LocalTensor], shape: tuple[int, ...]
) -> tuple[Piece, ...]:
    """The rows of the checkpoint's tensors that make up one of this shape."""
    experts = "{expert}" in weight.source
    fused = experts and weight.fused in tensors
    parts = 2 if fused and weight.half else 1
    expected = shape[1:] if experts and not fused else shape
    if parts == 2:
        expected = (shape[0], 2 * shape[1], shape[2])
    for name, tensor in tensors.items():
        if tensor.shape != expected:
            raise InputError(
                f"the tensor {name} has the shape {list(tensor.shape)}; "
                f"config.json asks for {list(expected)}",
                "after adding tokens, resize the embedding and save model and config together",
            )
    (first, *_), rows = tensors.values(), shape[1] if experts else math.prod(shape[:-1])
    if fused:
        second = rows if weight.half == "second" else 0
        begins = (parts * rows * expert + second for expert in range(shape[0]))
        return tuple(Piece(first, begin, begin + rows) for begin in begins)
    if weight.permuted and len(shape) == 1:
        rows = shape[0]
    return tuple(Piece(tensor, 0, rows) for tensor in tensors.values())


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
    model: Hyperparameters, found: Mapping[str, LocalTensor], wanted: Set[str]
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


def _read(
    planned: PlannedTensor, tensor: LocalTensor, start: int, stop: int, per_head: int
) -> torch.Tensor:
    part = _read_rows(tensor, start, stop, planned.columns)
    if planned.plus_one:
        part = part.to(torch.float32) + 1
    return _paired(part, per_head) if per_head else part


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
