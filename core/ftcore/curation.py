"""Makes the curator's report of judged data: counts, lengths, answers, duplicates, in one pass."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ftcore.data_report import (
    GROUPS,
    LONG_WORDS,
    PLACES,
    SHORT_WORDS,
    Answers,
    Duplicates,
    Group,
    ModeFigures,
    Report,
    Split,
    Spread,
    Tokens,
)
from ftcore.duplicates import Alike, DuplicateFinder
from ftcore.faults import FaultCollector, Tally
from ftcore.fillers import opens_with_filler
from ftcore.mode import Mode
from ftcore.samples import Judged
from ftcore.settings import Settings
from ftcore.splits import content_key, held_out_of_each
from ftcore.values import Conversation, Message, Sample, Target

if TYPE_CHECKING:
    from ftcore.token_lengths import TokenCounter, TokenLengths

ADVANCE_EVERY = 1000
"""Records between two reports of progress."""

_ALL = Target(tools=True, system=True, reasoning=True)
"""Words are counted in what a mode writes for a template that can express everything, so that
they are the same whatever the base model."""


def curate(
    judged: Iterable[Judged],
    settings: Settings,
    *,
    shares: Mapping[str, float],
    tokens: TokenCounter | None,
    base_model: str = "",
    no_tokens: str = "",
    advance: Callable[[int], None] = lambda _: None,
) -> Report:
    """Reads all judged records and reports on them. Keeps some 250 bytes of each.

    :param shares: the least share of each mode; empty unless training is mixed.
    :param tokens: renders the samples with a base model; None: their tokens are not counted.
    :param base_model: the name of that model.
    :param no_tokens: why there is none.
    :param advance: told how many records were read, every now and then.
    :raises PluginError: a mode fails.
    """
    problems, warnings = FaultCollector(), FaultCollector()
    shapes, ignored, notes = Tally(), Tally(), Tally()
    samples = _Samples()
    records = refused = other_mode = 0
    for one in judged:
        records += 1
        shapes.add([one.shape] if one.shape else [])
        ignored.add(one.ignored)
        notes.add(one.notes)
        problems.add(p for p in one.problems if p.severity == "error")
        warnings.add(p for p in one.problems if p.severity == "warning")
        if one.sample is not None and one.mode is not None and one.entry is None:
            number = samples.add(one.sample, one.mode)
            if tokens is not None:
                tokens.add(one.sample, one.mode, number)
        elif one.entry is not None and one.entry.state == "other_mode":
            other_mode += 1
        else:
            refused += 1
        if records % ADVANCE_EVERY == 0:
            advance(records)
    counted = tokens.lengths() if tokens is not None else None
    if counted is not None:
        problems.merge(counted.refused)
    alike = samples.duplicates.find()
    usable = counted.usable if counted else np.ones(len(samples.duplicates), np.bool_)
    return Report(
        records=records,
        refused=refused + (counted.refused.total if counted else 0),
        other_mode=other_mode,
        problems=problems.faults(),
        warnings=warnings.faults(),
        shapes=shapes.sorted(),
        ignored=ignored.sorted(),
        notes=notes.sorted(),
        modes=samples.figures(shares, counted),
        min_samples=settings.dataset_requirements.min_samples,
        recommended_samples=settings.dataset_requirements.recommended_samples,
        tokens=_tokens(counted, base_model, settings) if counted else None,
        no_tokens=no_tokens,
        duplicates=_duplicates(alike, samples.place),
        split=_split(alike, samples, usable, settings),
    )


def words_in(message: Message) -> int:
    """Words of a message's text and reasoning; words are what white space separates."""
    return len(message.text.split()) + len(message.reasoning_text.split())


class _Answers:
    """Adds up the answers of one mode."""

    def __init__(self, mode: Mode) -> None:
        markers = mode.markers()
        self._markers = re.compile("|".join(map(re.escape, markers))) if markers else None
        self.words = array("I")
        self.samples = self.count = self.calls_only = 0
        self.total = self.short = self.long = self.filler = 0

    def add(self, message: Message) -> None:
        """Counts an answer. The structural markers of its mode are no words of it."""
        pieces = self._markers.split(message.text) if self._markers else [message.text]
        pieces.append(message.reasoning_text)
        words = sum(len(piece.split()) for piece in pieces)
        if not words:
            self.calls_only += bool(message.tool_calls)
            return
        self.count += 1
        self.total += words
        self.short += words <= SHORT_WORDS
        self.long += words > LONG_WORDS
        self.filler += any(map(opens_with_filler, pieces))

    def answers(self) -> Answers:
        n = max(self.count, 1)
        return Answers(
            self.count,
            self.calls_only,
            self.total / n,
            self.short / n,
            self.long / n,
            self.filler / n,
        )


