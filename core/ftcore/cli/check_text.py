"""How a report on data looks in a terminal or a pipe: problems first, then tables of figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click
from rich import box
from rich.console import Console
from rich.table import Table

from ftcore.cli.common import SHOWN_PROBLEMS, paint
from ftcore.cli.terminal import stdout
from ftcore.data_report import LONG_WORDS, SHORT_WORDS, Group, Report, Spread, Tokens
from ftcore.faults import KEPT, Faults
from ftcore.shapes.importing import NATIVE

SHOWN_MESSAGES = 10
"""Different messages of problems that are counted one by one."""
SHOWN_KEYS = 10
SHOWN_GROUPS = 3
SHOWN_PLACES = 4


def print_report(report: Report) -> None:
    """Prints all of a report to stdout."""
    _print_faults(report.problems, "")
    _print_faults(report.warnings, paint("warning: ", fg="yellow"))
    console = stdout()
    with console.capture() as printed:
        _print_figures(console, report)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())  # rich fills cells with spaces up to the last column


def _print_figures(console: Console, report: Report) -> None:
    if report.problems.total or report.warnings.total:
        console.print()
    facts = _table()
    for name, text in _records(report):
        facts.add_row(name, text)
    console.print(facts)
    _print_lengths(console, report)
    _print_answers(console, report)
    rest = _table()
    for name, text in (*_tokens(report), *_duplicates(report)):
        rest.add_row(name, text)
    console.print()
    console.print(rest)
    _print_verdict(console, report)


def _print_faults(faults: Faults, prefix: str) -> None:
    for problem in faults.first[:SHOWN_PROBLEMS]:
        click.echo(f"{prefix}{problem}")
    more = faults.total - min(SHOWN_PROBLEMS, len(faults.first))
    if not more:
        return
    click.echo(f"… and {more:,} more; all {faults.total:,} by what they say:")
    shown = list(faults.by_message.items())[:SHOWN_MESSAGES]
    for message, count in shown:
        click.echo(f"  {count:>9,}  {message}")
    others = faults.total - sum(count for _, count in shown)
    if others:
        click.echo(f"  {others:>9,}  others (--json has the first {KEPT:,} in full)")


def _table() -> Table:
    """Names on the left, sentences on the right."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True, min_width=10)
    table.add_column(overflow="fold")
    return table


