"""Turns a conversation into examples whose prompt is the one that will be served.

Several trained messages share one example where the tokens of the longer prompt begin with
those of the shorter one and its answer; otherwise the conversation is split.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ftcore.controls import control_tokens as control_tokens_of
from ftcore.encoding import Encoded, Encoder
from ftcore.spans import STRUCTURE, label_tokens
from ftcore.template import special_tokens, target_of, with_ftcore_template
from ftcore.turns import ChatTemplate, Escaping, RenderError, Turn
from ftcore.values import Conversation, Message, Target

__all__ = [
    "END",
    "IGNORE",
    "STRUCTURE",
    "Example",
    "RenderError",
    "Renderer",
    "Turn",
    "renderer_for",
]

IGNORE = -100
"""The label of a token that is not trained (torch's cross_entropy ``ignore_index``)."""

END = "end"
"""The part label of the token that ends the turn."""

_STRUCTURE, _END = 0, 1

BATCH = 64
"""Conversations that are tokenized in one call."""


@frozen
class Example:
    """A conversation after the tokenizer. The arrays have the same length."""

    input_ids: NDArray[np.int32]
    parts: NDArray[np.int16]
    """Index into :attr:`Renderer.part_labels` where the token is trained, otherwise -1."""

    @property
    def labels(self) -> NDArray[np.int32]:
        """The id where the token is trained, otherwise :data:`IGNORE`."""
        return np.where(self.parts >= 0, self.input_ids, np.int32(IGNORE))

    @property
    def trained_tokens(self) -> int:
        """How many tokens are trained."""
        return int((self.parts >= 0).sum())


@frozen
class _Answer:
    """Trained tokens of an example: from ``start`` to the one before ``end``."""

    start: int
    end: int
    labelled: list[tuple[int, int, int]]
    """From one token to the one before another, and their part; the others are structure."""


class Renderer:
    """Renders conversations with one tokenizer and its chat template."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, control_tokens: Escaping = "refuse"
    ) -> None:
        self.tokenizer = tokenizer
        self.target: Target = target_of(tokenizer)
        self.part_labels: list[str] = [STRUCTURE, END]
        self._part_ids = {STRUCTURE: _STRUCTURE, END: _END}
        self._control_tokens: Escaping = control_tokens
        controls = control_tokens_of(special_tokens(tokenizer))
        self._control_ids = frozenset(controls.ids.values())
        self._template = ChatTemplate(tokenizer, controls)
        self._encoder = Encoder(tokenizer, controls)
        self._tails: dict[str, list[int]] = {}

    def turns(self, conversation: Conversation) -> tuple[Turn, ...]:
        """Prompt and answer of every trained message.

        :raises RenderError: the template refuses the conversation, has no place for a message
            after the prompt that would be served, leaves text of a trained message out, or ends a
            turn with no token; no message is trained; or the user's text holds what cannot be
            encoded, such as a control token that is not escaped.
        """
        return self._template.turns(conversation, self._control_tokens)

    def examples(self, conversation: Conversation) -> tuple[Example, ...]:
        """The examples of a conversation, nearly always one.

        :raises RenderError: see :meth:`turns`; or the tokenizer would lose what an answer says.
        """
        (found,) = self.examples_many((conversation,))
        if isinstance(found, RenderError):
            raise found
        return found

    def examples_many(
        self, conversations: Iterable[Conversation]
    ) -> Iterator[tuple[Example, ...] | RenderError]:
        """The examples of each conversation, or why there are none, in order and as they come.

        Much faster than one by one: many conversations are tokenized at once.
        """
        for batch in _batched(conversations, BATCH):
            runs = [self._runs(conversation) for conversation in batch]
            texts = [
                run[-1].prompt + run[-1].answer
                for found in runs
                if not isinstance(found, RenderError)
                for run in found
                if not run[-1].escaped
            ]
            encoded = self._encoder.encode_many(texts)
            for found in runs:
                if isinstance(found, RenderError):
                    yield found
                    continue
                at_once = [None if run[-1].escaped else next(encoded) for run in found]
                try:
                    yield tuple(
                        example
                        for run, whole in zip(found, at_once, strict=True)
                        for example in self._examples_of_run(run, whole)
                    )
                except RenderError as error:
                    yield error

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text: special tokens in it are recognised, none is added."""
        return self._encoder.encode(text).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens included."""
        return self._encoder.decode(ids)

    def encode_turn(self, turn: Turn) -> tuple[list[int], list[int]]:
        """Token ids of a turn's prompt, as it will be served, and of its answer after it.

        :raises RenderError: the tokenizer has no tokens for the answer after this prompt.
        """
        start, whole = self._encode_turn(turn)
        return whole.ids[:start], whole.ids[start:]

    def end_ids(self) -> tuple[int, ...]:
        """The ids that may end an assistant's turn in this template, the usual one first.

        :raises RenderError: there is no template, or its turns end with no token.
        """
        ends = [self.encode(end)[-1] for end in self._template.ends()]
        eos = self.tokenizer.eos_token_id
        return tuple(dict.fromkeys([*ends, *([eos] if isinstance(eos, int) else [])]))

    def template_messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages as chat templates take them, in the shape that transformers documents."""
        return self._template.messages(messages)

    def _runs(self, conversation: Conversation) -> list[list[Turn]] | RenderError:
        """The turns, those together of which each begins with the text of the one before."""
        runs: list[list[Turn]] = []
        try:
            for turn in self.turns(conversation):
                last = runs[-1][-1] if runs else None
                if last and turn.prompt.startswith(last.prompt + last.answer):
                    runs[-1].append(turn)
                else:
                    runs.append([turn])
        except RenderError as error:
            return error
        return runs

    def _examples_of_run(self, run: list[Turn], whole: Encoded | None) -> Iterator[Example]:
        answers = whole and self._answers_within(run, whole)
        if whole and answers:
            yield _example(whole.ids, answers)
            return
        ids: list[int] = []
        found: list[_Answer] = []
        for turn in run:
            start, apart = self._encode_turn(turn)
            if found and ids != apart.ids[: min(len(ids), start)]:
                yield _example(ids, found)
                found = []
            ids = apart.ids
            found.append(self._answer(turn, apart, start, len(ids)))
        yield _example(ids, found)

    def _encode_turn(self, turn: Turn) -> tuple[int, Encoded]:
        """How many tokens the prompt has, and prompt and answer in tokens.

        The answer's tokens are those that it has after the prompt, unless the tokenizer joins
        the prompt's last token with the answer's first: no such token can be generated.
        """
        border = len(turn.prompt)
        prompt = self._encoder.encode(turn.prompt, [p for p in turn.escaped if p < border])
        whole = self._encoder.encode(turn.prompt + turn.answer, turn.escaped)
        count = len(prompt.ids)
        if whole.ids[:count] == prompt.ids:
            return count, whole
        answer = self._encoder.encode(
            turn.answer, [p - border for p in turn.escaped if p >= border]
        )
        apart = Encoded(
            prompt.ids + answer.ids,
            prompt.starts + [place + border for place in answer.starts],
            prompt.ends + [place + border for place in answer.ends],
            whole=False,
        )
        if self._encoder.decode(apart.ids) != self._encoder.decode(whole.ids):
            raise RenderError(
                f"message {turn.index} cannot be told from its prompt: the tokenizer joins them, "
                "and apart they say something else"
            )
        return count, apart

    def _answers_within(self, run: list[Turn], whole: Encoded) -> list[_Answer] | None:
        """Where the answers stand in a run that was encoded at once.

        None where the tokens before an answer may not be those of its prompt alone. They are
        if they are from the prompt's last control token on: a tokenizer takes control tokens out
        before anything else, so nothing before one changes with what stands after.
        """
        found: list[_Answer] = []
        ids, starts = whole.ids, whole.starts
        for turn in run:
            border = len(turn.prompt)
            start = bisect_left(starts, border)
            end = bisect_left(starts, border + len(turn.answer))
            first = next((i for i in range(start - 1, -1, -1) if ids[i] in self._control_ids), 0)
            tail = turn.prompt[starts[first] if first else 0 :]
            if start == end or ids[first:start] != self._tail(tail):
                return None
            found.append(self._answer(turn, whole, start, end))
        return found

    def _tail(self, text: str) -> list[int]:
        """Ids of the end of a prompt, which few texts are."""
        if text not in self._tails:
            if len(self._tails) > 1000:
                self._tails.clear()
            self._tails[text] = self._encoder.encode(text).ids
        return self._tails[text]

    def _answer(self, turn: Turn, encoded: Encoded, start: int, end: int) -> _Answer:
        if not encoded.whole:
            self._refuse_lost_text(turn, encoded.ids[start:end])
        labelled = label_tokens(
            turn.spans, len(turn.prompt), encoded.starts, encoded.ends, start, end
        )
        return _Answer(start, end, [(a, b, self._part_id(label)) for a, b, label in labelled])

    def _refuse_lost_text(self, turn: Turn, ids: list[int]) -> None:
        said = self._encoder.decode(ids)
        # a tokenizer may normalize, as NFC does; it may not leave out what it has no token for
        if said == turn.answer or _folded(said) == _folded(turn.answer):
            return
        lost = next((c for c in turn.answer if c not in said), "")
        what = f"{lost!r} (U+{ord(lost):04X})" if lost else "a character"
        raise RenderError(
            f"message {turn.index} holds {what}, for which the base model has no token; it would "
            "be lost without a word"
        )

    def _part_id(self, label: str) -> int:
        if label not in self._part_ids:
            self._part_ids[label] = len(self.part_labels)
            self.part_labels.append(label)
        return self._part_ids[label]


def renderer_for(
    tokenizer: PreTrainedTokenizerBase, *, tools: bool, control_tokens: Escaping = "refuse"
) -> Renderer:
    """The renderer of a tokenizer; with ftcore's template where its own cannot do what is needed.

    ``tools``: whether any conversation lists tools or calls one.
    """
    own = Renderer(tokenizer, control_tokens=control_tokens)
    try:
        own.end_ids()
    except RenderError:  # no template, or one that teaches no end
        usable = False
    else:
        usable = own.target.tools or not tools
    if usable:
        return own
    return Renderer(with_ftcore_template(tokenizer), control_tokens=control_tokens)


def _example(ids: list[int], answers: Sequence[_Answer]) -> Example:
    parts = np.empty(len(ids), np.int16)
    parts.fill(-1)  # np.full takes twice as long
    for answer in answers:
        parts[answer.start : answer.end] = _STRUCTURE
        for start, end, part in answer.labelled:
            parts[start:end] = part
        parts[answer.end - 1] = _END
    return Example(np.array(ids, np.int32), parts)


def _batched(items: Iterable[Conversation], size: int) -> Iterator[list[Conversation]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _folded(text: str) -> str:
    """A text but for what tokenizers change: normal forms, white space beside control tokens."""
    return unicodedata.normalize("NFKC", text).translate(_SPACES)


_SPACES = dict.fromkeys(map(ord, " \t\n\v\f\r\x85\u1680\u2028\u2029"))
"""White space as Unicode has it, after NFKC, which makes one space of the others."""
