"""Finds out how a chat template writes calls of tools, to describe them in GBNF and to read them.

Two calls are rendered whose names and arguments stand out. The text around them is the frame:
the same for every tool, in any template that writes arguments as one JSON object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from attrs import frozen

from ftcore.errors import InputError
from ftcore.gbnf import quoted
from ftcore.json_grammar import SPELLINGS, SchemaError, Spelling, schema_rules, value_rules
from ftcore.values import Json, Message, Part, ToolCall

CALLS = "tool-calls"
"""The rule of one call or several in a row."""
PROSE = "prose"
"""The rule of words in which no call begins."""

CORE_RULES = (CALLS, PROSE)
"""Rules that a mode's grammar may name where there are tools."""
RESERVED = re.compile(r"tool-calls?|tool-\d.*|json-.*|prose(-\d.*)?")
"""Names of these two and of the rules that they need; a mode must not define them."""

Answer = Callable[[Message], str]
"""What a chat template writes for an assistant's message after its prompt, to the end of the turn
or beyond; raises whatever it raises."""

_WORDS = "zqwordszq"
_CALLS = (
    ToolCall("zqfirstzq", {"zqkeyzq": ["zqéonezq", 1]}, "zqfirst01"),
    ToolCall("zqsecondzq", {"zqkeyzq": ["zqétwozq", 2]}, "zqsecnd02"),
)
_ID = re.compile(r"zqfirst01|zqsecnd02")
_NO_THOUGHT = re.compile(r"\s*<think>\s*</think>\s*")
_MARK = re.compile(r"<[^<>\s]+>|\[[A-Z_]+\]")


@frozen
class CallFrame:
    """The texts that a chat template writes around names and arguments."""

    before: str
    """From the beginning of the calls to the first name."""
    between: str
    """From a name to its arguments."""
    joint: str | None
    """From arguments to the next name; None where a turn has one call only."""
    after: str
    """From the last arguments to the end of the turn."""
    spelling: Spelling
    no_thought: str = ""
    """What is written before the calls where nothing was thought: Qwen3's empty ``<think>``."""

    @property
    def mark(self) -> str:
        """What tells calls from words: a tag, or the character that begins the answer."""
        tag = _MARK.match(self.before)
        return tag.group() if tag else self.before[:1]

    @property
    def bare(self) -> bool:
        """Whether no tag opens the calls, so that they are told by how the answer begins."""
        return not _MARK.match(self.before)

    def place(self, text: str) -> int:
        """Where in an answer calls begin, or -1."""
        if not self.bare:
            return text.find(self.mark)
        start = len(text) - len(text.lstrip())
        return start if text.startswith(self.mark, start) else -1

    def read(self, text: str) -> tuple[ToolCall, ...] | None:
        """The calls of a text that is nothing else; None where it cannot be read.

        White space may differ from what the template writes.
        """
        found: list[ToolCall] = []
        at = _match(self.before, text.strip(), 0)
        text = text.strip()
        while at is not None:
            name = re.compile(rf"(.*?){_loose(self.between)}", re.DOTALL).match(text, at)
            if name is None:
                return None
            try:
                arguments, end = json.JSONDecoder().raw_decode(text, name.end())
            except (ValueError, RecursionError):
                return None
            if not isinstance(arguments, dict):
                return None
            found.append(ToolCall(name.group(1), cast("dict[str, Any]", arguments)))
            after = _match(self.after, text, end)
            if after == len(text):
                return tuple(found)
            at = None if self.joint is None else _match(self.joint, text, end)
        return None

    def rules(self, tools: Sequence[Json]) -> str:
        """The rules :data:`CALLS` and :data:`PROSE`, and those that they need.

        :param tools: OpenAI-style definitions, at least one.
        :raises InputError: the parameters of a tool demand what a grammar cannot hold.
        """
        names: list[str] = []
        rules: list[str] = []
        for index, tool in enumerate(tools):
            function = cast("Json", tool["function"])
            name = str(function["name"])
            call, arguments = f"tool-{index + 1}", f"tool-{index + 1}-arguments"
            # the name stands in quotation marks, so it is spelt as JSON
            before = quoted(self.spelling.write(name)[1:-1] + self.between)
            names.append(call)
            rules.append(f"{call} ::= {before} {arguments}")
            parameters = function.get("parameters")
            try:
                rules += schema_rules(
                    {"type": "object", "additionalProperties": False}
                    if parameters is None
                    else parameters,
                    arguments,
                    self.spelling,
                )
            except SchemaError as error:
                raise InputError(
                    f"the tool {name!r} cannot be described by a grammar: "
                    f"/parameters{error.pointer}: {error.message}",
                    "simplify the schema, or do without the grammar",
                ) from error
        more = f" ({_spelt(self.joint)} tool-call)*" if self.joint is not None else ""
        thought = f"{quoted(self.no_thought)}? " if self.no_thought else ""
        return "\n".join(
            [
                f"{CALLS} ::= {thought}{_spelt(self.before)} tool-call{more} {_spelt(self.after)}",
                f"tool-call ::= {' | '.join(names)}",
                *rules,
                *value_rules(self.spelling),
                *(_bare_prose(self.mark) if self.bare else _prose(self.mark)),
            ]
        )


