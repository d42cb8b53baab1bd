"""Resolves the settings of a run from all their layers; every value knows where it came from.

Layers, low to high: the schema's defaults; with a mode its plugins' defaults and the workspace's
``etc/modes/MODE-config.json``, without one the shipped and the workspace's
``etc/fine-tune-config.json``; the demo's settings; ``--config FILE``; ``--set KEY=VALUE``; flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from ftcore.errors import FtcoreError, ProblemsError
from ftcore.jsontext import JsonDocument, JsonTextError, parse_json, read_json_object
from ftcore.schemata import pointer as json_pointer
from ftcore.settings import (
    SCHEMA_NAME,
    Settings,
    data_problems,
    flatten,
    is_setting,
    nest,
    no_such_key,
    one_spelling,
    open_key,
    schema_document,
    setting_schemas,
    shipped_folder,
    steps_of,
    structure,
)
from ftcore.values import Json, Problem

MIXED = "mixed"
"""The ``cognitive_mode`` of a run without ``--mode``."""
GENERAL_FILE = "fine-tune-config.json"
DEMO_FILE = "demo-config.json"


@frozen
class Origin:
    """Where a value was written."""

    text: str
    """As a person reads it: ``etc/modes/x-config.json:12``, ``--set``, ``plugin x (dist 1.0)``."""
    file: str = ""
    """The absolute path of the file, where there is one."""
    line: int = 0

    def __str__(self) -> str:
        return self.text


@frozen
class Candidate:
    """A value that a layer gave."""

    value: Any
    origin: Origin


@frozen
class Value:
    """The value of one dotted key, its origin, and the values that it won over."""

    key: str
    value: Any
    origin: Origin
    won_over: tuple[Candidate, ...] = ()
    """From the one that would hold next, down to the default."""


@frozen
class ResolvedConfig:
    """All settings, as typed values and key by key with their origins."""

    settings: Settings
    values: Mapping[str, Value]
    """By dotted key, in the schema's order."""

    def described(self, key: str) -> str:
        """``key=value (origin)``, as messages name a setting."""
        found = self.values[key]
        return f"{key}={as_json(found.value)} ({found.origin})"


@frozen
class _Layer:
    """One source of settings: its data, and how to name the place of a key in it."""

    data: Json
    name: str
    """The file as a message names it, or the plugin or flag."""
    label: str = ""
    """The file as an origin names it."""
    path: Path | None = None
    document: JsonDocument | None = None
    by_key: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """The origin's name by dotted key, where keys of one layer have names of their own."""

    def origin(self, dotted: str) -> Origin:
        if self.document is None or self.path is None:
            return Origin(self.by_key.get(dotted, self.name))
        line = self.document.line(json_pointer(steps_of(dotted)))
        return Origin(f"{self.label}:{line}", str(self.path.absolute()), line)

    def placed(self, problem: Problem) -> Problem:
        """The problem with file and line, or with the flag or plugin in its message."""
        if self.document is not None:
            line = self.document.line(problem.pointer)
            return attrs.evolve(problem, file=self.name, line=line)
        dotted = ".".join(problem.pointer.split("/")[1:])
        name = self.by_key.get(dotted, self.name)
        message = f"{name}: {dotted} {problem.message}" if dotted else f"{name}: {problem.message}"
        if problem.message.startswith("unknown key"):
            message = f"{name}: {problem.message}"
        return attrs.evolve(problem, message=message, pointer="")


