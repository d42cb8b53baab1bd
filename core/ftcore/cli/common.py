"""What the commands share: the context, common options, and how errors reach a person."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
from attrs import field, frozen

from ftcore.errors import FtcoreError, ProblemsError

F = TypeVar("F", bound=Callable[..., Any])

SHOWN_PROBLEMS = 50
"""Problems that are printed one by one; the rest are counted."""


@frozen
class Context:
    """What holds for every command."""

    workspace: Path = field(factory=Path)
    """The folder that ``etc/``, ``profiles/`` and ``runs/`` are looked for in."""
    disabled: frozenset[str] = frozenset()
    """Plugins turned off with ``--no-plugin``."""
    debug: bool = False


def _add_disabled(ctx: click.Context, _: click.Parameter, names: tuple[str, ...]) -> None:
    shared = ctx.ensure_object(Context)
    ctx.obj = attrs.evolve(shared, disabled=shared.disabled | set(names))


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj = attrs.evolve(ctx.ensure_object(Context), debug=True)
        ctx.find_root().meta["ftcore.debug"] = True


def shared_options(command: F) -> F:
    """Options that stand before or after the command's name alike."""
    command = click.option(
        "--no-plugin",
        multiple=True,
        metavar="NAME",
        expose_value=False,
        callback=_add_disabled,
        help="Do without this mode or extension.",
    )(command)
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_set_debug,
        help="Show where an error happened.",
    )(command)


def path_option(*names: str, **options: Any) -> Callable[[F], F]:
    """An option that takes a path; whether it exists is checked where it is used."""
    return click.option(*names, type=click.Path(path_type=Path), **options)


def setting_options(command: F) -> F:
    """The options from which the settings are resolved."""
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change one setting; may be repeated. `ftcore config show` lists them.",
    )(command)
    return path_option(
        "--config", "config_file", metavar="FILE", help="Settings from a JSON file."
    )(command)


def paint(text: str, **style: Any) -> str:
    """The text in colour, unless ``NO_COLOR`` is set; a pipe gets it plain anyway."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


def report_error(error: BaseException, *, debug: bool) -> int:
    """Prints an error for a person on stderr and gives the exit code."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, ProblemsError):
        for problem in error.problems[:SHOWN_PROBLEMS]:
            click.echo(str(problem), err=True)
        if len(error.problems) > SHOWN_PROBLEMS:
            click.echo(f"… and {len(error.problems) - SHOWN_PROBLEMS} more", err=True)
    if isinstance(error, FtcoreError):
        click.echo(f"{paint('error:', fg='red', bold=True)} {error}", err=True)
        return error.exit_code
    if isinstance(error, OSError):
        click.echo(f"{paint('error:', fg='red', bold=True)} {_machine(error)}", err=True)
        return 1
    if isinstance(error, MemoryError):
        click.echo("error: the machine's memory does not suffice", err=True)
        return 1
    cause = f"{type(error).__name__}: {error}"
    click.echo(
        f"{paint('error:', fg='red', bold=True)} ftcore failed: {cause}\n"
        "  hint: this is a fault of ftcore; --debug shows where, please report it",
        err=True,
    )
    return 1


def _machine(error: OSError) -> str:
    where = f" while writing {error.filename}" if error.filename else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"the disk is full{where}\n  hint: free some space or choose another --output"
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return f"no permission{where}: {error.strerror}\n  hint: choose another --output"
        case _:
            return f"{error.strerror or error}{where}"


def print_json(value: object) -> None:
    """Writes JSON to stdout, for scripts."""
    import json

    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=list)
    sys.stdout.write("\n")
