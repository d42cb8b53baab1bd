"""How a chat looks in a terminal: parts by name and colour as they come, calls as indented JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

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


LONG_WORD = 24
"""Columns after which a word is printed before its end is known: some scripts have no spaces."""

Style = dict[str, Any]
_RUNS = re.compile(r"\s+|\S+")


class AnswerPrinter:
    """Prints pieces of one answer after the other.

    :param width: columns of the terminal; None where nobody watches and no line is broken.
    """

    def __init__(self, width: int | None = None) -> None:
        self._colours: dict[str, str] = {}
        self._label: str | None = None
        self._lines = _Lines(width)

    def hear(self, piece: Piece) -> None:
        """Prints a piece; calls are printed when they are whole."""
        if piece.label == CALLS:
            return
        if piece.label != self._label:
            if self._label is not None:
                self._lines.end()
            self._label = piece.label
            if piece.label != WORDS:
                self._lines.write(f"{piece.label}: ", self._style(piece.label))
        self._lines.write(piece.text, {"dim": True} if piece.label in QUIET else {})

    def end(self, answer: Answer) -> None:
        """Prints what is known only now, and ends the line."""
        if self._label is not None or not (answer.calls or answer.broken_call):
            self._lines.end()
        self._label = None
        for call in answer.calls:
            print_call(call)
        if answer.broken_call:
            click.echo(answer.parts[-1].text)
            _note("this is no call of one of the tools")
        if not answer.ended:
            _note("the answer was cut off")

    def _style(self, label: str) -> Style:
        if label in QUIET:
            return {"dim": True, "bold": True}
        colour = COLOURS[len(self._colours) % len(COLOURS)]
        return {"fg": self._colours.setdefault(label, colour)}


class _Lines:
    """Writes words as they come, each on a line where it has room."""

    def __init__(self, width: int | None) -> None:
        self._width = width
        self._column = 0
        self._space = ""
        self._word: list[tuple[str, Style]] = []

    def write(self, text: str, style: Style) -> None:
        for run in _RUNS.findall(text):
            if not run.isspace():
                self._word.append((run, style))
                if self._width is None or self._length() > LONG_WORD:
                    self._flush()
            elif "\n" in run:
                self._flush()
                click.echo(self._space + run, nl=False)
                self._column = len(run) - run.rindex("\n") - 1
                self._space = ""
            else:
                self._flush()
                self._space += run

    def end(self) -> None:
        self._flush()
        click.echo()
        self._column = 0
        self._space = ""

    def _flush(self) -> None:
        length = self._length()
        if not length:
            return
        if self._width and 0 < self._width - self._column < len(self._space) + length:
            click.echo()
            self._column = 0
            self._space = ""
        click.echo(self._space, nl=False)
        for text, style in self._word:
            click.echo(paint(text, **style), nl=False)
        self._column += len(self._space) + length
        self._space = ""
        self._word = []

    def _length(self) -> int:
        from rich.cells import cell_len

        return sum(cell_len(text) for text, _ in self._word)


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
