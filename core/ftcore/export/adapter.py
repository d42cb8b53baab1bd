"""Merges a LoRA adapter into its base model's files in float32, one shard in memory at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from attrs import frozen
from gguf.utility import LocalTensor

from ftcore.errors import InputError
from ftcore.export.checkpoint import DTYPES, open_weights, read_into

if TYPE_CHECKING:
    from peft import LoraConfig

SHARD = "1GB"
"""Of the merged model's files; one of them is in memory at a time."""

OUTPUT = "lm_head.weight"
EMBEDDING = "embed_tokens"

_PREFIX = "base_model.model."
_SUFFIXES = (".lora_A.weight", ".lora_B.weight", ".lora_embedding_A", ".lora_embedding_B")


@frozen
class _Update:
    """What is added to a tensor: ``scale * B @ A``, transposed where the tensor is."""

    a: str
    b: str
    """Names in the adapter."""
    alpha: float
    """``lora_alpha``: the scale is alpha / r, of rank-stabilized LoRA alpha / √r."""
    rank_stabilized: bool
    transposed: bool

    def scale(self, rank: int) -> float:
        """By what B @ A is multiplied."""
        return self.alpha / (math.sqrt(rank) if self.rank_stabilized else rank)


def check_mergeable(model: torch.nn.Module, base: Path | None, targets: tuple[str, ...]) -> None:
    """Refuses a base model into which no adapter could be merged. Call it before training.

    :param model: the base model as transformers loads it.
    :param base: the folder of its files; None: they will be what transformers writes of it.
    :param targets: names of the modules that get adapters, as far as they are known.
    :raises InputError: a weight stands in no file under the name of its module, is no float, or
        is the output and the embedding at once.
    """
    tied = bool(getattr(cast("Any", model).config, "tie_word_embeddings", False))
    shared = {"lm_head", EMBEDDING} & set(targets)
    if tied and shared:
        raise InputError(
            f"lora_target_modules: {min(shared)} shares its weights with the "
            f"{'output' if min(shared) == EMBEDDING else 'embedding'} in this model, so what is "
            "learned for one would change the other",
            "name other modules, or train with --set training_mode=full_finetune",
        )
    if base is None:
        return
    found = open_weights(base)
    for name, module in cast("Any", model).named_modules():
        weight = f"{name}.weight"
        if not isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            continue
        if weight not in found and not (tied and weight == OUTPUT):
            raise InputError(
                f"the base model's files hold no tensor {weight}: transformers gives its weights "
                "other names, so an adapter could not be merged into them",
                "train with --set training_mode=full_finetune",
            )
        if weight in found and found[weight].dtype not in DTYPES:
            raise InputError(f"the tensor {weight} is stored as {found[weight].dtype}")


def merge_adapter(adapter: Path, base: Path, output: Path, *, tied: bool) -> None:
    """Writes ``model.safetensors`` or its shards: the base's tensors in float32, the adapter added.

    As peft's ``merge_and_unload`` does it with a base in float32 on the CPU, bit for bit.

    :param adapter: a folder as ``PeftModel.save_pretrained`` writes it.
    :param base: a model folder with safetensors.
    :param output: an existing folder.
    :param tied: whether the output is the embedding: then no copy of it is written.
    :raises InputError: the adapter holds what is no plain LoRA (DoRA, biases, whole modules), or
        something for a tensor that the base does not have or has in another shape; the message
        names it.
    """
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors import torch as safetensors

    files: Any = safetensors
    found = {name: tensor for name, tensor in open_weights(base).items() if _kept(name, tied)}
    with files.safe_open(adapter / "adapter_model.safetensors", "pt") as tensors:
        updates = _updates(adapter, tuple(tensors.keys()), found)
        shapes = {name: torch.empty(found[name].shape, device="meta") for name in found}
        split = split_torch_state_dict_into_shards(shapes, max_shard_size=SHARD)
        for file, names in split.filename_to_tensors.items():
            merged = {name: _merged(name, found[name], updates, tensors) for name in names}
            files.save_file(merged, output / file, {"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (output / "model.safetensors.index.json").write_text(
            json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )


def _kept(name: str, tied: bool) -> bool:
    return not (tied and name == OUTPUT) and not name.endswith(".rotary_emb.inv_freq")


def _updates(
    adapter: Path, names: tuple[str, ...], found: Mapping[str, LocalTensor]
) -> dict[str, _Update]:
    from peft import LoraConfig

    config = cast("LoraConfig", cast("Any", LoraConfig).from_pretrained(str(adapter)))
    updates: dict[str, _Update] = {}
    for name in names:
        suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), None)
        if suffix is None or not name.startswith(_PREFIX) or config.use_dora:
            raise InputError(
                f"the adapter's tensor {name} belongs to no plain LoRA and cannot be merged",
                "train without DoRA, biases and modules_to_save",
            )
        if not suffix.startswith((".lora_A", ".lora_embedding_A")):
            continue
        module = name.removeprefix(_PREFIX).removesuffix(suffix)
        weight = f"{module}.weight"
        if weight not in found:
            raise InputError(
                f"the base model has no tensor {weight}, to which {name} would be added"
            )
        embedding = "embedding" in suffix
        updates[weight] = _Update(
            a=name,
            b=name.removesuffix(suffix) + suffix.replace("_A", "_B"),
            alpha=_alpha(config, module),
            rank_stabilized=config.use_rslora,
            transposed=embedding or config.fan_in_fan_out,
        )
    return updates


def _alpha(config: LoraConfig, module: str) -> float:
    """``lora_alpha`` of a module, where a pattern names it its own."""
    from peft.utils.other import get_pattern_key

    patterns = cast("dict[str, int]", cast("Any", config).alpha_pattern or {})
    return float(patterns.get(get_pattern_key(list(patterns), module), config.lora_alpha))


def _merged(
    name: str, tensor: LocalTensor, updates: Mapping[str, _Update], adapter: Any
) -> torch.Tensor:
    weight = read_into(tensor, torch.empty(tensor.shape))
    update = updates.get(name)
    if update is None:
        return weight
    a = cast("torch.Tensor", adapter.get_tensor(update.a)).to(torch.float32)
    b = cast("torch.Tensor", adapter.get_tensor(update.b)).to(torch.float32)
    product = (b @ a).T if update.transposed else b @ a
    if product.shape != weight.shape:
        raise InputError(
            f"the adapter's {update.a} makes {list(product.shape)}, the base's {name} is "
            f"{list(weight.shape)}"
        )
    return weight.add_(product * update.scale(a.shape[0]))
