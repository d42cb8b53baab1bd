"""Scores generated replies: is this the persona's manner, and are its own words likely."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from ftcore.values import Prediction
from ftcore_emulation.boilerplate import has_boilerplate

WORST = 100.0
"""Nats a token; worse than any real model's mean. What a broken likelihood (NaN) counts as."""

_WORD = re.compile(r"\w(?:\S*\w)?")


def metrics(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Figures of the generated replies, each left out where there is nothing to count.

    ``log_likelihood``
        of the references' tokens, the mean in nats a token (at most 0, higher is better); of
        those predictions that carry the likelihood of their reference.
    ``reply_length_distance``
        between the lengths of the replies and those of the references: the first Wasserstein
        distance of the two distributions, in words (0 is best).
    ``boilerplate``
        share of replies with a phrase of :mod:`ftcore_emulation.boilerplate` (0 is best).
    ``distinct_1``, ``distinct_2``
        different words, and pairs of neighbouring words, over all of them, in all replies
        together (Li et al. 2016, arXiv:1510.03055).
    ``ended``
        share of replies where the model emitted its end-of-turn token by itself.

    A word is what stands between white space, without punctuation around it and without case.
    """
    replies = [words(prediction.text) for prediction in predictions]
    figures = {
        "log_likelihood": _log_likelihood(predictions),
        "reply_length_distance": _distance(
            [len(reply) for reply in replies],
            [len(words(prediction.reference.text)) for prediction in predictions],
        ),
        "boilerplate": _share(has_boilerplate(prediction.text) for prediction in predictions),
        "distinct_1": _distinct(word for reply in replies for word in reply),
        "distinct_2": _distinct(pair for reply in replies for pair in pairwise(reply)),
        "ended": _share(prediction.ended for prediction in predictions),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def words(text: str) -> list[str]:
    """The words of a text in their order, without case and surrounding punctuation."""
    return _WORD.findall(text.casefold())


def _log_likelihood(predictions: Sequence[Prediction]) -> float | None:
    nats = 0.0
    count = 0
    for prediction in predictions:
        nll, tokens = prediction.reference_nll, prediction.reference_tokens
        if nll is not None and tokens > 0:
            worst = WORST * tokens
            nats += min(max(nll, 0.0), worst) if math.isfinite(nll) else worst
            count += tokens
    return -nats / count if count else None


def _distance(left: Sequence[int], right: Sequence[int]) -> float | None:
    """The first Wasserstein distance of two samples of the same size: of their sorted pairs."""
    gaps = [abs(a - b) for a, b in zip(sorted(left), sorted(right), strict=True)]
    return sum(gaps) / len(gaps) if gaps else None


def _distinct(items: Iterable[object]) -> float | None:
    counted = list(items)
    return len(set(counted)) / len(counted) if counted else None


def _share(outcomes: Iterable[bool]) -> float | None:
    counted = list(outcomes)
    return sum(counted) / len(counted) if counted else None
