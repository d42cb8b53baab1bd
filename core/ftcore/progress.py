"""What a run tells whoever watches it; the terminal's view is in :mod:`ftcore.cli.terminal`."""

from __future__ import annotations

from typing import Protocol

from ftcore.values import Problem


class Progress(Protocol):
    """Receives what happens in a run, in order. Must not raise."""

    def stage(self, title: str) -> None:
        """A new stage begins; the one before has ended."""
        ...

    def advance(self, done: float, total: float, detail: str = "") -> None:
        """``done`` of ``total`` units of the current stage are finished."""
        ...

    def note(self, message: str) -> None:
        """Something that the person should know."""
        ...

    def warn(self, problem: Problem) -> None:
        """Something that is not wrong enough to stop."""
        ...


class Remembering:
    """Hands everything on and keeps the warnings, for the record of the run."""

    def __init__(self, watcher: Progress) -> None:
        self.stage = watcher.stage
        self.advance = watcher.advance
        self.note = watcher.note
        self._watcher = watcher
        self.warnings: list[Problem] = []

    def warn(self, problem: Problem) -> None:
        """Hands it on and keeps it."""
        self.warnings.append(problem)
        self._watcher.warn(problem)


class Silent:
    """Tells nobody."""

    def stage(self, title: str) -> None:
        """Says nothing."""

    def advance(self, done: float, total: float, detail: str = "") -> None:
        """Says nothing."""

    def note(self, message: str) -> None:
        """Says nothing."""

    def warn(self, problem: Problem) -> None:
        """Says nothing."""
