"""The options that say what data to read and how to make samples of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ftcore.cli.common import path_option

F = TypeVar("F", bound=Callable[..., Any])


def data_options(command: F) -> F:
    """``--data``, ``--shape``, ``--map`` and ``--control-tokens``.

    The command gets ``data``, a tuple of paths, ``importing``, an
    :class:`ftcore.shapes.Importing`, and ``control_tokens``, None where nothing is said.
    """

    @functools.wraps(command)
    def with_importing(
        *args: Any, shape: str | None, columns: tuple[tuple[str, str], ...], **others: Any
    ) -> Any:
        from ftcore.shapes import Importing

        return command(*args, importing=Importing(shape, dict(columns)), **others)

    decorated: Any = with_importing
    for option in (
        click.option(
            "--control-tokens",
            type=click.Choice(("refuse", "escape")),
            help="What becomes of samples whose text holds a control token of the base model.",
        ),
        click.option(
            "--map",
            "columns",
            multiple=True,
            metavar="KEY=COLUMN",
            callback=_columns,
            help="Fill a sample's KEY from a COLUMN of the data; may be repeated.",
        ),
        click.option(
            "--shape",
            metavar="NAME",
            help="Read every record in this shape instead of detecting it.",
        ),
        path_option(
            "--data",
            multiple=True,
            metavar="FILE|FOLDER|NAME|-",
            help="JSONL, JSON, CSV or Parquet, a folder of them, a Hub data set, - for stdin; "
            "may be repeated.",
        ),
    ):
        decorated = option(decorated)
    return decorated


def _columns(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs: dict[str, str] = {}
    for text in given:
        key, equals, column = (part.strip() for part in text.partition("="))
        if not (key and equals and column):
            raise click.BadParameter(
                f"{text!r} is not KEY=COLUMN, such as --map user=question", ctx, parameter
            )
        if key in pairs:
            raise click.BadParameter(
                f"{key!r} is filled twice, from {pairs[key]!r} and from {column!r}", ctx, parameter
            )
        pairs[key] = column
    return tuple(pairs.items())
