"""The commands ``ftcore config show``, ``config explain`` and ``config schema``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftcore.cli.common import Context, print_json, setting_options, shared_options

if TYPE_CHECKING:
    from ftcore.config import Origin, ResolvedConfig, Value

KEY_COLUMN, VALUE_COLUMN = 27, 13
"""Widths on a terminal: what is left of 80 columns holds an origin."""


@click.group()
def config() -> None:
    """Show and explain the settings, each with its origin."""


def _layer_options(command: Any) -> Any:
    command = click.option("--json", "as_json", is_flag=True, help="JSON for scripts.")(command)
    command = setting_options(shared_options(command))
    command = click.option("--demo", is_flag=True, help="With the demo's small settings.")(command)
    return click.option("--mode", metavar="NAME", help="The mode; without it, mixed training.")(
        command
    )


@config.command()
@_layer_options
@click.pass_obj
def show(
    context: Context,
    mode: str | None,
    demo: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print every setting, its value and where the value came from."""
    resolved = _resolve(context, mode, demo, config_file, overrides)
    if as_json:
        _print_json(list(resolved.values.values()))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in table_lines(list(resolved.values.values()), width):
            click.echo(line)


@config.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@_layer_options
@click.pass_obj
def explain(
    context: Context,
    keys: tuple[str, ...],
    mode: str | None,
    demo: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what a setting reaches, where its value came from, and which values it won over."""
    resolved = _resolve(context, mode, demo, config_file, overrides)
    chosen = [value for key in keys for value in _values_of(resolved, key)]
    if as_json:
        _print_json(chosen)
        return
    for number, value in enumerate(chosen):
        if number:
            click.echo()
        _print_explanation(value)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for an editor's "$schema"."""
    from ftcore.settings import schema_text

    click.echo(schema_text(), nl=False)


def _resolve(
    context: Context,
    mode: str | None,
    demo: bool,
    config_file: Path | None,
    overrides: Sequence[str],
) -> ResolvedConfig:
    from ftcore.config import mode_named_by, resolve
    from ftcore.plugins import open_mode

    if mode is None and config_file is not None:
        mode = mode_named_by(config_file)
    defaults = open_mode(mode, context.disabled).config_defaults() if mode else ()
    return resolve(
        mode=mode,
        mode_defaults=defaults,
        workspace=context.workspace,
        demo=demo,
        config_file=config_file,
        overrides=overrides,
    )


def _values_of(resolved: ResolvedConfig, key: str) -> list[Value]:
    """The value of a key, or those of all keys of an object.

    :raises InputError: there is no such setting.
    """
    from ftcore.errors import InputError
    from ftcore.settings import no_such_key

    inside = [value for name, value in resolved.values.items() if name.startswith(f"{key}.")]
    if key in resolved.values:
        return [resolved.values[key]]
    if not inside:
        problem = no_such_key(key)
        raise InputError(f"there is no setting {key!r}", problem.hint)
    return inside


def _print_json(values: Sequence[Value]) -> None:
    from ftcore.config import resolved_json

    print_json(resolved_json(values))


def table_lines(values: Sequence[Value], width: int | None) -> Iterator[str]:
    """Lines of an aligned table: one row a setting.

    :param width: columns of the terminal: keys of one object stand below its name, and an origin
        that does not fit is shortened or goes on a line of its own. ``None``: whole keys and
        origins, one line each.
    """
    key_width = KEY_COLUMN if width is not None else max(len(value.key) for value in values)
    yield f"{'setting':<{key_width}} {'value':<{VALUE_COLUMN}} from"
    group = ""
    for value in values:
        key = value.key
        if width is not None:
            parent, _, rest = key.partition(".")
            if rest and parent != group:
                group = parent
                yield parent
            key = f"  {rest}" if rest else key
        start = f"{key:<{key_width}} {shown(value.value):<{VALUE_COLUMN}} "
        origin = value.origin.text
        if width is not None and len(start) + len(origin) > width:
            origin = "default" if origin.startswith("default ") else origin
        if width is not None and len(start) + len(origin) > width:
            yield start.rstrip()
            start = " " * min(key_width + VALUE_COLUMN + 2, max(width - len(origin), 4))
        yield start + origin


def shown(value: object) -> str:
    """A value as a person types it after ``--set KEY=``."""
    from ftcore.config import as_json

    plain = isinstance(value, str) and value and not any(c.isspace() for c in value)
    return str(value) if plain else as_json(value)


def _print_explanation(value: Value) -> None:
    from ftcore.config import as_json
    from ftcore.settings import open_key, setting_schemas

    part = setting_schemas()[open_key(value.key) or value.key]
    click.echo(f"{value.key} = {shown(value.value)}")
    click.echo(f"  {part['description']}")
    if "enum" in part:
        click.echo(f"  One of {', '.join(as_json(choice) for choice in part['enum'])}.")
    click.echo(f"  from {value.origin}{_in_full(value.origin)}")
    for lost in value.won_over:
        click.echo(f"  over {shown(lost.value)} from {lost.origin}{_in_full(lost.origin)}")


def _in_full(origin: Origin) -> str:
    """The path of a file that the origin's text only hints at."""
    short = origin.text.rpartition(":")[0]
    return "" if not origin.file or Path(short).exists() else f"\n       {origin.file}"
