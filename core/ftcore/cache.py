"""Keeps what was rendered for later runs, found by a hash of all that it depends on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftcore.files import sha256, sync_file, sync_folder
from ftcore.mode import Mode
from ftcore.scratch import Scratch
from ftcore.spool import Samples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FOLDER = Path(".cache", "ftcore", "prepared")
"""Of a workspace."""

KEPT = 4
"""Results that are kept; the one that was used longest ago goes first."""

WORTH_KEEPING = 2**20
"""Bytes of samples from which on it takes longer to render them than to look here."""

_UNFINISHED = ".unfinished-"
_DAY = 86_400


def made_once(
    root: Path, key: str, make: Callable[[Path], None]
) -> tuple[Path, Scratch | None, bool]:
    """The folder of ``key``, filled by ``make`` unless it is there, and whether it was.

    A folder is there whole or not at all. Where ``root`` cannot be written to, it is a temporary
    one, which lives as long as the :class:`Scratch`.
    """
    folder = root / key
    if folder.is_dir():
        with suppress(OSError):  # another user's
            os.utime(folder)
        return folder, None, True
    try:
        root.mkdir(parents=True, exist_ok=True)
        unfinished = root / f"{_UNFINISHED}{secrets.token_hex(8)}"
        unfinished.mkdir()
    except OSError:
        scratch = Scratch()
        make(scratch.path)
        return scratch.path, scratch, False
    try:
        make(unfinished)
        for file in unfinished.iterdir():
            sync_file(file)
        _rename(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    sync_folder(root)
    _drop_oldest(root)
    return folder, None, False


def samples_key(samples: Samples, tokenizer: PreTrainedTokenizerBase, *options: object) -> str:
    """A hash of all that decides what samples are rendered to.

    The samples as they were read, the code of their modes, of extensions and of ftcore, the state
    of the tokenizer, the versions of Python and of all that is installed, and ``options``.
    """
    digest = hashlib.sha256()
    for part in (
        *(sha256(samples.path), samples.mode_names, repr(options), sys.version),
        sorted((d.name, d.version) for d in importlib.metadata.distributions()),
        *_code("ftcore"),
        *(part for name in samples.mode_names for part in _plugins(samples.modes[name])),
        *_tokenizer_state(tokenizer),
    ):
        digest.update(json.dumps(part).encode() + b"\n")
    digest.update(samples.table.tobytes())
    return digest.hexdigest()


def _plugins(mode: Mode) -> Iterator[object]:
    for info in (mode.info, *mode.extensions):
        yield (info.kind, info.name, info.module, info.distribution, info.version)
        yield from _code(info.module.partition(":")[0].partition(".")[0])


def _code(package: str) -> Iterator[object]:
    """The names and hashes of the files of a package or module."""
    spec = importlib.util.find_spec(package)
    folders = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    if not folders and spec and spec.origin:
        files = [Path(spec.origin)]
    for file in files:
        if file.suffix not in (".pyc", ".pyo"):
            yield (package, str(file), sha256(file))


def _tokenizer_state(tokenizer: Any) -> Iterator[object]:
    yield type(tokenizer).__qualname__
    yield tokenizer.backend_tokenizer.to_str()
    yield tokenizer.chat_template
    if "strftime_now" in str(tokenizer.chat_template):  # it writes the date into prompts
        yield time.strftime("%Y-%m-%d")
    yield {name: str(value) for name, value in tokenizer.special_tokens_map.items()}


def _rename(folder: Path, name: Path) -> None:
    try:
        folder.rename(name)
    except OSError:
        if not name.is_dir():  # otherwise another process was quicker
            raise


def _drop_oldest(root: Path) -> None:
    """Removes what is too many, and what a process left that was killed."""
    found = [(entry.stat().st_mtime, entry) for entry in root.iterdir() if entry.is_dir()]
    whole = sorted(found, reverse=True)
    whole = [entry for _, entry in whole if not entry.name.startswith(_UNFINISHED)]
    left = [e for t, e in found if e.name.startswith(_UNFINISHED) and t < time.time() - _DAY]
    for entry in (*whole[KEPT:], *left):
        shutil.rmtree(entry, ignore_errors=True)
