"""Laws of a mode's formatter: what it makes of valid samples."""

from __future__ import annotations

from collections.abc import Iterator

from ftcore.testing.fresh import FreshProcessError
from ftcore.testing.law import Breach
from ftcore.testing.predictions import spoken
from ftcore.testing.sample_laws import accepted_mutants
from ftcore.testing.subject import TARGETS, Formatted, Subject, UncheckedError

CHANGED = "changed the sample"
UNTRAINED = "marks no message as trained"


def formatting_is_total(subject: Subject) -> Iterator[Breach]:
    """Every valid sample becomes a conversation, whatever the chat template can express."""
    spoiled = (
        (subject.format(mutant.sample, target), f" {mutant.what}")
        for mutant in accepted_mutants(subject)
        for target in (TARGETS[0], TARGETS[-1])
    )
    for item, what in [*((item, "") for item in subject.formatted), *spoiled]:
        if item.failure and CHANGED not in item.failure and UNTRAINED not in item.failure:
            yield Breach(
                f"{item.sample.place}{what} is valid, and for {item.target}: {item.failure}",
                "format it, or let the schema or the validator refuse it",
            )


def formatting_is_deterministic(subject: Subject) -> Iterator[Breach]:
    """The same sample and target give the same conversation, in every process."""
    for item in subject.formatted:
        if subject.format(item.sample, item.target).digest != item.digest:
            yield Breach(
                f"{item.sample.place} gives another conversation the second time",
                "use nothing but the sample and the target: no clock, no chance, no memory",
            )
            return
    try:
        elsewhere = subject.fresh.digests
    except FreshProcessError as error:
        raise UncheckedError("the mode cannot be used in a fresh process") from error
    for item, digest in zip(subject.formatted, elsewhere, strict=True):
        if item.digest != digest:
            yield Breach(
                f"{item.sample.place} gives another conversation in another process",
                "do not depend on the order of a set or on hash(): use sorted(…) or a list",
            )


def formatting_changes_nothing(subject: Subject) -> Iterator[Breach]:
    """The sample that a formatter is given is the same afterwards."""
    for item in subject.formatted:
        if CHANGED in item.failure:
            yield Breach(f"{_for(item)}: {item.failure}", "work on a copy: dict(sample)")


def formatting_trains_something(subject: Subject) -> Iterator[Breach]:
    """Every conversation has something to learn, and not the same for all samples."""
    learned: list[str] = []
    for item in subject.formatted:
        if UNTRAINED in item.failure:
            yield Breach(
                f"{_for(item)}: {item.failure}", "set trained=True on what the model learns to say"
            )
        if item.conversation:
            learned.append("".join(spoken(m) for m in item.conversation.messages if m.trained))
            if not learned[-1].strip():
                yield Breach(
                    f"{_for(item)}: what is trained says nothing", "train a message with a text"
                )
    if len(subject.samples) > 1 and len(learned) > 1 and len(set(learned)) == 1:
        yield Breach(
            "all samples train the same text", "let the trained message say what the sample says"
        )


def _for(item: Formatted) -> str:
    return f"{item.sample.place} for {item.target}"
