"""The trained model as a Hub-style folder: fp32 weights, configuration, tokenizer, template."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftcore.errors import InputError
from ftcore.files import sync_file, sync_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftcore.base_models import BaseModel
    from ftcore.render import Renderer
    from ftcore.settings import Settings

MODEL = "model"
"""The folder's name in a run."""

ADAPTER = "adapter"
"""The folder of what a LoRA run learned."""


def save_model(model: PreTrainedModel, renderer: Renderer, folder: Path) -> None:
    """Writes the model and the tokenizer that it was trained with, whole or not at all."""
    model.generation_config.eos_token_id = list(renderer.end_ids())
    with _whole_folder(folder) as temporary:
        model.save_pretrained(temporary)  # pyright: ignore[reportUnknownMemberType]
        renderer.tokenizer.save_pretrained(temporary)  # pyright: ignore[reportUnknownMemberType]


def check_lora(model: PreTrainedModel, base: BaseModel, settings: Settings) -> None:
    """Refuses before training what :func:`save_merged` could not write after it.

    :raises InputError: see :func:`ftcore.export.adapter.check_mergeable`.
    """
    from ftcore.base_models import base_files
    from ftcore.export.adapter import check_mergeable

    targets = settings.lora_target_modules
    with nullcontext() if base.gguf_path else base_files(base) as files:
        check_mergeable(model, files, (targets,) if isinstance(targets, str) else targets)


def save_merged(model: PreTrainedModel, base: BaseModel, renderer: Renderer, run: Path) -> None:
    """Writes the model of a LoRA run: its adapter, added to the base's files in float32.

    The base is read tensor by tensor, so it is in memory once, as it was trained, and the weights
    are its exact ones even where it was trained over 8-bit ones; only one out of a GGUF, which has
    no such files, is loaded again for a moment. Leaves the adapter in the run.
    """
    from ftcore.base_models import base_files
    from ftcore.export.adapter import merge_adapter

    adapted: Any = model
    adapted.save_pretrained(run / ADAPTER, save_embedding_layers=False)
    trained: Any = adapted.get_base_model()
    config: Any = deepcopy(trained.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype, config.architectures = "float32", [type(trained).__name__]
    trained.generation_config.eos_token_id = list(renderer.end_ids())
    with _whole_folder(run / MODEL) as temporary, base_files(base) as files:
        temporary.mkdir()
        tied = bool(getattr(config, "tie_word_embeddings", False))
        merge_adapter(run / ADAPTER, files, temporary, tied=tied)
        config.save_pretrained(temporary)
        trained.generation_config.save_pretrained(temporary)
        renderer.tokenizer.save_pretrained(temporary)  # pyright: ignore[reportUnknownMemberType]


@contextmanager
def _whole_folder(folder: Path) -> Generator[Path]:
    """A folder to be made, which takes its name when the block ends well."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        yield temporary
        for path in temporary.iterdir():
            sync_file(path)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(folder.parent)


def find_model(source: Path) -> Path:
    """The model folder of a run, or ``source`` itself where it is one.

    :raises InputError: it is neither.
    """
    for folder in (source / MODEL, source):
        if (folder / "config.json").is_file():
            return folder
    raise InputError(
        f"{source} is neither a run with a model nor a model folder",
        "a model folder holds config.json, *.safetensors and the tokenizer's files",
    )
