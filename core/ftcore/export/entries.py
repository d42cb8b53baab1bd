"""The model classes that can be exported: one entry each, names and figures side by side.

Names of tensors and keys are llama.cpp's, as its ``gguf`` package lists them (constants.py and
tensor_mapping.py); the order of keys is that of its converter (conversion/*.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftcore.export.layout import Architecture, Fixed, Key, Weight

FILE_TYPE = Key("general.file_type", "uint32", "")
"""Stands where the file's own type is written."""

_HEAD = (
    Key("block_count", "uint32", "layers"),
    Key("context_length", "uint32", "context"),
    Key("embedding_length", "uint32", "hidden"),
    Key("feed_forward_length", "uint32", "feed_forward"),
    Key("attention.head_count", "uint32", "heads"),
    Key("attention.head_count_kv", "uint32", "kv_heads"),
    Key("rope.scaling.type", "string", "rope.scaling"),
    Key("rope.scaling.factor", "float32", "rope.scaling_factor"),
    Key("rope.scaling.original_context_length", "uint32", "rope.yarn_context"),
    Key("rope.scaling.yarn_attn_factor", "float32", "rope.attention_factor"),
    Key("rope.scaling.yarn_beta_fast", "float32", "rope.beta_fast"),
    Key("rope.scaling.yarn_beta_slow", "float32", "rope.beta_slow"),
    Key("rope.freq_base", "float32", "rope.theta"),
    Key("rope.freq_base_swa", "float32", "rope.local_theta"),
    Key("attention.layer_norm_rms_epsilon", "float32", "rms_eps"),
    Key("expert_count", "uint32", "experts"),
    Key("expert_used_count", "uint32", "experts_used"),
    Key("attention.key_length", "uint32", "head_dim_written"),
    Key("attention.value_length", "uint32", "head_dim_written"),
    FILE_TYPE,
)

_MODEL = (
    Weight("model.embed_tokens.weight", "token_embd.weight", "vocabulary hidden"),
    Weight("model.norm.weight", "output_norm.weight", "hidden"),
    Weight("lm_head.weight", "output.weight", "vocabulary hidden"),
)

_NORMS = (
    Weight("input_layernorm.weight", "attn_norm.weight", "hidden"),
    Weight("post_attention_layernorm.weight", "ffn_norm.weight", "hidden"),
)

_HEAD_NORMS = (
    Weight("self_attn.q_norm.weight", "attn_q_norm.weight", "head"),
    Weight("self_attn.k_norm.weight", "attn_k_norm.weight", "head"),
)

_ATTENTION = (
    Weight("self_attn.q_proj.weight", "attn_q.weight", "query hidden"),
    Weight("self_attn.k_proj.weight", "attn_k.weight", "key hidden"),
    Weight("self_attn.v_proj.weight", "attn_v.weight", "key hidden"),
    Weight("self_attn.o_proj.weight", "attn_output.weight", "hidden query"),
)

_PERMUTED_ATTENTION = (
    Weight("self_attn.q_proj.weight", "attn_q.weight", "query hidden", permuted="heads"),
    Weight("self_attn.k_proj.weight", "attn_k.weight", "key hidden", permuted="kv_heads"),
    *_ATTENTION[2:],
)

_MLP = (
    Weight("mlp.gate_proj.weight", "ffn_gate.weight", "feed_forward hidden"),
    Weight("mlp.up_proj.weight", "ffn_up.weight", "feed_forward hidden"),
    Weight("mlp.down_proj.weight", "ffn_down.weight", "hidden feed_forward"),
)

_NO_WINDOW = (Fixed("use_sliding_window", False),)
_SILU = (Fixed("hidden_act", "silu"),)


