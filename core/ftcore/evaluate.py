"""Measures a model on held-out samples: loss by part, and what it says by itself."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import islice, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from attrs import field, frozen
from transformers import GenerationConfig, PreTrainedModel

from ftcore.files import write_whole
from ftcore.prepare import Prepared, PreparedSamples
from ftcore.render import IGNORE, Example, Renderer, Turn
from ftcore.values import Prediction

Autocast = Callable[[], AbstractContextManager[Any]]

GENERATION_BATCH = 16


@frozen
class Loss:
    """Mean negative log likelihood of the trained tokens, in nats per token."""

    total: float
    by_part: dict[str, float]
    tokens: int


@frozen
class HeldOutTurn:
    """A trained message of a held-out sample, to be said anew by the model."""

    item: Prepared
    turn: Turn = field(repr=False)


def evaluation_loss(
    model: PreTrainedModel,
    examples: Sequence[Example],
    part_labels: Sequence[str],
    autocast: Autocast,
) -> Loss:
    """The loss over all trained tokens of ``examples``, each token weighing the same."""
    sums = torch.zeros(len(part_labels), dtype=torch.float64)
    counts = torch.zeros(len(part_labels), dtype=torch.int64)
    was_training = model.training
    model.eval()
    with torch.inference_mode(), autocast():
        for example in examples:
            ids = torch.tensor(example.input_ids, dtype=torch.long)
            targets = torch.tensor(example.labels, dtype=torch.long)
            (places,) = torch.nonzero(targets != IGNORE, as_tuple=True)
            before = (places - 1).to(model.device)
            output: Any = model(ids[None].to(model.device), logits_to_keep=before, use_cache=False)
            nll = torch.nn.functional.cross_entropy(
                output.logits[0].float(), targets[places].to(model.device), reduction="none"
            )
            parts = torch.tensor(example.parts, dtype=torch.long)[places]
            sums.index_add_(0, parts, nll.double().cpu())
            counts += torch.bincount(parts, minlength=len(part_labels))
    model.train(was_training)
    by_part = {
        name: float(sums[index] / counts[index])
        for index, name in enumerate(part_labels)
        if counts[index]
    }
    total = int(counts.sum())
    return Loss(float(sums.sum()) / max(total, 1), by_part, total)


def choose_turns(
    held_out: PreparedSamples,
    renderer: Renderer,
    *,
    count: int,
    max_tokens: int,
    seed: int,
) -> tuple[HeldOutTurn, ...]:
    """A seeded choice of at most ``count`` trained messages of the held-out samples.

    Every mode gets an equal share, as far as it has so many. Of more than ``count`` samples of a
    mode so many are drawn first: only these are rendered. A message that ends beyond
    ``max_tokens`` tokens is none of the run's: training never sees one of its length.
    """
    by_mode: dict[str, list[int]] = {}
    for place, mode in enumerate(held_out.kinds):
        by_mode.setdefault(mode, []).append(place)
    generator = random.Random(seed)
    drawn: list[list[HeldOutTurn]] = []
    for places in by_mode.values():
        if len(places) > count:
            generator.shuffle(places)
        found = (
            (place, turns)
            for place in places
            if (turns := _turns(held_out[place], renderer, max_tokens))
        )
        in_order = sorted(islice(found, count), key=itemgetter(0))
        own = [turn for _, turns in in_order for turn in turns]
        generator.shuffle(own)
        drawn.append(own)
    in_turn = (turn for row in zip_longest(*drawn) for turn in row if turn is not None)
    return tuple(islice(in_turn, count))


def _turns(item: Prepared, renderer: Renderer, max_tokens: int) -> list[HeldOutTurn]:
    return [
        HeldOutTurn(item, turn)
        for turn in renderer.turns(item.conversation)
        if len(renderer.encode(turn.prompt + turn.answer)) <= max_tokens
    ]


def generate(
    model: PreTrainedModel,
    renderer: Renderer,
    turns: Sequence[HeldOutTurn],
    *,
    max_new_tokens: int,
    autocast: Autocast,
    advance: Callable[[int, int], None],
) -> tuple[Prediction, ...]:
    """What the model says in place of each turn, greedily, in the order of ``turns``."""
    ends = renderer.end_ids()
    prompts = [renderer.encode(turn.turn.prompt) for turn in turns]
    # prompts of like length share a batch, so that little is padded
    order = sorted(range(len(turns)), key=lambda index: len(prompts[index]))
    said: dict[int, list[int]] = {}
    was_training = model.training
    model.eval()
    for start in range(0, len(order), GENERATION_BATCH):
        batch = order[start : start + GENERATION_BATCH]
        with torch.inference_mode(), autocast():
            said |= _generate_batch(model, batch, prompts, ends, max_new_tokens)
        advance(len(said), len(turns))
    with torch.inference_mode(), autocast():
        likelihoods = [
            _reference_nll(model, prompt, renderer.encode(turn.turn.answer))
            for prompt, turn in zip(prompts, turns, strict=True)
        ]
    model.train(was_training)
    return tuple(
        _prediction(renderer, turn, said[index], ends, *likelihoods[index])
        for index, turn in enumerate(turns)
    )


def write_predictions(
    path: Path,
    turns: Sequence[HeldOutTurn],
    before: Sequence[Prediction],
    after: Sequence[Prediction],
) -> None:
    """Writes a line of JSON for each turn: its prompt, its reference and what was said, twice."""
    lines = [
        json.dumps(
            {
                "file": turn.item.sample.file,
                "line": turn.item.sample.line,
                "mode": turn.item.mode.name,
                "prompt": turn.turn.prompt,
                "reference": turn.turn.answer,
                "before": first.text,
                "after": second.text,
            },
            ensure_ascii=False,
        )
        for turn, first, second in zip(turns, before, after, strict=True)
    ]
    write_whole(path, "".join(line + "\n" for line in lines))


def _reference_nll(
    model: PreTrainedModel, prompt: list[int], answer: list[int]
) -> tuple[float, int]:
    """Summed negative log likelihood of the answer after the prompt, in nats, and its tokens."""
    ids = torch.tensor([prompt + answer], device=model.device)
    places = torch.arange(len(prompt) - 1, ids.shape[1] - 1, device=model.device)
    output: Any = model(ids, logits_to_keep=places, use_cache=False)
    nll = torch.nn.functional.cross_entropy(
        output.logits[0].float(), ids[0, len(prompt) :], reduction="sum"
    )
    return float(nll.detach()), len(answer)


def _generate_batch(
    model: PreTrainedModel,
    batch: Sequence[int],
    prompts: Sequence[list[int]],
    ends: tuple[int, ...],
    max_new_tokens: int,
) -> dict[int, list[int]]:
    width = max(len(prompts[index]) for index in batch)
    ids = torch.full((len(batch), width), ends[0], dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, index in enumerate(batch):  # padded on the left: new tokens follow the prompt
        ids[row, width - len(prompts[index]) :] = torch.tensor(prompts[index])
        mask[row, width - len(prompts[index]) :] = 1
    generate: Any = model.generate
    output = generate(
        ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=GenerationConfig(
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=list(ends),
            pad_token_id=ends[0],
        ),
    )
    return {index: output[row, width:].tolist() for row, index in enumerate(batch)}


def _prediction(
    renderer: Renderer,
    held_out: HeldOutTurn,
    ids: list[int],
    ends: tuple[int, ...],
    reference_nll: float,
    reference_tokens: int,
) -> Prediction:
    stop = next((at for at, token in enumerate(ids) if token in ends), None)
    conversation = held_out.item.conversation
    index = held_out.turn.index
    return Prediction(
        sample=held_out.item.sample.data,
        reference=conversation.messages[index],
        history=conversation.messages[:index],
        tools=conversation.tools,
        text=str(renderer.tokenizer.decode(ids[:stop])),  # pyright: ignore[reportUnknownMemberType]
        ended=stop is not None,
        reference_nll=reference_nll,
        reference_tokens=reference_tokens,
    )