def _figures(title: str) -> Table:
    """A row for each mode."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="",
    )
    table.add_column("")
    return table


def _records(report: Report) -> Iterator[tuple[str, str]]:
    yield "Records", f"{report.records:,}"
    for name, figures in report.modes.items():
        share = f" ({figures.share:.1%})" if len(report.modes) > 1 else ""
        asked = figures.least_share
        least = f"; at least {asked:.0%} are asked for" if asked else ""
        few = f": {_bad('too few')}" if asked and figures.share < asked - 1e-9 else ""
        yield "", f"{figures.samples:,} valid, {name}{share}{least}{few}"
    if report.refused:
        unrendered = report.tokens.not_rendered if report.tokens else 0
        because = f", {unrendered:,} of them by the base model's template" if unrendered else ""
        yield "", f"{_bad(f'{report.refused:,} refused')}{because}"
    if report.other_mode:
        yield "", f"{report.other_mode:,} of another mode, left out"
    if report.shapes.keys() - {NATIVE}:
        yield "Shapes", _listed(report.shapes)
    if report.ignored:
        yield "Not read", f"keys that nothing reads: {_listed(report.ignored)}"
    for note, count in list(report.notes.items())[:SHOWN_KEYS]:
        yield "Note", f"{_count(count, 'record')}: {_plain(note)}"
    yield "Enough?", _enough(report)


def _listed(counts: Mapping[str, int]) -> str:
    shown = [f"{name} ({count:,})" for name, count in list(counts.items())[:SHOWN_KEYS]]
    more = len(counts) - len(shown)
    return _plain(", ".join(shown) + (f", and {more:,} more" if more else ""))


def _enough(report: Report) -> str:
    least, wished = report.min_samples, report.recommended_samples
    if report.valid < least:
        return (
            f"{_bad('too few')}: {report.valid:,} of at least {least:,} ({wished:,} are "
            "recommended); train asks for --allow-small"
        )
    if report.valid < wished:
        return f"{report.valid:,} are enough ({least:,}), fewer than recommended ({wished:,})"
    return f"yes: {report.valid:,} of {wished:,} recommended"


def _print_lengths(console: Console, report: Report) -> None:
    table = _figures("Length of a sample")
    for name in ("min", "25%", "median", "75%", "max", "mean"):
        table.add_column(name, justify="right")
    for name, figures in report.modes.items():
        for unit, spread in (("words", figures.words), ("tokens", figures.tokens)):
            if spread is not None:
                table.add_row(f"{name}, {unit}", *_numbers(spread))
    if table.row_count:
        console.print()
        console.print(table)


def _numbers(spread: Spread) -> Iterator[str]:
    for number in (
        *(spread.minimum, spread.quarter, spread.median),
        *(spread.three_quarters, spread.maximum),
    ):
        yield f"{number:,}"
    yield f"{spread.mean:,.1f}"


def _print_answers(console: Console, report: Report) -> None:
    table = _figures("Answers that are learned")
    short, long = f"≤ {SHORT_WORDS}\nwords", f"> {LONG_WORDS}\nwords"
    for name in ("answers", "mean\nwords", short, long, "filler"):
        table.add_column(name, justify="right")
    calls = any(figures.answers.calls_only for figures in report.modes.values())
    if calls:
        table.add_column("calls\nonly", justify="right")
    for name, figures in report.modes.items():
        one = figures.answers
        if one.count or one.calls_only:
            shares = (one.short, one.long, one.filler)
            cells = [f"{one.mean_words:,.1f}", *(f"{share:.1%}" for share in shares)]
            row = [f"{one.count:,}", *(cells if one.count else ["-"] * len(cells))]
            table.add_row(name, *row, *([f"{one.calls_only:,}"] if calls else []))
    if table.row_count:
        console.print()
        console.print(table)


def _tokens(report: Report) -> Iterator[tuple[str, str]]:
    tokens = report.tokens
    if tokens is None:
        yield (
            "Tokens",
            f"not counted: {_plain(report.no_tokens)}; --base-model NAME|DIR counts them with "
            "another model's tokenizer",
        )
        return
    about = "" if tokens.exact else "about "
    with_template = ", ftcore's chat template" if tokens.own_template else ""
    yield (
        "Tokens",
        f"{about}{tokens.total:,}, {tokens.trained:,} of them trained "
        f"({_plain(tokens.base_model)}{with_template})",
    )
    if not tokens.exact:
        yield (
            "",
            f"estimated from {tokens.counted:,} samples, drawn with the seed; "
            f"{tokens.rendered:,} of {report.valid + tokens.not_rendered:,} were rendered, and "
            "train may refuse some of the others; --all-tokens renders all",
        )
    yield "Too long", _too_long(tokens, report.valid)
    for sample in tokens.longest:
        if sample.tokens > tokens.max_seq_length:
            yield "", f"{sample.tokens:,} tokens  {_plain(sample.place)}"


_LONG = {
    "split": "train splits them into examples without their oldest turns",
    "drop": "train leaves them out",
    "refuse": "",
}
"""What becomes of long samples by the setting ``long_samples``; refused ones are problems."""


def _too_long(tokens: Tokens, samples: int) -> str:
    most = f"max_seq_length={tokens.max_seq_length}"
    if not tokens.too_long:
        return f"none is over {most}"
    about = "" if tokens.exact else "about "
    share = tokens.too_long / max(samples, 1)
    limit = tokens.long_samples_limit
    then = _LONG[tokens.long_samples]
    if share > limit:
        then = f"{_bad('too many')}: train refuses more than long_samples_limit={limit:g}"
    return f"{about}{tokens.too_long:,} ({share:.1%}) are over {most}; {then}. The longest:"


def _duplicates(report: Report) -> Iterator[tuple[str, str]]:
    found = report.duplicates
    exact = f"{_count(found.exact_copies, 'copy', 'copies')} of earlier samples"
    yield "Duplicates", exact if found.exact_copies else "none"
    yield from (("", text) for text in _groups(found.exact))
    near = f"{found.near_samples:,} samples in {_count(found.near_groups, 'group')}"
    yield "Near", near if found.near_groups else "none"
    yield from (("", text) for text in _groups(found.near))
    split = report.split
    if split.held_out:
        across = (
            f"; {split.near_across:,} of them nearly the same as one that is trained on"
            if split.near_across
            else "; none of them nearly the same as one that is trained on"
        )
        yield "Held out", f"{split.held_out:,} of {split.held_out + split.trained:,}{across}"


def _groups(groups: tuple[Group, ...]) -> Iterator[str]:
    for group in groups[:SHOWN_GROUPS]:
        text = ""
        before = ""
        for place in group.places[:SHOWN_PLACES]:
            file, _, line = place.rpartition(":")
            text += (", " if text else "") + (line if file == before else place)
            before = file
        more = group.size - min(SHOWN_PLACES, len(group.places))
        yield _plain(text + (f" and {more:,} more" if more else ""))


def _print_verdict(console: Console, report: Report) -> None:
    valid = ", ".join(f"{f.samples:,} {name}" for name, f in report.modes.items() if f.samples)
    end = _bad(f"{report.refused:,} refused") if report.refused else "[green]none refused[/green]"
    console.print(f"\n{report.records:,} records: valid {valid or 'none'}; {end}")


def _count(number: int, noun: str, nouns: str = "") -> str:
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def _bad(text: str) -> str:
    return f"[red]{text}[/red]"


def _plain(text: str) -> str:
    """The text with nothing in it that is read as markup."""
    from rich.markup import escape

    return escape(text)
