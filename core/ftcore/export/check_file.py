"""Checks a GGUF without running it: its metadata and the weights that it decodes to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from attrs import frozen
from gguf import GGMLQuantizationType, TokenType
from gguf.quants import dequantize
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from ftcore.export.certificate import Check
from ftcore.export.checkpoint import PlannedTensor, chunks
from ftcore.export.reader import StoredTensor
from ftcore.export.rounding import LOST, bound, searched
from ftcore.export.sentencepiece import BYTE
from ftcore.export.threads import torch_threads
from ftcore.export.vocabulary import (
    added_tokens,
    is_sentencepiece,
    looks_special,
    pretokenizer,
)

_WORST = 1e9


@frozen
class _Difference:
    key: str
    found: object
    expected: object

    def __str__(self) -> str:
        return f"{self.key} is {_short(self.found)}, the model has {_short(self.expected)}"


def check_metadata(
    metadata: Mapping[str, Any], config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> Check:
    """The file's figures, special tokens and token types against config.json and tokenizer.

    The expectations are read off transformers' own objects rather than from the code that wrote
    the file: a wrong figure there must not confirm itself.
    """
    differences = [
        difference
        for key, expected in _expected(config, tokenizer)
        if (difference := _compare(key, metadata.get(key), expected)) is not None
    ]
    differences += _token_differences(metadata, tokenizer, int(cast("Any", config).vocab_size))
    return Check(
        "metadata",
        not differences,
        float(len(differences)),
        0.0,
        "; ".join(str(difference) for difference in differences[:5])
        or "every figure, special token and token type is the model's",
    )


def check_tensors(tensors: Sequence[StoredTensor], planned: Sequence[PlannedTensor]) -> Check:
    """Every weight that the file decodes to, against the checkpoint's.

    Measured is the largest error in units of what rounding to the type may cost at most
    (``rounding``): a single weight that is off shows.
    """
    stored = {tensor.name: tensor for tensor in tensors}
    wanted = {tensor.name: tensor for tensor in planned}
    problems = [
        *(f"{name} is missing" for name in wanted if name not in stored),
        *(f"{name} does not belong there" for name in stored if name not in wanted),
    ]
    worst, worst_name, relative = 0.0, "", 0.0
    for name in wanted:
        if name not in stored:
            continue
        problem = _shape_problem(stored[name], wanted[name])
        if problem:
            problems.append(problem)
            continue
        with torch_threads(1):  # the pieces are too small to share
            error, norm = _tensor_error(stored[name], wanted[name])
        relative = max(relative, norm)
        if error > worst:
            worst, worst_name = error, name
        if searched(wanted[name].type) and norm > LOST:
            problems.append(f"{name} has lost {norm:.0%} of its weights' norm")
    if worst > 1:
        problems.append(f"{worst_name} holds weights that are not the model's")
    return Check(
        "tensors",
        not problems,
        _WORST if problems and worst <= 1 else min(worst, _WORST),
        1.0,
        "; ".join(problems[:5])
        or f"{len(wanted)} tensors; largest relative error of one: {relative:.2e}",
    )


def _expected(
    config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[str, object]]:
    model = cast("Any", config)
    name = _GGUF_NAMES.get(model.model_type, model.model_type)
    yield "general.architecture", name
    for key, expected in _expected_figures(model):
        yield f"{name}.{key}", expected
    spm = is_sentencepiece(tokenizer)
    yield "tokenizer.ggml.model", "llama" if spm else "gpt2"
    yield "tokenizer.ggml.pre", "default" if spm else pretokenizer(tokenizer)
    for key, kind in (("bos", "bos"), ("eos", "eos"), ("unknown", "unk"), ("padding", "pad")):
        index = getattr(tokenizer, f"{kind}_token_id", None)
        if index is None:
            index = getattr(model, f"{kind}_token_id", None)
        yield f"tokenizer.ggml.{key}_token_id", index
    add_bos, add_eos = added_tokens(tokenizer)
    yield "tokenizer.ggml.add_bos_token", add_bos
    yield "tokenizer.ggml.add_eos_token", add_eos


_GGUF_NAMES = {"mistral": "llama", "qwen3_moe": "qwen3moe", "gemma3_text": "gemma3"}
"""llama.cpp's names of transformers' model types, where they differ."""


def _expected_figures(model: Any) -> Iterator[tuple[str, object]]:
    """Keys after the architecture's name; None: the key must not be there."""
    rope: Mapping[str, Any] = model.rope_parameters
    local = rope.get("sliding_attention", {})
    rope = rope.get("full_attention", rope)
    kind = rope.get("rope_type", "default")
    stated = getattr(model, "head_dim", None)
    head = stated or model.hidden_size // model.num_attention_heads
    llama, phi = model.model_type in ("llama", "mistral"), model.model_type == "phi3"
    yield "block_count", model.num_hidden_layers
    yield "context_length", model.max_position_embeddings
    yield "embedding_length", model.hidden_size
    yield "feed_forward_length", model.intermediate_size
    yield "attention.head_count", model.num_attention_heads
    yield "attention.head_count_kv", model.num_key_value_heads
    yield "attention.key_length", None if phi else stated
    yield "attention.value_length", None if phi else stated
    yield "attention.layer_norm_rms_epsilon", float(model.rms_norm_eps)
    yield "rope.freq_base", float(rope["rope_theta"])
    yield "rope.freq_base_swa", float(local["rope_theta"]) if local else None
    turned = int(head * rope.get("partial_rotary_factor", 1.0))
    yield "rope.dimension_count", turned if llama or phi else None
    stretched = kind in ("linear", "yarn")
    yield "rope.scaling.type", kind if stretched else None
    yield "rope.scaling.factor", float(rope["factor"]) if stretched else None
    original = rope.get("original_max_position_embeddings")
    if phi:
        yield "rope.scaling.original_context_length", model.original_max_position_embeddings
    else:
        yield "rope.scaling.original_context_length", original if kind == "yarn" else None
    yield "vocab_size", model.vocab_size if llama else None
    experts = getattr(model, "num_experts", None)
    yield "expert_count", experts
    yield "expert_used_count", model.num_experts_per_tok if experts else None
    yield "expert_feed_forward_length", model.moe_intermediate_size if experts else None
    if model.model_type == "gemma3_text":
        yield "attention.sliding_window", model.sliding_window