LLAMA = Architecture(
    model_class="LlamaForCausalLM",
    model_type="llama",
    gguf="llama",
    known_as="SmolLM2, Llama 2 and Llama 3",
    model=_MODEL,
    layer=(
        *_NORMS,
        *_PERMUTED_ATTENTION,
        *_MLP,
        Weight("self_attn.q_proj.bias", "attn_q.bias", "query", "heads", "attention_bias"),
        Weight("self_attn.k_proj.bias", "attn_k.bias", "key", "kv_heads", "attention_bias"),
        Weight("self_attn.v_proj.bias", "attn_v.bias", "key", when="attention_bias"),
        Weight("self_attn.o_proj.bias", "attn_output.bias", "hidden", when="attention_bias"),
        Weight("mlp.gate_proj.bias", "ffn_gate.bias", "feed_forward", when="mlp_bias"),
        Weight("mlp.up_proj.bias", "ffn_up.bias", "feed_forward", when="mlp_bias"),
        Weight("mlp.down_proj.bias", "ffn_down.bias", "hidden", when="mlp_bias"),
    ),
    keys=(
        *_HEAD,
        Key("vocab_size", "uint32", "vocabulary"),
        Key("rope.dimension_count", "uint32", "head_dim"),
    ),
    fixed=_SILU,
    ropes=("default", "linear", "llama3", "yarn"),
)

MISTRAL = Architecture(
    model_class="MistralForCausalLM",
    model_type="mistral",
    gguf="llama",
    known_as="Mistral 7B and Mistral Nemo",
    model=_MODEL,
    layer=(*_NORMS, *_PERMUTED_ATTENTION, *_MLP),
    keys=LLAMA.keys,
    fixed=_SILU,
    ropes=("default", "linear"),
)

QWEN2 = Architecture(
    model_class="Qwen2ForCausalLM",
    model_type="qwen2",
    gguf="qwen2",
    known_as="Qwen2.5",
    model=_MODEL,
    layer=(
        *_NORMS,
        *_ATTENTION,
        *_MLP,
        Weight("self_attn.q_proj.bias", "attn_q.bias", "query"),
        Weight("self_attn.k_proj.bias", "attn_k.bias", "key"),
        Weight("self_attn.v_proj.bias", "attn_v.bias", "key"),
    ),
    keys=_HEAD,
    fixed=(*_SILU, *_NO_WINDOW),
)

QWEN3 = Architecture(
    model_class="Qwen3ForCausalLM",
    model_type="qwen3",
    gguf="qwen3",
    known_as="Qwen3",
    model=_MODEL,
    layer=(*_NORMS, *_HEAD_NORMS, *_ATTENTION, *_MLP),
    keys=_HEAD,
    fixed=(*_SILU, *_NO_WINDOW, Fixed("attention_bias", False)),
)

QWEN3_MOE = Architecture(
    model_class="Qwen3MoeForCausalLM",
    model_type="qwen3_moe",
    gguf="qwen3moe",
    known_as="Qwen3-30B-A3B and Qwen3-Coder-30B-A3B",
    model=_MODEL,
    layer=(
        *_NORMS,
        *_HEAD_NORMS,
        *_ATTENTION,
        Weight("mlp.gate.weight", "ffn_gate_inp.weight", "experts hidden"),
        # stacked experts stand in the file in this order
        Weight(
            "mlp.experts.{expert}.down_proj.weight",
            "ffn_down_exps.weight",
            "experts hidden expert",
            fused="mlp.experts.down_proj",
        ),
        Weight(
            "mlp.experts.{expert}.gate_proj.weight",
            "ffn_gate_exps.weight",
            "experts expert hidden",
            fused="mlp.experts.gate_up_proj",
            half="first",
        ),
        Weight(
            "mlp.experts.{expert}.up_proj.weight",
            "ffn_up_exps.weight",
            "experts expert hidden",
            fused="mlp.experts.gate_up_proj",
            half="second",
        ),
    ),
    keys=(*_HEAD, Key("expert_feed_forward_length", "uint32", "expert_feed_forward")),
    fixed=(
        *_SILU,
        *_NO_WINDOW,
        Fixed("attention_bias", False),
        Fixed("norm_topk_prob", True),
        Fixed("decoder_sparse_step", 1),
        Fixed("mlp_only_layers", []),
    ),
)


