"""Puts together the GBNF grammar under which the answers of a mode are decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ftcore.call_frame import CALLS, CORE_RULES, CallFrame
from ftcore.errors import InputError
from ftcore.gbnf import named_rules
from ftcore.mode import Mode
from ftcore.values import Json


def answer_grammar(
    mode: Mode,
    tools: Sequence[Json],
    call_frame: Callable[[], CallFrame],
    *,
    require_call: bool = False,
) -> str | None:
    """GBNF of the mode's answers; None where they have no structure.

    :param call_frame: how the chat template writes calls; asked only where that matters.
    :param require_call: an answer must call a tool, whatever else the mode allows.
    :raises InputError: a call is required and there are no tools; the chat template's calls or a
        tool's parameters cannot be described by a grammar.
    :raises PluginError: the mode fails.
    """
    if require_call and not tools:
        raise InputError("a call is required, but there are no tools", "name them: --tools FILE")
    text = f"root ::= {CALLS}\n" if require_call else mode.grammar(tools)
    if text is None:
        return None
    _, missing = named_rules(text)
    text = text.rstrip("\n") + "\n"
    return f"{text}{call_frame().rules(tools)}\n" if missing & set(CORE_RULES) else text
