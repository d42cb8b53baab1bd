"""``ftcore export`` and ``ftcore verify``: a GGUF from a run or model, and its certificate."""

from __future__ import annotations

from pathlib import Path

import click

from ftcore.cli.common import Context, paint, path_option, print_json, shared_options


@click.command()
@click.argument("source", metavar="RUN_OR_MODEL", type=click.Path(path_type=Path))
@click.option("--quantization", default="Q8_0", show_default=True, help="F32, F16, BF16 or Q8_0.")
@path_option("--output", metavar="FILE", help="The GGUF; by default beside the model.")
@click.option("--json", "as_json", is_flag=True, help="Print path, size and hash as JSON.")
@shared_options
@click.pass_obj
def export(
    context: Context, source: Path, quantization: str, output: Path | None, as_json: bool
) -> None:
    """Write a run's model, or a Hub-style model folder, as GGUF."""
    from ftcore.cli.terminal import TerminalProgress
    from ftcore.export.ollama import modelfile_of
    from ftcore.export.writer import export_gguf
    from ftcore.model_folder import find_model
    from ftcore.quiet import quieten

    model = find_model(source)
    quieten()
    target = output or source / f"{source.resolve().name}-{quantization.upper()}.gguf"
    with TerminalProgress() as progress:
        progress.stage(f"Exporting to GGUF ({quantization.upper()})")
        made = export_gguf(model, target, quantization.upper(), progress=progress.advance)
        for note in modelfile_of(source, model, made.path):
            progress.note(note)
    if as_json:
        print_json({"path": str(made.path), "bytes": made.size, "sha256": made.sha256})
    else:
        click.echo(f"{made.path}  {made.size / 1e6:,.1f} MB  sha256 {made.sha256}")


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
