"""Errors that a person reads: one message each, with an exit code and a way to mend the cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftcore.values import Problem


class FtcoreError(Exception):
    """Something went wrong that is ours or the machine's to mend.

    ``message`` says what is wrong and where, ``hint`` how to mend it. The command line prints
    both without a traceback and exits with ``exit_code``.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class Terminated(BaseException):
    """A scheduler or a service manager asks the process to end (SIGTERM)."""


class InputError(FtcoreError):
    """Something the user gave (a file, a setting, a name) is wrong."""

    exit_code = 2


class PluginError(InputError):
    """A plugin cannot be used: it is not installed, fails to import or breaks the contract."""


class ProblemsError(InputError):
    """Samples or settings have problems; each has its own file, line and JSON pointer."""

    def __init__(self, message: str, problems: Sequence[Problem], hint: str = "") -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)
