"""Writes the distribution of a new mode, which works at once and is then changed by its author."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import unicodedata
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from string import Template

from attrs import frozen

from ftcore.config import MIXED
from ftcore.errors import FtcoreError, InputError
from ftcore.hookspecs import API_VERSION
from ftcore.plugins import MODES

TEMPLATES = "scaffold_templates"
"""Folder of the files to be written, each with ``.in`` after its name. ``MODULE`` and ``MODE`` in
a path and ``${…}`` in a text are filled in."""
MAX_LENGTH = 40
"""Characters of a mode's name."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@frozen
class ModeNames:
    """What a mode, its distribution and its module are called."""

    mode: str
    distribution: str
    module: str
    title: str
    """The mode's name as a part of a class's name."""


def names_of(name: str) -> ModeNames:
    """The names that go with a new mode's name.

    :raises InputError: the name cannot be one, or is taken by a mode or module that is installed.
    """
    if not name:
        raise InputError("the new mode has no name", "such as: ftcore new-mode journal")
    if not _NAME.fullmatch(name) or len(name) > MAX_LENGTH:
        raise InputError(
            f"{name!r} cannot be the name of a mode",
            f"{_suggestion(name)}use lower-case letters, digits and single hyphens, beginning with "
            f"a letter, {MAX_LENGTH} characters at most",
        )
    if name == MIXED or keyword.iskeyword(name):
        owner = "means training in several modes" if name == MIXED else "is a keyword of Python"
        raise InputError(
            f"{name!r} cannot be the name of a mode: it {owner}", f"such as: {name}-mode"
        )
    distribution = f"ftcore-{name}"
    module = distribution.replace("-", "_")
    # all that are installed, whichever of them are allowed to be loaded here
    for entry in metadata.entry_points(group=MODES):
        if entry.name == name:
            owner = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
            raise InputError(f"there is a mode {name!r} already, of {owner}", "choose another name")
    if find_spec(module) is not None:
        raise InputError(
            f"there is a module {module} already, so no mode can be named {name!r}",
            "choose another name",
        )
    title = "".join(part.capitalize() for part in name.split("-"))
    return ModeNames(name, distribution, module, title)


def _suggestion(name: str) -> str:
    """The nearest name that is allowed, for a hint; nothing where there is none."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    close = re.sub(r"[^a-z0-9]+", "-", plain).strip("-0123456789")
    fits = _NAME.fullmatch(close) and len(close) <= MAX_LENGTH
    return f"did you mean {close!r}? " if fits and not keyword.iskeyword(close) else ""


def write_distribution(names: ModeNames, folder: Path) -> tuple[Path, ...]:
    """Writes the new distribution into ``folder``, all of it or nothing.

    :returns: the paths of its files, relative to ``folder``, in order.
    :raises InputError: there is something at ``folder`` already.
    :raises FtcoreError: it cannot be written.
    """
    files = new_files(names)
    if os.path.lexists(folder):
        raise InputError(f"{folder} exists already", "name a new folder with --output DIR")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        for path, text in files.items():
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            (temporary / path).write_text(text, encoding="utf-8", newline="\n")
        temporary.rename(folder)
    except (OSError, ValueError) as error:  # ValueError: the name holds a NUL
        raise FtcoreError(
            f"the folder {folder} cannot be written: {getattr(error, 'strerror', error)}",
            "choose another place with --output DIR",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return tuple(files)


def new_files(names: ModeNames) -> dict[Path, str]:
    """The text of every file of a new distribution by its path in it, in the order of the paths."""
    values = {
        "mode": names.mode,
        "distribution": names.distribution,
        "module": names.module,
        "title": names.title,
        "version": metadata.version("ftcore"),
        "api": str(API_VERSION),
    }
    root = Path(str(resources.files("ftcore"))) / TEMPLATES
    files: dict[Path, str] = {}
    for template in sorted(root.rglob("*.in")):
        path = template.relative_to(root).with_suffix("").as_posix()
        path = path.replace("MODULE", names.module)
        path = path.replace("MODE", names.module.removeprefix("ftcore_"))
        text = template.read_text(encoding="utf-8")
        files[Path(path)] = Template(text).substitute(values)
    return files
