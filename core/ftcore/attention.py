"""Attention for packed rows on a CUDA card: torch's varlen kernel, which needs no mask at all.

Packed rows name their borders (``cu_seq_lens_q``, from TRL's padding-free collator). Through
scaled dot-product attention they cost a dense mask over the whole row; the kernel behind
``torch.nn.attention.varlen`` computes only what lies within a border.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

NAME = "ftcore_varlen"
"""The attention implementation, as transformers names it."""

CAPABILITY = (8, 0)
"""Of the oldest cards that the kernel runs on (Ampere)."""


def has_varlen(model: PreTrainedModel, dtype: torch.dtype | None) -> bool:
    """Whether the model's attention can be computed by the kernel on this machine.

    :param dtype: what matrix products are computed in; the kernel knows 16-bit floats only.
    """
    if dtype not in (torch.bfloat16, torch.float16) or model.device.type != "cuda":
        return False
    config = cast(Any, model.config)
    odd = ("attn_logit_softcapping", "attention_dropout")
    return (
        torch.cuda.get_device_capability(model.device) >= CAPABILITY
        and config._attn_implementation == "sdpa"
        and not any(getattr(config, name, None) for name in odd)
        and not any(name.endswith("sinks") for name, _ in model.named_parameters())
    )


def varlen_attention(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Within it attention is computed by the kernel, and every batch must name its borders."""
    return _implementation(model, NAME)


def dense_attention(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Within it attention is computed by torch's scaled dot product, with any mask."""
    return _implementation(model, "sdpa")


@contextmanager
def _implementation(model: PreTrainedModel, name: str) -> Generator[None]:
    before: str = cast(Any, model.config)._attn_implementation
    chosen: Any = model
    chosen.set_attn_implementation(name)
    try:
        yield
    finally:
        chosen.set_attn_implementation(before)


def _forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    cu_seq_lens_q: torch.Tensor,
    cu_seq_lens_k: torch.Tensor,
    max_length_q: int,
    max_length_k: int,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it: query (1, heads, tokens, size), keys and values with fewer heads.

    Gives (1, tokens, heads, size) in the dtype of autocast, or of the query outside of it.
    """
    from torch.nn.attention.varlen import varlen_attn

    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else query.dtype
    groups = query.shape[1] // key.shape[1]
    flat = [part[0].transpose(0, 1).to(dtype) for part in (query, key, value)]
    # torch 2.11 has no enable_gqa
    keys, values = (part.repeat_interleave(groups, dim=1) for part in flat[1:])
    # keys to the left of a query's own, which counts as one of the window
    window = (sliding_window - 1 if sliding_window else -1, 0)
    output = varlen_attn(
        flat[0],
        keys,
        values,
        cu_seq_lens_q,
        cu_seq_lens_k,
        int(max_length_q),
        int(max_length_k),
        scale=scaling,
        window_size=window,
    )
    return cast(torch.Tensor, output)[None], None


def _no_mask(*_: Any, **__: Any) -> None:
    """The borders say it all."""


_interfaces: tuple[Any, Any] = (AttentionInterface, AttentionMaskInterface)
_interfaces[0].register(NAME, _forward)
_interfaces[1].register(NAME, _no_mask)
