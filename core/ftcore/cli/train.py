"""``ftcore train``: from a JSONL file to a GGUF that is proven."""

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
@click.option("--demo", is_flag=True, help="The modes' own samples on the embedded model.")
@click.option("--base-model", metavar="NAME|DIR", help="A hub id, a folder or an alias.")
@click.option("--username", metavar="NAME", help="Data and runs of profiles/NAME/.")
@click.option("--max", "maximum", type=click.IntRange(min=1), help="Use the first N samples only.")
@click.option("--allow-small", is_flag=True, help="Train on fewer samples than the mode needs.")
@click.option("--workers", type=click.IntRange(min=0), help="Processes that prepare the data.")
@click.option("--balance", is_flag=True, help="Leave out samples of modes that are too many.")
@setting_options
@path_option("--output", metavar="DIR", help="The run's folder; new or empty.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the split, the order and the model.")
@click.option("--json", "as_json", is_flag=True, help="Print the run record as JSON.")
@shared_options
@click.pass_obj
def train(
    context: Context,
    mode: str | None,
    data: tuple[Path, ...],
    importing: Importing,
    control_tokens: str | None,
    demo: bool,
    base_model: str | None,
    username: str | None,
    maximum: int | None,
    allow_small: bool,
    workers: int | None,
    balance: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
    output: Path | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Train a model, export it as GGUF and prove the file.

    Without --mode all installed modes are trained together: every sample names its own in
    cognitive_mode.

    Exits with 0 when everything went well, the certificate included.
    """
    from ftcore.cli.terminal import TerminalProgress, stdout
    from ftcore.record import to_json
    from ftcore.report import summary
    from ftcore.request import Request
    from ftcore.run import train as run

    if demo and data:
        raise click.UsageError("--demo brings its own data: leave --data or --demo out")
    flags: dict[str, tuple[str, Any]] = {}
    if base_model is not None:
        flags["base_model"] = ("--base-model", base_model)
    if control_tokens is not None:
        flags["control_tokens"] = ("--control-tokens", control_tokens)
    if maximum is not None:
        flags["max_samples"] = ("--max", maximum)
    if workers is not None:
        flags["workers"] = ("--workers", workers)
    if balance:
        flags["balance"] = ("--balance", True)
    if seed is not None:
        flags["seed"] = ("--seed", seed)
    request = Request(
        workspace=context.workspace,
        mode=mode,
        data=data,
        importing=importing,
        demo=demo,
        username=username,
        allow_small=allow_small,
        config_file=config_file,
        overrides=overrides,
        flags=flags,
        output=output,
        disabled=context.disabled,
    )
    with TerminalProgress() as progress:
        result = run(request, progress)
    if as_json:
        print_json(to_json(result.record))
    else:
        stdout().print(summary(result.record, result.folder))
    if result.record.state != "complete":
        raise click.exceptions.Exit(1)
