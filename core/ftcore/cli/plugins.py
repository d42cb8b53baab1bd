"""``ftcore modes`` and ``ftcore plugins``: what is installed, whence, and what fails to load."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ftcore.cli.common import Context, paint, print_json, shared_options

if TYPE_CHECKING:
    from ftcore.plugins import PluginInfo


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@shared_options
@click.pass_obj
def modes(context: Context, as_json: bool) -> None:
    """List the installed modes."""
    rows = [row for row in _states(context) if row["kind"] == "mode"]
    _print(rows, as_json, _none("mode", context))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@shared_options
@click.pass_obj
def plugins(context: Context, as_json: bool) -> None:
    """List all plugins, the hooks that they implement, and why one fails to load."""
    _print(_states(context), as_json, _none("plugin", context))


def _none(kind: str, context: Context) -> str:
    """Why a list is empty: a plugin that is turned off is installed all the same."""
    from ftcore.plugins import ALLOW_LIST

    if os.environ.get(ALLOW_LIST) is not None:
        allowed = os.environ[ALLOW_LIST]
        return f"no {kind} is allowed: {ALLOW_LIST}={allowed!r} limits what is loaded"
    if context.disabled:
        return f"no {kind} is left: --no-plugin turned them off"
    return f"no {kind} is installed"


def _states(context: Context) -> list[dict[str, Any]]:
    from ftcore.plugins import installed_plugins

    return [_state(info) for info in installed_plugins(context.disabled)]


def _state(info: PluginInfo) -> dict[str, Any]:
    from ftcore.errors import PluginError
    from ftcore.plugins import implemented_hooks, load_plugin

    error = None
    hooks: list[str] = []
    try:
        hooks = list(implemented_hooks(load_plugin(info)))
    except PluginError as failure:
        error = str(failure)
    return {
        "name": info.name,
        "kind": info.kind,
        "distribution": info.distribution,
        "version": info.version,
        "module": info.module,
        "hooks": hooks,
        "error": error,
    }


def _print(rows: list[dict[str, Any]], as_json: bool, none: str) -> None:
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(none)
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        where = f"{row['distribution']} {row['version']}, module {row['module']}"
        click.echo(f"{row['name']:<{width}}  {row['kind']}  {where}")
        if row["error"]:
            click.echo(f"  {paint('fails to load:', fg='red')} {row['error']}")
        else:
            click.echo(f"  hooks: {', '.join(row['hooks'])}")
