"""Where things lie: the workspace's configuration, a person's profile, and the folders of runs."""

from __future__ import annotations

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
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(
                f"the output {folder} exists already", "name a new folder with --output"
            )
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:  # ValueError: the name holds a NUL
        raise FtcoreError(
            f"the run's folder {folder} cannot be written: {getattr(error, 'strerror', error)}",
            "choose another place with --output DIR",
        ) from error
    return folder
