"""``ftcore new-mode``: begins the distribution of somebody's own mode."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ftcore.cli.common import path_option, shared_options


@click.command("new-mode")
@click.argument("name")
@path_option("--output", metavar="DIR", help="The folder to write; new. Default: ./ftcore-NAME")
@shared_options
def new_mode(name: str, output: Path | None) -> None:
    """Write a package with a mode of your own that works at once.

    NAME is the mode's name, as --mode will take it: lower-case letters, digits and hyphens.
    """
    from ftcore.scaffold import names_of, write_distribution

    names = names_of(name)
    folder = output if output is not None else Path(names.distribution)
    for file in write_distribution(names, folder):
        click.echo(f"wrote {folder / file}")
    # pip takes a name without a slash for one of the package index
    path = str(folder) if folder.is_absolute() else f"./{folder}"
    place = shlex.quote(path)
    click.echo(
        f"\nNext, as they stand:\n"
        f"  pip install -e {shlex.quote(f'{path}[test]')}\n"
        f"  ftcore check-mode {name}\n"
        f"  pytest {place}\n"
        f"  ftcore train --mode {name} --demo\n"
        f"Then change the files in {folder / names.module}; {folder / 'README.md'} says which."
    )
