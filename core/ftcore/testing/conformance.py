"""Makes a test of each law, for pytest; needs no import of pytest."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any, ClassVar

from ftcore.testing.law import Law, judge
from ftcore.testing.laws import LAWS
from ftcore.testing.subject import Subject


class ModeConformance:
    """The laws that every mode keeps, one test each.

    A subclass says which mode; pytest collects it where its name begins with ``Test``::

        class TestJournal(ModeConformance):
            mode = "journal"

    The mode is opened by itself, without the extensions that are installed beside it.
    """

    mode: ClassVar[str] = ""
    """The name of the mode's entry point."""

    _subject: ClassVar[Subject | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not cls.mode:
            raise TypeError(f'{cls.__name__} does not say which mode: write mode = "NAME" in it')
        cls._subject = None

    @classmethod
    def subject(cls) -> Subject:
        """The mode under examination, opened once for all tests of the class."""
        if cls._subject is None:
            cls._subject = Subject(cls.mode)
        return cls._subject


def _test_of(law: Law) -> Callable[[ModeConformance], None]:
    def test(self: ModeConformance) -> None:
        __tracebackhide__ = True  # pytest shows the breach, not this function
        verdict = judge(law, self.subject())
        if verdict.state == "unchecked":
            raise unittest.SkipTest(f"not checked: {verdict.note}")
        if verdict.breaches:
            raise AssertionError("\n".join((law.says, *map(str, verdict.breaches))))

    test.__doc__ = law.says
    return test


for _law in LAWS:
    setattr(ModeConformance, f"test_{_law.name}", _test_of(_law))
