"""``ftcore export`` and ``ftcore verify``: a GGUF from a run or model, and its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ftcore.cli.common import Context, paint, path_option, print_json, shared_options
from ftcore.errors import InputError


@click.command()
@click.argument("source", metavar="RUN_OR_MODEL", type=click.Path(path_type=Path))
@click.option(
    "--quantization",
    default="Q8_0",
    show_default=True,
    metavar="NAME[,NAME…]",
    help="F32, F16, BF16, Q8_0, Q4_K_M, …; several make a GGUF each.",
)
@path_option("--output", metavar="PATH", help="The GGUF, or the folder of several.")
@click.option("--json", "as_json", is_flag=True, help="Print paths and sizes as JSON.")
@shared_options
@click.pass_obj
def export(
    context: Context, source: Path, quantization: str, output: Path | None, as_json: bool
) -> None:
    """Write a run's model, or a Hub-style model folder, as GGUF.

    Without --output the files lie beside the model.
    """
    from ftcore.export.quantizations import read_quantizations

    names = read_quantizations(quantization)
    from ftcore.cli.terminal import TerminalProgress
    from ftcore.export.architectures import check_exportable
    from ftcore.export.checkpoint import read_config
    from ftcore.export.ollama import modelfiles_of
    from ftcore.export.vocabulary import load_tokenizer
    from ftcore.export.writer import GgufFile, export_gguf
    from ftcore.model_folder import find_model
    from ftcore.quiet import quieten

    model = find_model(source)
    for name in names:
        check_exportable(read_config(model), name)
    targets = _targets(source, output, names)
    quieten()
    tokenizer = load_tokenizer(model)
    made: list[GgufFile] = []
    with TerminalProgress() as progress:
        for name, target in zip(names, targets, strict=True):
            progress.stage(f"Exporting to GGUF ({name})")
            made.append(
                export_gguf(model, target, name, tokenizer=tokenizer, progress=progress.advance)
            )
        ggufs = {file.quantization: file.path for file in made}
        for note in modelfiles_of(source, model, ggufs, tokenizer):
            progress.note(note)
    if as_json:
        print_json([{"path": str(m.path), "bytes": m.size} for m in made])
    for file in () if as_json else made:
        click.echo(f"{file.path}  {file.size / 1e6:,.1f} MB")


def _targets(source: Path, output: Path | None, quantizations: Sequence[str]) -> list[Path]:
    if output is not None and len(quantizations) == 1:
        return [output]
    folder = output or source
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder, and {len(quantizations)} files need one",
            "make it, or leave out --output: the files then lie beside the model",
        )
    return [folder / f"{source.resolve().name}-{name}.gguf" for name in quantizations]


@click.command()
@click.argument("gguf", type=click.Path(path_type=Path))
@path_option("--against", required=True, metavar="MODEL", help="A run or a model folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
@shared_options
@click.pass_obj
def verify(context: Context, gguf: Path, against: Path, as_json: bool) -> None:
    """Prove that a GGUF says what a model says. Exits with 1 when it does not."""
    from ftcore.cli.terminal import TerminalProgress
    from ftcore.export.certify import certify
    from ftcore.model_folder import find_model
    from ftcore.quiet import quieten

    model = find_model(against)
    quieten()
    with TerminalProgress() as progress:
        progress.stage("Proving the GGUF")
        certificate = certify(
            gguf,
            model,
            (),
            progress=lambda name, done, total: progress.advance(done, total, name),
        )
    if as_json:
        click.echo(certificate.to_json(), nl=False)
    else:
        for check in certificate.checks:
            mark = paint("passed", fg="green") if check.passed else paint("FAILED", fg="red")
            click.echo(f"{mark}  {check.name}: {check.detail}")
        click.echo(f"certificate {'passed' if certificate.passed else 'FAILED'}: {gguf}")
    if not certificate.passed:
        raise click.exceptions.Exit(1)
