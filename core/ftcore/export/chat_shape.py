"""A chat template as data: what it writes around the texts of a chat.

A shape is what fills one fixed frame: an opening (with the system's text and the tools), then
questions, answers (with thoughts and tool calls) and results. :meth:`ChatShape.write` writes the
frame out, and :mod:`ftcore.export.read_chat_shape` takes a shape only if that gives the chat
template's own text for every probe: a template that the frame does not hold has none, rather than
one that is half right. :mod:`ftcore.export.go_template` says the same frame in Ollama's language.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from ftcore.jinja import Chat


@frozen
class Hole:
    """A place where a text of the chat stands."""

    field: str
    """``system``, ``tools``, ``name``, ``arguments``, ``id``, ``result``, ``result as JSON``."""


Pieces = tuple["str | Hole", ...]


@frozen
class Calls:
    """How the calls of an answer are written."""

    before: str
    call: Pieces
    between: str
    after: str
    beside_words: str | None
    """Between what is said and the first call; None: what is said beside calls is left out."""


@frozen
class Results:
    """How a run of results of tools is written."""

    before: str
    result: Pieces
    between: str
    after: str


@frozen
class Tools:
    """How a tool's definition is written: JSON with a space after each separator."""

    whole: bool
    """With ``{"type": "function", "function": …}`` around the function."""
    indent: int | None
    """As of ``json.dumps``."""
    between: str


@frozen
class Thoughts:
    """How the thought of an answer is written."""

    before: str
    after: str
    every: bool
    """Otherwise only in answers after the last question."""


@frozen
class ChatShape:
    """One chat template as data."""

    start: str
    """Before everything, where :attr:`opening_at_last`."""
    openings: Mapping[tuple[bool, bool], Pieces]
    """Up to the question's text, by whether there are a system text and tools."""
    opening_at_last: bool
    """Whether the opening stands before the last question; otherwise before the first."""
    system_at_end: bool
    """Whether the opening has the system's text only if the chat ends with its question."""
    question: str
    """Before a question that has no opening."""
    question_end: str
    answer: str
    answer_end: str
    prompt: str
    """After all messages, where the assistant is to speak."""
    prompt_without_thought: str
    """The same where the client switches thinking off."""
    thoughts: Thoughts | None = None
    tools: Tools | None = None
    calls: Calls | None = None
    results: Results | None = None

    def write(self, chat: Chat, tools: Chat | None, *, think: bool = True) -> str:
        """The prompt for a chat that ends with a question or a result."""
        system = "\n\n".join(m["content"] for m in chat if m["role"] == "system")
        turns = [message for message in chat if message["role"] != "system"]
        questions = [i for i, message in enumerate(turns) if message["role"] == "user"]
        opened = questions[-1] if self.opening_at_last else questions[0]
        at_end = not self.system_at_end or turns[-1]["role"] == "user"
        opening = self.openings[bool(system) and at_end, bool(tools)]
        text, role = self.start, ""
        for index, message in enumerate(turns):
            if role == "tool" != message["role"] and self.results:
                text += self.results.after
            if message["role"] == "user":
                listed = self._tool_list(tools or ())
                text += (
                    _filled(opening, {"system": system, "tools": listed})
                    if index == opened
                    else self.question
                )
                text += message["content"] + self.question_end
            elif message["role"] == "assistant":
                text += self.answer + self._thought(message, index > questions[-1])
                text += self._said(message) + self.answer_end
            elif self.results:
                text += self.results.between if role == "tool" else self.results.before
                content = message["content"]
                encoded = as_json(content)
                text += _filled(
                    self.results.result,
                    {
                        "result": content,
                        "result as JSON": encoded,
                        "id": message.get("tool_call_id", ""),
                        "name": message.get("name", ""),
                    },
                )
            role = message["role"]
        if role == "tool" and self.results:
            text += self.results.after
        return text + (self.prompt if think else self.prompt_without_thought)

    def _tool_list(self, tools: Sequence[dict[str, Any]]) -> str:
        if self.tools is None:
            return ""
        shown = (tool if self.tools.whole else tool["function"] for tool in tools)
        return self.tools.between.join(as_json(tool, self.tools.indent) for tool in shown)

    def _thought(self, message: dict[str, Any], after_last: bool) -> str:
        thought = message.get("reasoning_content")
        if not thought or self.thoughts is None or not (self.thoughts.every or after_last):
            return ""
        return self.thoughts.before + thought + self.thoughts.after

    def _said(self, message: dict[str, Any]) -> str:
        words, calls = message["content"], message.get("tool_calls", ())
        if not calls or self.calls is None:
            return words
        written = (
            _filled(
                self.calls.call,
                {
                    "name": call["function"]["name"],
                    "arguments": as_json(call["function"]["arguments"]),
                    "id": call.get("id", ""),
                },
            )
            for call in calls
        )
        said = self.calls.before + self.calls.between.join(written) + self.calls.after
        if self.calls.beside_words is None or not words:
            return said
        return words + self.calls.beside_words + said


def as_json(value: object, indent: int | None = None) -> str:
    """JSON as chat templates write it (``tojson`` of transformers)."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _filled(pieces: Pieces, texts: Mapping[str, str]) -> str:
    return "".join(p if isinstance(p, str) else texts[p.field] for p in pieces)