def find_call_frame(answer: Answer) -> CallFrame:
    """The frame of a chat template.

    :raises InputError: the template writes no calls, or writes arguments otherwise than as one
        JSON object.
    """
    try:
        words = answer(Message("assistant", (Part("", _WORDS),)))
        one = answer(Message("assistant", tool_calls=_CALLS[:1]))
    except Exception as error:  # a template raises whatever it likes
        raise InputError(f"the chat template writes no calls of tools: {error}") from error
    before, name, rest = one.partition(_CALLS[0].name)
    if not name:
        raise InputError("the chat template writes no calls of tools", "train with tools")
    for spelling in SPELLINGS:
        between, found, after = rest.partition(spelling.write(_CALLS[0].arguments))
        if found:
            end = _without_end(after, words.partition(_WORDS)[2])
            joint = _joint(answer, spelling)
            empty = _NO_THOUGHT.match(before)
            no_thought = empty.group() if empty else ""
            before = before[len(no_thought) :].lstrip()
            return CallFrame(before, between, joint, end, spelling, no_thought)
    raise InputError(
        "the chat template does not write the arguments of a call as one JSON object",
        "a grammar of calls can be had only for templates that do",
    )


def _joint(answer: Answer, spelling: Spelling) -> str | None:
    try:
        two = answer(Message("assistant", tool_calls=_CALLS))
    except Exception:  # Llama 3's templates refuse several calls
        return None
    _, first, rest = two.partition(spelling.write(_CALLS[0].arguments))
    joint, second, _ = rest.partition(_CALLS[1].name)
    return joint if first and second else None


def _without_end(after: str, end: str) -> str:
    """What stands before the token that ends the turn; ``end`` begins with that token."""
    for length in range(len(end), 0, -1):
        if (at := after.find(end[:length])) >= 0:
            return after[:at]
    return after


def _spelt(text: str) -> str:
    """A text as GBNF, with any id of nine characters in the place of the probe's."""
    pieces = [quoted(piece) if piece else "" for piece in _ID.split(text)]
    return " [a-zA-Z0-9]{9} ".join(pieces).strip() or '""'


def _loose(text: str) -> str:
    """A pattern for a text whose white space may differ."""
    pieces = (re.escape(piece) for piece in re.split(r"\s+", text))
    return r"\s*".join(pieces).replace("zqfirst01", r"\w*").replace("zqsecnd02", r"\w*")


def _match(pattern: str, text: str, at: int) -> int | None:
    found = re.compile(_loose(pattern.rstrip()) + (r"\s*" if pattern[-1:].isspace() else "")).match(
        text, at
    )
    return found.end() if found else None


def _bare_prose(first: str) -> list[str]:
    return [rf"{PROSE} ::= [^ \t\r\n{_in_class(first)}] [^\x00]*"]


def _prose(mark: str) -> Iterator[str]:
    """Words in which a mark does not stand: the states of a search for it (Knuth, Morris, Pratt).

    A rule is the state that so many characters of the mark were just read.
    """
    for read in range(len(mark)):
        further = {
            character: next(
                length
                for length in range(read + 1, -1, -1)
                if (mark[:read] + character).endswith(mark[:length])
            )
            for character in dict.fromkeys(mark)
        }
        ways = [
            f'"{_in_literal(character)}" {PROSE}-{length}'
            for character, length in further.items()
            if 0 < length < len(mark)
        ]
        stops = "".join(_in_class(c) for c, length in further.items() if length)
        ways.append(f"[^{stops}] {PROSE}-0")
        if not read:
            yield f"{PROSE} ::= {' | '.join(ways)}"
        yield f"{PROSE}-{read} ::= ({' | '.join(ways)})?"


def _in_literal(character: str) -> str:
    return quoted(character)[1:-1]


def _in_class(character: str) -> str:
    return f"\\{character}" if character in "\\[]^-" and character != "^" else character
