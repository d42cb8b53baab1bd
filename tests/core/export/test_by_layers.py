"""A model that is read layer by layer says what the whole one says, of every architecture."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ftcore.export.by_layers import Text, next_token_logprobs

LENGTHS = (130, 3, 75, 1)
"""Of texts: longer than a sliding window of 64, and not in order."""


def made(tiny, name: str, tokenizer, folder: Path) -> Path:
    config = {"plain": tiny.PLAIN, "odd": tiny.ODD}.get(name) or {
        **tiny.OTHERS[name],
        "vocab_size": 512,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    how = {"max_shard_size": "4MB"} if name == "odd" else {}
    return tiny.save(folder, config, tokenizer, dtype=torch.bfloat16, **how)


def texts(size: int) -> list[Text]:
    drawn = np.random.default_rng(3)
    found = []
    for length in LENGTHS:
        ids = tuple(int(index) for index in drawn.integers(0, size, length))
        found.append(Text(ids, tuple(sorted({0, length // 2, length - 1}))))
    return found


def by_whole_model(model: Path, given: list[Text]) -> list[np.ndarray]:
    """Each text by itself through the model as transformers loads it."""
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    with torch.inference_mode():
        rows = [network(input_ids=torch.tensor([text.ids])).logits[0] for text in given]
    return [
        row[list(text.places)].double().log_softmax(-1).numpy()
        for row, text in zip(rows, given, strict=True)
    ]


MODELS = ("plain", "odd", "mistral", "qwen2.5", "qwen3", "qwen3-coder", "gemma3", "phi3.5", "phi4")


@pytest.mark.parametrize("name", MODELS)
def test_layer_by_layer_is_the_whole_model(tiny, tokenizer, tmp_path, name):
    model = made(tiny, name, tokenizer, tmp_path / "model")
    given = texts(500)
    steps: list[tuple[int, int]] = []
    found = next_token_logprobs(model, given, lambda done, total: steps.append((done, total)))
    for row, expected in zip(found, by_whole_model(model, given), strict=True):
        np.testing.assert_allclose(row, expected, rtol=0, atol=2e-4)
    assert [done for done, _ in steps] == list(range(1, steps[-1][1] + 1))


def test_experts_in_one_tensor_say_the_same_as_in_many(tiny, tokenizer, tmp_path):
    apart = made(tiny, "qwen3-coder", tokenizer, tmp_path / "apart")
    weights = load_file(apart / "model.safetensors")
    for layer in range(2):
        prefix = f"model.layers.{layer}.mlp.experts"
        taken = [
            [weights.pop(f"{prefix}.{expert}.{which}_proj.weight") for expert in range(4)]
            for which in ("gate", "up", "down")
        ]
        gate, up, down = (torch.stack(experts) for experts in taken)
        weights[f"{prefix}.gate_up_proj"] = torch.cat((gate, up), dim=1)
        weights[f"{prefix}.down_proj"] = down
    fused = tmp_path / "fused"
    shutil.copytree(apart, fused)
    save_file(weights, fused / "model.safetensors", {"format": "pt"})
    one, many = (next_token_logprobs(m, texts(500), lambda *_: None) for m in (fused, apart))
    for row, expected in zip(one, many, strict=True):
        np.testing.assert_array_equal(row, expected)


def test_memory_is_a_layers_not_the_models(tiny, tokenizer, tmp_path):
    """A model of 430 MB in float32 needs less than half of that."""
    config = {**tiny.PLAIN, "hidden_size": 512, "num_attention_heads": 8, "head_dim": 64}
    config |= {"num_key_value_heads": 8, "intermediate_size": 4096, "num_hidden_layers": 14}
    config |= {"vocab_size": 512}
    model = tiny.save(tmp_path / "model", config, tokenizer, dtype=torch.bfloat16)
    size = 2 * (model / "model.safetensors").stat().st_size
    code = """
        import resource, sys
        from pathlib import Path
        from ftcore.export.by_layers import Text, next_token_logprobs
        import accelerate, transformers.models.llama.modeling_llama
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        next_token_logprobs(Path(sys.argv[1]), [Text(tuple(range(200)), (199,))], print)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), model]
    done = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert size > 400e6
    assert int(done.split()[-1]) < size / 2