def resolve(
    *,
    mode: str | None,
    mode_defaults: Sequence[tuple[str, Mapping[str, Any] | Path]],
    workspace: Path,
    demo: bool = False,
    config_file: Path | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, tuple[str, Any]] | None = None,
) -> ResolvedConfig:
    """The settings of a run, merged key by key from every layer.

    :param mode: the mode of the run; ``None`` for mixed training.
    :param mode_defaults: what ``Mode.config_defaults()`` gives, low to high.
    :param workspace: the folder whose ``etc/`` belongs to the user.
    :param overrides: texts ``key=value`` of ``--set``; later ones win.
    :param flags: by dotted key, the flag that sets it and its value.
    :raises ProblemsError: with all problems of all layers.
    """
    problems: list[Problem] = []
    layers: list[_Layer] = []
    for source in _sources_below(mode, mode_defaults, workspace, demo, config_file):
        if isinstance(source, _Layer):
            layers.append(source)
        else:
            _read_layer(*source, workspace, layers, problems)
    layers.extend(_override_layers(overrides, problems))
    layers.extend(_Layer(nest([(k, v)]), name) for k, (name, v) in (flags or {}).items())
    for layer in layers:
        problems.extend(_layer_problems(layer, mode))
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        raise ProblemsError(f"the configuration has {count}", tuple(problems))
    return _merge(layers, mode)


def mode_named_by(config_file: Path) -> str | None:
    """The mode that a ``--config`` file is for; ``None`` where it names none, or mixed training.

    :raises ProblemsError: the file cannot be read as a JSON object.
    """
    document = read_json_object(config_file, str(config_file))
    mode: object = document.value.get("cognitive_mode")
    return mode if isinstance(mode, str) and mode != MIXED else None


def as_json(value: Any) -> str:
    """A setting's value as it is written in a file or after ``--set KEY=``."""
    import json

    if isinstance(value, float) and 0 < abs(value) < 1e-3:
        mantissa, _, exponent = repr(value).partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else mantissa
    return json.dumps(value, ensure_ascii=False)


def _sources_below(
    mode: str | None,
    mode_defaults: Sequence[tuple[str, Mapping[str, Any] | Path]],
    workspace: Path,
    demo: bool,
    config_file: Path | None,
) -> Iterator[_Layer | tuple[Path, str]]:
    """The layers below ``--set``; a file that is still to be read stands as (path, plugin)."""
    etc = shipped_folder("ftcore.etc")
    below: list[Path] = []
    if mode is None:
        own = workspace / "etc" / GENERAL_FILE
        below.append(etc / GENERAL_FILE)
        yield etc / GENERAL_FILE, ""
    else:
        own = workspace / "etc" / "modes" / f"{mode}-config.json"
        for plugin, given in mode_defaults:
            if isinstance(given, Path):
                below.append(given)
                yield given, plugin
            else:
                yield _Layer(given, plugin)
    if own.exists() and not any(path.exists() and own.samefile(path) for path in below):
        yield own, ""
    if demo:
        yield etc / DEMO_FILE, ""
    if config_file is not None:
        yield config_file, ""


def _read_layer(
    path: Path, plugin: str, workspace: Path, layers: list[_Layer], problems: list[Problem]
) -> None:
    name = _relative(path, workspace) or str(path)
    try:
        document = read_json_object(path, name)
    except ProblemsError as error:
        problems.extend(error.problems)
        return
    layers.append(_Layer(document.value, name, _label(path, plugin, workspace), path, document))
    for twice in document.duplicates:
        message = f"the key stands twice in its object, first on line {twice.first_line}"
        problems.append(Problem(message, twice.pointer, "remove one of the two", name, twice.line))


def _label(path: Path, plugin: str, workspace: Path) -> str:
    """A file as origins name it: a shipped one stays short wherever ftcore is installed."""
    etc = shipped_folder("ftcore.etc")
    shipped = _relative(path, etc.parent) if path.is_relative_to(etc) else None
    if shipped is not None and etc != workspace.absolute() / "etc":
        return f"demo {shipped}" if path.name == DEMO_FILE else f"shipped {shipped}"
    if plugin and shipped is None:
        return f"{plugin}, {path.name}"
    return _relative(path, workspace) or str(path)


def _relative(path: Path, folder: Path) -> str | None:
    if not path.absolute().is_relative_to(folder.absolute()):
        return None
    return path.absolute().relative_to(folder.absolute()).as_posix()