class _Samples:
    """What is kept of every valid sample: numbers only."""

    def __init__(self) -> None:
        self.duplicates = DuplicateFinder()
        self.keys = array("Q")
        self.modes = array("H")
        self._modes: dict[str, tuple[int, _Answers]] = {}
        self._files: dict[str, int] = {}
        self._file = array("I")
        self._line = array("Q")

    def add(self, sample: Sample, mode: Mode) -> int:
        """Takes a sample and gives the number of its mode."""
        if mode.name not in self._modes:
            self._modes[mode.name] = (len(self._modes), _Answers(mode))
        number, tally = self._modes[mode.name]
        conversation = mode.format(sample, _ALL)
        tally.samples += 1
        tally.words.append(sum(map(words_in, conversation.messages)))
        for message in conversation.messages:
            if message.trained:
                tally.add(message)
        key = content_key(sample)
        self.keys.append(key)
        self.modes.append(number)
        self.duplicates.add(key, compared_text(conversation))
        self._file.append(self._files.setdefault(sample.file, len(self._files)))
        self._line.append(sample.line)
        return number

    def place(self, index: int) -> str:
        """``file:line`` of a sample."""
        return f"{list(self._files)[self._file[index]]}:{self._line[index]}"

    def figures(
        self, shares: Mapping[str, float], tokens: TokenLengths | None
    ) -> dict[str, ModeFigures]:
        """The figures of every mode, the one with most samples first, those without any last."""
        lost = tokens.refused_by_mode if tokens else dict[int, int]()
        left = {name: t.samples - lost.get(n, 0) for name, (n, t) in self._modes.items()}
        total = max(sum(left.values()), 1)
        found: dict[str, ModeFigures] = {}
        for name in sorted({*left, *shares}, key=lambda name: (-left.get(name, 0), name)):
            number, tally = self._modes.get(name, (-1, None))
            found[name] = ModeFigures(
                samples=left.get(name, 0),
                share=left.get(name, 0) / total,
                least_share=shares.get(name),
                words=_spread(np.array(tally.words)) if tally else None,
                tokens=_spread(tokens.longest[tokens.modes == number]) if tokens else None,
                answers=tally.answers() if tally else Answers(),
            )
        return found


def compared_text(conversation: Conversation) -> str:
    """What near duplicates are found by: all messages but the system's, calls included.

    A system message and the definitions of tools are often the same for all samples and would
    make all of them look alike.
    """
    texts: list[str] = []
    for message in conversation.messages:
        if message.role != "system":
            texts += [message.reasoning_text, message.text]
            texts += [
                json.dumps([call.name, call.arguments], ensure_ascii=False)
                for call in message.tool_calls
            ]
    return "\n".join(texts)


def _spread(values: NDArray[np.integer]) -> Spread | None:
    if not len(values):
        return None
    low, quarter, median, three, high = np.quantile(
        values, (0, 0.25, 0.5, 0.75, 1), method="inverted_cdf"
    )
    return Spread(int(low), int(quarter), int(median), int(three), int(high), float(values.mean()))


def _tokens(counted: TokenLengths, base_model: str, settings: Settings) -> Tokens:
    there = counted.samples - counted.refused.total
    scale = there / max(len(counted.longest), 1)
    exact = counted.rendered == counted.samples and len(counted.longest) == there

    def scaled(number: np.integer) -> int:
        return int(number) if exact else round(int(number) * scale)

    return Tokens(
        base_model=base_model,
        own_template=counted.own_template,
        rendered=counted.rendered,
        counted=len(counted.longest),
        exact=exact,
        total=scaled(counted.tokens.sum(dtype=np.int64)),
        trained=scaled(counted.trained.sum(dtype=np.int64)),
        max_seq_length=settings.max_seq_length,
        too_long=scaled((counted.longest > settings.max_seq_length).sum()),
        long_samples=settings.long_samples,
        long_samples_limit=settings.long_samples_limit,
        longest=counted.named,
        not_rendered=counted.refused.total,
    )


def _duplicates(alike: Alike, place: Callable[[int], str]) -> Duplicates:
    index = np.arange(len(alike.exact))
    distinct = index[alike.exact == index]
    near_labels = alike.near[distinct]
    return Duplicates(
        exact_copies=len(index) - len(distinct),
        exact_groups=int((np.bincount(alike.exact) > 1).sum()),
        near_samples=_crowded(near_labels),
        near_groups=int((np.bincount(near_labels) > 1).sum()),
        exact=_groups(alike.exact, index, place),
        near=_groups(near_labels, distinct, place),
    )


def _crowded(labels: NDArray[np.int64]) -> int:
    sizes = np.bincount(labels)
    return int(sizes[sizes > 1].sum())


def _groups(
    labels: NDArray[np.int64], samples: NDArray[np.int64], place: Callable[[int], str]
) -> tuple[Group, ...]:
    """The largest groups with more than one of the samples."""
    sizes = np.bincount(labels)
    largest = np.argsort(-sizes, kind="stable")[:GROUPS]
    return tuple(
        Group(
            int(sizes[label]),
            tuple(place(int(i)) for i in samples[labels == label][:PLACES]),
        )
        for label in largest
        if sizes[label] > 1
    )


def _split(alike: Alike, samples: _Samples, usable: NDArray[np.bool_], settings: Settings) -> Split:
    used = np.flatnonzero(usable)
    keys = [samples.keys[index] for index in used]
    kinds = [samples.modes[index] for index in used]
    chosen = held_out_of_each(kinds, keys, settings.eval_split, settings.seed)
    held = used[sorted(chosen)]
    trained = np.setdiff1d(used, held, assume_unique=True)
    exact, near = np.zeros((2, len(usable)), np.bool_)
    exact[alike.exact[trained]] = True
    near[alike.near[trained]] = True
    return Split(
        trained=len(trained),
        held_out=len(held),
        exact_across=int(exact[alike.exact[held]].sum()),
        near_across=int(near[alike.near[held]].sum()),
    )
