"""Computes what a model says in transformers, with one layer's weights in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

from ftcore.export.architectures import read_hyperparameters, weights
from ftcore.export.checkpoint import open_weights, read_config, read_into
from ftcore.export.layout import Weight

Step = Callable[[int, int], None]
"""Called with steps done and steps in all."""


@frozen
class Text:
    """Token ids, and the places after which the next token is looked at."""

    ids: tuple[int, ...]
    places: tuple[int, ...]
    """Counted from 0; at least one."""


def next_token_logprobs(
    model: Path, texts: Sequence[Text], step: Step
) -> list[NDArray[np.float64]]:
    """Log-probabilities of the token after each place of each text, in nats.

    transformers' own modules compute in float32 on the CPU; hooks bring the weights of embedding,
    layers, norm and output when their turn comes, and take them away again, so that all weights
    are read once and the largest layer decides about the memory. The texts go through in one
    row, their positions each from 0, which transformers takes for texts that do not see each
    other.

    :param model: the folder of a model of one of the exported classes.
    :returns: of each text ``(places, vocabulary)``.
    """
    network = _without_weights(model)
    source = _Source(model)
    names = {module: name for name, module in network.named_modules()}
    inner: Any = network.model
    parts: list[torch.nn.Module] = [inner.embed_tokens, *inner.layers, inner.norm, network.lm_head]
    looked_at = _looked_at(texts)
    done = 0

    def bring(module: torch.nn.Module, _: object) -> None:
        _assign(module, {key: source.read(f"{names[module]}.{key}") for key in empty[module]})

    def take(module: torch.nn.Module, _: object, __: object) -> None:
        nonlocal done
        _assign(module, empty[module])
        done += 1
        step(done, len(parts))

    def choose(_: torch.nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (given[0][0, looked_at],)  # the output at every place would need much memory

    empty = {part: part.state_dict() for part in parts}
    for part in parts:
        part.register_forward_pre_hook(bring)
        part.register_forward_hook(take)
    network.lm_head.register_forward_pre_hook(choose)
    with torch.inference_mode():
        row = torch.tensor([[index for text in texts for index in text.ids]])
        positions = torch.cat([torch.arange(len(text.ids)) for text in texts])[None]
        answer = network(input_ids=row, position_ids=positions, use_cache=False)
        found = _split(answer.logits, [len(text.places) for text in texts])
        return [part.to(torch.float64).log_softmax(dim=-1).numpy() for part in found]


class _Source:
    """The tensors of a checkpoint under the names that transformers' modules have."""

    def __init__(self, model: Path) -> None:
        read = read_hyperparameters(read_config(model))
        self._found = open_weights(model)
        self._experts = read.experts or 0
        self._parts: dict[str, list[Weight]] = {}
        for weight in weights(read):
            if weight.fused:
                self._parts.setdefault(weight.fused, []).append(weight)

    def read(self, name: str) -> torch.Tensor:
        """A tensor in float32: as it is, tied to the embedding, or stacked of all experts'."""
        if name == "lm_head.weight" and name not in self._found:
            name = "model.embed_tokens.weight"
        if name in self._found:
            tensor = self._found[name]
            return read_into(tensor, torch.empty(tensor.shape))
        parts = sorted(self._parts[name], key=lambda weight: weight.half)  # first, second
        experts = [
            [self._found[part.source.format(expert=expert)] for part in parts]
            for expert in range(self._experts)
        ]
        rows, columns = sum(part.shape[0] for part in experts[0]), experts[0][0].shape[1]
        stacked = torch.empty(self._experts, rows, columns)
        for tensors, whole in zip(experts, stacked, strict=True):
            places = _split(whole, [tensor.shape[0] for tensor in tensors])
            for tensor, into in zip(tensors, places, strict=True):
                read_into(tensor, into)
        return stacked


def _without_weights(model: Path) -> Any:
    """The model in float32, its parameters without memory, its buffers computed."""
    from accelerate import init_empty_weights  # pyright: ignore[reportMissingTypeStubs]
    from transformers import AutoConfig, AutoModelForCausalLM

    config: Any = cast("Any", AutoConfig).from_pretrained(str(model), local_files_only=True)
    with init_empty_weights(include_buffers=False):
        network: Any = cast("Any", AutoModelForCausalLM).from_config(config, dtype=torch.float32)
    return network.eval()


def _split(rows: torch.Tensor, counts: Sequence[int]) -> tuple[torch.Tensor, ...]:
    return cast("Any", torch).split(rows, list(counts))


def _assign(module: torch.nn.Module, state: dict[str, Any]) -> None:
    module.load_state_dict(state, assign=True)


def _looked_at(texts: Sequence[Text]) -> torch.Tensor:
    """The places of all texts in the row that they make."""
    found: list[int] = []
    begin = 0
    for text in texts:
        found += [begin + place for place in text.places]
        begin += len(text.ids)
    return torch.tensor(found)
