"""The law of a mode's grammar: it is GBNF, and describes what the mode teaches."""

from __future__ import annotations

from collections.abc import Iterator

from ftcore.call_frame import find_call_frame
from ftcore.errors import InputError, PluginError
from ftcore.gbnf import parse_gbnf
from ftcore.grammar import answer_grammar
from ftcore.testing.law import Breach
from ftcore.testing.predictions import perfect, spoken
from ftcore.testing.subject import TARGETS, Subject
from ftcore.values import Json

TOOLS: tuple[Json, ...] = (
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}},
)
MANY = 50
"""Answers that are enough to see whether a grammar describes them."""


def grammar_describes_answers(subject: Subject) -> Iterator[Breach]:
    """``ftcore_grammar`` gives GBNF that describes most of what the mode's own samples teach."""
    frame = find_call_frame(spoken)
    taught = [
        prediction
        for sample in subject.samples[:MANY]
        if (conversation := subject.format(sample, TARGETS[0]).conversation)
        for prediction in perfect(sample, conversation)
    ][:MANY]
    described = 0
    refused = ""
    try:
        for tools in ((), TOOLS):
            subject.mode.grammar(tools)
        for said in taught:
            try:
                text = answer_grammar(subject.mode, said.tools, lambda: frame)
            except InputError:  # the tools of this sample demand what no grammar holds
                continue
            read = parse_gbnf(text) if text else None
            if read is None or read.accepts(said.text):
                described += 1
            elif not refused:
                known = read.accepted(said.text)
                refused = f"{said.text[:known]!r} may not go on with {said.text[known:]!r:.60}"
    except PluginError as error:
        yield Breach(error.message, "see docs/hooks.md: a grammar names root and its own rules")
        return
    if refused and described * 2 <= len(taught):
        yield Breach(
            f"it describes {described} of {len(taught)} answers; {refused}",
            "write white space and tags into the grammar as the formatter writes them",
        )
