"""What a run says at its end: a table of figures before and after, and where everything lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ftcore.record import RunRecord
from ftcore.serving import llama_server_command

if TYPE_CHECKING:
    from rich.console import RenderableType


def figures(record: RunRecord) -> list[tuple[str, str, str]]:
    """``(name, before, after)`` of the loss, of its parts and of every metric of the modes."""
    before, after = record.before, record.after
    if before is None or after is None:
        return []
    rows: list[tuple[str, str, str]] = []
    if before.loss is not None and after.loss is not None:
        rows.append(("held-out loss", f"{before.loss:.3f}", f"{after.loss:.3f}"))
    for name in before.loss_by_part:
        if name in after.loss_by_part:
            pair = before.loss_by_part[name], after.loss_by_part[name]
            rows.append((f"  of {name.replace('_', ' ')}", f"{pair[0]:.3f}", f"{pair[1]:.3f}"))
    for name in dict.fromkeys((*after.metrics, *before.metrics)):
        pair = before.metrics.get(name), after.metrics.get(name)
        rows.append((name.replace("_", " "), _figure(pair[0]), _figure(pair[1])))
    return rows


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def facts(record: RunRecord, folder: Path) -> list[tuple[str, str]]:
    """What was trained, what it made and where it lies."""
    rows: list[tuple[str, str]] = []
    ledger = record.ledger
    rows.append(("samples", f"{ledger.trained} trained, {ledger.held_out} held out"))
    if record.training:
        t = record.training
        rows.append(("tokens", f"{t.trained_tokens:,} trained of {t.tokens:,} in {t.steps} steps"))
        if t.best_step is not None and t.best_step != t.steps:
            rows.append(("best model", f"the checkpoint of step {t.best_step}"))
    rows += [
        ("GGUF", f"{a.bytes / 1e6:,.1f} MB ({_quantization(a.path)})")
        for a in record.artifacts
        if a.kind == "gguf"
    ]
    if record.certificate_passed is not None:
        rows.append(("certificate", "passed" if record.certificate_passed else "FAILED"))
    rows.append(("run", str(folder)))
    rows += [(a.kind, str(folder / a.path)) for a in record.artifacts if a.kind in _SHOWN]
    if gguf := record.artifact("gguf"):
        context = record.settings["max_seq_length"].value
        rows.append(("to run it", llama_server_command(folder / gguf.path, context)))
    return rows


def _quantization(path: str) -> str:
    return path.removesuffix(".gguf").rpartition("-")[2]


_SHOWN = ("model", "gguf", "modelfile", "certificate")


def summary(record: RunRecord, folder: Path) -> RenderableType:
    """The closing table, for a terminal of any width."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    measured = Table(
        box=box.SIMPLE_HEAD, title=f"{', '.join(record.modes)} mode", title_justify="left"
    )
    measured.add_column("")
    measured.add_column("before", justify="right")
    measured.add_column("after", justify="right")
    for row in figures(record):
        measured.add_row(*row)
    made = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in facts(record, folder):
        style = {"passed": "green", "FAILED": "bold red"}.get(value, "")
        made.add_row(name, Text(value, style=style))
    return Group(measured, made) if figures(record) else made
