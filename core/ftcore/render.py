"""Turns a conversation into examples whose prompt is the one that will be served.

Several trained messages share one example where the tokens of the longer prompt begin with
those of the shorter one and its answer; otherwise the conversation is split.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ftcore.controls import control_tokens as control_tokens_of
from ftcore.encoding import Encoded, Encoder, moved, one_text
from ftcore.spans import STRUCTURE, token_ranges
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
        self._is_control = np.zeros(max(controls.ids.values(), default=0) + 2, np.bool_)
        self._is_control[list(controls.ids.values())] = True  # by id; the last is for all beyond
        self._template = ChatTemplate(tokenizer, controls)
        self._encoder = Encoder(tokenizer, controls)
        self._tails: dict[str, bytes] = {}

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
            every = [self._runs(conversation) for conversation in batch]
            runs = [run for found in every if not isinstance(found, RenderError) for run in found]
            at_once = iter(self._at_once(runs))
            for found in every:
                if isinstance(found, RenderError):
                    yield found
                    continue
                made = [next(at_once) for _ in found]
                try:
                    yield tuple(
                        example
                        for run, whole in zip(found, made, strict=True)
                        for example in ((whole,) if whole else self._apart(run))
                    )
                except RenderError as error:
                    yield error

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text: special tokens in it are recognised, none is added."""
        return self._encoder.encode(text).ids.tolist()

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens included."""
        return self._encoder.decode(ids)

    def encode_turn(self, turn: Turn) -> tuple[list[int], list[int]]:
        """Token ids of a turn's prompt, as it will be served, and of its answer after it.

        :raises RenderError: the tokenizer has no tokens for the answer after this prompt.
        """
        start, whole = self._encode_turn(turn)
        return whole.ids[:start].tolist(), whole.ids[start:].tolist()

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

    def _at_once(self, runs: Sequence[list[Turn]]) -> list[Example | None]:
        """The example of each run, all encoded at once; None where that may not do.

        It does where the tokens before each answer are those of its prompt alone. They are if
        they are from the prompt's last control token on: a tokenizer takes control tokens out
        before anything else, so nothing before one changes with what stands after.
        """
        encoded = self._encoder.encode_many([run[-1].prompt + run[-1].answer for run in runs])
        counts = [len(run) for run in runs]
        turns = [turn for run in runs for turn in run]
        origins = np.repeat(encoded.origins[:-1], counts)
        answers = _answer_tokens(encoded, turns, origins)
        parts = self._parts(encoded, turns, origins, answers)
        places = np.arange(len(encoded.ids))
        control = self._is_control.take(encoded.ids, mode="clip")
        tails = np.append(np.maximum.accumulate(np.where(control, places, 0)), 0)
        begins = np.repeat(encoded.bounds[:-1], counts)
        tails = np.maximum(tails[answers[:, 0] - 1], begins)
        tail_starts = np.where(tails > begins, encoded.starts[tails] - origins, 0)
        found: list[Example | None] = []
        rows = zip(turns, answers.tolist(), tails.tolist(), tail_starts.tolist(), strict=True)
        bounds: list[int] = encoded.bounds.tolist()
        for run, first, beyond, exact in zip(
            runs, bounds, bounds[1:], encoded.exact.tolist(), strict=False
        ):
            ids = encoded.ids[first:beyond]
            alone = not run[-1].escaped
            for turn, (start, end), tail, tail_start in islice(rows, len(run)):
                alone = (
                    alone
                    and start < end
                    and encoded.ids[tail:start].tobytes() == self._tail(turn.prompt[tail_start:])
                    and (exact or self._says(turn, encoded.ids[start:end]))
                )
            found.append(Example(ids, parts[first:beyond]) if alone else None)
        return found

    def _apart(self, run: list[Turn]) -> Iterator[Example]:
        """The examples of a run, each prompt encoded by itself.

        :raises RenderError: the tokenizer would lose what an answer says.
        """
        example: Example | None = None
        for turn in run:
            start, encoded = self._encode_turn(turn)
            if not encoded.exact[0] and not self._says(turn, encoded.ids[start:]):
                lost = self._lost_character(turn, encoded.ids[start:])
                what = f"{lost!r} (U+{ord(lost):04X})" if lost else "a character"
                raise RenderError(
                    f"message {turn.index} holds {what}, for which the base model has no token; "
                    "it would be lost without a word",
                    index=turn.index,
                    text=lost,
                )
            answer = np.array([[start, len(encoded.ids)]])
            parts = self._parts(encoded, [turn], np.zeros(1, np.int64), answer)
            if example:
                before = len(example.parts)
                if np.array_equal(example.input_ids, encoded.ids[: min(before, start)]):
                    parts[:before] = example.parts
                else:
                    yield example
            example = Example(encoded.ids, parts)
        if example:
            yield example

    def _encode_turn(self, turn: Turn) -> tuple[int, Encoded]:
        """How many tokens the prompt has, and prompt and answer in tokens.

        The answer's tokens are those that it has after the prompt, unless the tokenizer joins
        the prompt's last token with the answer's first: no such token can be generated.
        """
        border, text = len(turn.prompt), turn.prompt + turn.answer
        prompt = self._encoder.encode(turn.prompt, [p for p in turn.escaped if p < border])
        whole = self._encoder.encode(text, turn.escaped)
        count = len(prompt.ids)
        if np.array_equal(whole.ids[:count], prompt.ids):
            return count, whole
        answer = self._encoder.encode(
            turn.answer, [p - border for p in turn.escaped if p >= border]
        )
        apart = one_text(text, (prompt, moved(answer, border)))
        if self.decode(apart.ids.tolist()) != self.decode(whole.ids.tolist()):
            raise RenderError(
                f"message {turn.index} cannot be told from its prompt: the tokenizer joins them, "
                "and apart they say something else",
                index=turn.index,
            )
        return count, apart

    def _parts(
        self,
        encoded: Encoded,
        turns: Sequence[Turn],
        origins: NDArray[np.int64],
        answers: NDArray[np.int64],
    ) -> NDArray[np.int16]:
        """The part of every token, -1 outside the answers.

        :param origins: the character at which each turn's text begins.
        :param answers: the first token of each turn's answer, and one beyond its last.
        """
        spans = [span for turn in turns for span in turn.spans]
        counts = [len(turn.spans) for turn in turns]
        borders = origins + [len(turn.prompt) for turn in turns]
        places = np.array([(span.start, span.end) for span in spans], np.int64).reshape(-1, 2)
        ranges = token_ranges(
            places + np.repeat(borders, counts)[:, None],
            np.repeat(answers, counts, axis=0),
            encoded.starts,
            encoded.ends,
        )
        labels = np.array([self._part_id(span.label) for span in spans], np.int16)
        parts = np.full(len(encoded.ids), -1, np.int16)
        _fill(parts, answers, np.full(len(turns), _STRUCTURE, np.int16))
        _fill(parts, ranges, labels)
        parts[answers[:, 1] - 1] = _END
        return parts

    def _tail(self, text: str) -> bytes:
        """Ids of the end of a prompt, which few texts are."""
        if text not in self._tails:
            if len(self._tails) > 1000:
                self._tails.clear()
            self._tails[text] = self._encoder.encode(text).ids.tobytes()
        return self._tails[text]

    def _says(self, turn: Turn, ids: NDArray[np.int32]) -> bool:
        """Whether the tokens of an answer say all of it.

        A tokenizer may normalize, as NFC does; it may not leave out what it has no token for.
        """
        said = self.decode(ids.tolist())
        return said == turn.answer or _folded(said) == _folded(turn.answer)

    def _lost_character(self, turn: Turn, ids: NDArray[np.int32]) -> str:
        """The first character of an answer that its tokens do not say."""
        said = self.decode(ids.tolist())
        return next((c for c in turn.answer if c not in said), "")

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


def _answer_tokens(
    encoded: Encoded, turns: Sequence[Turn], origins: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The first token of each turn's answer, and one beyond its last; shape (turns, 2)."""
    borders = origins + [len(turn.prompt) for turn in turns]
    ends = borders + [len(turn.answer) for turn in turns]
    return np.searchsorted(encoded.starts, np.stack([borders, ends], axis=1))


def _fill(array: NDArray[np.int16], ranges: NDArray[np.int64], values: NDArray[np.int16]) -> None:
    """Writes each value into its range of the array: from the first place to before the second."""
    lengths = ranges[:, 1] - ranges[:, 0]
    before = lengths.cumsum() - lengths
    places = np.arange(int(lengths.sum())) + np.repeat(ranges[:, 0] - before, lengths)
    array[places] = np.repeat(values, lengths)


def _batched(items: Iterable[Conversation], size: int) -> Iterator[list[Conversation]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _folded(text: str) -> str:
    """A text but for what tokenizers change: normal forms, white space beside control tokens."""
    return unicodedata.normalize("NFKC", text).translate(_SPACES)


_SPACES = dict.fromkeys(map(ord, " \t\n\v\f\r\x85\u1680\u2028\u2029"))
"""White space as Unicode has it, after NFKC, which makes one space of the others."""
