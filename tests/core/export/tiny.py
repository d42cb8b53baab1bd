"""Tiny models with weights that are the same on every machine.

The tests load this file; run by hand it writes a model to compare exporters on::

    python tests/core/export/tiny.py make FOLDER NAME TOKENIZER
    python tests/core/export/tiny.py hash FILE.gguf

NAME is ``plain``, ``odd`` or one of :data:`OTHERS`, TOKENIZER a folder or ``smollm2:135m``.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from copy import deepcopy
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


SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "max_position_embeddings": 1024,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
}

OTHERS: dict[str, dict[str, Any]] = {
    "llama2": {
        **SMALL,
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "head_dim": 16,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0},
    },
    "llama3.2": {
        **ODD,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
    },
    "mistral": {
        **SMALL,
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "head_dim": 24,
        "sliding_window": None,
        "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"},
    },
    "qwen2.5": {
        **SMALL,
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"},
    },
    "qwen3": {
        **SMALL,
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "head_dim": 32,
        "rope_parameters": {
            "rope_theta": 1000000.0,
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 256,
        },
    },
    "qwen3-coder": {
        **SMALL,
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "head_dim": 32,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 96,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "rope_parameters": {"rope_theta": 10000000.0, "rope_type": "default"},
    },
    "gemma3": {
        **SMALL,
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "head_dim": 32,
        "query_pre_attn_scalar": 32,
        "num_hidden_layers": 6,
        "sliding_window": 64,
        "tie_word_embeddings": True,
        "rope_parameters": {
            "full_attention": {"rope_theta": 1000000.0, "rope_type": "linear", "factor": 8.0},
            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
        },
    },
    "phi3.5": {
        **SMALL,
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "num_key_value_heads": 4,
        "original_max_position_embeddings": 512,
        "sliding_window": 512,
        "rope_parameters": {
            "rope_theta": 10000.0,
            "rope_type": "longrope",
            "long_factor": [1.0 + place / 4 for place in range(8)],
            "short_factor": [1.0 + place / 16 for place in range(8)],
            "original_max_position_embeddings": 512,
        },
    },
    "phi4": {
        **SMALL,
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "original_max_position_embeddings": 1024,
        "sliding_window": None,
        "rope_parameters": {
            "rope_theta": 10000.0,
            "rope_type": "default",
            "partial_rotary_factor": 0.75,
        },
    },
}
"""One of each architecture, named after the family whose tokenizer it is given."""


def network(config: dict[str, Any]) -> Any:
    """The model in transformers, its weights not set."""
    from transformers import AutoConfig, AutoModelForCausalLM

    given = {key: value for key, value in deepcopy(config).items() if key != "model_type"}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **given))


def weights(config: dict[str, Any]) -> dict[str, Any]:
    """Every tensor, from the raw bits of a generator whose stream numpy promises to keep."""
    import numpy as np
    import torch

    with torch.device("meta"):
        shapes = {
            name: tuple(tensor.shape)
            for name, tensor in network(config).state_dict().items()
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

    model = network(config)
    missing = model.load_state_dict(weights(config), strict=False)
    assert not missing.unexpected_keys
    model.to(how.pop("dtype", torch.float32)).save_pretrained(folder, **how)
    tokenizer.save_pretrained(folder)
    return folder


def make(folder: Path, name: str, tokenizer: Any) -> Path:
    """The model ``plain``, ``odd`` in shards, or another in bfloat16."""
    import torch

    if name == "odd":
        return save(folder, ODD, tokenizer, max_shard_size="4MB")
    if name == "plain":
        return save(folder, PLAIN, tokenizer)
    size = -(-len(tokenizer) // 64) * 64  # Qwen's and Phi's embeddings are longer than needed
    config = {
        **OTHERS[name],
        "vocab_size": size,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return save(folder, config, tokenizer, dtype=torch.bfloat16)


LEFT_OUT = (
    "general.name",
    "general.basename",
    "general.finetune",
    "general.size_label",
    "tokenizer.ggml.add_space_prefix",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.add_eos_token",
    "tokenizer.ggml.add_sep_token",
    "tokenizer.ggml.eot_token_id",
)
"""What llama.cpp's converter guesses from the folder's name, and where ftcore differs from it."""


def tensor_hash(gguf: Path) -> str:
    """SHA-256 over name, type, shape and bytes of every tensor."""
    from ftcore.export.reader import read_header

    digest = hashlib.sha256()
    for tensor in read_header(gguf).tensors:
        digest.update(f"{tensor.name} {tensor.type} {list(tensor.shape)}\n".encode())
        digest.update(tensor.rows(0, math.prod(tensor.shape[:-1])).tobytes())
    return digest.hexdigest()


def metadata_hash(gguf: Path) -> str:
    """SHA-256 over every key and value in the order of the keys, but :data:`LEFT_OUT`."""
    from ftcore.export.reader import read_header

    metadata = read_header(gguf).metadata
    digest = hashlib.sha256()
    for key in sorted(metadata):
        if key not in LEFT_OUT:
            digest.update(f"{key} {json.dumps(metadata[key])}\n".encode())
    return digest.hexdigest()


def main(arguments: list[str]) -> None:
    command, path, *more = arguments
    if command == "hash":
        print(tensor_hash(Path(path)), metadata_hash(Path(path)))
        return
    from ftcore.base_models import load_tokenizer

    name, tokenizer = more
    make(Path(path), name, load_tokenizer(tokenizer))


if __name__ == "__main__":
    main(sys.argv[1:])
