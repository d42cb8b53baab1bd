"""How a chat looks in a terminal: parts by name and colour as they come, calls as indented JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from ftcore.answer_parts import CALLS, REASONING, WORDS, Piece
from ftcore.chat import Answer
from ftcore.cli.common import paint
from ftcore.values import Json, ToolCall

COLOURS = ("green", "yellow", "magenta", "blue")
"""Of the names of parts, in the order in which they are seen; as in a preview."""
NAME_COLOUR = "cyan"
QUIET = frozenset({REASONING, "thought", "thinking"})
"""Parts that a person is not spoken to with: they are dimmed."""


class AnswerPrinter:
    """Prints pieces of one answer after the other."""

    def __init__(self) -> None:
        self._colours: dict[str, str] = {}
        self._label: str | None = None

    def hear(self, piece: Piece) -> None:
        """Prints a piece; calls are printed when they are whole."""
        if piece.label == CALLS:
            return
        quiet = piece.label in QUIET
        if piece.label != self._label:
            if self._label is not None:
                click.echo()
            self._label = piece.label
            if piece.label != WORDS:
                click.echo(paint(f"{piece.label}: ", **self._style(piece.label)), nl=False)
        click.echo(paint(piece.text, dim=True) if quiet else piece.text, nl=False)

    def end(self, answer: Answer) -> None:
        """Prints what is known only now, and ends the line."""
        if self._label is not None:
            click.echo()
        self._label = None
        for call in answer.calls:
            print_call(call)
        if answer.broken_call:
            click.echo(answer.parts[-1].text)
            _note("this is no call of one of the tools")
        if not answer.ended:
            _note("the answer was cut off")

    def _style(self, label: str) -> dict[str, object]:
        if label in QUIET:
            return {"dim": True, "bold": True}
        colour = COLOURS[len(self._colours) % len(COLOURS)]
        return {"fg": self._colours.setdefault(label, colour)}


def print_call(call: ToolCall) -> None:
    """A call: the tool's name, and its arguments as indented JSON."""
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False, indent=2)
    click.echo(f"{paint(call.name, fg=NAME_COLOUR, bold=True)} {arguments}")


def as_json(answer: Answer) -> Json:
    """An answer for scripts."""
    return {
        "text": answer.text,
        "parts": [{"label": part.label, "text": part.text} for part in answer.parts],
        "tool_calls": [
            {"name": call.name, "arguments": dict(call.arguments)} for call in answer.calls
        ],
        "ended": answer.ended,
    }


def greeting(name: str, mode: str | None, tools: Sequence[Json]) -> str:
    """What a person is told before the first line."""
    of = f", {mode} mode" if mode else ""
    have = f", {len(tools)} tools" if len(tools) > 1 else ", 1 tool" if tools else ""
    return f"{name}{of}{have}. /system TEXT, /reset, /quit; Ctrl-C stops an answer."


def _note(text: str) -> None:
    click.echo(paint(f"({text})", dim=True), err=True)
