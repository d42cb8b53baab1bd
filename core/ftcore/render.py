"""Turns a conversation into examples whose prompt is the one that will be served.

For each trained message the prompt is what the chat template makes of the messages before it,
and the answer what it adds for this one, up to and including the token that ends the turn.
Several trained messages share one example where the tokens of the longer prompt begin with
those of the shorter one and its answer; otherwise the conversation is split.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ftcore.spans import STRUCTURE, Span, label_at, part_spans
from ftcore.template import special_tokens, target_of, with_ftcore_template
from ftcore.values import Conversation, Message, Part, Target

IGNORE = -100
"""The label of a token that is not trained (torch's cross_entropy ``ignore_index``)."""

END = "end"
"""The part label of the token that ends the turn."""


@frozen
class Turn:
    """A trained message as text."""

    index: int
    """Of the message in the conversation."""
    prompt: str
    answer: str
    """Ends with the token that ends the turn."""
    spans: tuple[Span, ...]


@frozen
class Example:
    """A conversation after the tokenizer. The three arrays have the same length."""

    input_ids: NDArray[np.int32]
    labels: NDArray[np.int32]
    """The id where the token is trained, otherwise :data:`IGNORE`."""
    parts: NDArray[np.int16]
    """Index into :attr:`Renderer.part_labels` where the token is trained, otherwise -1."""

    @property
    def trained_tokens(self) -> int:
        """How many tokens are trained."""
        return int((self.labels != IGNORE).sum())


class RenderError(ValueError):
    """A conversation cannot be rendered truthfully; the message says why."""


@frozen
class _Encoded:
    prompt: list[int]
    answer: list[int]
    parts: list[int] = field(repr=False)


class Renderer:
    """Renders conversations with one tokenizer and its chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.target: Target = target_of(tokenizer)
        self.part_labels: list[str] = [STRUCTURE, END]
        self._special = special_tokens(tokenizer)
        self._special_ids = frozenset(self._special.values())

    def turns(self, conversation: Conversation) -> tuple[Turn, ...]:
        """Prompt and answer of every trained message.

        :raises RenderError: the template refuses the conversation, does not begin the rendering
            of a message with the prompt that would be served, or ends a turn with no token.
        """
        messages = self.template_messages(conversation.messages)
        tools = [dict(tool) for tool in conversation.tools] or None
        found: list[Turn] = []
        for index, message in enumerate(conversation.messages):
            if not message.trained:
                continue
            if index == 0:
                raise RenderError(
                    "message 0 is trained, but no message stands before it, so there is no prompt "
                    "that could be served"
                )
            prompt = self._apply(messages[:index], tools, prompt=True)
            whole = self._apply(messages[: index + 1], tools, prompt=False)
            if not whole.startswith(prompt):
                raise RenderError(
                    f"the chat template renders message {index} differently from the prompt "
                    "that the model will see when it is served"
                )
            answer = self._cut_after_end(whole[len(prompt) :], index)
            found.append(Turn(index, prompt, answer, part_spans(message, answer)))
        return tuple(found)

    def examples(self, conversation: Conversation) -> tuple[Example, ...]:
        """The examples of a conversation, nearly always one.

        :raises RenderError: see :meth:`turns`; or the user's text holds a control token.
        """
        self._refuse_control_tokens(conversation)
        examples: list[Example] = []
        ids: list[int] = []
        labels: list[int] = []
        parts: list[int] = []
        for turn in self.turns(conversation):
            encoded = self._encode_turn(turn)
            if ids != encoded.prompt[: len(ids)]:
                examples.append(_example(ids, labels, parts))
                ids, labels, parts = [], [], []
            fresh = encoded.prompt[len(ids) :]
            ids += [*fresh, *encoded.answer]
            labels += [*[IGNORE] * len(fresh), *encoded.answer]
            parts += [*[-1] * len(fresh), *encoded.parts]
        examples.append(_example(ids, labels, parts))
        return tuple(examples)

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text: special tokens in it are recognised, none is added."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])  # pyright: ignore

    def end_ids(self) -> tuple[int, ...]:
        """The ids that may end an assistant's turn in this template, the usual one first.

        :raises RenderError: there is no template, or its turns end with no token.
        """
        probe = (
            Message("user", (Part("", "a"),)),
            Message("assistant", (Part("", "b"),), trained=True),
        )
        last = self.encode(self.turns(Conversation(probe))[0].answer)[-1]
        eos = self.tokenizer.eos_token_id
        return tuple(dict.fromkeys([last, *([eos] if isinstance(eos, int) else [])]))

    @staticmethod
    def template_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages as chat templates take them, in the shape that transformers documents."""
        return [_template_message(message) for message in messages]

    def _apply(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, *, prompt: bool
    ) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(  # pyright: ignore[reportUnknownMemberType]
                    messages,
                    tools=tools,  # pyright: ignore[reportArgumentType]
                    add_generation_prompt=prompt,
                    tokenize=False,
                )
            )
        except Exception as error:  # a template raises whatever it likes
            raise RenderError(f"the chat template refuses the conversation: {error}") from error

    def _cut_after_end(self, answer: str, index: int) -> str:
        """The answer without what the template writes after the token that ends the turn."""
        ends = [
            at + len(token)
            for token in self._special
            if (at := answer.rfind(token)) >= 0 and not answer[at + len(token) :].strip()
        ]
        if not ends:
            raise RenderError(
                f"the chat template ends message {index} with no end-of-turn token, so the model "
                "would never learn to stop"
            )
        return answer[: max(ends)]

    def _refuse_control_tokens(self, conversation: Conversation) -> None:
        for index, message in enumerate(conversation.messages):
            for text in _texts(message):
                for token in self._special:
                    if token in text:
                        raise RenderError(
                            f"message {index} holds {token!r}, a control token of the base model; "
                            "as text it would end or open a turn"
                        )
        written = json.dumps(list(conversation.tools), ensure_ascii=False)
        for token in self._special:
            if token in written:
                raise RenderError(f"the tools hold {token!r}, a control token of the base model")

    def _encode_turn(self, turn: Turn) -> _Encoded:
        encoded: Any = self.tokenizer(
            turn.answer, add_special_tokens=False, return_offsets_mapping=True
        )
        ids: list[int] = list(encoded["input_ids"])
        self._refuse_lost_text(turn, ids)
        offsets: list[tuple[int, int]] = list(encoded["offset_mapping"])
        labels = [label_at(turn.spans, start, end) for start, end in offsets]
        labels[-1] = END
        return _Encoded(self.encode(turn.prompt), ids, [self._part_id(name) for name in labels])

    def _refuse_lost_text(self, turn: Turn, ids: list[int]) -> None:
        said = str(
            self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)  # pyright: ignore[reportUnknownMemberType]
        )
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
        if label not in self.part_labels:
            self.part_labels.append(label)
        return self.part_labels.index(label)


