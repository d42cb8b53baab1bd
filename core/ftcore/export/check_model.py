"""Checks what llama.cpp computes with a GGUF against the model in transformers, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ftcore.export.by_layers import Step, Text, next_token_logprobs
from ftcore.export.certificate import Check
from ftcore.export.quantizations import QUANTIZATIONS
from ftcore.export.runtime import Completion, NextToken, Runtime
from ftcore.export.threads import half_the_cores, torch_threads

POSITIONS = 48
"""Places at which the two distributions over the next token are compared."""

PASSAGES = 6
PASSAGE_TOKENS = 256
"""A text is cut to so many tokens."""

BUDGET = 3 * PASSAGE_TOKENS
"""Tokens of all passages together, so that small machines need seconds."""

TOP = 1024
"""Next tokens that the runtime names; all others count together."""

LOST = 5e-3
"""Probability that float32 sums over a vocabulary may lose."""

GREEDY_PROMPTS = 3
GREEDY_TOKENS = 16

CONTEXT = PASSAGE_TOKENS + GREEDY_TOKENS
"""Tokens that the runtime needs room for."""

TIES = {name: 2 * entry.kl_limit**0.5 for name, entry in QUANTIZATIONS.items()}
"""Nats between two tokens that tie: rounding may decide which of them comes first. Errors of the
log-probabilities with standard deviation s make a divergence of s²/2, and a difference of two has
s·√2, so one standard deviation of it at the limit of the divergence k is 2·√k."""


@frozen
class Passage:
    """A text as ids, and the lengths of the prefixes after which the next token is looked at."""

    ids: tuple[int, ...]
    lengths: tuple[int, ...]


@frozen
class Answers:
    """What the runtime said: kept, so that file and model are never in memory together."""

    passages: tuple[Passage, ...]
    next_tokens: tuple[tuple[NextToken, ...], ...]
    """Of each passage, after each of its lengths."""
    prompts: tuple[tuple[int, ...], ...]
    greedy: tuple[Completion, ...]
    """Of each prompt."""


def ask_runtime(
    runtime: Runtime,
    texts: Sequence[tuple[list[int], int]],
    prompts: Sequence[list[int]],
    step: Step,
) -> Answers:
    """Puts every question that needs the GGUF in memory.

    :param texts: ids of rendered turns, prompt and answer, with the length of the answer.
    :param prompts: ids of prompts to continue greedily.
    """
    passages = _passages(texts)
    chosen = [tuple(ids[-PASSAGE_TOKENS:]) for ids in prompts][:GREEDY_PROMPTS]
    total, done = sum(len(passage.lengths) for passage in passages) + len(chosen), 0
    answers: list[tuple[NextToken, ...]] = []
    for passage in passages:
        found: list[NextToken] = []
        for length in passage.lengths:
            found.append(runtime.next_token(passage.ids[:length], TOP))
            done += 1
            step(done, total)
        answers.append(tuple(found))
    greedy: list[Completion] = []
    for prompt in chosen:
        greedy.append(runtime.greedy(prompt, GREEDY_TOKENS))
        done += 1
        step(done, total)
    return Answers(passages, tuple(answers), tuple(chosen), tuple(greedy))


def check_model(model: Path, answers: Answers, quantization: str, step: Step) -> tuple[Check, ...]:
    """Compares with the model in float32: ``logits``, ``top1`` and ``greedy``.

    Every text is the runtime's, so one pass over all of them says what the model would have said
    at each place.
    """
    passages = [
        Text(passage.ids, tuple(length - 1 for length in passage.lengths))
        for passage in answers.passages
    ]
    continued = [
        Text(
            (*prompt, *completion.ids[:-1]),
            tuple(range(len(prompt) - 1, len(prompt) - 1 + len(completion.ids))),
        )
        for prompt, completion in zip(answers.prompts, answers.greedy, strict=True)
        if completion.ids
    ]
    with torch_threads(half_the_cores()):
        expected = next_token_logprobs(model, [*passages, *continued], step)
    pairs: list[tuple[NDArray[np.float64], NextToken]] = []
    for rows, found in zip(expected[: len(passages)], answers.next_tokens, strict=True):
        pairs += zip(rows, found, strict=True)
    completions = [completion for completion in answers.greedy if completion.ids]
    agreements = [
        _agreement(rows, completion)
        for rows, completion in zip(expected[len(passages) :], completions, strict=True)
    ]
    return (
        *compare_next_tokens(pairs, quantization),
        _greedy_check(
            [gap for _, gap in agreements],
            sum(same for same, _ in agreements),
            sum(len(completion.ids) for completion in completions),
            quantization,
        ),
    )


def compare_next_tokens(
    pairs: Sequence[tuple[NDArray[np.float64], NextToken]], quantization: str
) -> tuple[Check, Check]:
    """The checks ``logits`` and ``top1``.

    :param pairs: for each place the model's log-probabilities of the whole vocabulary, and what
        the runtime says.
    """
    divergences = [divergence(model, runtime) for model, runtime in pairs]
    tie = TIES[quantization]
    agreed = [float(model.max() - model[runtime.ids[0]]) <= tie for model, runtime in pairs]
    mean, share = float(np.mean(divergences)), float(np.mean(agreed))
    places = f"{len(pairs)} positions"
    limit, least = QUANTIZATIONS[quantization].kl_limit, QUANTIZATIONS[quantization].top1_limit
    return (
        Check(
            "logits",
            mean <= limit,
            mean,
            limit,
            f"mean KL divergence in nats at {places}; the largest is {max(divergences):.2e}",
        ),
        Check(
            "top1",
            share >= least,
            share,
            least,
            f"share of {places} at which the runtime's likeliest token is the model's, or within "
            f"{tie:.2g} nats of it; the limit is the least",
        ),
    )


def divergence(model: NDArray[np.float64], runtime: NextToken) -> float:
    """KL(model || runtime) in nats over the tokens that the runtime names, and all others as one.

    By the chain rule: the divergence among the named tokens, weighted with their probability,
    and that between named and others. llama.cpp adds up its probabilities in float32, where the
    many small ones get lost, so the latter counts only from :data:`LOST` on.

    :param model: log-probabilities of the whole vocabulary.
    """
    expected, found = model[runtime.ids], runtime.logprobs
    named, runtime_named = float(np.exp(expected).sum()), min(float(np.exp(found).sum()), 1.0)
    expected = expected - np.log(named)
    found = found - np.log(np.exp(found).sum())
    among = float((np.exp(expected) * (expected - found)).sum())
    if abs(named - runtime_named) < LOST:
        return named * among
    pairs = ((named, runtime_named), (1 - named, 1 - runtime_named))
    between = sum(p * float(np.log(p / max(q, 1e-12))) for p, q in pairs if p > 0)
    return named * among + between


def _passages(texts: Sequence[tuple[list[int], int]]) -> tuple[Passage, ...]:
    """The longest texts' ends, with half of the places in the answer and half over everything."""
    chosen: list[tuple[list[int], int]] = []
    cut = [(ids[-PASSAGE_TOKENS:], answer) for ids, answer in texts if ids]
    for ids, answer in sorted(cut, key=lambda text: len(text[0]), reverse=True):
        taken = sum(len(other) for other, _ in chosen)
        if len(chosen) < PASSAGES and taken + len(ids) <= BUDGET:
            chosen.append((ids, answer))
    each = POSITIONS // max(1, len(chosen)) // 2
    return tuple(
        Passage(
            tuple(ids),
            tuple(
                sorted({*_spread(1, len(ids), each), *_spread(len(ids) - answer, len(ids), each)})
            ),
        )
        for ids, answer in chosen
    )


def _spread(first: int, last: int, count: int) -> set[int]:
    """At most ``count`` whole numbers evenly from ``first``, but at least 1, to ``last``."""
    return {int(at) for at in np.linspace(max(first, 1), last, count).round()}


def _agreement(expected: NDArray[np.float64], completion: Completion) -> tuple[int, float]:
    """Tokens up to which the model says the same, and by how much it prefers what it says then."""
    for at, (row, token) in enumerate(zip(expected, completion.ids, strict=True)):
        if int(row.argmax()) != token:
            return at, float(row.max() - row[token])
    return len(completion.ids), 0.0


def _greedy_check(gaps: Sequence[float], equal: int, said: int, quantization: str) -> Check:
    limit = QUANTIZATIONS[quantization].greedy_limit
    largest = max(gaps, default=0.0)
    return Check(
        "greedy",
        said > 0 and (limit is None or largest <= limit),
        largest,
        limit,
        f"{equal} of {said} greedy tokens are the model's before the texts part; measured is by "
        "how many nats the model prefers its own token there",
    )
