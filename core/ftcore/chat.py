"""A conversation with a served model: history, answers in parts, calls and results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from attrs import evolve, frozen

from ftcore.answer_parts import CALLS, AnswerSplitter, Piece
from ftcore.call_frame import CallFrame
from ftcore.export.runtime import Runtime, RuntimeRefusedError, Sampling
from ftcore.served import chat_messages
from ftcore.values import Json, Message, Part, Target, ToolCall, with_system

Hear = Callable[[Piece], None]


@frozen
class Answer:
    """What the model said."""

    text: str
    """As it was generated, without the token that ended it."""
    parts: tuple[Part, ...]
    """The same without tags, by the labels of :mod:`ftcore.answer_parts`."""
    calls: tuple[ToolCall, ...] = ()
    broken_call: bool = False
    """A call was begun that cannot be read or names no tool."""
    ended: bool = False
    """Whether the model ended its turn by itself."""


class Chat:
    """Keeps the history, which every prompt is made of by the file's own chat template."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        markers: Sequence[str] = (),
        tools: Sequence[Json] = (),
        frame: CallFrame | None = None,
        system: str = "",
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        max_tokens: int = 512,
    ) -> None:
        self._runtime = runtime
        self._markers = tuple(markers)
        self._tools = tuple(tools)
        self._frame = frame
        self._sampling = sampling
        self._max_tokens = max_tokens
        self._target = Target(tools=True, system=runtime.takes_system(), reasoning=False)
        self.system = system
        self.messages: tuple[Message, ...] = ()
        self._calls = 0

    @property
    def waiting(self) -> tuple[ToolCall, ...]:
        """The calls of the last answer that have no result yet."""
        for results, message in enumerate(reversed(self.messages)):
            if message.role != "tool":
                return message.tool_calls[results:]
        return ()

    def reset(self) -> None:
        """Forgets everything but the system text."""
        self.messages = ()

    def result(self, text: str) -> None:
        """Takes what the next of the :attr:`waiting` calls gave back."""
        call = self.waiting[0]
        said = Message("tool", (Part("result", text),), tool_call_id=call.id, name=call.name)
        self.messages = (*self.messages, said)

    def ask(self, text: str, hear: Hear) -> Answer:
        """Says something to the model; see :meth:`answer`."""
        before = self.messages
        self.messages = (*before, Message("user", (Part("prose", text),)))
        try:
            return self.answer(hear)
        except RuntimeRefusedError:
            self.messages = before
            raise

    def answer(self, hear: Hear) -> Answer:
        """Has the model speak, and tells each piece as it comes.

        Ctrl-C ends the answer; what was said until then stays in the history.

        :raises RuntimeRefusedError: the conversation is too long for the model, say.
        """
        messages = self.messages
        if self.system:
            messages = with_system(messages, self.system, self._target)
        prompt = self._runtime.apply_template(chat_messages(messages), self._tools)
        splitter = AnswerSplitter(self._markers, self._frame)
        texts: list[str] = []
        pieces: list[Piece] = []

        def take(piece: Piece) -> None:
            pieces.append(piece)
            hear(piece)

        def listen(text: str) -> None:
            texts.append(text)
            for piece in splitter.add(text):
                take(piece)

        ended = False
        with suppress(KeyboardInterrupt):
            ended = self._runtime.say(
                prompt,
                self._max_tokens,
                self._sampling,
                listen,
                preserved=(self._frame.mark,) if self._frame else (),
            )
        for piece in splitter.end():
            take(piece)
        answer = self._read("".join(texts), pieces, ended=ended)
        self.messages = (*self.messages, self._message(answer))
        return answer

    def _read(self, text: str, pieces: Sequence[Piece], *, ended: bool) -> Answer:
        parts: list[Part] = []
        for piece in pieces:
            if parts and parts[-1].label == piece.label:
                parts[-1] = evolve(parts[-1], text=parts[-1].text + piece.text)
            else:
                parts.append(Part(piece.label, piece.text))
        if self._frame is None or not parts or parts[-1].label != CALLS:
            return Answer(text, tuple(parts), ended=ended)
        names = {tool["function"]["name"] for tool in self._tools}
        calls = self._frame.read(parts[-1].text)
        if calls is None or any(call.name not in names for call in calls):
            return Answer(text, tuple(parts), broken_call=True, ended=ended)
        numbered = tuple(evolve(c, id=f"call{self._calls + i:05d}") for i, c in enumerate(calls))
        self._calls += len(calls)
        return Answer(text, tuple(parts[:-1]), numbered, ended=ended)

    def _message(self, answer: Answer) -> Message:
        """An answer as the template takes it: calls apart, everything else as it was written."""
        if not answer.calls or self._frame is None:
            return Message("assistant", (Part("", answer.text),))
        words = answer.text[: self._frame.place(answer.text)].rstrip()
        content = (Part("", words),) if words else ()
        return Message("assistant", content, tool_calls=answer.calls)
