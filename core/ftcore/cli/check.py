"""``ftcore check``: validates data and says every problem with its place, without training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from ftcore.cli.common import Context, path_option, print_json, shared_options


@click.command()
@click.option("--mode", metavar="NAME", help="The cognitive mode; without it, mixed data.")
@path_option("--data", multiple=True, required=True, metavar="FILE", help="JSONL; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@shared_options
@click.pass_obj
def check(context: Context, mode: str | None, data: tuple[Path, ...], as_json: bool) -> None:
    """Validate data files: every problem with file, line, JSON pointer and hint.

    Exits with 2 when there is a problem.
    """
    import attrs

    from ftcore.plugins import installed_plugins, open_mode
    from ftcore.samples import collect_samples

    known = [info.name for info in installed_plugins(context.disabled) if info.kind == "mode"]
    chosen = [mode] if mode else known
    modes = {name: open_mode(name, context.disabled) for name in chosen}
    found = collect_samples(modes, data, known_modes=known)
    counts = Counter(mode.name for _, mode in found.samples)
    if as_json:
        print_json(
            {
                "lines": found.lines,
                "valid": dict(counts),
                "other_mode": sum(entry.state == "other_mode" for entry in found.entries),
                "problems": [attrs.asdict(problem) for problem in found.problems],
                "warnings": [attrs.asdict(problem) for problem in found.warnings],
            }
        )
    else:
        for problem in found.problems:
            click.echo(str(problem))
        for problem in found.warnings:
            click.echo(f"warning: {problem}")
        valid = ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
        refused = len({(p.file, p.line) for p in found.problems})
        click.echo(f"{found.lines} records: valid {valid}; with problems {refused}")
    if found.problems:
        raise click.exceptions.Exit(2)
