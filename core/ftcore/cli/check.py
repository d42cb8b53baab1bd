"""``ftcore check``: says every problem of data with its place, and what a curator wants to know."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftcore.cli.common import Context, print_json, setting_options, shared_options
from ftcore.cli.data_options import data_options

if TYPE_CHECKING:
    from ftcore.shapes import Importing

SECONDS = 0.5
"""Between two changes of the count of records on a terminal."""


@click.command()
@click.option("--mode", metavar="NAME", help="The cognitive mode; without it, mixed data.")
@data_options
@click.option("--base-model", metavar="NAME|DIR", help="Count tokens with this model's tokenizer.")
@click.option(
    "--all-tokens",
    is_flag=True,
    help="Render every sample; otherwise, of more than 50,000, a seeded part.",
)
@setting_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@shared_options
@click.pass_obj
def check(
    context: Context,
    mode: str | None,
    data: tuple[Path, ...],
    importing: Importing,
    control_tokens: str | None,
    base_model: str | None,
    all_tokens: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Validate data and report on them: every problem with file, line, JSON pointer and hint.

    Then counts, lengths, answers, duplicates. Exits with 2 when there is a problem.
    """
    from ftcore.data_report import to_json
    from ftcore.inspection import inspect_data
    from ftcore.request import Request

    if not data:
        raise click.UsageError("say what to check: --data FILE")
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
        config_file=config_file,
        overrides=overrides,
        flags=flags,
        disabled=context.disabled,
    )
    with _Counting() as counting:
        report = inspect_data(request, all_tokens=all_tokens, advance=counting.advance)
    if as_json:
        print_json(to_json(report))
    else:
        from ftcore.cli.check_text import print_report

        print_report(report)
    if report.problems.total:
        raise click.exceptions.Exit(2)


class _Counting:
    """Counts records on stderr while somebody watches; use as a context manager."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._said = time.monotonic()

    def __enter__(self) -> _Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def advance(self, records: int) -> None:
        """Says how many records were read."""
        now = time.monotonic()
        if now - self._said >= SECONDS:
            self._said = now
            self._write(f"{records:,} records …")

    def _write(self, text: str) -> None:
        if self._live:
            click.echo(f"\r\033[K{text}", err=True, nl=False)
