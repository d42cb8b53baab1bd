"""Uses a mode in a process of its own: what that imports, and whether its conversations differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from attrs import asdict, frozen

from ftcore.errors import FtcoreError

HEAVY = ("torch", "transformers", "datasets", "trl", "peft", "tensorflow", "jax")
"""Packages that take seconds to import, and that checking data must do without."""

_SCRIPT = "from ftcore.testing.fresh import main; main()"


@frozen
class Finding:
    """What was seen in the fresh process."""

    after_import: Sequence[str]
    """Heavy packages that are there once the mode's module is imported."""
    after_hooks: Sequence[str]
    """The same once its hooks were called."""
    digests: Sequence[str]
    """Of :attr:`ftcore.testing.subject.Subject.formatted`, in its order."""


class FreshProcessError(Exception):
    """The fresh process failed; the message is the end of what it wrote to stderr."""


def in_fresh_process(name: str) -> Finding:
    """Uses the mode in another process, where sets of texts have another order.

    :raises FreshProcessError: it fails there.
    """
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    path = os.pathsep.join(step or os.getcwd() for step in sys.path)  # noqa: PTH109
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
    )
    if done.returncode:
        raise FreshProcessError(done.stderr.strip()[-500:])
    return Finding(**json.loads(done.stdout.splitlines()[-1]))


def _heavy() -> list[str]:
    return [name for name in HEAVY if name in sys.modules]


def _examine(name: str) -> Finding:
    from ftcore.testing.predictions import perfect
    from ftcore.testing.subject import Subject, UncheckedError

    before = set(_heavy())
    subject = Subject(name)
    subject.load()
    after_import = [heavy for heavy in _heavy() if heavy not in before]
    digests: list[str] = []
    with suppress(UncheckedError, FtcoreError):  # other laws tell that
        digests += [item.digest for item in subject.formatted]
        subject.mode.metrics(
            [
                prediction
                for item in subject.formatted
                if item.conversation
                for prediction in perfect(item.sample, item.conversation)
            ]
        )
    return Finding(after_import, [heavy for heavy in _heavy() if heavy not in before], digests)


def main() -> None:
    """Prints what is found of the mode that the command line names."""
    print(json.dumps(asdict(_examine(sys.argv[1]))))
