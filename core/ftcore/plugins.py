"""Finds the installed modes and extensions and loads them, checked, into one plugin manager.

A mode is an entry point of the group ``ftcore.modes``, an extension one of ``ftcore.extensions``.
``open_mode`` imports the one mode that is asked for and every extension, never another mode.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import inspect
import os
from collections.abc import Collection, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pluggy
from attrs import frozen

from ftcore import hookimpl, hookspecs
from ftcore.errors import PluginError
from ftcore.values import Json

if TYPE_CHECKING:
    from ftcore.mode import Mode

MODES = "ftcore.modes"
EXTENSIONS = "ftcore.extensions"
ALLOW_LIST = "FTCORE_PLUGINS"
PROVIDERS = (
    "ftcore_sample_schema",
    "ftcore_format_sample",
    "ftcore_import_chat",
    "ftcore_grammar",
)
"""Hooks that the mode alone implements, and extensions wrap."""
FIRST_API = 1
"""The version of the hooks that a plugin is built for which says none."""
OPTIONAL = ("ftcore_import_chat", "ftcore_grammar")
"""Those of them that a mode may do without."""

Kind = Literal["mode", "extension"]


@frozen
class PluginInfo:
    """An installed plugin: what it is called and which distribution brought it."""

    name: str
    kind: Kind
    module: str
    distribution: str
    version: str
    entry_point: importlib.metadata.EntryPoint

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


def installed_plugins(disabled: Collection[str] = ()) -> tuple[PluginInfo, ...]:
    """All plugins that entry points offer, modes first, less those that the user turned off.

    ``disabled`` are the names given with ``--no-plugin``. The environment variable
    ``FTCORE_PLUGINS`` is an allow-list of names divided by commas; empty allows none.

    :raises PluginError: two distributions offer a plugin of the same kind and name, or a plugin
        is turned off that is not there.
    """
    allowed = _allow_list()
    found: dict[tuple[str, str], PluginInfo] = {}
    seen: set[str] = set()
    for kind, group in (("mode", MODES), ("extension", EXTENSIONS)):
        for entry in importlib.metadata.entry_points(group=group):
            info = _describe(entry, "mode" if kind == "mode" else "extension")
            seen.add(info.name)
            if info.name in disabled or (allowed is not None and info.name not in allowed):
                continue
            other = found.setdefault((kind, info.name), info)
            if (other.distribution, other.module) != (info.distribution, info.module):
                raise PluginError(
                    f"two distributions offer the {kind} {info.name!r}: "
                    f"{other.distribution} {other.version} and {info.distribution} {info.version}",
                    f"uninstall one of them (pip uninstall {info.distribution}), or go on without "
                    f"both: --no-plugin {info.name}",
                )
    for name in disabled:
        if name not in seen:
            close = difflib.get_close_matches(name, seen, n=1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            names = ", ".join(sorted(seen)) or "none"
            raise PluginError(
                f"--no-plugin {name}: there is no such plugin", f"{meant}installed: {names}"
            )
    return tuple(sorted(found.values(), key=lambda info: (info.kind != "mode", info.name)))


def _allow_list() -> frozenset[str] | None:
    value = os.environ.get(ALLOW_LIST)
    if value is None:
        return None
    return frozenset(name.strip() for name in value.split(",") if name.strip())


def _describe(entry: importlib.metadata.EntryPoint, kind: Kind) -> PluginInfo:
    dist = entry.dist
    return PluginInfo(
        name=entry.name,
        kind=kind,
        module=entry.value,
        distribution=dist.name if dist else "unknown",
        version=dist.version if dist else "unknown",
        entry_point=entry,
    )


def open_mode(name: str, disabled: Collection[str] = ()) -> Mode:
    """The mode of that name with every installed extension around it.

    :raises PluginError: no such mode is installed, or it or an extension fails to import or
        breaks the contract of :mod:`ftcore.hookspecs`.
    """
    from ftcore.mode import Mode

    plugins = installed_plugins(disabled)
    modes = {info.name: info for info in plugins if info.kind == "mode"}
    if name not in modes:
        raise _unknown_mode(name, modes, disabled)
    manager = pluggy.PluginManager("ftcore")
    manager.add_hookspecs(hookspecs)
    chosen = [modes[name], *(info for info in plugins if info.kind == "extension")]
    loaded = {info: load_plugin(info) for info in chosen}
    for info, module in loaded.items():
        _register(manager, info, module)
    _check_providers(manager, chosen[0], chosen)
    if "ftcore_import_chat" not in implemented_hooks(loaded[chosen[0]]):
        manager.register(_TakesChatsAsTheyAre(), name="ftcore")  # for extensions to wrap
    return Mode(manager, chosen[0], loaded[chosen[0]], tuple(chosen[1:]))


class _TakesChatsAsTheyAre:
    @hookimpl
    def ftcore_import_chat(self, chat: Json) -> Json:
        """What a mode that does without this hook does."""
        return chat


def _unknown_mode(name: str, modes: Collection[str], disabled: Collection[str]) -> PluginError:
    if not modes:
        hint = "no mode is installed or allowed"
    else:
        close = difflib.get_close_matches(name, modes, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        hint = f"{meant}installed modes: {', '.join(sorted(modes))}"
    if name in disabled:
        hint = f"--no-plugin {name} turned it off; {hint}"
    elif os.environ.get(ALLOW_LIST) is not None:
        hint += f" ({ALLOW_LIST}={os.environ[ALLOW_LIST]!r} limits what is loaded)"
    return PluginError(f"there is no mode {name!r}", hint)


def load_plugin(info: PluginInfo) -> ModuleType:
    """Imports a plugin and checks each of its hook implementations against the specifications.

    :raises PluginError: naming plugin, distribution, version, cause and ``--no-plugin NAME``.
    """
    try:
        module = info.entry_point.load()
    except (Exception, SystemExit) as error:  # a plugin may fail in any way while it is imported
        cause = f"{type(error).__name__}: {error}"
        raise _broken(info, f"it fails to import: {cause}") from error
    if not isinstance(module, ModuleType):
        raise _broken(info, f"its entry point {info.module!r} is not a module")
    for problem in _contract_problems(module):
        raise _broken(info, problem)
    return module


def implemented_hooks(module: ModuleType) -> tuple[str, ...]:
    """The names of the hooks that a loaded plugin implements."""
    marked = ((name, _marks(value)) for name, value in vars(module).items())
    return tuple(marks["specname"] or name for name, marks in marked if marks is not None)


def _marks(value: object) -> dict[str, Any] | None:
    """What ``@hookimpl`` noted on a function; looked for as pluggy does."""
    return getattr(value, "ftcore_impl", None) if inspect.isroutine(value) else None


def _broken(info: PluginInfo, cause: str) -> PluginError:
    return PluginError(
        f"the {info.kind} {info} cannot be used: {cause}",
        f"update or uninstall {info.distribution}, or go on without it: --no-plugin {info.name}",
    )


def _contract_problems(module: ModuleType) -> Iterable[str]:
    built_for = getattr(module, "FTCORE_API", FIRST_API)
    if built_for != hookspecs.API_VERSION:
        yield (
            f"it is built for version {built_for!r} of ftcore's hooks (FTCORE_API), and this "
            f"ftcore has version {hookspecs.API_VERSION}"
        )
    specs = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("ftcore_")}
    for own_name, function in vars(module).items():
        marks = _marks(function)
        if marks is None:
            if own_name.startswith("ftcore_") and callable(function):
                yield f"{own_name} is not marked with @hookimpl from ftcore"
            continue
        name = marks["specname"] or own_name
        if name not in specs:
            close = difflib.get_close_matches(name, specs, n=1)
            meant = f"; did you mean {close[0]}?" if close else "."
            yield f"there is no hook {name}{meant} Hooks: {', '.join(sorted(specs))}"
            continue
        if marks["hookwrapper"]:
            yield f"{name} uses hookwrapper=True; write it with wrapper=True"
        if marks["wrapper"] and name == "ftcore_config_defaults":
            yield f"{name} cannot be a wrapper: each setting must have one plugin as its origin"
        known = list(inspect.signature(specs[name]).parameters)
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                yield (
                    f"the parameter {parameter.name!r} of {name} is {parameter.kind.description}; "
                    "hooks take plain parameters"
                )
            elif parameter.default is not parameter.empty:
                yield (
                    f"the parameter {parameter.name!r} of {name} has a default, so it would never "
                    "be passed; remove the default"
                )
            elif parameter.name not in known:
                takes = ", ".join(known) or "none"
                yield f"{name} has no parameter {parameter.name!r}; its parameters: {takes}"


def _register(manager: pluggy.PluginManager, info: PluginInfo, module: ModuleType) -> None:
    try:
        manager.register(module, name=f"{info.kind}:{info.name}")
    except (pluggy.PluginValidationError, ValueError) as error:
        raise _broken(info, str(error)) from error


def _check_providers(
    manager: pluggy.PluginManager, mode: PluginInfo, chosen: Iterable[PluginInfo]
) -> None:
    by_key = {f"{info.kind}:{info.name}": info for info in chosen}
    for name in PROVIDERS:
        impls = getattr(manager.hook, name).get_hookimpls()
        providers = [by_key[impl.plugin_name] for impl in impls if not impl.wrapper]
        if mode not in providers and name not in OPTIONAL:
            raise _broken(mode, f"it does not implement {name}, which every mode must")
        for other in providers:
            if other is not mode:
                raise _broken(
                    other, f"{name} belongs to the mode; an extension wraps it with wrapper=True"
                )
