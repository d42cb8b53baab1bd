"""Keeps the problems of data in bounded memory: the first ones whole, all of them counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from ftcore.values import Problem

KEPT = 1000
"""Problems that are kept whole, and different messages (or keys) that are counted apart."""

OTHERS = "…"
"""What is counted under this name had no place among the first :data:`KEPT`."""


@frozen
class Faults:
    """Problems of one severity."""

    total: int = 0
    first: tuple[Problem, ...] = field(default=(), repr=False)
    """At most :data:`KEPT`."""
    by_message: Mapping[str, int] = field(factory=dict[str, int], repr=False)


class Tally:
    """Counts texts, those beyond the first :data:`KEPT` different ones together."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, texts: Iterable[str], count: int = 1) -> None:
        """Counts each text."""
        for text in texts:
            known = text in self.counts or len(self.counts) < KEPT
            name = text if known else OTHERS
            self.counts[name] = self.counts.get(name, 0) + count

    def sorted(self) -> dict[str, int]:
        """The counts, the highest first."""
        return dict(sorted(self.counts.items(), key=lambda item: -item[1]))


class FaultCollector:
    """Takes problems one by one."""

    def __init__(self) -> None:
        self._total = 0
        self._first: list[Problem] = []
        self._messages = Tally()

    def add(self, problems: Iterable[Problem]) -> None:
        """Takes problems."""
        for problem in problems:
            self._total += 1
            self._messages.add([problem.message])
            if len(self._first) < KEPT:
                self._first.append(problem)

    def merge(self, faults: Faults) -> None:
        """Takes what another collector found."""
        self._total += faults.total
        self._first += faults.first[: KEPT - len(self._first)]
        for message, count in faults.by_message.items():
            self._messages.add([message], count)

    def faults(self) -> Faults:
        """All that were taken."""
        return Faults(self._total, tuple(self._first), self._messages.sorted())
