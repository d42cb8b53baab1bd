"""Tiny models with SmolLM2's real tokenizer, their exports, and exports that were damaged."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest


def beside(name: str) -> Any:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny() -> Any:
    """The module beside this one that makes the models."""
    return beside("tiny")


@pytest.fixture(scope="session")
def plain(tiny, tokenizer, tmp_path_factory) -> Path:
    """A model of SmolLM2's kind. Never changed: copy it first."""
    return tiny.make(tmp_path_factory.mktemp("plain") / "gold", "plain", tokenizer)


@pytest.fixture(scope="session")
def odd(tiny, tokenizer, tmp_path_factory) -> Path:
    """A model with Llama 3's rope, biases, an untied output and spare embeddings, in shards."""
    return tiny.make(tmp_path_factory.mktemp("odd") / "goldodd", "odd", tokenizer)


@pytest.fixture(scope="session")
def mixed(tiny, tokenizer, tmp_path_factory) -> Path:
    """A model whose rows are whole super-blocks of 256 weights."""
    return beside("mixed").make(tmp_path_factory.mktemp("mixed") / "mixed", tiny, tokenizer)


@pytest.fixture(scope="session")
def exported(plain, odd, tmp_path_factory) -> Callable[[str, str], Path]:
    """``exported("plain", "F16")`` gives the GGUF of that model, made once."""
    from ftcore.export.writer import export_gguf

    folder = tmp_path_factory.mktemp("gguf")
    models = {"plain": plain, "odd": odd}

    @cache
    def export(name: str, quantization: str) -> Path:
        path = folder / f"{name}-{quantization}.gguf"
        return export_gguf(models[name], path, quantization).path

    return export


@pytest.fixture
def copied(plain, tmp_path) -> Path:
    """A copy of the plain model to spoil."""
    folder = tmp_path / "model"
    shutil.copytree(plain, folder)
    return folder


@pytest.fixture
def respell(tiny, tokenizer, tmp_path) -> Callable[..., Path]:
    """Saves the plain model with other tensors: ``respell(lambda tensors: ...)``."""
    from safetensors.torch import save_file

    def save(change: Callable[[dict[str, Any]], object], **config: Any) -> Path:
        import json

        folder = tmp_path / "respelled"
        tiny_config = {**tiny.PLAIN, **config}
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(tiny_config), encoding="utf-8")
        tokenizer.save_pretrained(folder)
        tensors = tiny.weights(tiny.PLAIN)
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return save


@pytest.fixture(scope="session")
def parsed(exported) -> Callable[[], tuple[list[tuple[str, Any, Any, Any]], list[Any]]]:
    """Keys (name, type, element type, value) and tensors of the plain F16 file, read once."""

    @cache
    def parse() -> tuple[list[tuple[str, Any, Any, Any]], list[Any]]:
        from gguf import GGUFReader

        reader = GGUFReader(exported("plain", "F16"))
        keys = [
            (name, field.types[0], field.types[-1] if len(field.types) > 1 else None, value)
            for name, field in reader.fields.items()
            if not name.startswith("GGUF.") and (value := field.contents()) is not None
        ]
        return keys, list(reader.tensors)

    return parse


Change = Callable[[dict[str, Any], dict[str, Any]], None]


@pytest.fixture
def damaged(parsed, tmp_path) -> Callable[[Change], Path]:
    """Writes the plain F16 file again with a fault: ``damaged(lambda keys, tensors: ...)``."""

    def rewrite(change: Change) -> Path:
        import numpy as np
        from gguf import GGUFWriter

        fields, stored = parsed()
        keys = {name: value for name, _, _, value in fields}
        tensors = {tensor.name: np.array(tensor.data) for tensor in stored}
        change(keys, tensors)
        path = tmp_path / "damaged.gguf"
        writer = GGUFWriter(path, "llama")
        for name, kind, element, _ in fields:
            if name in keys and name != "general.architecture":
                writer.add_key_value(name, keys[name], kind, element)
        for name, data in tensors.items():
            writer.add_tensor(name, data)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return rewrite
