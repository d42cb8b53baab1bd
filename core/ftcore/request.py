"""What a person asks of a run, made into modes, settings and the data to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from ftcore.config import ResolvedConfig, mode_named_by, resolve
from ftcore.errors import InputError
from ftcore.mode import Mode
from ftcore.plugins import installed_plugins, open_mode
from ftcore.shapes import Importing
from ftcore.sources import Source, find_sources
from ftcore.workspace import profile, profile_files


@frozen
class Request:
    """What a person asks of a run; everything else is a setting."""

    workspace: Path
    mode: str | None = None
    data: tuple[Path, ...] = ()
    importing: Importing = field(factory=Importing)
    demo: bool = False
    username: str | None = None
    allow_small: bool = False
    config_file: Path | None = None
    overrides: tuple[str, ...] = ()
    flags: Mapping[str, tuple[str, Any]] = field(factory=dict[str, tuple[str, Any]])
    output: Path | None = None
    disabled: frozenset[str] = frozenset()


def chosen_mode(request: Request) -> str | None:
    """The one mode that ``--mode`` or the configuration file names; None for mixed training."""
    if request.mode is None and request.config_file is not None:
        return mode_named_by(request.config_file)
    return request.mode


def open_modes(request: Request) -> dict[str, Mode]:
    """The chosen mode, or all installed ones for mixed training.

    :raises PluginError: one of them cannot be used.
    """
    name = chosen_mode(request)
    if name is not None:
        return {name: open_mode(name, request.disabled)}
    names = [info.name for info in installed_plugins(request.disabled) if info.kind == "mode"]
    if not names:
        raise InputError("no mode is installed or allowed", "see `ftcore plugins`")
    return {name: open_mode(name, request.disabled) for name in names}


def resolve_settings(request: Request, modes: Mapping[str, Mode]) -> ResolvedConfig:
    """The settings of a run, each with its origin.

    :raises ProblemsError: with all problems of all files and flags.
    """
    name = chosen_mode(request)
    return resolve(
        mode=name,
        mode_defaults=modes[name].config_defaults() if name else (),
        workspace=request.workspace,
        demo=request.demo,
        config_file=request.config_file,
        overrides=request.overrides,
        flags=request.flags,
    )


def filtered_modes(modes: dict[str, Mode], only: str | None) -> dict[str, Mode]:
    """The modes that ``dataset_requirements.mode_filter`` leaves.

    :raises InputError: it names none of them.
    """
    if only is None:
        return modes
    if only not in modes:
        raise InputError(
            f"dataset_requirements.mode_filter is {only!r}, which is no mode of this run",
            f"modes of this run: {', '.join(modes)}",
        )
    return {only: modes[only]}


def find_data(request: Request, modes: Mapping[str, Mode]) -> tuple[Source, ...]:
    """What to read: the modes' own examples, ``--data``, or the files of the profile.

    :raises InputError: there is nothing, or it cannot be read.
    """
    if request.demo:
        return tuple(
            attrs.evolve(source, mode=name)
            for name, mode in modes.items()
            for source in find_sources([mode.examples()])
        )
    if request.data:
        return find_sources(request.data)
    data = profile(request.workspace, request.username).data
    if data is None:
        raise InputError(
            "there is nothing to train on",
            "name your data with --data FILE or --username NAME, or try --demo",
        )
    return find_sources(profile_files(data))
