"""Files that appear whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

CHUNK = 2**20


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """A temporary path beside ``path`` to write to; it takes its place when the block ends well.

    On any error the temporary file is removed and ``path`` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, whole or not at all.

    Bytes of a file's name that are not UTF-8 (surrogates in Python) are written as JSON escapes.
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def sync_file(path: Path) -> None:
    """Makes the content of a file survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` survive a power cut, where the system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    return _sha256(path, Event())


@contextmanager
def hashing(path: Path) -> Generator[Callable[[], str]]:
    """Works out the SHA-256 of a file in a thread beside the block; what it gives waits for it.

    A thread does not hinder others much: hashlib lets them run meanwhile. If the block ends
    without having waited, the work ends too.
    """
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(_sha256, path, stop)
        try:
            yield found.result
        finally:
            stop.set()


def _sha256(path: Path, stop: Event) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while not stop.is_set() and (chunk := file.read(CHUNK)):
            digest.update(chunk)
    return digest.hexdigest()