def _override_layers(overrides: Sequence[str], problems: list[Problem]) -> list[_Layer]:
    layers: list[_Layer] = []
    for text in overrides:
        key, equals, written = text.partition("=")
        key = key.strip()
        if not equals or not key:
            message = f"--set {text}: has no {'key' if equals else 'equals sign'}"
            problems.append(Problem(message, hint="write --set key=value"))
        elif not is_setting(key):
            problem = no_such_key(key)
            problems.append(attrs.evolve(problem, message=f"--set {text}: {problem.message}"))
        else:
            data = nest([(key, _parsed(key, written.strip()))])
            name = f"--set {text}"
            keys = {dotted: "--set" for dotted, _ in flatten(data)}
            if problems_here := data_problems(data):
                named = _Layer(data, name)
                problems.extend(named.placed(problem) for problem in problems_here)
            else:
                layers.append(_Layer(data, name, by_key=keys))
    return layers


def _parsed(key: str, written: str) -> Any:
    """A ``--set`` value: JSON where it is JSON and the key takes it, else the text itself."""
    try:
        value = parse_json(written).value
    except JsonTextError:
        return written
    takes_text = setting_schemas().get(key, {}).get("type") == "string"
    return written if takes_text and not isinstance(value, str) else value


def _layer_problems(layer: _Layer, mode: str | None) -> Iterator[Problem]:
    for problem in data_problems(layer.data):
        yield layer.placed(problem)
    named: object = layer.data.get("cognitive_mode")
    if not isinstance(named, str) or named == (mode or MIXED):
        return
    if mode is None:
        message = f"is {named!r}, but without --mode training is mixed"
        hint = f"give --mode {named}, or set cognitive_mode to {MIXED!r}"
    else:
        message = f"is {named!r}, but the mode of this run is {mode!r}"
        hint = f"give --mode {named}, or take a configuration for {mode!r}"
        if named == MIXED:
            hint = f"leave out --mode for mixed training, or take a configuration for {mode!r}"
    yield layer.placed(Problem(message, "/cognitive_mode", hint))


def _merge(layers: Sequence[_Layer], mode: str | None) -> ResolvedConfig:
    found: dict[str, list[Candidate]] = {}
    schema = schema_document()
    for key, part in setting_schemas().items():
        if "default" in part:
            pointer = "".join(f"/properties/{step}" for step in key.split(".")) + "/default"
            line = schema.line(pointer)
            path = shipped_folder("ftcore.schemas") / SCHEMA_NAME
            origin = Origin(f"default ({SCHEMA_NAME}:{line})", str(path), line)
            found[key] = [Candidate(part["default"], origin)]
        else:
            found[key] = []
    if mode is not None:
        found["cognitive_mode"].append(Candidate(mode, Origin("--mode")))
    for layer in layers:
        for key, value in flatten(layer.data):
            candidate = Candidate(one_spelling(key, value), layer.origin(key))
            found.setdefault(key, []).append(candidate)
    order = list(setting_schemas())
    values = {
        key: Value(key, given[-1].value, given[-1].origin, tuple(reversed(given[:-1])))
        for key, given in sorted(found.items(), key=lambda item: order.index(_schema_key(item[0])))
        if given
    }
    try:
        settings = structure({key: value.value for key, value in values.items()})
    except Exception as error:
        raise FtcoreError(
            f"the settings satisfy {SCHEMA_NAME} but have no value of their type: {error}",
            "this is a fault of ftcore",
        ) from error
    return ResolvedConfig(settings, values)


def _schema_key(dotted: str) -> str:
    return open_key(dotted) or dotted


def resolved_json(values: Iterable[Value]) -> dict[str, Any]:
    """Values by key with their origins, as a run record and ``config show --json`` write them."""
    return {value.key: attrs.asdict(value) for value in values}
