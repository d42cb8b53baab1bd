"""Finds for each trained message the prompt that will be served and the answer to it, as text.

The prompt is what the chat template makes of the messages before it, the answer what it adds for
this one, up to and including the token that ends the turn.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from attrs import evolve, frozen
from transformers import PreTrainedTokenizerBase

from ftcore.controls import ControlTokens, Marked, unmarked
from ftcore.jinja import ChatWriter
from ftcore.messages import template_message
from ftcore.spans import Span, part_spans
from ftcore.template import demands_nine_characters
from ftcore.values import Conversation, Message, Part, ToolCall

Escaping = Literal["refuse", "escape"]

_OR_ESCAPE = "mend the text, or encode it as plain characters: --control-tokens=escape"

_NINE = re.compile(r"[a-zA-Z0-9]{9}")
_ANCHOR = "zqanchorqz"
"""Stands for an answer."""


@frozen
class Turn:
    """A trained message as text."""

    index: int
    """Of the message in the conversation."""
    prompt: str
    answer: str
    """Ends with the token that ends the turn."""
    spans: tuple[Span, ...]
    escaped: tuple[int, ...] = ()
    """Where in ``prompt + answer`` a control token stands that is only text."""


class RenderError(ValueError):
    """A conversation cannot be rendered truthfully: the message says why, ``hint`` a mend.

    ``index`` is that of the message in the conversation, if it is one message's fault, and
    ``text`` what is wrong in it, if it is not the whole: :func:`ftcore.whereabouts.place_of`
    finds it in the sample.
    """

    def __init__(
        self, message: str, hint: str = "", *, index: int | None = None, text: str = ""
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.index = index
        self.text = text


class ChatTemplate:
    """A tokenizer's chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, controls: ControlTokens) -> None:
        self._controls = controls
        self._every = tuple(controls.ids)
        self._writer = ChatWriter(tokenizer)
        self._nine = demands_nine_characters(tokenizer)
        self._ends = self._probe_ends()

    def turns(self, conversation: Conversation, control_tokens: Escaping) -> tuple[Turn, ...]:
        """Prompt and answer of every trained message.

        :raises RenderError: the template refuses the conversation, has no place for a message
            after the prompt that would be served, leaves text of a trained message out, or ends a
            turn with no token; or the user's text holds a control token that is not escaped, or
            half of a surrogate pair.
        """
        trained = [index for index, message in enumerate(conversation.messages) if message.trained]
        if not trained:
            raise RenderError("no message is trained")
        if trained[0] == 0:
            raise RenderError(
                "message 0 is trained, but no message stands before it, so there is no prompt "
                "that could be served",
                index=0,
            )
        chat = self._chat(conversation, control_tokens, trained)
        prompts, wholes = self._rendered(chat.messages, chat.tools, trained)
        found: list[Turn] = []
        for index, prompt, whole in zip(trained, prompts, wholes, strict=True):
            if whole.startswith(prompt):
                said = whole[len(prompt) :]
            else:
                said = self._said_elsewhere(chat, index, prompt, whole)
            said = self._cut_after_end(said, index, chat.mark)
            text, marked = unmarked(prompt + said, chat.mark)
            escaped = self._controls.standing(text, marked) if marked else ()
            _refuse_half_characters(text, index)
            marks = prompt.count(chat.mark) if chat.mark else 0
            start = len(prompt) - marks * len(chat.mark)
            message, answer = conversation.messages[index], text[start:]
            spans, lost = part_spans(message, answer)
            if lost:
                raise RenderError(
                    f"the chat template leaves out {lost} of message {index}", index=index
                )
            found.append(Turn(index, text[:start], answer, spans, escaped))
        return tuple(found)

    def messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages as chat templates take them, in the shape that transformers documents.

        Where the template insists on ids of nine letters and digits for calls, others are
        replaced, in calls and results alike, by ids made from the call.
        """
        if not self._nine:
            return [template_message(message) for message in messages]
        ids: list[tuple[str | None, str]] = []  # of the calls that wait for their results
        made: list[dict[str, Any]] = []
        for message in messages:
            if message.tool_calls:
                ids = [
                    (call.id, _nine_characters(n, call))
                    for n, call in enumerate(message.tool_calls)
                ]
                calls = tuple(
                    evolve(call, id=new)
                    for call, (_, new) in zip(message.tool_calls, ids, strict=True)
                )
                message = evolve(message, tool_calls=calls)
            elif message.role == "tool" and ids:
                given = message.tool_call_id
                at = next((i for i, (old, _) in enumerate(ids) if given in (None, old)), 0)
                message = evolve(message, tool_call_id=ids.pop(at)[1])
            made.append(template_message(message))
        return made

    def ends(self) -> tuple[str, ...]:
        """The tokens that end an assistant's turn, the usual one first.

        :raises RenderError: there is no template, or its turns end with no token.
        """
        answer = self.turns(Conversation(_PROBE), "refuse")[0].answer
        *_, last = self._controls.pattern.findall(answer)
        return tuple(dict.fromkeys((last, *self._ends)))

    def _probe_ends(self) -> tuple[str, ...]:
        """The first control tokens after what is said, for an answer in words and for a call."""
        call = ToolCall("probe", {"key": "value"}, "call00001")
        ends: list[str] = []
        for message in (_PROBE[1], evolve(_PROBE[1], content=(), tool_calls=(call,))):
            chat = self.messages((_PROBE[0], message))
            try:
                (prompt,), (whole,) = self._rendered(chat, None, [1])
            except RenderError:
                continue
            run = self._controls.closing().search(whole, len(prompt))
            found = run and self._controls.pattern.match(whole, run.start())
            if found and whole.startswith(prompt):
                ends.append(found.group())
        return tuple(dict.fromkeys(ends))

    def _chat(
        self, conversation: Conversation, control_tokens: Escaping, trained: Sequence[int]
    ) -> Marked:
        messages = self.messages(conversation.messages)
        tools = [dict(tool) for tool in conversation.tools] or None
        plain = Marked(messages, tools, "")
        if not self._controls.in_chat(messages, tools):
            return plain
        marked = self._controls.mark(messages, tools)
        if control_tokens == "escape":
            return marked
        for index, message in enumerate(messages):
            if token := self._controls.in_value(message):
                raise RenderError(
                    f"message {index} holds {token!r}, a control token of the base model; "
                    "as text it would end or open a turn",
                    _OR_ESCAPE,
                    index=index,
                    text=token,
                )
        if token := self._controls.in_value(tools):
            raise RenderError(
                f"the tools hold {token!r}, a control token of the base model",
                _OR_ESCAPE,
                text=token,
            )
        self._refuse_joints(plain, marked, trained)
        return plain

    def _refuse_joints(self, chat: Marked, marked: Marked, trained: Sequence[int]) -> None:
        """Refuses a text that becomes a control token only by what the template writes beside it.

        The pieces of one with which texts begin or end carry a mark, which is looked for in the
        control tokens of what the template writes. Only where there is such a one it is found out
        whose it is: each message is rendered with its marks alone.
        """
        joint = self._joint(marked, trained)
        if joint is None:
            return
        if token := self._joint(evolve(marked, messages=chat.messages), trained):
            raise self._joint_error("the tools hold", chat.tools, token)
        for index, message in enumerate(marked.messages):
            one = [*chat.messages[:index], message, *chat.messages[index + 1 :]]
            if message != chat.messages[index] and (
                token := self._joint(evolve(marked, messages=one, tools=chat.tools), trained)
            ):
                raise self._joint_error(
                    f"message {index} holds", chat.messages[index], token, index
                )
        raise self._joint_error("the messages hold", chat.messages, joint)

    def _joint(self, chat: Marked, trained: Sequence[int]) -> str | None:
        """The first control token in what the template writes of which a part is marked."""
        prompts, wholes = self._rendered(chat.messages, chat.tools, trained)
        for written in (*prompts, *wholes):
            text, places = unmarked(written, chat.mark)
            for at in self._controls.standing(text, places):
                if token := self._controls.pattern.match(text, at):
                    return token.group()
        return None

    def _joint_error(
        self, who: str, value: object, token: str, index: int | None = None
    ) -> RenderError:
        piece = self._controls.piece_in_value(value)
        return RenderError(
            f"{who} a piece of {token!r}, a control token of the base model, and "
            "what the chat template writes beside it makes it whole",
            _OR_ESCAPE,
            index=index,
            text=piece,
        )

    def _rendered(
        self, chat: list[dict[str, Any]], tools: list[dict[str, Any]] | None, places: Sequence[int]
    ) -> tuple[list[str], list[str]]:
        """For each place the prompt before it, and all up to the message that stands there."""
        try:
            return self._writer.turns(chat, tools, places)
        except Exception as error:  # a template raises whatever it likes
            raise RenderError(f"the chat template refuses the conversation: {error}") from error

    def _said_elsewhere(self, chat: Marked, index: int, prompt: str, whole: str) -> str:
        """The answer where the template writes the messages before it otherwise than the prompt.

        Mistral's templates write the system's text only where the user speaks last. The answer
        counts if the template writes it after the same tokens with which the prompt ends.
        """
        try:
            anchored = {"role": "assistant", "content": _ANCHOR}
            (_, (other,)) = self._rendered([*chat.messages[:index], anchored], chat.tools, [index])
        except RenderError:
            other = ""
        before, anchor, _ = other.partition(_ANCHOR)
        last = max((found.start() for found in self._controls.pattern.finditer(prompt)), default=-1)
        ends_alike = last >= 0 and before.endswith(prompt[last:])
        if anchor and ends_alike and whole.startswith(before):
            return whole[len(before) :]
        raise RenderError(
            f"the chat template renders message {index} differently from the prompt "
            "that the model will see when it is served",
            index=index,
        )

    def _cut_after_end(self, said: str, index: int, mark: str) -> str:
        """The answer without what the template writes after the token that ends the turn."""
        usual, cut = self._ends[:1], said.rstrip()
        if usual and not mark and cut.endswith(usual):
            before = cut[: -len(usual[0])].rstrip()
            if not before.endswith(self._every):
                return cut
        if run := self._controls.closing(mark).search(said):
            tokens = list(self._controls.pattern.finditer(said, run.start()))
            end = next((token for token in tokens if token.group() in self._ends), tokens[-1])
            return said[: end.end()]
        raise RenderError(
            f"the chat template ends message {index} with no end-of-turn token, so the model "
            "would never learn to stop",
            index=index,
        )


_PROBE = (
    Message("user", (Part("", "a"),)),
    Message("assistant", (Part("", "b"),), trained=True),
)


def _refuse_half_characters(text: str, index: int) -> None:
    try:
        _ = text.isascii() or text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise RenderError(
            f"message {index}, or what stands before it, holds U+{ord(half):04X}, "
            "half of a surrogate pair and no character by itself",
            text=half,
        ) from error


def _nine_characters(place: int, call: ToolCall) -> str:
    if call.id is not None and _NINE.fullmatch(call.id):
        return call.id
    written = json.dumps([place, call.id, call.name, call.arguments])
    return hashlib.sha256(written.encode()).hexdigest()[:9]
