"""Laws of a mode as a plugin: its hooks, its imports, and what it gives apart from samples."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, cast

import attrs

from ftcore import hookimpl
from ftcore.config import resolve
from ftcore.errors import FtcoreError, PluginError, ProblemsError
from ftcore.mode import Mode
from ftcore.testing.fresh import FreshProcessError
from ftcore.testing.grammar_laws import TOOLS
from ftcore.testing.law import Breach
from ftcore.testing.predictions import perfect, wrong
from ftcore.testing.subject import TARGETS, InvalidExample, Subject
from ftcore.values import Sample

CHATS: tuple[dict[str, Any], ...] = (
    {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]},
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One and one?"},
            {"role": "assistant", "reasoning": "I count.", "content": "Two."},
            {"role": "user", "content": "And one?"},
            {"role": "assistant", "reasoning": "I go on counting.", "content": "Three."},
        ]
    },
    {
        "messages": [
            {"role": "user", "content": "What time is it?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"type": "function", "function": {"name": "clock", "arguments": {}}, "id": "c1"}
                ],
            },
            {"role": "tool", "content": "12:00", "tool_call_id": "c1", "name": "clock"},
            {"role": "assistant", "content": "Noon."},
        ],
        "tools": [{"type": "function", "function": {"name": "clock"}}],
    },
    {"messages": [{"role": "user", "content": "Nobody answers."}]},
    {"messages": [{"role": "assistant", "content": "Nobody asked."}]},
    {"messages": []},
)
"""Chats as the core makes them of people's records, odd ones too."""

MANY = 50
"""Samples that are enough to see whether a wrapper is noticed."""


def hooks_are_well_formed(subject: Subject) -> Iterator[Breach]:
    """The mode can be imported; its hooks are marked, exist, and take the right parameters."""
    try:
        subject.load()
    except PluginError as error:
        yield Breach(error.message, error.hint)


def imports_are_light(subject: Subject) -> Iterator[Breach]:
    """Neither importing the mode nor calling its hooks imports torch or its like."""
    subject.module  # noqa: B018 - unchecked where the mode cannot be loaded
    try:
        finding = subject.fresh
    except FreshProcessError as error:
        yield Breach(
            f"the mode cannot be used in a fresh process: {error}",
            "make it work without what this process had prepared",
        )
        return
    for name in finding.after_import:
        yield Breach(
            f"importing the mode imports {name}", "remove the import: hooks work on plain values"
        )
    for name in finding.after_hooks:
        if name not in finding.after_import:
            yield Breach(
                f"calling its hooks imports {name}", "remove the import: hooks work on plain values"
            )


def markers_are_tags(subject: Subject) -> Iterator[Breach]:
    """``ftcore_markers`` gives tags, ``<name>`` or ``</name>``."""
    try:
        subject.mode.markers()
    except FtcoreError as error:
        yield Breach(error.message, 'give a list of texts, each a tag: ["<name>", "</name>"]')


def chats_become_json(subject: Subject) -> Iterator[Breach]:
    """``ftcore_import_chat`` makes a JSON object of every chat, and does not change the chat."""
    for chat in CHATS:
        told = json.dumps(chat)
        try:
            made = subject.mode.import_chat(copy.deepcopy(chat), Sample(chat, "chat", 1))
        except FtcoreError as error:
            yield Breach(
                f"of the chat {told}: {error.message}",
                "give a new object, and for a chat that does not fit the chat itself: the schema "
                "refuses it with a reason",
            )
            continue
        if not _is_json(made):
            yield Breach(
                f"of the chat {told} it makes {made!r}, which is no JSON",
                "use only dicts with texts as keys, lists, texts, finite numbers, booleans, None",
            )


def defaults_make_settings(subject: Subject) -> Iterator[Breach]:
    """``ftcore_config_defaults`` gives known settings with possible values."""
    with TemporaryDirectory() as empty:
        try:
            defaults = subject.mode.config_defaults()
            resolve(mode=subject.info.name, mode_defaults=defaults, workspace=Path(empty))
        except ProblemsError as error:
            for problem in error.problems:
                yield Breach(
                    str(attrs.evolve(problem, hint="")),
                    problem.hint or "`ftcore config show` lists the settings",
                )
        except FtcoreError as error:
            yield Breach(error.message, "give a mapping or the path of a JSON file")


def identity_wrapper_changes_nothing(subject: Subject) -> Iterator[Breach]:
    """An extension that wraps every hook, looks at all results and hands them on is not noticed."""
    questions = _questions(subject)
    wrapped = subject.open(_identity(subject.hooks))
    for name, ask in questions.items():
        try:
            alone = ask(subject.mode)
            steady = ask(subject.mode) == alone
        except FtcoreError:
            continue  # the law of that hook tells it
        try:
            same = ask(wrapped) == alone
        except FtcoreError as error:
            yield Breach(f"wrapped, {error.message}", "do not depend on who calls the hook")
            continue
        if steady and not same:
            yield Breach(
                f"wrapped, {name} gives something else",
                "give lists, tuples and mappings (what a generator gives can be read only once), "
                "and do not depend on who calls the hook",
            )


def _identity(hooks: tuple[str, ...]) -> ModuleType:
    module = ModuleType("ftcore_identity")
    for name in hooks:
        if name != "ftcore_config_defaults":  # cannot be wrapped

            def looks_on() -> Generator[None, object, object]:
                result = yield
                _look_through(result)
                return result

            setattr(module, name, hookimpl(wrapper=True, specname=name)(looks_on))
    return module


def _look_through(result: object) -> None:
    """Iterates over everything in it, as an extension does that counts or searches."""
    if isinstance(result, Mapping):
        for value in cast("Mapping[object, object]", result).values():
            _look_through(value)
    elif hasattr(result, "__iter__") and not isinstance(result, str):
        for value in cast("Any", result):
            _look_through(value)


def _questions(subject: Subject) -> dict[str, Callable[[Mode], object]]:
    """By hook, what is asked of the mode with and without the wrapper."""
    samples = subject.samples[:MANY]
    refused = [mutant.sample for mutant, judged in subject.mutants if judged.errors][:MANY]
    written = [i.sample for i in subject.invalid_examples if isinstance(i, InvalidExample)]
    predictions = [
        prediction
        for item in subject.formatted
        if item.target == TARGETS[0] and item.conversation
        for prediction in perfect(item.sample, item.conversation)
    ]
    ways = wrong(predictions)
    return {
        "ftcore_sample_schema": lambda mode: mode.schema,
        "ftcore_validate_sample": lambda mode: [
            mode.problems(sample) for sample in (*samples, *written, *refused)
        ],
        "ftcore_format_sample": lambda mode: [
            mode.format(sample, target) for sample in samples for target in TARGETS
        ],
        "ftcore_markers": lambda mode: mode.markers(),
        "ftcore_grammar": lambda mode: [mode.grammar(tools) for tools in ((), TOOLS)],
        "ftcore_import_chat": lambda mode: [
            mode.import_chat(chat, Sample(chat, "chat", 1)) for chat in CHATS
        ],
        "ftcore_metrics": lambda mode: [
            mode.metrics(said) for said in ([], predictions, *ways.values())
        ],
    }


def _is_json(value: object) -> bool:
    try:
        return json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        return False
