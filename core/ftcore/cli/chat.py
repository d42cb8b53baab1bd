"""``ftcore chat``: talks to an exported GGUF, and shows the parts of its answers."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftcore.cli.common import Context, paint, path_option, shared_options

if TYPE_CHECKING:
    from ftcore.answer_parts import Piece
    from ftcore.chat import Answer, Chat
    from ftcore.cli.chat_text import AnswerPrinter

SAY = "> "
RESULT = "tool result> "


@click.command()
@click.argument("source", metavar="RUN_OR_MODEL_OR_GGUF", type=click.Path(path_type=Path))
@click.option("--mode", metavar="NAME", help="The mode, where the run does not say it.")
@click.option("--gguf", metavar="NAME", help="Which GGUF of the folder, where it holds several.")
@path_option("--tools", metavar="FILE", help="JSON with the tools that the model may call.")
@click.option(
    "--system",
    metavar="TEXT",
    help="What the system message says; by default what it said in every sample of the run.",
)
@click.option("--constrain", is_flag=True, help="Let answers only take the form of the mode.")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    metavar="N",
    help="Tokens that an answer may have.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=0.7,
    show_default=True,
    metavar="T",
    help="How freely answers are drawn; 0: the likeliest token every time.",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Draw the same again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each answer.")
@shared_options
@click.pass_obj
def chat(
    context: Context,
    source: Path,
    mode: str | None,
    gguf: str | None,
    tools: Path | None,
    system: str | None,
    constrain: bool,
    max_tokens: int,
    temperature: float,
    seed: int | None,
    as_json: bool,
) -> None:
    """Talk to the GGUF of a run. Without a terminal: a line in, an answer out.

    When the model calls a tool, you are asked for what the tool gives back.
    """
    from ftcore.chat import Chat
    from ftcore.cli.chat_text import greeting
    from ftcore.errors import InputError
    from ftcore.export.runtime import Sampling
    from ftcore.grammar import answer_grammar
    from ftcore.plugins import open_mode
    from ftcore.served import chosen_mode, find_served, serve, served_call_frame
    from ftcore.tools_file import read_tools_file

    served = find_served(source, gguf)
    name = chosen_mode(served, mode)
    opened = open_mode(name, context.disabled) if name else None
    definitions = read_tools_file(tools) if tools else ()
    if constrain and opened is None:
        raise InputError(f"{source} lies in no run, so its mode is not known", "name it: --mode")
    with serve(served) as runtime:
        frame = None
        if definitions:
            try:
                frame = served_call_frame(runtime, definitions)
            except InputError as error:
                if constrain:
                    raise
                click.echo(f"note: {error.message}: calls are shown as they are written", err=True)
        grammar = None
        if constrain and opened:
            grammar = answer_grammar(
                opened, definitions, lambda: frame or served_call_frame(runtime, definitions)
            )
            if grammar is None:
                click.echo(f"note: {name} mode prescribes no form without tools", err=True)
        talk = Chat(
            runtime,
            markers=opened.markers() if opened else (),
            tools=definitions,
            frame=frame,
            system=served.system if system is None else system,
            sampling=Sampling(temperature, seed, grammar),
            max_tokens=max_tokens,
        )
        if sys.stdin.isatty():
            click.echo(paint(greeting(served.gguf.name, name, definitions), dim=True), err=True)
            converse(talk, _typed, as_json=as_json)
        else:
            converse(talk, _piped(sys.stdin), as_json=as_json)


def converse(talk: Chat, read: Callable[[str], str | None], *, as_json: bool) -> None:
    """Reads lines and prints answers until there are no more lines."""
    from ftcore.cli.chat_text import AnswerPrinter
    from ftcore.errors import FtcoreError

    watched = sys.stdin.isatty() and sys.stdout.isatty()
    printer = AnswerPrinter(shutil.get_terminal_size().columns if watched else None)
    while (line := read(RESULT if talk.waiting else SAY)) is not None:
        command, _, text = line.strip().partition(" ")
        if command == "/quit":
            return
        if command == "/reset":
            talk.reset()
        elif command == "/system":
            talk.system = text.strip()
        elif command.startswith("/") and not talk.waiting and command[1:].isalpha():
            click.echo(f"there is no {command}: /system TEXT, /reset, /quit", err=True)
        elif talk.waiting or line.strip():
            try:
                _say(talk, line, None if as_json else printer)
            except FtcoreError as error:
                if not sys.stdin.isatty():
                    raise
                click.echo(f"{paint('error:', fg='red', bold=True)} {error.message}", err=True)
                click.echo("/reset forgets the conversation", err=True)


def _say(talk: Chat, line: str, printer: AnswerPrinter | None) -> None:
    """Takes a line as what is said, or as the result of a call; answers when no call waits."""
    from ftcore.cli.chat_text import as_json

    hear = printer.hear if printer else _nothing
    answer: Answer
    if talk.waiting:
        talk.result(line)
        if talk.waiting:
            return
        answer = talk.answer(hear)
    else:
        answer = talk.ask(line, hear)
    if printer:
        printer.end(answer)
        if sys.stdin.isatty():
            click.echo()
    else:
        click.echo(json.dumps(as_json(answer), ensure_ascii=False))


def _nothing(piece: Piece) -> None:
    del piece


def _typed(prompt: str) -> str | None:
    """A line that a person types; Ctrl-C leaves the line, Ctrl-D the chat."""
    with suppress(ImportError):
        import readline  # noqa: F401  # pyright: ignore[reportUnusedImport] - history and editing
    try:
        return input(prompt)
    except KeyboardInterrupt:
        click.echo(err=True)
        return ""
    except EOFError:
        click.echo(err=True)
        return None


def _piped(lines: Iterator[str]) -> Callable[[str], str | None]:
    """The lines of a pipe, which needs no prompts."""

    def read(prompt: str) -> str | None:
        del prompt
        line = next(lines, None)
        return None if line is None else line.rstrip("\r\n")

    return read
