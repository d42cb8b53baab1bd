"""Scores generated replies: their form, their thought, their answer, and what leaks outward."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from ftcore.markers import structural_tags
from ftcore.values import Json, Prediction
from ftcore_dual.answers import gives_answer
from ftcore_dual.formatting import TAGS, is_inverted
from ftcore_dual.replies import Reply, read_reply

LEAK_WORDS = 8
"""Words in a row that a world may not share with its thought."""


def metrics(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Figures, each left out where there is nothing to count. All but ``thought_words`` are shares.

    ``well_formed``
        of all predictions: one thought and then one world, both sound, and nothing else; in the
        inverted shape one world and nothing else.
    ``thought_words``
        the mean number of words of the thoughts, over the predictions that have one.
    ``exact_answer``
        of predictions whose sample gives an ``answer`` to this turn: the world ends with it, as
        :func:`~ftcore_dual.answers.gives_answer` says. A reply without a world is judged by all
        that stands outside of its thought.
    ``thought_leak``
        of all predictions: the world repeats eight or more words of its thought in a row, or
        holds a thought's tags as structure. In the inverted shape the thought is the prompt.
    ``ended``
        of all predictions: the model emitted its end-of-turn token by itself.
    """
    scored = [_Scored(p, read_reply(p.text, world_only=is_inverted(p.sample))) for p in predictions]
    thoughts = [s.reply.thought for s in scored if s.reply.thought is not None]
    figures = {
        "well_formed": _mean(s.reply.well_formed for s in scored),
        "thought_words": _mean(len(thought.split()) for thought in thoughts),
        "exact_answer": _mean(
            gives_answer(s.reply.outward, answer)
            for s in scored
            if (answer := _reference_answer(s.prediction)) is not None
        ),
        "thought_leak": _mean(_leaks(s.reply, s.prediction.sample) for s in scored),
        "ended": _mean(p.ended for p in predictions),
    }
    return {name: mean for name, mean in figures.items() if mean is not None}


@frozen
class _Scored:
    prediction: Prediction
    reply: Reply


def _mean(values: Iterable[float]) -> float | None:
    counted = list(values)
    return sum(counted) / len(counted) if counted else None


def _reference_answer(prediction: Prediction) -> str | None:
    """The answer that a sample gives; it belongs to the last reply, not to those of history."""
    earlier = len(prediction.sample.get("history", ()))
    asked = sum(message.role == "user" for message in prediction.history)
    return prediction.sample.get("answer") if not earlier or asked > earlier else None


def _leaks(reply: Reply, sample: Json) -> bool:
    world = reply.world or ""
    if any(tag.name == "thought" for tag in structural_tags(world, TAGS)):
        return True
    thought = sample["thought"] if is_inverted(sample) else reply.thought
    return not _runs(thought or "").isdisjoint(_runs(world))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[i : i + LEAK_WORDS]) for i in range(len(words) - LEAK_WORDS + 1)}
