"""Renders chat templates as transformers does, in a third of its time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Protocol, cast

from jinja2 import Environment, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers import PreTrainedTokenizerBase
from transformers.utils import chat_template_utils

from ftcore.stepwise import STEP, stepwise

Chat = list[dict[str, Any]]


class Written(Protocol):
    """What a chat template writes for messages; raises whatever the template raises."""

    def __call__(self, chat: Chat, tools: Chat | None, *, prompt: bool) -> str:
        """``prompt``: whether the assistant is to speak next."""
        ...


class ChatWriter:
    """A tokenizer's ``apply_chat_template``, to text.

    Most of what that does is to copy the chat and to ask whether attributes are safe. Here the
    chat is plain JSON already, and each question is asked once. If the two write anything else
    for a few probes, transformers' own is taken.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._always = {"documents": None, **tokenizer.special_tokens_map}
        sources = {with_tools: _compiled(tokenizer, with_tools) for with_tools in (False, True)}
        self._templates = {key: found and found[0] for key, found in sources.items()}
        self._steps = {key: found and stepwise(*found[1:]) for key, found in sources.items()}
        self._ends: dict[Template, str] = {}  # what follows the messages without a prompt
        quick = all(self._templates.values()) and _alike(self._slow, self._fast)
        self.written: Written = self._fast if quick else self._slow
        if not quick:
            self._steps = {False: None, True: None}

    def turns(
        self, chat: Chat, tools: Chat | None, places: Sequence[int]
    ) -> tuple[list[str], list[str]]:
        """For each place in a chat the prompt of what stands before, and all up to this message.

        :raises Exception: whatever the template raises.
        """
        return self._stepped(chat[: places[-1] + 1], tools, places) or (
            [self.written(chat[:place], tools, prompt=True) for place in places],
            [self.written(chat[: place + 1], tools, prompt=False) for place in places],
        )

    def _stepped(
        self, chat: Chat, tools: Chat | None, places: Sequence[int]
    ) -> tuple[list[str], list[str]] | None:
        """The same by one rendering, where the template writes one message after the other."""
        template = self._steps[tools is not None]
        if template is None:
            return None
        *steps, prompt = self._render(template, chat, tools, prompt=True).split(STEP)
        if template not in self._ends:
            self._ends[template] = self._render(template, chat[:1], tools, prompt=False).split(
                STEP
            )[-1]
        end = self._ends[template]
        begun = list(accumulate(steps))
        skipped = len(chat) - len(begun) + 1  # the system's message, which no step writes
        if not 0 <= skipped <= places[0]:
            return None
        return (
            [begun[place - skipped] + prompt for place in places],
            [begun[place + 1 - skipped] + end for place in places],
        )

    def _slow(self, chat: Chat, tools: Chat | None, *, prompt: bool) -> str:
        written: object = self._tokenizer.apply_chat_template(  # pyright: ignore
            chat,
            tools=tools,  # pyright: ignore[reportArgumentType]
            add_generation_prompt=prompt,
            tokenize=False,
        )
        return str(written)

    def _fast(self, chat: Chat, tools: Chat | None, *, prompt: bool) -> str:
        template = self._templates[tools is not None]
        assert template
        return self._render(template, chat, tools, prompt=prompt)

    def _render(self, template: Template, chat: Chat, tools: Chat | None, *, prompt: bool) -> str:
        given = {**template.globals, **self._always, "messages": chat, "tools": tools}
        given["add_generation_prompt"] = prompt
        # as Template.render does it, which copies all this twice
        return "".join(template.root_render_func(template.new_context(given, shared=True)))


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, which judges an attribute of a type once and knows what a dict is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._safe: set[tuple[type, str]] = set()

    def getattr(self, obj: Any, attribute: str) -> Any:
        """An attribute if it is safe, otherwise an item, as Jinja's own looks them up."""
        kind = cast("type[Any]", type(obj))
        if kind is dict and attribute not in _DICT:
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if (kind, attribute) in self._safe:
            try:
                return getattr(obj, attribute)
            except AttributeError:
                return super().getattr(obj, attribute)
        try:
            value = getattr(obj, attribute)
        except AttributeError:
            return super().getattr(obj, attribute)
        # str.format is safe as Jinja wraps it
        if self.is_safe_attribute(obj, attribute, value) and not attribute.startswith("format"):
            self._safe.add((kind, attribute))
        return super().getattr(obj, attribute)


_DICT = frozenset(dir(dict))


def _compiled(
    tokenizer: PreTrainedTokenizerBase, with_tools: bool
) -> tuple[Template, Environment, str] | None:
    """The template with transformers' filters, globals and extensions, in the quicker sandbox."""
    try:
        text = tokenizer.get_chat_template(None, [{}] if with_tools else None)  # pyright: ignore
        own = cast("Any", chat_template_utils)._compile_jinja_template(text).environment
        environment = _Sandbox(
            trim_blocks=own.trim_blocks,
            lstrip_blocks=own.lstrip_blocks,
            extensions=[type(extension) for extension in own.extensions.values()],
        )
        environment.filters, environment.globals = own.filters, own.globals
        environment.tests = own.tests
        template = environment.from_string(text)
        template.globals = dict(template.globals)  # looked up at every rendering
        return template, environment, text
    except Exception:  # there is no template, or it is no Jinja, or transformers has changed
        return None


def _alike(one: Written, other: Written) -> bool:
    system: dict[str, Any] = {"role": "system", "content": "s"}
    user: dict[str, Any] = {"role": "user", "content": " <a> & 'b' "}
    said: dict[str, Any] = {"role": "assistant", "content": "c", "reasoning_content": "d"}
    function: dict[str, Any] = {"name": "f", "arguments": {"x": ["é <&>'", 1.0, None]}}
    call: dict[str, Any] = {"id": "call00001", "type": "function", "function": function}
    called: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [call]}
    result: dict[str, Any] = {"role": "tool", "content": "r", "tool_call_id": "call00001"}
    tool: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {}}}
    chats = ([user], [user, said], [system, user, said, user], [user, called, result])
    return all(
        _attempt(one, chat, tools, prompt) == _attempt(other, chat, tools, prompt)
        for chat in chats
        for tools in (None, [tool])
        for prompt in (False, True)
    )


def _attempt(written: Written, chat: Chat, tools: Chat | None, prompt: bool) -> str | None:
    try:
        return written(chat, tools, prompt=prompt)
    except Exception:  # a template raises whatever it likes on what it does not support
        return None
