"""``ftcore check-mode``: holds the laws that every mode keeps against one, without pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ftcore.cli.common import Context, paint, print_json, shared_options

if TYPE_CHECKING:
    from ftcore.testing.law import Verdict
    from ftcore.testing.subject import Subject


@click.command("check-mode")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@shared_options
@click.pass_obj
def check_mode(context: Context, name: str, as_json: bool) -> None:
    """Hold the laws of every mode against the mode NAME, and say how to mend what breaks one.

    Exits with 2 when a law is broken.
    """
    from ftcore.testing.law import judge
    from ftcore.testing.laws import LAWS
    from ftcore.testing.subject import Subject

    subject = Subject(name, context.disabled)
    if not as_json:
        click.echo(f"the mode {subject.info}, module {subject.info.module}")
    verdicts: list[Verdict] = []
    for law in LAWS:
        verdicts.append(judge(law, subject))
        if not as_json:
            _print(verdicts[-1])
    if as_json:
        print_json(_as_json(subject, verdicts))
    else:
        _print_sum(verdicts)
    if any(verdict.state != "ok" for verdict in verdicts):
        raise click.exceptions.Exit(2)


def _print(verdict: Verdict) -> None:
    words = {"ok": "ok", "failed": "FAILED", "unchecked": "not checked"}
    colours = {"ok": "green", "failed": "red", "unchecked": "yellow"}
    state = paint(f"{words[verdict.state]:<11}", fg=colours[verdict.state])
    note = f" ({verdict.note})" if verdict.note else ""
    click.echo(f"{state} {verdict.law.name}: {verdict.law.says}{note}")
    for breach in verdict.breaches:
        click.echo(f"  * {breach.what}\n    mend: {breach.mend}")


def _print_sum(verdicts: list[Verdict]) -> None:
    states = [verdict.state for verdict in verdicts]
    failed, unchecked = states.count("failed"), states.count("unchecked")
    if not failed and not unchecked:
        click.echo(f"all {len(states)} laws hold")
        return
    rest = f", {unchecked} not checked before those are mended" if unchecked else ""
    click.echo(f"{states.count('ok')} of {len(states)} laws hold, {failed} broken{rest}")


def _as_json(subject: Subject, verdicts: list[Verdict]) -> dict[str, object]:
    return {
        "mode": subject.info.name,
        "distribution": subject.info.distribution,
        "version": subject.info.version,
        "laws": [
            {
                "law": verdict.law.name,
                "says": verdict.law.says,
                "state": verdict.state,
                "note": verdict.note,
                "breaches": [{"what": b.what, "mend": b.mend} for b in verdict.breaches],
            }
            for verdict in verdicts
        ],
    }
