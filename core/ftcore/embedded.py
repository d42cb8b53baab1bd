"""Loads a Llama-architecture GGUF as a trainable model and tokenizer, without a model hub.

transformers' own ``gguf_file=`` loader parses the file several times and leaves out the
pre-tokenizer's digit splitting; this reads it once. Facts that it rests on: the GGUF
specification (keys), and llama.cpp's conversion of Llama weights (the order of rotary rows).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ftcore.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DIGIT_SPLITTING = ("smollm",)
"""``tokenizer.ggml.pre`` whose pre-tokenizer is Digits(individual), then GPT-2's ByteLevel."""

CONTROL, USER_DEFINED = 3, 4
"""Token types of the GGUF specification: never part of a text; added by the model's author."""

_BLOCK_WEIGHTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER_WEIGHTS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


@frozen
class GgufFile:
    """The metadata of a GGUF and its tensors, still quantized and mapped from the file."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        if key not in self.metadata:
            raise InputError(f"{self.path.name} has no {key}", "it is no model ftcore can train")
        return self.metadata[key]


@lru_cache(maxsize=1)
def read_gguf(path: Path) -> GgufFile:
    """The file's metadata and tensors. The last file is kept: reading takes seconds.

    :raises InputError: it is no GGUF, or not of the Llama architecture with a BPE tokenizer.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
    except (OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise InputError(
            f"{path} is not a whole GGUF file: {error}", "install its package again"
        ) from error
    metadata = {name: field.contents() for name, field in reader.fields.items()}
    file = GgufFile(path, metadata, {tensor.name: tensor for tensor in reader.tensors})
    for key, known in (
        ("general.architecture", ("llama",)),
        ("tokenizer.ggml.model", ("gpt2",)),
        ("tokenizer.ggml.pre", DIGIT_SPLITTING),
    ):
        if file[key] not in known:
            raise InputError(
                f"{path.name} has {key} {file[key]!r}; ftcore trains a GGUF only where it is "
                f"{' or '.join(map(repr, known))}",
                "take the model's safetensors: a hub id or a local folder",
            )
    return file


def gguf_config(path: Path) -> dict[str, Any]:
    """The content of the ``config.json`` that the GGUF's model has in transformers."""
    file = read_gguf(path)
    heads: int = file["llama.attention.head_count"]
    hidden: int = file["llama.embedding_length"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(file["tokenizer.ggml.tokens"]),
        "hidden_size": hidden,
        "intermediate_size": file["llama.feed_forward_length"],
        "num_hidden_layers": file["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": file.metadata.get("llama.attention.head_count_kv", heads),
        "head_dim": file.metadata.get("llama.attention.key_length", hidden // heads),
        "hidden_act": "silu",
        "max_position_embeddings": file["llama.context_length"],
        "rms_norm_eps": _shortest(file["llama.attention.layer_norm_rms_epsilon"]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": _shortest(file.metadata.get("llama.rope.freq_base", 10000.0)),
        },
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "bos_token_id": file["tokenizer.ggml.bos_token_id"],
        "eos_token_id": file["tokenizer.ggml.eos_token_id"],
        "pad_token_id": file["tokenizer.ggml.padding_token_id"],
        "dtype": "float32",
    }


def _shortest(single: float) -> float:
    """The decimal that a float32 of the file was written as: 1e-05, not 9.999999747378752e-06."""
    import numpy as np

    return float(str(np.float32(single)))


def gguf_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The GGUF's tokenizer with its special tokens and chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    file = read_gguf(path)
    tokens: list[str] = file["tokenizer.ggml.tokens"]
    types: list[int] = file["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in file["tokenizer.ggml.merges"]]
    backend: Any = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    added = [
        AddedToken(token, special=kind == CONTROL, normalized=False)
        for token, kind in zip(tokens, types, strict=True)
        if kind in (CONTROL, USER_DEFINED)
    ]
    backend.add_tokens(added)

    def named(key: str) -> str:
        index: int = file[f"tokenizer.ggml.{key}_token_id"]
        return tokens[index]

    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=named("bos"),
        eos_token=named("eos"),
        unk_token=named("unknown"),
        pad_token=named("padding"),
        model_max_length=file["llama.context_length"],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = file["tokenizer.chat_template"]
    return tokenizer


def gguf_model(path: Path) -> PreTrainedModel:
    """The GGUF's weights, dequantized to float32, in a fresh ``LlamaForCausalLM``.

    Its config is that of an unquantized model, so that it can be saved.
    """
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    content = gguf_config(path)
    config = LlamaConfig(**content)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    weights = _weights(read_gguf(path), content)
    missing = {name for name, _ in model.named_parameters()} ^ set(weights)
    if missing:
        raise InputError(
            f"{path.name} lacks or has too many weights: {', '.join(sorted(missing)[:5])}",
            "take the model's safetensors: a hub id or a local folder",
        )
    # with meta tensors nothing is drawn at random only to be overwritten
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)  # its buffers are not saved
    model.requires_grad_(True)
    model.generation_config = GenerationConfig(
        bos_token_id=content["bos_token_id"],
        eos_token_id=content["eos_token_id"],
        pad_token_id=content["pad_token_id"],
    )
    return model.eval()


def _weights(file: GgufFile, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The state dict of ``LlamaForCausalLM``: float32, in transformers' order of rows."""
    import torch
    from gguf import quants

    heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in file.tensors.items():
        values: Any = quants.dequantize(tensor.data, tensor.tensor_type)
        # an unquantized tensor is a read-only view of the file
        weight = torch.as_tensor(values if values.flags.writeable else values.copy())
        key = _OUTER_WEIGHTS.get(name)
        if key is None and name.startswith("blk."):
            _, block, kind, _ = name.split(".")
            if kind in heads:
                weight = _rotary_halves(weight, config[heads[kind]])
            key = f"model.layers.{block}.{_BLOCK_WEIGHTS.get(kind, kind)}.weight"
        weights[key or name] = weight.to(torch.float32)
    return weights


def _rotary_halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows ``(heads * head_dim, hidden)`` from llama.cpp's order to that of transformers.

    A head's row pairs that rotate together are neighbours in a Llama GGUF (0, 1), (2, 3), …;
    in transformers row i of the first half of a head rotates with row i of the second half.
    """
    rows, hidden = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, hidden)
    return pairs.transpose(1, 2).reshape(rows, hidden).contiguous()
