"""Every architecture's GGUF is the reference converter's, and says what its model says.

The models are tiny, their tokenizers real.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from ftcore.export.certify import certify
from ftcore.export.reader import read_header
from ftcore.export.writer import export_gguf

HERE = Path(__file__).parent
REFERENCE: dict[str, dict[str, list[str]]] = json.loads((HERE / "reference.json").read_text())
"""tiny.tensor_hash and tiny.metadata_hash of what llama.cpp's converter wrote of the same models;
docs/export.md says how to make them again."""


@cache
def tiny() -> Any:
    path = HERE.parent / "core/export/tiny.py"
    spec = importlib.util.spec_from_file_location("tiny", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made(
    tmp_path_factory: pytest.TempPathFactory, families: Callable[[str], Any]
) -> Callable[[str], Path]:
    """The folder of a tiny model with a family's tokenizer, made once."""
    root = tmp_path_factory.getbasetemp().parent

    @cache
    def make(name: str) -> Path:
        folder = root / f"tiny-{name}"
        with FileLock(root / f"tiny-{name}.lock"):
            if not folder.exists():
                tiny().make(folder.with_suffix(".part"), name, families(name))
                folder.with_suffix(".part").rename(folder)
        return folder

    return make


@pytest.mark.parametrize("name", REFERENCE)
def test_a_gguf_is_the_reference_converters_and_says_what_the_model_says(made, name, tmp_path):
    for quantization, (tensors, metadata) in REFERENCE[name].items():
        # what makes F16 and BF16 is the same for every architecture, and a vocabulary takes seconds
        if quantization in ("F16", "BF16") and name not in ("llama2", "qwen3-coder"):
            continue
        path = export_gguf(made(name), tmp_path / "model.gguf", quantization).path
        assert tiny().tensor_hash(path) == tensors, quantization
        assert tiny().metadata_hash(path) == metadata, quantization
        if quantization == "F32":
            assert_says_what_the_model_says(path, made(name))


def assert_says_what_the_model_says(gguf: Path, model: Path) -> None:
    certificate = certify(gguf, model)
    wrong = [f"{check.name}: {check.detail}" for check in certificate.checks if not check.passed]
    assert not wrong
    names = [check.name for check in certificate.checks]
    assert {"metadata", "tensors", "token_ids", "rendering", "logits"} <= set(names)


def test_experts_in_one_tensor_and_in_many_make_the_same_file(made, tmp_path):
    """Transformers keeps all experts of a layer in one tensor, the Hub's checkpoints in many."""
    import torch
    from safetensors.torch import load_file, save_file

    apart = made("qwen3-coder")
    weights = load_file(apart / "model.safetensors")
    assert "model.layers.0.mlp.experts.3.up_proj.weight" in weights
    for layer in range(2):
        prefix = f"model.layers.{layer}.mlp.experts"

        def taken(expert: int, which: str, prefix: str = prefix) -> torch.Tensor:
            return weights.pop(f"{prefix}.{expert}.{which}_proj.weight")

        experts = [[taken(expert, which) for which in ("gate", "up")] for expert in range(4)]
        weights[f"{prefix}.gate_up_proj"] = torch.stack([torch.cat(pair) for pair in experts])
        weights[f"{prefix}.down_proj"] = torch.stack([taken(expert, "down") for expert in range(4)])
    fused = tmp_path / "fused"
    fused.mkdir()
    for file in apart.iterdir():
        if file.name != "model.safetensors":
            (fused / file.name).write_bytes(file.read_bytes())
    save_file(weights, fused / "model.safetensors", {"format": "pt"})
    stored = []
    for folder in (apart, fused):
        path = export_gguf(folder, tmp_path / f"{folder.name}.gguf", "Q8_0").path
        tensors = read_header(path).tensors
        stored.append({t.name: (t.type, t.shape, tiny_bytes(t)) for t in tensors})
    assert stored[0] == stored[1]


def tiny_bytes(tensor: Any) -> bytes:
    rows = 1
    for size in tensor.shape[:-1]:
        rows *= size
    return tensor.rows(0, rows).tobytes()
