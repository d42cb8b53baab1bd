"""``ftcore preview``: shows what is trained, token by token, before anything is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftcore.cli.common import Context, path_option, print_json, setting_options, shared_options
from ftcore.cli.data_options import data_options

if TYPE_CHECKING:
    from ftcore.shapes import Importing


@click.command()
@click.option("--mode", metavar="NAME", help="The cognitive mode; `ftcore modes` lists them.")
@data_options
@click.option("--demo", is_flag=True, help="The mode's own samples on the embedded model.")
@click.option("--base-model", metavar="NAME|DIR", help="A hub id, a folder or an alias.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    default=3,
    metavar="N",
    help="How many samples; 3 if not said.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Draw samples from all data instead of taking the first ones.",
)
@click.option(
    "--line",
    "lines",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="N",
    help="The sample that begins on this line; may be repeated.",
)
@setting_options
@click.option("--full", is_flag=True, help="Print long prompts whole.")
@path_option("--html", metavar="FILE", help="Write a page for the browser instead.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@shared_options
@click.pass_obj
def preview(
    context: Context,
    mode: str | None,
    data: tuple[Path, ...],
    importing: Importing,
    control_tokens: str | None,
    demo: bool,
    base_model: str | None,
    count: int,
    seed: int | None,
    lines: tuple[int, ...],
    config_file: Path | None,
    overrides: tuple[str, ...],
    full: bool,
    html: Path | None,
    as_json: bool,
) -> None:
    """Show what is trained: prompts, trained parts, end tokens, and how many tokens each has.

    Samples become tokens as they do in `ftcore train` with the same options.
    """
    from ftcore.cli.terminal import TerminalProgress, stdout
    from ftcore.preview_choice import Choice
    from ftcore.preview_choice import preview as choose
    from ftcore.request import Request

    if demo and data:
        raise click.UsageError("--demo brings its own data: leave --data or --demo out")
    if not demo and not data:
        raise click.UsageError("say what to show: --data FILE, or --demo")
    flags: dict[str, tuple[str, Any]] = {}
    if base_model is not None:
        flags["base_model"] = ("--base-model", base_model)
    if control_tokens is not None:
        flags["control_tokens"] = ("--control-tokens", control_tokens)
    request = Request(
        workspace=context.workspace,
        mode=mode,
        data=data,
        importing=importing,
        demo=demo,
        config_file=config_file,
        overrides=overrides,
        flags=flags,
        disabled=context.disabled,
    )
    with TerminalProgress() as progress:
        found = choose(request, Choice(count, seed, lines), progress)
    if html is not None:
        from ftcore.preview_html import write_html

        write_html(found, html)
    if as_json:
        from ftcore.preview import to_json

        print_json(to_json(found))
    elif html is not None:
        from ftcore.preview import counted

        click.echo(f"{html}: {counted(found.examples)}")
    else:
        from ftcore.cli.preview_text import print_preview

        print_preview(found, stdout(), full=full)
