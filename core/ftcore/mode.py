"""A loaded mode with its extensions, as typed methods: the only code that calls hooks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast, get_args

import attrs
import pluggy

from ftcore.call_frame import CORE_RULES, RESERVED
from ftcore.errors import InputError, PluginError
from ftcore.gbnf import GbnfError, named_rules, parse_gbnf
from ftcore.origins import translate
from ftcore.plugins import PluginInfo
from ftcore.schemata import Validator
from ftcore.values import (
    Conversation,
    Json,
    Message,
    Part,
    Prediction,
    Problem,
    Role,
    Sample,
    Target,
    ToolCall,
)

CORE_KEYS = ("cognitive_mode", "comment", "notes")
"""Keys of a sample that are the core's; a mode never sees them."""

T = TypeVar("T")

_METRIC = re.compile(r"[a-z][a-z0-9_]*")
_MARKER = re.compile(r"</?\w[\w.:-]*>")


class Mode:
    """One mode. Open it with :func:`ftcore.plugins.open_mode`."""

    def __init__(
        self,
        manager: pluggy.PluginManager,
        info: PluginInfo,
        module: ModuleType,
        extensions: tuple[PluginInfo, ...],
    ) -> None:
        self.info = info
        self.extensions = extensions
        self._hook = manager.hook
        self._module = module
        self.schema: Json = self._call("ftcore_sample_schema", self._hook.ftcore_sample_schema)
        try:
            self._validator = Validator(self.schema)
        except ValueError as error:
            raise self._broken(f"its ftcore_sample_schema is no JSON Schema: {error}") from error

    @property
    def name(self) -> str:
        """The name of the mode's entry point."""
        return self.info.name

    def problems(self, sample: Sample) -> tuple[Problem, ...]:
        """What is wrong with a sample: first by the schema, and only then by the plugins."""
        problems = self._on_sample("ftcore_sample_schema", sample, self._validator.problems)
        if not problems:
            problems = self._on_sample("ftcore_validate_sample", sample, self._validate)
        return placed(problems, sample)

    def format(self, sample: Sample, target: Target) -> Conversation:
        """The conversation of a valid sample.

        :raises PluginError: the mode fails, or gives a conversation that trains nothing.
        """
        conversation = self._on_sample(
            "ftcore_format_sample",
            sample,
            lambda data: self._hook.ftcore_format_sample(sample=data, target=target),
        )
        for fault in _conversation_faults(conversation):
            raise self._broken(f"ftcore_format_sample gave {fault}", sample)
        return conversation

    def import_chat(self, chat: Json, sample: Sample) -> Json | None:
        """The sample's data that a chat of another shape stands for; None if it takes no chats.

        ``sample`` is the record that the chat was made of; it names the place where one fails.
        """
        if not self._takes_chats:
            return None
        before = json.dumps(chat)
        result = self._call(
            "ftcore_import_chat", lambda: self._hook.ftcore_import_chat(chat=chat), sample
        )
        if json.dumps(chat, default=repr) != before:
            raise self._broken("ftcore_import_chat changed the chat that it was given", sample)
        if not _is_json_object(result):
            raise self._broken(f"ftcore_import_chat gave {result!r:.60}, no JSON object", sample)
        return cast("Json", result)

    @cached_property
    def _takes_chats(self) -> bool:
        from ftcore.shapes.schema_keys import schema_keys  # its package knows modes

        impls = self._hook.ftcore_import_chat.get_hookimpls()
        own = any(impl.plugin_name == f"mode:{self.name}" for impl in impls)
        return own or "messages" in schema_keys(self.schema).properties

    def markers(self) -> tuple[str, ...]:
        """The structural markers of the mode and its extensions, each once."""
        given = self._call("ftcore_markers", self._hook.ftcore_markers)
        found = [marker for one in reversed(given) for marker in one]
        for marker in found:
            if not isinstance(marker, str) or not _MARKER.fullmatch(marker):
                raise self._broken(f"ftcore_markers gave {marker!r}, which is no tag as <this>")
        return tuple(dict.fromkeys(found))

    def grammar(self, tools: Sequence[Json] = ()) -> str | None:
        """GBNF of what an answer looks like, or None.

        With tools it may name rules that it does not define, those of
        :class:`ftcore.call_frame.CallFrame`.

        :raises PluginError: it is no GBNF, or clashes with rules of the core.
        """
        text: object = self._call(
            "ftcore_grammar", lambda: self._hook.ftcore_grammar(tools=tuple(tools))
        )
        if text is None:
            return None
        if not isinstance(text, str):
            raise self._broken(f"ftcore_grammar gave a {type(text).__name__}, no text and not None")
        stand_ins = "".join(f"\n{name} ::= [^<]" for name in CORE_RULES if tools)
        try:
            if taken := sorted(filter(RESERVED.fullmatch, named_rules(text)[0])):
                raise GbnfError(f"the rule {taken[0]} has a name that is the core's")
            parse_gbnf(text + stand_ins)
        except GbnfError as error:
            raise self._broken(f"ftcore_grammar gave no usable GBNF: {error}") from error
        return text

    def config_defaults(self) -> tuple[tuple[str, Mapping[str, Any] | Path], ...]:
        """``(plugin, settings)`` of the mode and then of each extension that has any."""
        impls = self._hook.ftcore_config_defaults.get_hookimpls()
        ordered = sorted(impls, key=lambda impl: not impl.plugin_name.startswith("mode:"))
        infos = {f"{i.kind}:{i.name}": i for i in (self.info, *self.extensions)}
        found: list[tuple[str, Mapping[str, Any] | Path]] = []
        for impl in ordered:
            value: object = self._call("ftcore_config_defaults", impl.function)
            if not isinstance(value, Mapping | Path):
                raise self._broken("ftcore_config_defaults gave neither a mapping nor a path")
            given = cast("Mapping[str, Any] | Path", value)
            found.append((f"plugin {infos[impl.plugin_name]}", given))
        return tuple(found)

    def metrics(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """The figures of all plugins on generated outputs.

        :raises PluginError: a figure is not a finite number, or two plugins give the same one.
        """
        merged: dict[str, float] = {}
        results = self._call(
            "ftcore_metrics", lambda: self._hook.ftcore_metrics(predictions=tuple(predictions))
        )
        for result in reversed(results):  # pluggy calls the last registered first
            if not isinstance(result, Mapping):
                raise self._broken(f"ftcore_metrics gave a {type(result).__name__}, no mapping")
            for name, value in cast("Mapping[object, object]", result).items():
                if not isinstance(name, str) or not _METRIC.fullmatch(name):
                    raise self._broken(f"the name of its metric {name!r} is no lower_snake_case")
                if name in merged:
                    raise self._broken(f"two plugins give the metric {name!r}")
                if not isinstance(value, int | float) or not math.isfinite(value):
                    raise self._broken(f"its metric {name!r} is {value!r}, no finite number")
                merged[name] = float(value)
        return merged

    def examples(self) -> Path:
        """The JSONL file of the mode's own samples.

        :raises InputError: the mode ships none.
        """
        # a mode of a single file has no folder of its own
        for folder in getattr(self._module, "__path__", ()):
            path = Path(folder) / "examples.jsonl"
            if path.is_file():
                return path
        raise InputError(
            f"the mode {self.info} has no examples of its own (examples.jsonl)",
            "give data with --data FILE",
        )

    def _validate(self, data: dict[str, Any]) -> list[Problem]:
        found: list[object] = []
        for result in self._hook.ftcore_validate_sample(sample=data):
            found += result
        for problem in found:
            if not _is_problem(problem):
                raise TypeError(f"it gave {problem!r}, which is no Problem as documented")
        return cast("list[Problem]", found)

    def _on_sample(self, hook: str, sample: Sample, call: Callable[[dict[str, Any]], T]) -> T:
        """Calls with what a plugin may see of a sample, and makes sure that it only looks."""
        data = {key: value for key, value in sample.data.items() if key not in CORE_KEYS}
        before = json.dumps(data)
        result = self._call(hook, lambda: call(data), sample)
        if json.dumps(data, default=repr) != before:
            raise self._broken(f"{hook} changed the sample that it was given", sample)
        return result

    def _call(self, hook: str, call: Callable[[], T], sample: Sample | None = None) -> T:
        try:
            return call()
        except Exception as error:  # whatever a plugin raises is the plugin's fault, said as such
            cause = f"{hook} raised {type(error).__name__}: {error}"
            raise self._broken(cause, sample) from error

    def _broken(self, cause: str, sample: Sample | None = None) -> PluginError:
        place = f"{sample.place}: " if sample else ""
        others = f" with {', '.join(map(str, self.extensions))}" if self.extensions else ""
        without = " ".join(f"--no-plugin {i.name}" for i in self.extensions or (self.info,))
        return PluginError(
            f"{place}the mode {self.info}{others} fails: {cause}",
            f"this is a fault of the plugin, not of your data: tell the authors of "
            f"{self.info.distribution}, or go on without it: {without}; --debug shows where it "
            "happened",
        )


def _is_problem(value: object) -> bool:
    return (
        isinstance(value, Problem)
        and _all_are(str, (value.message, value.pointer, value.hint))
        and value.severity in ("error", "warning")
    )


def _is_json_object(value: object) -> bool:
    try:
        return isinstance(value, dict) and json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False


def placed(problems: Iterable[Problem], sample: Sample) -> tuple[Problem, ...]:
    """The problems with file and line, and with pointers into the record as it was written."""
    return tuple(
        attrs.evolve(
            problem,
            pointer=translate(problem.pointer, sample.origins),
            file=sample.file,
            line=sample.line,
        )
        for problem in problems
    )


def _conversation_faults(value: object) -> Iterable[str]:
    """What keeps a value from being a conversation; plugins are not always type-checked."""
    if not isinstance(value, Conversation):
        yield f"a {type(value).__name__}, no Conversation"
    elif not isinstance(value.messages, tuple) or not isinstance(value.tools, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield "a Conversation whose messages or tools are no tuple"
    else:
        for index, message in enumerate(value.messages):
            if not _is_message(message):
                yield f"a Conversation whose message {index} is not made of the types it documents"
            elif message.role not in get_args(Role):
                yield f"a message of the role {message.role!r}"
            elif message.trained and message.role != "assistant":
                yield f"a Conversation that marks a {message.role} message as trained"
        if not any(message.trained for message in value.messages):
            yield "a Conversation that marks no message as trained"


def _is_message(value: object) -> bool:
    return (
        isinstance(value, Message)
        and _all_are(Part, value.content)
        and _all_are(Part, value.reasoning)
        and _all_are(ToolCall, value.tool_calls)
        and _all_are(str, tuple(part.text for part in (*value.content, *value.reasoning)))
    )


def _all_are(kind: type, values: object) -> bool:
    return isinstance(values, tuple) and all(
        isinstance(value, kind) for value in cast("tuple[object, ...]", values)
    )
