"""Tiny Llama models with weights that are the same on every machine.

The tests load this file; run by hand it writes a model to compare exporters on::

    python tests/core/export/tiny.py make FOLDER [--odd]
    python tests/core/export/tiny.py hash FILE.gguf
"""

from __future__ import annotations

import hashlib
import math
import sys
from pathlib import Path
from typing import Any

PLAIN: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 160,
    "max_position_embeddings": 1024,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"},
    "tie_word_embeddings": True,
    "vocab_size": 49152,
}
"""SmolLM2's kind: grouped queries, tied output."""

ODD: dict[str, Any] = {
    **PLAIN,
    "attention_bias": True,
    "mlp_bias": True,
    "head_dim": 24,
    "hidden_size": 80,
    "intermediate_size": 96,
    "rope_parameters": {
        "rope_theta": 500000.0,
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256,
    },
    "tie_word_embeddings": False,
    "vocab_size": 49160,
}
"""Llama 3's rope, biases, an output of its own, rows of no whole blocks, spare embeddings."""


def weights(config: dict[str, Any]) -> dict[str, Any]:
    """Every tensor, from the raw bits of a generator whose stream numpy promises to keep."""
    import numpy as np
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        shapes = {
            name: tuple(tensor.shape)
            for name, tensor in LlamaForCausalLM(LlamaConfig(**config)).state_dict().items()
            if not (config["tie_word_embeddings"] and name == "lm_head.weight")
        }
    generator = np.random.PCG64(20240229)
    found: dict[str, Any] = {}
    for name in sorted(shapes):
        bits = generator.random_raw(math.prod(shapes[name])) >> 48
        whole = bits.astype(np.float32) - np.float32(2**15)
        values = torch.from_numpy(whole / np.float32(2**15) * np.float32(0.375))
        if "norm" in name:
            values = values + 1
        found[name] = values.reshape(shapes[name])
    return found


def save(folder: Path, config: dict[str, Any], tokenizer: Any, **how: Any) -> Path:
    """Writes a model folder; ``how`` goes to ``save_pretrained``."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**config))
    missing = model.load_state_dict(weights(config), strict=False)
    assert not missing.unexpected_keys
    model.to(how.pop("dtype", torch.float32)).save_pretrained(folder, **how)
    tokenizer.save_pretrained(folder)
    return folder


def make(folder: Path, name: str, tokenizer: Any) -> Path:
    """The model ``plain``, or ``odd`` in shards."""
    if name == "odd":
        return save(folder, ODD, tokenizer, max_shard_size="4MB")
    return save(folder, PLAIN, tokenizer)


def tensor_hash(gguf: Path) -> str:
    """SHA-256 over name, type, shape and bytes of every tensor."""
    from ftcore.export.reader import read_header

    digest = hashlib.sha256()
    for tensor in read_header(gguf).tensors:
        digest.update(f"{tensor.name} {tensor.type} {list(tensor.shape)}\n".encode())
        digest.update(tensor.rows(0, math.prod(tensor.shape[:-1])).tobytes())
    return digest.hexdigest()


def main(arguments: list[str]) -> None:
    if arguments[0] == "hash":
        print(tensor_hash(Path(arguments[1])))
        return
    from ftcore.base_models import load_tokenizer

    name = "odd" if "--odd" in arguments else "plain"
    make(Path(arguments[1]), name, load_tokenizer("smollm2:135m"))


if __name__ == "__main__":
    main(sys.argv[1:])
