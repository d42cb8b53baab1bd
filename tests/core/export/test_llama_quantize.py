"""What the converter does not write is what llama-quantize makes of the F32 file, byte for byte."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from ftcore.export.reader import read_header
from ftcore.export.writer import export_gguf

# tiny.tensor_hash of what llama.cpp's llama_model_quantize makes of ftcore's F32 file, builds
# b11434 (both models) and b9190 (the first); mixed.py says how to make them again
REFERENCE = {
    ("mixed", "Q6_K"): "bbd74cce91b040cd77e1f54b771486cbce270367e57d6bd1bfe47fd7140cb24b",
    ("mixed", "Q5_1"): "4bbf970befdedf732bf5581f5dd12311cb337233b0c5281af0d16e244db3ba78",
    ("mixed", "Q5_K_M"): "8a0c188b1cc9cbdf3787b597714cb063869ba94ffa114498e7bdf53573c44220",
    ("mixed", "Q5_K_S"): "635dc441d24c30ac2b245f2f1f556461065c51356e4a045d9f78fa20973b4e5e",
    ("mixed", "Q5_0"): "39f740060a0ec679a9ce3a402a2c1bbff123d1bf03f46ccbe185c31d2f330b8e",
    ("mixed", "Q4_1"): "2ea13ebb99109151ce2ce90e510e510ad5ea22718ffeb7a3a5883a1fe3333871",
    ("mixed", "Q4_K_M"): "059caebcf63f16c25c5f67dcbfabe49de0b6856ed3b47692aa1a045695714c65",
    ("mixed", "IQ4_NL"): "c89eeef0f93d9e687cf0654c9a268d991b085cf76988bb0fa74b7d339998bf6a",
    ("mixed", "Q4_K_S"): "64bfa16d662d97c63a00b790979cd2f001213f82f2347091f67d602d65f06c1c",
    ("mixed", "Q4_0"): "29f422b350dfba6c58fdb32529c695f27c66b18bcbd559cf9852ddcdccdb7656",
    ("mixed", "IQ4_XS"): "bf3720453a3ab06684f47e399145ea99428295f6bf7634bb9f058cecedacf284",
    ("mixed", "Q3_K_L"): "58cbcd0f170f80bcbc97d3a7e1f8261c5ce769692cf0f382b3717f2362ab624e",
    ("mixed", "Q3_K_M"): "c1a933300185d3c62e55f5eef02a1c97cae4d0e3f454abefe99c668beda0847f",
    ("mixed", "Q3_K_S"): "427ba1a26b43443f12776c67705f20d5e9e4dc388df72fea5a86ff8f173cd826",
    ("mixed", "Q2_K"): "845d322462a4f47075a486bf1f37ee5c94f57df82038ea86fc265fb48d8c2c6b",
    ("odd", "Q5_K_M"): "68ffb32ce3b429904b1520a02f695a1c6d298ae6bf1b4af3e56860eee33716cf",
    ("odd", "Q4_1"): "181a9acebe30d772a1838256f749c3a46883a7cc5bfb87a5b3f014c712327e3d",
    ("odd", "IQ4_XS"): "a591eb894711d00bc1b653da36d739164326c9e971c35a20e65a0746b21405e9",
    ("odd", "Q2_K"): "af43ced421399ed5774dcfa0cd9a6b0ac0041bdfdea56d06bb5cbce5636310b8",
}

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="elsewhere ggml's compiler fuses multiplication and addition",
)


@pytest.fixture(scope="module")
def models(mixed, odd) -> dict[str, Path]:
    return {"mixed": mixed, "odd": odd}


@pytest.mark.parametrize(("name", "quantization"), REFERENCE)
def test_the_tensors_are_llama_quantizes(models, tiny, tmp_path, name, quantization):
    made = export_gguf(models[name], tmp_path / "x.gguf", quantization, name="x")
    assert made.quantization == quantization
    assert tiny.tensor_hash(made.path) == REFERENCE[name, quantization]


def test_the_keys_are_the_f32_files_with_the_two_that_llama_quantize_sets_last(
    models, exported, tmp_path
):
    """So the whole file is llama-quantize's: it copies all other keys."""
    made = export_gguf(models["odd"], tmp_path / "x.gguf", "Q4_0")
    found = read_header(made.path).metadata
    expected = dict(read_header(exported("odd", "F32")).metadata)
    del expected["general.quantization_version"], expected["general.file_type"]
    expected |= {"general.quantization_version": 2, "general.file_type": 2}
    assert list(found.items()) == list(expected.items())
    assert made.path.stat().st_size % 32 == 0
