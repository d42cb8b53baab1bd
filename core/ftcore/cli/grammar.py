"""``ftcore grammar``: prints the GBNF under which a run's answers can be decoded."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftcore.cli.common import Context, path_option, shared_options

if TYPE_CHECKING:
    from ftcore.call_frame import CallFrame


@click.command()
@click.argument("source", metavar="RUN_OR_MODEL_OR_GGUF", type=click.Path(path_type=Path))
@click.option("--mode", metavar="NAME", help="The mode, where the run does not say it.")
@click.option("--gguf", metavar="NAME", help="Which GGUF of the folder, where it holds several.")
@path_option("--tools", metavar="FILE", help="JSON with the tools that the model may call.")
@click.option("--require-call", is_flag=True, help="Answers must call a tool: no words alone.")
@shared_options
@click.pass_obj
def grammar(
    context: Context,
    source: Path,
    mode: str | None,
    gguf: str | None,
    tools: Path | None,
    require_call: bool,
) -> None:
    """Print a GBNF grammar of the mode's answers, for llama-server or llama-cli.

    Calls of tools are described as the chat template of the GGUF spells them.
    """
    from ftcore.errors import InputError
    from ftcore.grammar import answer_grammar
    from ftcore.plugins import open_mode
    from ftcore.served import chosen_mode, find_served, serve, served_call_frame
    from ftcore.tools_file import read_tools_file

    served = find_served(source, gguf)
    name = chosen_mode(served, mode)
    if name is None:
        raise InputError(f"{source} lies in no run, so its mode is not known", "name it: --mode")
    opened = open_mode(name, context.disabled)
    definitions = read_tools_file(tools) if tools else ()
    with ExitStack() as loaded:

        def call_frame() -> CallFrame:
            return served_call_frame(loaded.enter_context(serve(served)), definitions)

        text = answer_grammar(opened, definitions, call_frame, require_call=require_call)
    if text is None:
        hint = "" if definitions else "where it calls tools, name them: --tools FILE"
        raise InputError(f"the answers of {name} mode have no fixed form", hint)
    click.echo(text, nl=False)
