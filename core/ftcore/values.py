"""The frozen values that cross module borders, in the order in which data meets them.

Everything here is plain Python: a mode's plugin can import this module without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import evolve, field, frozen

Json = Mapping[str, Any]
"""A JSON object as ``json.loads`` gives it. Never changed in place."""

Role = Literal["system", "user", "assistant", "tool"]


@frozen
class Sample:
    """One record of the user's data with the place it was read from."""

    data: Json
    file: str
    line: int
    """1-based line of ``file`` on which the record stands."""
    origins: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    """Of a sample that was converted from another shape: JSON pointers into ``data`` and where in
    the record, as its author wrote it, what stands there was."""

    @property
    def place(self) -> str:
        """``file:line``, as editors understand it."""
        return f"{self.file}:{self.line}"


@frozen
class Problem:
    """Something wrong with a sample or a settings file.

    A mode fills ``message``, ``pointer`` (RFC 6901 JSON pointer into the sample, ``""`` for all
    of it) and ``hint``; the core fills ``file`` and ``line``.
    """

    message: str
    pointer: str = ""
    hint: str = ""
    file: str = ""
    line: int = 0
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file else ""
        pointer = f"{self.pointer}: " if self.pointer else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{place}{pointer}{self.message}{hint}"


@frozen
class Part:
    """A piece of a message's text with a label of the mode's choosing (``thought``, ``prose``)."""

    label: str
    text: str


@frozen
class ToolCall:
    """One call of a tool. The chat template decides how it is written.

    ``arguments`` keeps its keys, their order and the types of its numbers.
    """

    name: str
    arguments: Json
    id: str | None = None
    name_label: str = "tool_name"
    arguments_label: str = "arguments"


@frozen
class Message:
    """One turn. The text of ``content`` is its parts joined with nothing between them."""

    role: Role
    content: tuple[Part, ...] = ()
    reasoning: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    """Of a ``tool`` message: the tool that answered."""
    trained: bool = False
    """Whether the model learns to say this message. Only assistant messages are trained."""

    @property
    def text(self) -> str:
        """The content without labels."""
        return "".join(part.text for part in self.content)

    @property
    def reasoning_text(self) -> str:
        """The reasoning without labels."""
        return "".join(part.text for part in self.reasoning)


@frozen
class Conversation:
    """What a mode makes of a sample. Knows no tokenizer and no template."""

    messages: tuple[Message, ...]
    tools: tuple[Json, ...] = ()
    """OpenAI-style tool definitions: ``{"type": "function", "function": {...}}``."""


@frozen
class Target:
    """What the chat template of the model to be trained can express."""

    tools: bool
    """Tool definitions and tool calls are rendered."""
    system: bool
    """A system message is rendered."""
    reasoning: bool
    """``Message.reasoning`` is rendered apart from the content."""


SYSTEM = "system"
"""The label of a system text, wherever it stands: it is kept when old turns are left out."""


def with_system(messages: Sequence[Message], text: str, target: Target) -> tuple[Message, ...]:
    """The messages after a system text: at the head of the first user's message, and an empty line
    after it, where the chat template has no place for a system message.
    """
    if target.system:
        return (Message("system", (Part(SYSTEM, text),)), *messages)
    first = next((i for i, message in enumerate(messages) if message.role == "user"), None)
    if first is None:
        return tuple(messages)
    rules = Part(SYSTEM, f"{text}\n\n")
    headed = evolve(messages[first], content=(rules, *messages[first].content))
    return (*messages[:first], headed, *messages[first + 1 :])


@frozen
class Prediction:
    """What a model said where a sample's held-out message was expected."""

    sample: Json
    """The sample's data as the user wrote it."""
    reference: Message
    """The message that the sample holds at this place."""
    history: tuple[Message, ...]
    """The messages before it."""
    tools: tuple[Json, ...]
    text: str
    """The generated text, special tokens other than the end-of-turn token included."""
    ended: bool
    """Whether the model emitted its end-of-turn token by itself."""
    reference_nll: float | None = None
    """Negative log likelihood of the reference's tokens under the model, summed, in nats; None
    where it was not measured."""
    reference_tokens: int = 0
    """How many tokens the reference has, its end-of-turn token included."""
