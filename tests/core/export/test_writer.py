"""An export is llama.cpp's own, byte for byte, stands whole on disk, or leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from ftcore.errors import FtcoreError, InputError
from ftcore.export.reader import read_header
from ftcore.export.writer import export_gguf

# tiny.tensor_hash of the files that llama.cpp's converter wrote of the same models;
# docs/export.md says how to make them again
REFERENCE = {
    ("plain", "F32"): "77555346e157a847b9e719bca3ff7ba2f520c43402192238eb60c03b38d7290f",
    ("plain", "F16"): "dd670d45d6a7877d6bef4eaa28a67ef634f83884710d85d2f4dafbfd6e2f53b0",
    ("plain", "BF16"): "2c7959e3ce27ec6cd3cbaf54d53461425ca3584a70c49c2190d93a947485185f",
    ("plain", "Q8_0"): "1a11347c3ffd65d99d5b3234cc758d1cdbb8302b3748016faf4a0d3bad1469e1",
    ("odd", "F32"): "14042a2a0c9364a9a75e00ce58c08cf52d7928268408224afd8e2d7bdfd3b5b3",
    ("odd", "F16"): "0f1abfc48025c2b5207c847a146be2aeaaee92f296b86a88a77178a5288943b7",
    ("odd", "BF16"): "e96765f2c58a20d47b8df998124c0238389f58e3ac3d283ba0c183989972d833",
    ("odd", "Q8_0"): "caaa3641e5c784efea9a9cf548a277051b72f5cfc347fff741c86e86875d0ec8",
}


@pytest.mark.parametrize(("name", "quantization"), REFERENCE)
def test_the_tensors_are_those_of_llama_cpps_converter(exported, tiny, name, quantization):
    assert tiny.tensor_hash(exported(name, quantization)) == REFERENCE[name, quantization]


def test_the_keys_are_in_the_order_of_llama_cpps_converter(exported):
    keys = list(read_header(exported("plain", "Q8_0")).metadata)
    # what the converter guesses from the folder's name comes and goes with the name
    assert [key for key in keys if key not in ("general.basename", "general.finetune")] == [
        "general.architecture",
        "general.type",
        "general.name",
        "general.size_label",
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.head_count_kv",
        "llama.rope.freq_base",
        "llama.attention.layer_norm_rms_epsilon",
        "llama.attention.key_length",
        "llama.attention.value_length",
        "general.file_type",
        "llama.vocab_size",
        "llama.rope.dimension_count",
        "general.quantization_version",
        "tokenizer.ggml.model",
        "tokenizer.ggml.pre",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.unknown_token_id",
        "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.add_bos_token",
        "tokenizer.ggml.add_eos_token",
        "tokenizer.chat_template",
    ]


def test_what_it_returns_is_true_and_progress_reaches_the_end(plain, tmp_path):
    steps: list[tuple[int, int]] = []
    path = tmp_path / "model.gguf"
    made = export_gguf(
        plain,
        path,
        "q8_0",
        name="My model",
        progress=lambda done, total: steps.append((done, total)),
    )
    assert made.path == path
    assert made.size == path.stat().st_size
    assert made.quantization == "Q8_0"
    assert made.tensors == 20
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert read_header(path).metadata["general.name"] == "My model"


def test_small_updates_of_fp32_weights_are_not_rounded_away(respell, tmp_path):
    name = "model.layers.0.mlp.up_proj.weight"

    def update(tensors):
        tensors[name] = torch.full_like(tensors[name], 1 + 2**-12)  # bf16 would say 1

    path = export_gguf(respell(update), tmp_path / "x.gguf", "F32").path
    stored = {tensor.name: tensor for tensor in read_header(path).tensors}
    rows = stored["blk.0.ffn_up.weight"].rows(0, 160).view(np.float32)
    assert float(rows.min()) == 1 + 2**-12


def refused(model: Path, tmp_path: Path, quantization: str = "F16") -> InputError:
    """The refusal of an export, after which nothing lies where the file should be."""
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(InputError) as caught:
        export_gguf(model, folder / "model.gguf", quantization)
    assert list(folder.iterdir()) == []
    assert caught.value.exit_code == 2
    return caught.value


EMBEDDING = "model.embed_tokens.weight"
DOWN = "model.layers.1.mlp.down_proj.weight"


def _set(name, value):
    def change(tensors):
        tensors[name] = value(tensors)

    return change


def _spoil(tensors):
    tensors[DOWN][5, 7] = float("nan")


def _enlarge(tensors):
    tensors[DOWN][5, 7] = 1e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_spoil, f"{DOWN} holds NaN"),
        (_enlarge, f"{DOWN} holds weights too large for F16"),
        (lambda tensors: tensors.pop(DOWN), f"lacks the tensor {DOWN}"),
        (_set("model.extra.weight", lambda _: torch.ones(2)), "holds the tensor model.extra"),
        (_set("lm_head.weight", lambda t: t[EMBEDDING] + 1), "lm_head.weight is the embedding"),
        (_set(DOWN, lambda t: t[DOWN][:, :32].clone()), f"{DOWN} has the shape \\[64, 32\\]"),
        (_set("a.lora_A.weight", lambda _: torch.ones(2)), "a.lora_A.weight belongs to an adapter"),
        (_set(DOWN + ".absmax", lambda _: torch.ones(2)), "absmax is stored .*quantized"),
        (_set(DOWN, lambda _: torch.ones(4, dtype=torch.uint8)), f"{DOWN} is stored as U8"),
        (_set(EMBEDDING, lambda t: t[EMBEDDING][:100].clone()), "embed_tokens.* asks for"),
    ],
)
def test_weights_that_would_ship_wrong_are_refused_by_name(respell, tmp_path, change, message):
    assert re.search(message, refused(respell(change), tmp_path).message)


def test_an_output_that_really_is_the_embedding_is_left_out(respell, tiny, tmp_path):
    model = respell(_set("lm_head.weight", lambda tensors: tensors[EMBEDDING].clone()))
    path = export_gguf(model, tmp_path / "x.gguf", "Q8_0").path
    assert tiny.tensor_hash(path) == REFERENCE["plain", "Q8_0"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read as JSON"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer cannot be loaded"),
        (lambda folder: _truncate(folder / "model.safetensors"), "ends before its tensor"),
        (lambda folder: _adapter(folder), "adapter that is not merged"),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused(copied, tmp_path, spoil, message):
    spoil(copied)
    assert message in refused(copied, tmp_path).message


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def _adapter(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "adapter_config.json").write_text("{}")


def test_a_missing_shard_is_named(odd, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(odd, folder)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shard = sorted(set(index["weight_map"].values()))[1]
    (folder / shard).unlink()
    assert shard in refused(folder, tmp_path).message


def test_a_file_that_was_there_stays_when_the_export_fails(respell, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF the last good one")
    with pytest.raises(InputError):
        export_gguf(respell(_spoil), path, "F16")
    assert path.read_bytes() == b"GGUF the last good one"
    assert [entry.name for entry in tmp_path.glob("*gguf*")] == ["model.gguf"]


def test_a_place_that_is_a_folder_or_missing_is_refused(plain, tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        export_gguf(plain, tmp_path, "F16")
    with pytest.raises(InputError, match="no such folder"):
        export_gguf(plain, tmp_path / "nowhere" / "model.gguf", "F16")


def test_a_read_only_folder_is_refused(plain, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):  # root may write anywhere but where the kernel forbids it
        folder = Path("/sys")
    with pytest.raises(InputError, match="cannot be written to"):
        export_gguf(plain, folder / "model.gguf", "F16")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB: enough for the vocabulary, too little for the weights."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("this machine does not let a test mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_too_small_is_refused_with_the_bytes(plain, small_disk):
    with pytest.raises(
        FtcoreError, match=r"the disk is full: 12,\d+,\d+ bytes are needed, \d"
    ) as caught:
        export_gguf(plain, small_disk / "model.gguf", "F32")
    assert caught.value.exit_code == 1
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing_behind(plain, small_disk):
    filler = small_disk / "filler"

    def fill(done: int, total: int) -> None:
        if not filler.exists():
            free = shutil.disk_usage(small_disk).free
            filler.write_bytes(bytes(free))

    with pytest.raises(FtcoreError, match="the disk is full"):
        export_gguf(plain, small_disk / "model.gguf", "Q8_0", progress=fill)
    assert list(small_disk.iterdir()) == [filler]


def test_memory_is_bounded_by_pieces_not_by_the_model(tiny, tokenizer, tmp_path):
    """A model of 150 MB is written in a process that grows by less than a third of that."""
    config = {**tiny.PLAIN, "hidden_size": 512, "num_attention_heads": 8, "head_dim": 64}
    config |= {"num_key_value_heads": 8, "intermediate_size": 15000}
    model = tiny.save(tmp_path / "model", config, tokenizer)
    size = (model / "model.safetensors").stat().st_size
    code = """
        import resource, sys
        from pathlib import Path
        from ftcore.export.vocabulary import load_tokenizer, read_vocabulary
        from ftcore.export.checkpoint import read_config
        from ftcore.export.writer import export_gguf
        model = Path(sys.argv[1])
        read_vocabulary(load_tokenizer(model), read_config(model))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        export_gguf(model, Path(sys.argv[2]), "F32")
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), model, tmp_path / "model.gguf"]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert size > 150e6
    assert grown < size / 3
