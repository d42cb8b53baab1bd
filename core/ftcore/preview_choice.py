"""Chooses samples of a run's data and makes them into examples as the run itself would."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from ftcore.base_models import BaseModel, load_tokenizer, resolve_base_model
from ftcore.config import ResolvedConfig
from ftcore.errors import InputError, ProblemsError
from ftcore.mode import Mode
from ftcore.plugins import installed_plugins
from ftcore.preview import Preview, show_sample
from ftcore.progress import Progress
from ftcore.request import Request, filtered_modes, find_data, open_modes, resolve_settings
from ftcore.samples import Judged, judge_samples
from ftcore.shapes import check_importing
from ftcore.spool import store_samples
from ftcore.values import Problem, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PreTrainedTokenizerBase

    from ftcore.prepare import DataSet


@frozen
class Choice:
    """Which samples are shown."""

    count: int = 3
    """So many valid ones: the first, or drawn with the seed."""
    seed: int | None = None
    lines: tuple[int, ...] = ()
    """Those that stand on these lines of each file, whatever ``count`` says."""


Chosen = tuple[Sample, Mode]


def preview(request: Request, choice: Choice, progress: Progress) -> Preview:
    """The chosen samples as a run with the same request would train on them.

    :raises ProblemsError: the chosen samples have problems or cannot be rendered.
    :raises InputError: settings, data or base model cannot be used; there is no such sample.
    """
    progress.stage("Reading samples")
    modes = open_modes(request)
    resolved = resolve_settings(request, modes)
    settings = resolved.settings
    modes = filtered_modes(modes, settings.dataset_requirements.mode_filter)
    check_importing(request.importing, modes.values())
    sources = find_data(request, modes)
    base = resolve_base_model(settings.base_model, request.workspace)
    tokenizer = _tokenizer(base, resolved)
    known = [info.name for info in installed_plugins(request.disabled) if info.kind == "mode"]
    judged = judge_samples(
        modes,
        sources,
        known_modes=known,
        importing=request.importing,
        in_turn=request.demo,
    )
    chooser = _Chooser(choice, files=len(sources), needs_tools=_ToolSearch(tokenizer))
    _choose(judged, chooser, settings.max_samples, progress)
    _say(chooser, progress)
    chosen = [(one.sample, one.mode) for one in chooser.chosen if one.sample and one.mode]
    if not chosen:
        raise _nothing(chooser, [source.name for source in sources])

    progress.stage("Rendering samples")
    from ftcore.prepare import prepare

    # it decides on the template and is not shown
    example = chooser.needs_tools.example
    shown_too = example is not None and any(sample is example[0] for sample, _ in chosen)
    data = prepare(
        store_samples([*chosen, *([example] if example and not shown_too else [])]),
        tokenizer,
        max_seq_length=settings.max_seq_length,
        long_samples=settings.long_samples,
        control_tokens=settings.control_tokens,
        eval_split=0.0,
        seed=settings.seed,
    )
    return _shown(chosen, data, base, settings.max_seq_length, progress)


class _ToolSearch:
    """Looks for a sample with tools, where that decides which chat template is taken.

    A model's own template that cannot render tools gives way to ftcore's if any sample of the
    whole run has tools, and then for all samples.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        from ftcore.render import renderer_for
        from ftcore.rendering import uses_tools

        self._uses_tools = uses_tools
        self._target = renderer_for(tokenizer, tools=False).target
        self.over = self._target.tools
        self.example: Chosen | None = None

    def look_at(self, sample: Sample, mode: Mode) -> None:
        """Keeps the sample if it is the first one with tools."""
        if self.over:
            return
        if self._uses_tools(mode.format(sample, self._target)):
            self.over, self.example = True, (sample, mode)


