"""On a CUDA card: packed rows through the varlen kernel give what their samples give alone."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from ftcore.attention import NAME, has_varlen, varlen_attention

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")

SHAPE = {
    "vocab_size": 997,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.05,
}
LENGTHS = (5, 200, 1, 64, 333)


def made(kind: str) -> LlamaForCausalLM | MistralForCausalLM:
    torch.manual_seed(0)
    if kind == "sliding":
        return MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=48)).cuda().eval()
    return LlamaForCausalLM(LlamaConfig(**SHAPE)).cuda().eval()


def packed(samples: list[torch.Tensor]) -> dict[str, object]:
    borders = torch.tensor([0, *(len(s) for s in samples)]).cumsum(0).to(torch.int32).cuda()
    longest = max(len(s) for s in samples)
    return {
        "input_ids": torch.cat(samples)[None],
        "position_ids": torch.cat([torch.arange(len(s)) for s in samples])[None].cuda(),
        "cu_seq_lens_q": borders,
        "cu_seq_lens_k": borders,
        "max_length_q": longest,
        "max_length_k": longest,
        "use_cache": False,
    }


def loss_and_gradients(model, batches):
    model.zero_grad()
    losses = []
    for batch, lengths in batches:
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(**batch).logits[0].float()
        at = 0
        for length in lengths:
            if length > 1:
                inner = logits[at : at + length - 1]
                targets = batch["input_ids"][0, at + 1 : at + length]
                losses.append(torch.nn.functional.cross_entropy(inner, targets, reduction="sum"))
            at += length
    torch.stack(losses).sum().backward()
    return torch.stack(losses).detach(), [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("kind", ["full", "sliding"])
def test_packed_equals_alone_to_the_precision_of_bfloat16(kind):
    model = made(kind)
    assert has_varlen(model, torch.bfloat16)
    assert not has_varlen(model, None)
    generator = torch.Generator().manual_seed(1)
    samples = [torch.randint(0, 997, (length,), generator=generator).cuda() for length in LENGTHS]
    alone = [({"input_ids": s[None], "use_cache": False}, (len(s),)) for s in samples]
    expected, gradients = loss_and_gradients(model, alone)
    with varlen_attention(model):
        assert model.config._attn_implementation == NAME
        found, packed_gradients = loss_and_gradients(model, [(packed(samples), LENGTHS)])
    assert model.config._attn_implementation == "sdpa"
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)
    for one, other in zip(packed_gradients, gradients, strict=True):
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999
        assert (one - other).norm() < 0.03 * other.norm()


def test_a_sample_does_not_see_its_neighbours():
    model = made("full")
    generator = torch.Generator().manual_seed(2)
    first, second, other = (torch.randint(0, 997, (90,), generator=generator).cuda() for _ in "abc")
    with varlen_attention(model), torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        one = model(**packed([first, second])).logits[0, 90:]
        two = model(**packed([other, second])).logits[0, 90:]
    assert torch.equal(one, two)
