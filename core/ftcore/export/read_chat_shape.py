"""Finds the shape of a chat template by rendering probes with it.

What no probe shows stays as it stands in a chat: templates that trim white space around a text
(Llama 3, Gemma) are followed on texts that have none there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from attrs import evolve, frozen
from transformers import PreTrainedTokenizerBase

from ftcore.controls import ControlTokens, control_tokens
from ftcore.export.chat_probes import (
    ASKED,
    ASKED_AGAIN,
    CALL,
    CALL_2,
    RESULT,
    RESULT_2,
    SAID,
    SYSTEM,
    SYSTEM_MESSAGE,
    THOUGHT,
    TOOLS,
    assistant,
    probe_chats,
    tool_result,
    user,
)
from ftcore.export.chat_shape import (
    Calls,
    ChatShape,
    Hole,
    Pieces,
    Results,
    Thoughts,
    Tools,
    as_json,
)
from ftcore.jinja import Chat, ChatWriter, Written
from ftcore.template import special_tokens


def chat_shape(tokenizer: PreTrainedTokenizerBase, *, add_bos: bool) -> ChatShape | None:
    """The shape of a tokenizer's chat template; None where the frame does not hold it.

    Tools are left out of the shape of a template whose tools alone do not fit the frame.

    :param add_bos: whether the runtime begins every text with the bos token, so that the shape
        must not.
    """
    probing = _Probing(tokenizer)
    try:
        found = probing.shape()
    except _DoesNotFitError:
        return None
    try:
        with_tools = probing.with_tools(found)
    except _DoesNotFitError:
        with_tools = found
    for shape in (with_tools, found):
        if probing.holds(shape):
            return _without_bos(shape, tokenizer) if add_bos else shape
    return None


class _DoesNotFitError(Exception):
    """The template writes something that the frame has no place for."""


_COMBINATIONS = tuple((system, tools) for system in (False, True) for tools in (False, True))


class _Probing:
    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._controls: ControlTokens = control_tokens(special_tokens(tokenizer))
        self._write: Written = ChatWriter(tokenizer).written

    def written(self, *chat: dict[str, Any], tools: Chat | None = None, prompt: bool = True) -> str:
        try:
            return self._write(list(chat), tools, prompt=prompt)
        except Exception as error:  # a template raises whatever it likes
            raise _DoesNotFitError from error

    def shape(self) -> ChatShape:
        """The frame without tools."""
        first, between, said, last = _split(
            self.written(user(ASKED), assistant(SAID), user(ASKED_AGAIN)),
            ASKED,
            SAID,
            ASKED_AGAIN,
        )
        question_end, answer = self._ended(between)
        answer_end, question = self._ended(said)
        prompt = _after(last, question_end)
        shape = ChatShape(
            start="",
            openings=dict.fromkeys(_COMBINATIONS, (first,)),
            opening_at_last=False,
            system_at_end=False,
            question=question,
            question_end=question_end,
            answer=answer,
            answer_end=answer_end,
            prompt=prompt,
            prompt_without_thought=self._prompt_without_thought(question_end) or prompt,
            thoughts=self._thoughts(question_end, answer),
        )
        try:
            later = self.written(SYSTEM_MESSAGE, user(ASKED), assistant(SAID), user(ASKED_AGAIN))
        except _DoesNotFitError:  # as ftcore.values.with_system writes it in training
            opening: Pieces = (first, Hole("system"), "\n\n")
        else:
            if later.find(SYSTEM) > later.find(SAID):
                start = _before(first, question)
                shape = evolve(shape, start=start, opening_at_last=True)
            opening = _pieces(
                _before_text(self.written(SYSTEM_MESSAGE, user(ASKED)), ASKED),
                {"system": SYSTEM},
            )
        return self._opened(shape, {(False, False): (first,), (True, False): opening})

    def _opened(self, shape: ChatShape, openings: Mapping[tuple[bool, bool], Pieces]) -> ChatShape:
        """With openings, of which those without tools stand for those with tools too."""
        cut = {key: _cut(pieces, shape.start) for key, pieces in openings.items()}
        every = {
            (system, tools): cut.get((system, tools), cut[system, False])
            for system, tools in _COMBINATIONS
        }
        return evolve(shape, openings=every)

    def with_tools(self, shape: ChatShape) -> ChatShape:
        """The frame with tools."""
        tools, listed = self._tools()
        openings: dict[tuple[bool, bool], Pieces] = {}
        for system in (False, True):
            openings[system, False] = (shape.start, *shape.openings[system, False])
            chat = [SYSTEM_MESSAGE] * system + [user(ASKED)]
            text = _before_text(self.written(*chat, tools=TOOLS), ASKED)
            openings[system, True] = _pieces(text, {"system": SYSTEM, "tools": listed})
        shape = self._opened(shape, openings)
        calls, results = self._calls_and_results(shape)
        called = [user(ASKED), assistant("", CALL), tool_result(CALL, RESULT)]
        at_end = shape.opening_at_last and SYSTEM not in self.written(
            SYSTEM_MESSAGE, *called, tools=TOOLS
        )
        return evolve(shape, system_at_end=at_end, tools=tools, calls=calls, results=results)

    def _tools(self) -> tuple[Tools, str]:
        """How tools are written, and the list of those of the probe."""
        text = self.written(user(ASKED), tools=TOOLS)
        for indent in (None, 4, 2):
            for whole in (True, False):
                written = [as_json(t if whole else t["function"], indent) for t in TOOLS]
                places = [text.find(tool) for tool in written]
                if min(places) < 0:
                    continue
                between = text[places[0] + len(written[0]) : places[1]]
                return Tools(whole, indent, between), between.join(written)
        raise _DoesNotFitError

    def _calls_and_results(self, shape: ChatShape) -> tuple[Calls, Results]:
        asked = user(ASKED)
        one = self.written(asked, assistant("", CALL), tool_result(CALL, RESULT), tools=TOOLS)
        body = _after(_after_text(one, ASKED), shape.question_end + shape.answer)
        form = "result as JSON" if as_json(RESULT) in body else "result"
        texts = [as_json(text) if form != "result" else text for text in (RESULT, RESULT_2)]
        (call,) = _items(body, [_parts_of_call(CALL)])
        after, rest = _around(body[call.end :], shape.answer_end)
        (result,) = _items(rest, [{form: texts[0], "id": CALL["id"], "name": "zqnameqz"}])
        results_after = _before(rest[result.end :], shape.prompt)
        before = body[: call.start]
        try:
            two = self.written(
                asked,
                assistant("", CALL, CALL_2),
                tool_result(CALL, RESULT),
                tool_result(CALL_2, RESULT_2),
                tools=TOOLS,
            )
        except _DoesNotFitError:  # one call in an answer: each gets an answer of its own
            between = after + shape.answer_end + shape.answer + before
            two = self.written(
                asked,
                assistant("", CALL),
                tool_result(CALL, RESULT),
                tool_result(CALL, RESULT_2),
                tools=TOOLS,
            )
            second = CALL
            body = _after_text(two, ASKED)
            rest = body[body.index(after + shape.answer_end) + len(after + shape.answer_end) :]
        else:
            second = CALL_2
            body = _after_text(two, ASKED)
            first, other = _items(body, [_parts_of_call(CALL), _parts_of_call(CALL_2)])
            between = body[first.end : other.start]
            rest = _around(body[other.end :], shape.answer_end)[1]
        first, other = _items(
            rest,
            [
                {form: texts[0], "id": CALL["id"], "name": "zqnameqz"},
                {form: texts[1], "id": second["id"], "name": second["function"]["name"]},
            ],
        )
        results = Results(
            rest[: result.start], result.pieces, rest[first.end : other.start], results_after
        )
        words = self.written(asked, assistant(SAID, CALL), tool_result(CALL, RESULT), tools=TOOLS)
        beside: str | None = None
        if SAID in words:
            said = _after_text(words, SAID)
            (item,) = _items(said, [_parts_of_call(CALL)])
            beside = _before(said[: item.start], before)
        return Calls(before, call.pieces, between, after, beside), results

    def _thoughts(self, question_end: str, answer: str) -> Thoughts | None:
        spoken = assistant(SAID, thought=THOUGHT)
        text = self.written(user(ASKED), spoken, prompt=False)
        if THOUGHT not in text:
            return None
        before, after, _ = _split(_after_text(text, ASKED), THOUGHT, SAID)
        later = self.written(user(ASKED), spoken, user(ASKED_AGAIN))
        return Thoughts(_after(before, question_end + answer), after, every=THOUGHT in later)

    def _prompt_without_thought(self, question_end: str) -> str:
        try:
            text = str(
                self._tokenizer.apply_chat_template(  # pyright: ignore[reportUnknownMemberType]
                    [user(ASKED)],
                    add_generation_prompt=True,
                    tokenize=False,
                    enable_thinking=False,
                )
            )
        except Exception as error:  # a template raises whatever it likes
            raise _DoesNotFitError from error
        return _after(_after_text(text, ASKED), question_end)

    def _ended(self, text: str) -> tuple[str, str]:
        """What ends a turn, its first control token and white space, and what begins the next."""
        found = self._controls.pattern.search(text)
        if found is None:
            return "", text
        end = found.end() + len(text[found.end() :]) - len(text[found.end() :].lstrip())
        return text[:end], text[end:]

    def holds(self, shape: ChatShape) -> bool:
        """Whether the shape writes what the template writes, for every probe that it takes."""
        taken = 0
        for chat, tools in probe_chats(with_tools=shape.tools is not None):
            try:
                expected = self.written(*chat, tools=tools)
            except _DoesNotFitError:
                continue
            if shape.write(chat, tools) != expected:
                return False
            taken += 1
        return taken > 0


def _without_bos(shape: ChatShape, tokenizer: PreTrainedTokenizerBase) -> ChatShape:
    bos = str(tokenizer.bos_token)
    if shape.start:
        return evolve(shape, start=shape.start.removeprefix(bos))
    openings = {key: _cut(pieces, bos) for key, pieces in shape.openings.items()}
    return evolve(shape, openings=openings)


# Texts


@frozen
class _Item:
    start: int
    end: int
    pieces: Pieces


def _parts_of_call(call: dict[str, Any]) -> dict[str, str]:
    function = call["function"]
    return {
        "arguments": as_json(function["arguments"]),
        "name": function["name"],
        "id": call["id"],
    }


def _items(text: str, parts: Sequence[Mapping[str, str]]) -> list[_Item]:
    """Where the parts of each item stand in a text, one item after the other."""
    found: list[_Item] = []
    for of_item in parts:
        places = {key: text.find(part) for key, part in of_item.items()}
        here = {key: place for key, place in places.items() if place >= 0}
        needed = next(iter(of_item))  # the first is the one that matters
        if needed not in here or ("arguments" in of_item and "name" not in here):
            raise _DoesNotFitError
        start = min(here.values())
        end = max(place + len(of_item[key]) for key, place in here.items())
        found.append(_Item(start, end, _pieces(text[start:end], of_item)))
    if any(one.end > other.start for one, other in pairwise(found)):
        raise _DoesNotFitError
    return found


def _pieces(text: str, parts: Mapping[str, str]) -> Pieces:
    """The text with holes for the parts that stand in it."""
    named = {part: key for key, part in parts.items()}
    pattern = "|".join(map(re.escape, sorted(named, key=len, reverse=True)))
    pieces = [
        Hole(named[piece]) if piece in named else piece for piece in re.split(f"({pattern})", text)
    ]
    return tuple(piece for piece in pieces if piece != "")


def _split(text: str, *marks: str) -> list[str]:
    """What stands before, between and after the marks, in this order."""
    found: list[str] = []
    for mark in marks:
        before, mark, text = text.partition(mark)
        if not mark:
            raise _DoesNotFitError
        found.append(before)
    return [*found, text]


def _around(text: str, mark: str) -> tuple[str, str]:
    before, after = _split(text, mark) if mark else ("", text)
    return before, after


def _after_text(text: str, mark: str) -> str:
    return _split(text, mark)[1]


def _before_text(text: str, mark: str) -> str:
    return _split(text, mark)[0]


def _after(text: str, head: str) -> str:
    if not text.startswith(head):
        raise _DoesNotFitError
    return text[len(head) :]


def _before(text: str, tail: str) -> str:
    if not text.endswith(tail):
        raise _DoesNotFitError
    return text[: len(text) - len(tail)]


def _cut(pieces: Pieces, head: str) -> Pieces:
    """Without a text at the beginning, where it stands there."""
    first = pieces[0] if pieces else ""
    if isinstance(first, str):
        rest = first.removeprefix(head)
        return (rest, *pieces[1:]) if rest else pieces[1:]
    return pieces
