"""A LoRA adapter is merged into its base's files as peft merges it, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from ftcore.errors import InputError
from ftcore.export import adapter as module
from ftcore.export.adapter import check_mergeable, merge_adapter

LINEAR = ("q_proj", "v_proj", "gate_proj", "down_proj")


@pytest.fixture
def trained(tmp_path) -> Callable[..., Path]:
    """``trained(base, r=4)`` saves an adapter that has learned something."""

    def make(base: Path, **config: Any) -> Path:
        network = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        given = {"r": 4, "lora_alpha": 7, "target_modules": list(LINEAR), **config}
        adapted = get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", **given))
        torch.manual_seed(1)
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
        return tmp_path / "adapter"

    return make


def by_peft(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    network = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged: Any = PeftModel.from_pretrained(network, str(adapter)).merge_and_unload()
    return merged.state_dict()


def merged(base: Path, adapter: Path, folder: Path, *, tied: bool) -> dict[str, torch.Tensor]:
    folder.mkdir()
    merge_adapter(adapter, base, folder, tied=tied)
    parts = [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
    return {name: tensor for part in parts for name, tensor in part.items()}


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rank stabilized": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.mlp.down_proj": 32}},
    "everything": {"target_modules": "all-linear"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_peft_makes_of_it_bit_for_bit(plain, trained, tmp_path, kind):
    adapter = trained(plain, **KINDS[kind])
    found = merged(plain, adapter, tmp_path / "merged", tied=True)
    expected = by_peft(plain, adapter)
    assert found.keys() == expected.keys() - {"lm_head.weight"}
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name
    down = "model.layers.1.mlp.down_proj.weight"
    assert not torch.equal(found[down], load_file(plain / "model.safetensors")[down])


def test_embedding_and_output_of_their_own_in_shards(odd, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD", "4MB")
    adapter = trained(odd, target_modules=["embed_tokens", "lm_head", "o_proj"])
    found = merged(odd, adapter, tmp_path / "merged", tied=False)
    expected = by_peft(odd, adapter)
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name
    again = AutoModelForCausalLM.from_pretrained(_with_config(odd, tmp_path / "merged"))
    assert torch.equal(again.state_dict()["lm_head.weight"], found["lm_head.weight"])


def _with_config(source: Path, folder: Path) -> Path:
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    return folder


def test_a_base_in_bfloat16_is_merged_in_float32(tiny, tokenizer, trained, tmp_path):
    base = tiny.save(tmp_path / "base", tiny.PLAIN, tokenizer, dtype=torch.bfloat16)
    adapter = trained(base)
    found = merged(base, adapter, tmp_path / "merged", tied=True)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert torch.equal(found[name], by_peft(base, adapter)[name])
    assert not torch.equal(found[name], found[name].bfloat16().float())


def _rename(folder: Path, before: str, after: str) -> None:
    file = folder / "adapter_model.safetensors"
    save_file({k.replace(before, after): v for k, v in load_file(file).items()}, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: _rename(folder, "lora_A.weight", "lora_magnitude_vector"),
            "lora_magnitude_vector belongs to no plain LoRA",
        ),
        (
            lambda folder: _rename(folder, "layers.1", "layers.7"),
            r"no tensor model\.layers\.7\..*, to which base_model.* would be added",
        ),
        (
            lambda folder: _rename(folder, "self_attn.v_proj", "mlp.up_proj"),
            r"up_proj.lora_A.weight makes \[32, 64\], the base's .* is \[160, 64\]",
        ),
    ],
)
def test_what_cannot_be_merged_is_refused_by_name(plain, trained, tmp_path, spoil, message):
    adapter = trained(plain)
    spoil(adapter)
    with pytest.raises(InputError, match=message):
        merged(plain, adapter, tmp_path / "merged", tied=True)


def test_dora_is_refused(plain, trained, tmp_path):
    with pytest.raises(InputError, match="belongs to no plain LoRA"):
        merged(plain, trained(plain, use_dora=True), tmp_path / "merged", tied=True)


def test_a_base_whose_files_name_weights_otherwise_is_refused_before_training(
    plain, respell, tmp_path
):
    network = AutoModelForCausalLM.from_pretrained(plain)
    check_mergeable(network, plain, LINEAR)
    other = respell(lambda tensors: tensors.update({"x.weight": tensors.pop(_UP)}))
    with pytest.raises(InputError, match=f"hold no tensor {_UP}"):
        check_mergeable(network, other, LINEAR)


_UP = "model.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_one_of_two_that_share_weights_is_refused_before_training(plain, target):
    network = AutoModelForCausalLM.from_pretrained(plain)
    with pytest.raises(InputError, match=f"{target} shares its weights"):
        check_mergeable(network, plain, (*LINEAR, target))


def test_the_index_names_every_tensors_shard(odd, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD", "4MB")
    found = merged(odd, trained(odd), tmp_path / "merged", tied=False)
    index = json.loads((tmp_path / "merged/model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == found.keys()
    assert len(set(index["weight_map"].values())) > 2