def _gemma3_refused(config: Mapping[str, Any]) -> str:
    """llama.cpp knows neither figure from the file (src/models/gemma3.cpp)."""
    layers = [
        "full_attention" if (layer + 1) % 6 == 0 else "sliding_attention"
        for layer in range(config["num_hidden_layers"])
    ]
    if config["layer_types"] != layers:
        return "layer_types is not five layers with a sliding window, then one without"
    largest = config["num_hidden_layers"] == 62  # the 27B divides hidden_size by heads
    scalar = config["hidden_size"] // config["num_attention_heads"]
    scalar = scalar if largest else config["head_dim"]
    if config["query_pre_attn_scalar"] != scalar:
        return f"query_pre_attn_scalar is {config['query_pre_attn_scalar']}, not {scalar}"
    return ""


def _shifted(source: str, target: str, shape: str = "hidden") -> Weight:
    return Weight(source, target, shape, plus_one=True)


GEMMA3 = Architecture(
    model_class="Gemma3ForCausalLM",
    model_type="gemma3_text",
    gguf="gemma3",
    known_as="Gemma 3 270M and 1B",
    model=(_MODEL[0], _shifted("model.norm.weight", "output_norm.weight"), _MODEL[2]),
    layer=(
        _shifted("input_layernorm.weight", "attn_norm.weight"),
        _shifted("post_attention_layernorm.weight", "post_attention_norm.weight"),
        _shifted("pre_feedforward_layernorm.weight", "ffn_norm.weight"),
        _shifted("post_feedforward_layernorm.weight", "post_ffw_norm.weight"),
        _shifted("self_attn.q_norm.weight", "attn_q_norm.weight", "head"),
        _shifted("self_attn.k_norm.weight", "attn_k_norm.weight", "head"),
        *_ATTENTION,
        *_MLP,
    ),
    keys=(
        *_HEAD,
        Key("final_logit_softcapping", "float32", "softcap"),
        Key("attention.sliding_window", "uint32", "sliding_window"),
    ),
    fixed=(
        Fixed("hidden_activation", "gelu_pytorch_tanh"),
        Fixed("attention_bias", False),
        Fixed("attn_logit_softcapping", None),
        Fixed("use_bidirectional_attention", False),
    ),
    ropes=("default", "linear"),
    refused=_gemma3_refused,
)

PHI3 = Architecture(
    model_class="Phi3ForCausalLM",
    model_type="phi3",
    gguf="phi3",
    known_as="Phi-3, Phi-3.5 and Phi-4",
    model=_MODEL,
    layer=(
        *_NORMS,
        Weight("self_attn.qkv_proj.weight", "attn_qkv.weight", "query+key+value hidden"),
        _ATTENTION[3],
        Weight("mlp.gate_up_proj.weight", "ffn_up.weight", "gate+up hidden"),
        _MLP[2],
    ),
    keys=(
        Key("context_length", "uint32", "context"),
        Key("rope.scaling.original_context_length", "uint32", "rope.original_context"),
        Key("embedding_length", "uint32", "hidden"),
        Key("feed_forward_length", "uint32", "feed_forward"),
        Key("block_count", "uint32", "layers"),
        Key("attention.head_count", "uint32", "heads"),
        Key("attention.head_count_kv", "uint32", "kv_heads"),
        Key("attention.layer_norm_rms_epsilon", "float32", "rms_eps"),
        Key("rope.dimension_count", "uint32", "rope.dimensions"),
        Key("rope.freq_base", "float32", "rope.theta"),
        FILE_TYPE,
        Key("attention.sliding_window", "uint32", "sliding_window", absent=0),
        Key("rope.scaling.attn_factor", "float32", "rope.attention_factor"),
    ),
    fixed=_SILU,
    ropes=("default", "longrope"),
)

ENTRIES = (LLAMA, MISTRAL, QWEN2, QWEN3, QWEN3_MOE, GEMMA3, PHI3)
