"""Opens the mode that the laws are held against, by itself, and reads the samples that it ships."""

from __future__ import annotations

import copy
import difflib
import hashlib
import itertools
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import pluggy
from attrs import frozen

from ftcore import hookspecs
from ftcore.errors import FtcoreError, PluginError
from ftcore.mode import Mode
from ftcore.plugins import (
    OPTIONAL,
    PROVIDERS,
    PluginInfo,
    implemented_hooks,
    installed_plugins,
    load_plugin,
)
from ftcore.records import read_jsonl
from ftcore.testing.fresh import Finding, in_fresh_process
from ftcore.values import Conversation, Problem, Sample, Target

if TYPE_CHECKING:
    from ftcore.testing.mutants import Mutant

EXAMPLES = "examples.jsonl"
INVALID_EXAMPLES = "invalid_examples.jsonl"

TARGETS = tuple(Target(*able) for able in itertools.product((True, False), repeat=3))
"""Every chat template that there can be, as a mode sees it."""


class UncheckedError(Exception):
    """A law cannot be held against the mode, because it breaks another one first."""


@frozen
class InvalidExample:
    """A sample that the mode must refuse, and where."""

    sample: Sample
    pointer: str


@frozen
class Judged:
    """What a mode says of a sample."""

    sample: Sample
    problems: tuple[Problem, ...] = ()
    failure: str = ""
    """How the mode failed instead of saying anything."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems for which the sample is refused."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def accepted(self) -> bool:
        """Whether the sample would be trained."""
        return not self.errors and not self.failure


@frozen(eq=False)
class Formatted:
    """What a mode makes of a sample."""

    sample: Sample
    target: Target
    conversation: Conversation | None = None
    failure: str = ""
    """How the mode failed instead."""

    @property
    def digest(self) -> str:
        """Equal for equal conversations, in every process."""
        return hashlib.sha256(repr(self.conversation).encode()).hexdigest()[:16]


class Subject:
    """A mode to be examined, without any extension; each part is made when it is first needed.

    :raises PluginError: no such mode is installed.
    """

    def __init__(self, name: str, disabled: Collection[str] = ()) -> None:
        modes = {i.name: i for i in installed_plugins(disabled) if i.kind == "mode"}
        if name not in modes:
            close = difflib.get_close_matches(name, modes, n=1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            names = ", ".join(modes) or "none"
            raise PluginError(f"there is no mode {name!r}", f"{meant}installed modes: {names}")
        self.info: PluginInfo = modes[name]

    def load(self) -> ModuleType:
        """The mode's module.

        :raises PluginError: it breaks the contract of the hooks.
        """
        module = load_plugin(self.info)
        hooks = implemented_hooks(module)
        for name in PROVIDERS:
            if name not in hooks and name not in OPTIONAL:
                raise PluginError(
                    f"the mode {self.info} does not implement {name}, which every mode must",
                    "write it; docs/hooks.md shows how",
                )
        return module

    def open(self, *around: ModuleType) -> Mode:
        """The mode, with modules around it that take the place of extensions.

        :raises PluginError: it gives no usable schema.
        """
        manager = pluggy.PluginManager("ftcore")
        manager.add_hookspecs(hookspecs)
        manager.register(self.module, name=f"mode:{self.info.name}")
        for module in around:
            manager.register(module, name=f"extension:{module.__name__}")
        return Mode(manager, self.info, self.module, ())

    @cached_property
    def module(self) -> ModuleType:
        """The mode's module; one that cannot be loaded keeps every other law from being checked."""
        try:
            return self.load()
        except PluginError as error:
            raise UncheckedError("the mode cannot be loaded") from error

    @cached_property
    def mode(self) -> Mode:
        """The mode by itself."""
        try:
            return self.open()
        except PluginError as error:
            raise UncheckedError("the mode cannot be opened with its schema") from error

    @property
    def hooks(self) -> tuple[str, ...]:
        """The hooks that the mode implements."""
        return implemented_hooks(self.module)

    @cached_property
    def examples(self) -> tuple[Sample | Problem, ...]:
        """The mode's own samples, as they were read; empty where it ships none."""
        path = self._beside(EXAMPLES)
        return tuple(read_jsonl(path)) if path else ()

    @cached_property
    def judged_examples(self) -> tuple[Judged | None, ...]:
        """What the mode says of each of its own samples; None for a line that is none."""
        return tuple(
            self.judge(item) if isinstance(item, Sample) else None for item in self.examples
        )

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The mode's own samples that are valid."""
        found = tuple(item.sample for item in self.judged_examples if item and item.accepted)
        if not found:
            raise UncheckedError(f"the mode has no valid sample of its own ({EXAMPLES})")
        return found

    @cached_property
    def invalid_examples(self) -> tuple[InvalidExample | Problem, ...]:
        """The samples that the mode says it refuses; a line that is none is a problem."""
        path = self._beside(INVALID_EXAMPLES)
        return tuple(map(_invalid_example, read_jsonl(path))) if path else ()

    @cached_property
    def mutants(self) -> tuple[tuple[Mutant, Judged], ...]:
        """Spoiled valid samples, and what the mode says of them."""
        from ftcore.testing.mutants import mutants

        try:
            made = mutants(self.mode.schema, self.samples)
        except LookupError as error:
            raise UncheckedError("the schema has a reference that leads nowhere") from error
        return tuple((mutant, self.judge(mutant.sample)) for mutant in made)

    @cached_property
    def fresh(self) -> Finding:
        """The mode's use in a process of its own.

        :raises FreshProcessError: it fails there.
        """
        return in_fresh_process(self.info.name)

    def judge(self, sample: Sample) -> Judged:
        """What the mode says of a sample; never raises for a fault of the mode."""
        try:
            return Judged(sample, self.mode.problems(sample))
        except FtcoreError as error:
            return Judged(sample, failure=error.message)

    @cached_property
    def formatted(self) -> tuple[Formatted, ...]:
        """Every valid sample as every target sees it."""
        return tuple(self.format(sample, target) for sample in self.samples for target in TARGETS)

    def format(self, sample: Sample, target: Target) -> Formatted:
        """What the mode makes of a copy of a sample; never raises for a fault of the mode."""
        try:
            conversation = self.mode.format(copy.deepcopy(sample), target)
        except FtcoreError as error:
            return Formatted(sample, target, failure=error.message)
        return Formatted(sample, target, conversation)

    def _beside(self, name: str) -> Path | None:
        """A file in the mode's folder; None for a mode of a single file, which has no folder."""
        for folder in getattr(self.module, "__path__", ()):
            if (Path(folder) / name).is_file():
                return Path(folder) / name
        return None


def _invalid_example(line: Sample | Problem) -> InvalidExample | Problem:
    if isinstance(line, Problem):
        return line
    data: Any = line.data.get("sample")
    at = line.data.get("pointer")
    unknown = set(line.data) - {"sample", "pointer", "why"}
    if unknown or not isinstance(data, dict) or not isinstance(at, str):
        return Problem(
            "must be an object with 'sample' (an object), 'pointer' (a text) and maybe 'why'",
            hint='write {"sample": {…}, "pointer": "/key", "why": "…"}',
            file=line.file,
            line=line.line,
        )
    return InvalidExample(Sample(cast("dict[str, Any]", data), line.file, line.line), at)
