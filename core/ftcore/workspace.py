"""Where things lie: the workspace's configuration, a person's profile, and the folders of runs."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from attrs import frozen

from ftcore.errors import FtcoreError, InputError

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@frozen
class Profile:
    """Where a person's data and runs lie; without a username the workspace itself."""

    data: Path | None
    runs: Path


def profile(workspace: Path, username: str | None) -> Profile:
    """The profile folder ``profiles/<username>`` of the workspace.

    :raises InputError: the name could lead out of the folder.
    """
    if username is None:
        return Profile(None, workspace / "runs")
    if not _USERNAME.fullmatch(username):
        raise InputError(
            f"{username!r} cannot be a username",
            "use letters, digits, '.', '_' and '-', beginning with a letter or digit",
        )
    home = workspace / "profiles" / username
    return Profile(home / "data", home / "runs")


def profile_files(data: Path) -> tuple[Path, ...]:
    """The JSONL files of a profile, in the order of their names.

    :raises InputError: there is no such folder, or no JSONL file in it.
    """
    files = tuple(sorted(data.glob("*.jsonl")))
    if not files:
        raise InputError(
            f"the profile holds no data: there is no {data}/*.jsonl",
            f"put JSONL files into {data}/ or name them with --data",
        )
    return files


def check_output(folder: Path, *, new: bool) -> None:
    """Refuses a place for a run before anything is read that could take long.

    :param folder: the run's own folder if ``new``, otherwise the one that runs lie in.
    :raises InputError: ``folder`` is to be new and is there, or a file stands in its way.
    :raises FtcoreError: nothing can be written there.
    """
    try:
        if new and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(
                f"the output {folder} exists already", "name a new folder with --output"
            )
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not there.is_dir():
            raise InputError(
                f"the output {folder} cannot be made: {there} is a file",
                "name another folder with --output",
            )
        writable = os.access(there, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:  # ValueError: the name holds a NUL
        raise _cannot_write(folder, getattr(error, "strerror", error)) from error
    if not writable:
        raise _cannot_write(folder, f"no permission to write in {there}")


def _cannot_write(folder: Path, why: object) -> FtcoreError:
    return FtcoreError(
        f"the run's folder {folder} cannot be written: {why}",
        "choose another place with --output DIR",
    )


def new_run_folder(runs: Path, modes: Sequence[str], output: Path | None) -> Path:
    """Makes the folder of a new run: ``output``, or ``runs/<date>-<mode>-<short id>``.

    :raises InputError: ``output`` exists and is not an empty folder.
    :raises FtcoreError: the folder cannot be made or written to.
    """
    if output is None:
        mode = modes[0] if len(modes) == 1 else "mixed"
        name = f"{datetime.now():%Y-%m-%d}-{mode}-{secrets.token_hex(3)}"
        folder = runs / name
    else:
        folder = output
    check_output(folder, new=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:  # ValueError: the name holds a NUL
        raise _cannot_write(folder, getattr(error, "strerror", error)) from error
    return folder
