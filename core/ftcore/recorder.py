"""Keeps a run's record true while the run goes on, and says in it how the run ended."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from ftcore.errors import FtcoreError, Terminated
from ftcore.files import sha256
from ftcore.record import Artifact, ArtifactKind, RunRecord, State, write_record

FULL_WORDS = ("No space left", "StorageFull", "os error 28", "Disk quota", "os error 122")
"""How libraries that write by themselves word it."""

FULL_BYTES = 2**20
"""Free bytes below which a disk counts as full."""


class Recorder:
    """The record of a run in progress; every change is on the disk when the call returns."""

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.folder = folder
        self.record = record
        write_record(folder, record)

    def keep(self, **changes: Any) -> None:
        """Changes fields of the record."""
        self.record = attrs.evolve(self.record, **changes)
        write_record(self.folder, self.record)

    def add(self, kind: ArtifactKind, *paths: Path, digest: str | None = None) -> None:
        """Enters files of the run with their hashes.

        :param digest: the SHA-256 of the one file, where it is known already.
        """
        made = tuple(
            Artifact(
                kind,
                str(path.relative_to(self.folder)),
                path.stat().st_size,
                digest or sha256(path),
            )
            for path in paths
        )
        self.keep(artifacts=(*self.record.artifacts, *made))

    def end(self, state: State, error: str | None = None) -> None:
        """Enters how the run ended."""
        self.keep(state=state, error=error, finished=now())


def now() -> str:
    """The local time in ISO 8601, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


@contextmanager
def recorded(folder: Path, record: RunRecord) -> Generator[Recorder]:
    """A recorder that enters a failure or an interruption if the block is left by one.

    :raises FtcoreError: the disk is full, in whatever words a library said so.
    """
    recorder = Recorder(folder, record)
    try:
        yield recorder
    except (KeyboardInterrupt, Terminated) as stop:
        by = "the user" if isinstance(stop, KeyboardInterrupt) else "SIGTERM"
        _end_if_possible(recorder, "interrupted", f"stopped by {by}")
        raise
    except BaseException as error:
        if not isinstance(error, FtcoreError) and _is_full(folder, error):
            full = FtcoreError(
                f"the disk is full while writing to {folder}",
                "free some space or choose another place with --output",
            )
            _end_if_possible(recorder, "failed", full.message)
            raise full from error
        message = error.message if isinstance(error, FtcoreError) else repr(error)
        _end_if_possible(recorder, "failed", message)
        raise


def _is_full(folder: Path, error: BaseException) -> bool:
    """Whether a full disk or a quota is behind an error; its words or the disk itself say so."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(word in str(cause) for word in FULL_WORDS):
            return True
        cause = cause.__cause__ or cause.__context__
    try:
        return shutil.disk_usage(folder).free < FULL_BYTES
    except OSError:  # the folder has gone, with its disk perhaps
        return False


def _end_if_possible(recorder: Recorder, state: State, error: str) -> None:
    try:
        recorder.end(state, error)
    except OSError:  # the disk that failed the run may fail its record too
        return
