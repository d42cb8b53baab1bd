"""How a run looks in a terminal: one live line per stage, or plain lines when nobody watches."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from ftcore.values import Problem

PLAIN_SECONDS = 10.0
"""How often a stage tells of its progress when stderr is no terminal."""


def stdout() -> Console:
    """The console for results. Wide when piped, so that nothing is cut."""
    return _console(stderr=False)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else 120
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=not stream.isatty())


class TerminalProgress:
    """Implements :class:`ftcore.progress.Progress` on stderr; use as a context manager."""

    def __init__(self) -> None:
        self.console = _console(stderr=True)
        self._live = self.console.is_terminal
        whole = Column(no_wrap=True)
        self._bar = Progress(
            TextColumn("[bold]{task.description}", table_column=whole),
            TextColumn("{task.percentage:>3.0f}%", table_column=Column(no_wrap=True, min_width=4)),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("left", table_column=Column(no_wrap=True, min_width=4)),
            TextColumn(
                "{task.fields[detail]}",
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            console=self.console,
            disable=not self._live,
            expand=True,
        )
        self._task = None
        self._title = ""
        self._started = self._said = time.monotonic()

    def __enter__(self) -> TerminalProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        self._bar.stop()

    def stage(self, title: str) -> None:
        """Ends the stage before and begins the next."""
        self._finish()
        self._title = title
        self._started = self._said = time.monotonic()
        if self._live:
            self._task = self._bar.add_task(title, total=None, detail="")
        else:
            self.console.print(f"{title} …", markup=False)

    def advance(self, done: float, total: float, detail: str = "") -> None:
        """Moves the bar, or says a line every ten seconds."""
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, detail=detail)
            return
        now = time.monotonic()
        if done and (now - self._said >= PLAIN_SECONDS):
            self._said = now
            left = (now - self._started) / done * (total - done)
            share = f"{done / max(total, 1):4.0%}"
            self.console.print(f"  {share}  {left:.0f} s left  {detail}", markup=False)

    def note(self, message: str) -> None:
        """Says something above the bar."""
        self.console.print(f"note: {message}", markup=False)

    def warn(self, problem: Problem) -> None:
        """Says a warning above the bar."""
        self.console.print("[yellow]warning:[/yellow]", end=" ")
        self.console.print(str(problem), markup=False)

    def _finish(self) -> None:
        seconds = time.monotonic() - self._started
        if self._title and not self._live and seconds >= 1:
            self.console.print(f"  done in {seconds:.0f} s", markup=False)
        if self._task is not None:
            task = self._bar.tasks[self._task]
            total = task.total if task.total is not None else 1
            self._bar.update(self._task, completed=total, total=total)
            self._task = None