def renderer_for(tokenizer: PreTrainedTokenizerBase, *, tools: bool) -> Renderer:
    """The renderer of a tokenizer; with ftcore's template where its own cannot do what is needed.

    ``tools``: whether any conversation lists tools or calls one.
    """
    own = Renderer(tokenizer)
    try:
        own.end_ids()
    except RenderError:  # no template, or one that teaches no end
        return Renderer(with_ftcore_template(tokenizer))
    if tools and not own.target.tools:
        return Renderer(with_ftcore_template(tokenizer))
    return own


def _example(ids: list[int], labels: list[int], parts: list[int]) -> Example:
    return Example(
        np.asarray(ids, np.int32), np.asarray(labels, np.int32), np.asarray(parts, np.int16)
    )


def _template_message(message: Message) -> dict[str, Any]:
    result: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.reasoning:
        result["reasoning_content"] = message.reasoning_text
    if message.tool_calls:
        result["tool_calls"] = [
            {
                "type": "function",
                **({"id": call.id} if call.id is not None else {}),
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        result["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        result["name"] = message.name
    return result


def _texts(message: Message) -> list[str]:
    calls = [
        json.dumps([call.name, call.arguments], ensure_ascii=False) for call in message.tool_calls
    ]
    names = [message.name, message.tool_call_id, *(call.id for call in message.tool_calls)]
    return [message.text, message.reasoning_text, *calls, *(name for name in names if name)]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(dict.fromkeys(map(ord, " \t\r\n")))
