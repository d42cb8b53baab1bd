"""The shape of a law and of its breaches, and how one is held against a mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Literal

from attrs import field, frozen

from ftcore.testing.subject import Subject, UncheckedError

MAX_BREACHES = 5
"""Breaches of one law that are looked for; mending the first often mends the rest."""


@frozen
class Breach:
    """What breaks a law, and how to mend it."""

    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}\n  mend: {self.mend}"


@frozen
class Law:
    """Something that every mode promises."""

    name: str
    """As a test is named: ``schema_is_closed``."""
    says: str
    check: Callable[[Subject], Iterable[Breach]] = field(repr=False)
    nothing_to_check: Callable[[Subject], str] = lambda subject: ""
    """Why the law says nothing of this mode; empty where it does say something."""


@frozen
class Verdict:
    """What came of holding a law against a mode."""

    law: Law
    state: Literal["ok", "failed", "unchecked"]
    breaches: tuple[Breach, ...] = ()
    note: str = ""


def judge(law: Law, subject: Subject) -> Verdict:
    """Holds a law against a mode."""
    try:
        note = law.nothing_to_check(subject)
        breaches = () if note else tuple(islice(law.check(subject), MAX_BREACHES))
    except UncheckedError as error:
        return Verdict(law, "unchecked", note=str(error))
    return Verdict(law, "failed" if breaches else "ok", breaches, note)