def _compare(key: str, found: object, expected: object) -> _Difference | None:
    if isinstance(expected, float) and isinstance(found, (int, float)):
        same = math.isclose(found, expected, rel_tol=1e-6)  # GGUF stores 32 bits
    else:
        same = found == expected
    return None if same else _Difference(key, found, expected)


def _token_differences(
    metadata: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, size: int
) -> list[_Difference]:
    tokens: list[str] = metadata.get("tokenizer.ggml.tokens") or []
    types: list[int] = metadata.get("tokenizer.ggml.token_type") or []
    if len(tokens) != size or len(types) != size:
        return [_Difference("tokenizer.ggml.tokens", f"{len(tokens)} long", f"{size} tokens")]
    added = tokenizer.added_tokens_decoder
    known = {index: token for token, index in tokenizer.get_vocab().items()}
    # of two tokens with one id the added one is what a text is split at
    known |= {index: str(token.content) for index, token in added.items()}
    spm = is_sentencepiece(tokenizer)
    wrong: list[_Difference] = []
    for index in range(size):
        kind, token = TokenType.NORMAL, known.get(index)
        if token is None:
            kind, token = TokenType.UNUSED, tokens[index]
        elif index in added:
            control = added[index].special or looks_special(token)
            kind = TokenType.CONTROL if control else TokenType.USER_DEFINED
        elif spm and BYTE.fullmatch(token):
            kind = TokenType.BYTE
        if tokens[index] != token and kind != TokenType.USER_DEFINED:
            wrong.append(_Difference(f"token {index}", tokens[index], token))
        if types[index] != kind:
            found = TokenType(types[index]).name
            wrong.append(_Difference(f"the type of token {token!r}", found, kind.name))
    return wrong


def _shape_problem(stored: StoredTensor, planned: PlannedTensor) -> str:
    if stored.shape != planned.shape:
        return f"{planned.name} has the shape {list(stored.shape)}, not {list(planned.shape)}"
    if stored.type != planned.type:
        return f"{planned.name} is stored as {stored.type}, not {planned.type}"
    return ""


def _tensor_error(stored: StoredTensor, planned: PlannedTensor) -> tuple[float, float]:
    """The largest error over its bound, and the error's norm over the weights'."""
    kind = GGMLQuantizationType[stored.type]
    worst, error_sum, weight_sum, at = 0.0, 0.0, 0.0, 0
    for part in chunks(planned):
        exact = part.to(torch.float32)
        if len(planned.shape) == 1:  # a vector is one row to the file, and may be many to us
            encoded = stored.rows(0, 1)[:, at * 4 : (at + exact.numel()) * 4]
            at += exact.numel()
        else:
            encoded = stored.rows(at, at + len(exact))
            at += len(exact)
        # the gguf package's decoder, not an inverse of ours
        decoded = torch.tensor(dequantize(encoded, kind)).reshape(exact.shape)
        error = (decoded - exact).abs()
        if not bool(torch.isfinite(error).all()):  # max() would keep the value before a NaN
            return _WORST, _WORST
        limit = bound(exact, encoded, planned.type).reshape(exact.shape)
        worst = max(worst, float((error / limit).max()))
        error_sum += float(error.square().sum())
        weight_sum += float(exact.square().sum())
    return worst, math.sqrt(error_sum / weight_sum) if weight_sum else 0.0


def _short(value: object) -> str:
    text = repr(value) if value is not None else "not there"
    return text if len(text) <= 60 else text[:59] + "…"
