"""The trained model as a Hub-style folder: fp32 weights, configuration, tokenizer, template."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftcore.errors import InputError
from ftcore.files import sync_file, sync_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftcore.base_models import BaseModel
    from ftcore.render import Renderer

MODEL = "model"
"""The folder's name in a run."""


def save_model(model: PreTrainedModel, renderer: Renderer, folder: Path) -> None:
    """Writes the model and the tokenizer that it was trained with, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    model.generation_config.eos_token_id = list(renderer.end_ids())
    try:
        model.save_pretrained(temporary)  # pyright: ignore[reportUnknownMemberType]
        renderer.tokenizer.save_pretrained(temporary)  # pyright: ignore[reportUnknownMemberType]
        for path in temporary.iterdir():
            sync_file(path)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(folder.parent)


def merged_in_fp32(model: PreTrainedModel, base: BaseModel, adapter: Path) -> PreTrainedModel:
    """The base's fp32 weights with the adapters of a model that was trained over 8-bit ones.

    Leaves the adapters in ``adapter``.
    """
    from peft import PeftModel

    from ftcore.base_models import load_model

    model.save_pretrained(adapter)  # pyright: ignore[reportUnknownMemberType]
    merged: Any = PeftModel.from_pretrained(load_model(base), str(adapter))  # pyright: ignore
    return merged.merge_and_unload()


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