class _Chooser:
    """Takes what it needs of a stream of records."""

    def __init__(self, choice: Choice, *, files: int, needs_tools: _ToolSearch) -> None:
        self.choice = choice
        self.needs_tools = needs_tools
        self.seen = 0
        self.refused: list[Judged] = []
        """Records that were to be shown or stood on the way, and have problems."""
        self._taken: list[tuple[int, Judged]] = []
        self._wanted = len(choice.lines) * files
        self._met: set[tuple[str, int]] = set()
        self._random = random.Random(choice.seed)

    @property
    def chosen(self) -> list[Judged]:
        """Valid samples, in the order of the data."""
        return [one for _, one in sorted(self._taken, key=lambda taken: taken[0])]

    @property
    def complete(self) -> bool:
        """Whether no further record can be shown."""
        if self.choice.lines:
            return len(self._met) == self._wanted
        return self.choice.seed is None and len(self._taken) >= self.choice.count

    @property
    def done(self) -> bool:
        """Whether no further record can change anything."""
        return self.complete and self.needs_tools.over

    def take(self, one: Judged) -> None:
        """Looks at one record."""
        if one.entry is not None:
            wanted = self._meets(one.entry.file, one.entry.line)
            if one.entry.state == "refused" and (wanted or not self.choice.lines):
                self.refused.append(one)
        elif one.sample is not None and one.mode is not None:
            self.seen += 1
            self.needs_tools.look_at(one.sample, one.mode)
            if not self.choice.lines:
                self._take_if_drawn(one)
            elif self._meets(one.sample.file, one.sample.line):
                self._taken.append((self.seen, one))

    def _meets(self, file: str, line: int) -> bool:
        """Whether the record that begins here was asked for by its line."""
        wanted = line in self.choice.lines
        self._met |= {(file, line)} if wanted else set()
        return wanted

    def _take_if_drawn(self, one: Judged) -> None:
        if len(self._taken) < self.choice.count:
            self._taken.append((self.seen, one))
        elif self.choice.seed is not None:
            # reservoir sampling: every sample is kept in the end with the same probability
            place = self._random.randrange(self.seen)
            if place < self.choice.count:
                self._taken[place] = self.seen, one


def _choose(
    judged: Iterable[Judged], chooser: _Chooser, limit: int | None, progress: Progress
) -> None:
    searching = False
    for one in judged:
        chooser.take(one)
        if chooser.done or (limit is not None and chooser.seen >= limit):
            return
        if chooser.complete and not searching:
            searching = True
            progress.stage("Looking for a sample with tools, which the chat template depends on")


def _tokenizer(base: BaseModel, resolved: ResolvedConfig) -> PreTrainedTokenizerBase:
    from ftcore.quiet import quieten

    quieten()
    try:
        return load_tokenizer(base)
    except InputError as error:
        raise InputError(
            f"{error.message}; the settings name it: {resolved.described('base_model')}",
            f"{error.hint}; or see the samples with another model's tokenizer: --base-model "
            "NAME|DIR",
        ) from error


def _say(chooser: _Chooser, progress: Progress) -> None:
    for problem in (problem for one in chooser.chosen for problem in one.problems):
        progress.warn(problem)
    if chooser.chosen and chooser.choice.lines:
        for problem in _errors(chooser.refused):
            progress.note(f"not shown: {problem}")
    elif chooser.chosen and chooser.refused:
        count = len(chooser.refused)
        records = "a record has" if count == 1 else f"{count:,} records have"
        progress.note(f"{records} problems and cannot be shown; `ftcore check` names them")


def _errors(judged: Sequence[Judged]) -> list[Problem]:
    return [p for one in judged for p in one.problems if p.severity == "error"]


def _nothing(chooser: _Chooser, names: Sequence[str]) -> InputError:
    if chooser.refused:
        return ProblemsError("there is no valid sample to show", _errors(chooser.refused))
    if chooser.choice.lines:
        lines = ", ".join(map(str, chooser.choice.lines))
        return InputError(
            f"no sample of these modes begins on line {lines} of {', '.join(names)}",
            "give the line on which the record begins; without --line the first ones are shown",
        )
    return InputError("there is no sample to show", "check --data and --mode")


def _shown(
    chosen: Sequence[Chosen],
    data: DataSet,
    base: BaseModel,
    max_seq_length: int,
    progress: Progress,
) -> Preview:
    wanted = {(sample.file, sample.line) for sample, _ in chosen}
    problems = [p for p in data.problems if (p.file, p.line) in wanted]
    # by number: records of a JSON array may share a line, and one may only be there for its tools
    prepared = {item.index: item for item in data.train}
    samples = tuple(
        show_sample(item, data.renderer.tokenizer, data.part_labels)
        for index in range(len(chosen))
        if (item := prepared.get(index))
    )
    if problems and not samples:
        raise ProblemsError("nothing can be shown with this base model", problems)
    for problem in problems:
        progress.note(f"not shown: {problem}")
    for entry in data.entries:
        if entry.state == "dropped" and (entry.file, entry.line) in wanted:
            progress.note(f"not shown: {entry.file}:{entry.line} is left out: {entry.reason}")
    if not samples:
        raise InputError(
            f"no chosen sample fits into max_seq_length={max_seq_length}",
            "raise it: --set max_seq_length=4096; or choose others: --line N",
        )
    return Preview(base.name, data.own_template, max_seq_length, samples)
