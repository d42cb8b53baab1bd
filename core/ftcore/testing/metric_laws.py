"""Laws of a mode's metrics: they are figures, and they tell good answers from bad ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ftcore.errors import FtcoreError
from ftcore.testing.law import Breach
from ftcore.testing.predictions import diverged, perfect, unfinished, wrong
from ftcore.testing.subject import TARGETS, Subject, UncheckedError
from ftcore.values import Prediction, Target


def metrics_are_finite(subject: Subject) -> Iterator[Breach]:
    """Every figure is a finite number: of nothing, of perfect and of wrong predictions."""
    for name, predictions in _sets(subject).items():
        try:
            subject.mode.metrics(predictions)
        except FtcoreError as error:
            yield Breach(
                f"of {name}: {error.message}",
                "give finite numbers; leave out a figure that has nothing to be computed from",
            )


def perfect_beats_wrong(subject: Subject) -> Iterator[Breach]:
    """One figure is higher for perfect predictions than for any wrong ones.

    Wrong are silence, garbage, and the answers to other samples, all with an unlikely reference.
    One and the same figure must be strictly higher for perfect predictions than for each of
    them, so that it can be read without a legend: the more, the better. Other figures may fall,
    or say nothing of right and wrong.
    """
    for target in (TARGETS[0], TARGETS[-1]):
        right = _perfect(subject, target)
        if not right:
            raise UncheckedError(f"no sample becomes a conversation for {target}")
        try:
            best = subject.mode.metrics(right)
            worse = {name: subject.mode.metrics(said) for name, said in wrong(right).items()}
        except FtcoreError as error:
            raise UncheckedError("the metrics fail") from error
        if not any(
            all(figure > figures.get(name, figure) for figures in worse.values())
            for name, figure in best.items()
        ):
            told = [f"{name}: {_told(figures)}" for name, figures in worse.items()]
            yield Breach(
                "no figure is higher for perfect answers than for all wrong ones: "
                + "; ".join([f"perfect: {_told(best)}", *told]),
                "give a figure that rises with quality, such as the share of answers that are "
                "equal to prediction.reference.text",
            )
            return


def _sets(subject: Subject) -> dict[str, list[Prediction]]:
    found: dict[str, list[Prediction]] = {"no predictions": []}
    for target in (TARGETS[0], TARGETS[-1]):
        right = _perfect(subject, target)
        found[f"perfect predictions for {target}"] = right
        found[f"perfect predictions that did not end, for {target}"] = unfinished(right)
        found[f"the predictions of a diverged model for {target}"] = diverged(right)
        for name, said in wrong(right).items():
            found[f"{name} for {target}"] = said
            found[f"{name} that did not end, for {target}"] = unfinished(said)
    for prediction in _perfect(subject, TARGETS[0])[:1]:
        found["one perfect prediction"] = [prediction]
    return found


def _perfect(subject: Subject, target: Target) -> list[Prediction]:
    return [
        prediction
        for item in subject.formatted
        if item.target == target and item.conversation
        for prediction in perfect(item.sample, item.conversation)
    ]


def _told(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items()) or "no figures"
