"""From valid samples to examples on disk: format, render, hold out, and enter in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, overload

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ftcore.cache import WORTH_KEEPING, made_once, samples_key
from ftcore.errors import InputError, ProblemsError
from ftcore.examples import Examples
from ftcore.ledger import Entry, Ledger
from ftcore.mode import Mode
from ftcore.render import Example, Renderer, renderer_for
from ftcore.rendered import RenderingRules, open_rendered, render_samples
from ftcore.rendering import LongSamples, Remark
from ftcore.scratch import Scratch
from ftcore.splits import held_out_of_each
from ftcore.spool import Samples
from ftcore.turns import Escaping
from ftcore.values import Conversation, Problem, Sample


@frozen
class Prepared:
    """One sample with what it became."""

    index: int
    """Of the sample among those that were given."""
    sample: Sample
    mode: Mode
    conversation: Conversation
    examples: tuple[Example, ...] = field(repr=False)
    note: str = ""
    """What was left out because the conversation is longer than a model's context, and why."""


@frozen(eq=False)
class PreparedSamples(Sequence[Prepared]):
    """Samples with what they became, read and formatted again when they are asked for."""

    indices: NDArray[np.int64] = field(repr=False)
    """Of the samples among those that were given, rising."""
    samples: Samples = field(repr=False)
    firsts: NDArray[np.int64] = field(repr=False)
    """The first example of each of all given samples, and one beyond the last."""
    every: Examples = field(repr=False)
    """The examples of all given samples."""
    notes: dict[int, str] = field(repr=False)
    renderer: Renderer = field(repr=False)

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Prepared: ...
    @overload
    def __getitem__(self, index: slice) -> PreparedSamples: ...
    def __getitem__(self, index: int | slice) -> Prepared | PreparedSamples:
        if isinstance(index, slice):
            return evolve(self, indices=self.indices[index])
        place = int(self.indices[index])
        sample, mode = self.samples[place]
        conversation = mode.format(sample, self.renderer.target)
        examples = tuple(self.every[int(self.firsts[place]) : int(self.firsts[place + 1])])
        return Prepared(place, sample, mode, conversation, examples, self.notes.get(place, ""))

    @property
    def kinds(self) -> list[str]:
        """The name of each sample's mode."""
        return self.samples.take(self.indices).kinds()

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many examples each sample became."""
        return self.firsts[self.indices + 1] - self.firsts[self.indices]

    @property
    def examples(self) -> Examples:
        """The examples of these samples, in their order."""
        counts = self.counts
        before = np.cumsum(counts) - counts
        return self.every.take(
            np.repeat(self.firsts[self.indices] - before, counts) + np.arange(int(counts.sum()))
        )


@frozen(eq=False)
class DataSet:
    """Everything that training and evaluation read."""

    renderer: Renderer
    part_labels: tuple[str, ...]
    """What the parts of examples are indices into, in the order in which the data bring them."""
    own_template: bool
    """Whether ftcore's chat template took the place of the model's."""
    train: PreparedSamples
    held_out: PreparedSamples
    entries: Ledger
    problems: tuple[Problem, ...]
    """Samples that this base model's template cannot render, or that are too long and refused."""
    long: int
    """Samples longer than ``max_seq_length``: dropped, refused for that, or trained without
    old turns."""
    from_cache: bool
    """Whether the examples are those that an earlier run rendered."""


def prepare(
    samples: Samples,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_seq_length: int,
    long_samples: LongSamples,
    control_tokens: Escaping,
    eval_split: float,
    seed: int,
    workers: int = 1,
    disabled: frozenset[str] = frozenset(),
    cache: Path | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> DataSet:
    """Formats and renders every sample, and holds a seeded share of them out.

    No example has more than ``max_seq_length`` tokens and none is cut. A longer sample is split
    into examples without its oldest turns (:mod:`ftcore.windows`), dropped or refused. A sample
    with a control token in its text is refused, or the text encoded as what it looks like.

    :param workers: processes that render; 0: as many as it is worth. The result is the same.
    :param disabled: plugins that are turned off, wherever modes are opened.
    :param cache: where results of earlier runs are kept, if they are.
    :param advance: told how many samples of how many are rendered.
    :raises InputError: no sample is left to train on.
    """
    rules = RenderingRules(max_seq_length, long_samples, control_tokens)
    render = partial(
        *(render_samples, samples, tokenizer, rules),
        workers=workers,
        disabled=disabled,
        advance=advance,
    )
    if cache is not None and samples.bytes >= WORTH_KEEPING:
        folder, scratch, found = made_once(cache, samples_key(samples, tokenizer, rules), render)
    else:
        scratch, found = Scratch(), False
        folder = scratch.path
        render(folder)
    rendered = open_rendered(folder, scratch)
    facts = rendered.facts
    renderer = renderer_for(tokenizer, tools=facts.tools, control_tokens=control_tokens)
    firsts = np.concatenate([[0], np.cumsum(rendered.counts)])
    notes = {remark.place: remark.text for remark in facts.remarks if remark.fate == "kept"}
    kept = np.flatnonzero(rendered.counts)
    measured = np.isin(kept, kept[_held_out(samples.take(kept), eval_split, seed)])
    every = PreparedSamples(kept, samples, firsts, rendered.examples, notes, renderer)
    train = evolve(every, indices=kept[~measured])
    held_out = evolve(every, indices=kept[measured])
    out = [remark for remark in facts.remarks if remark.fate != "kept"]
    problems = tuple(
        Problem(remark.text, remark.pointer, remark.hint, *samples.place(remark.place))
        for remark in out
        if remark.fate == "refused"
    )
    if not len(train):
        raise _nothing_left(len(samples), out, problems)
    entries = Ledger()
    for one in out:
        state = "refused" if one.fate == "refused" else "dropped"
        entries.add(Entry(*samples.place(one.place), state, one.text))
    _enter(entries, train, "trained")
    _enter(entries, held_out, "held_out")
    return DataSet(
        renderer,
        facts.part_labels,
        renderer.tokenizer is not tokenizer,
        train,
        held_out,
        entries,
        problems,
        facts.long,
        found,
    )


def _held_out(samples: Samples, share: float, seed: int) -> list[int]:
    keys: list[int] = samples.table["key"].tolist()
    return sorted(held_out_of_each(samples.kinds(), keys, share, seed))


def _enter(
    ledger: Ledger, prepared: PreparedSamples, state: Literal["trained", "held_out"]
) -> None:
    examples = prepared.examples
    ends = np.cumsum(prepared.counts).tolist()
    begin = 0
    tokens = np.concatenate([[0], np.cumsum(examples.lengths)])
    trained = np.concatenate([[0], np.cumsum(examples.trained)])
    for index, end in zip(prepared.indices.tolist(), ends, strict=True):
        ledger.add(
            Entry(
                *prepared.samples.place(index),
                state,
                prepared.notes.get(index, ""),
                examples=end - begin,
                tokens=int(tokens[end] - tokens[begin]),
                trained_tokens=int(trained[end] - trained[begin]),
            )
        )
        begin = end


def _nothing_left(count: int, out: Sequence[Remark], problems: Sequence[Problem]) -> InputError:
    if problems:
        return ProblemsError("no sample is left to train on", problems)
    if out:
        return InputError(
            f"no sample is left to train on: all {count} are too long (the first: {out[0].text})",
            "raise it: --set max_seq_length=N",
        )
    return InputError("there is no sample to train on", "check --data, --mode and --max")
