"""From valid samples to rows of tokens: format, render, hold out, pack, and enter in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from attrs import field, frozen
from transformers import PreTrainedTokenizerBase

from ftcore.errors import InputError, ProblemsError
from ftcore.ledger import Entry
from ftcore.mode import Mode
from ftcore.packing import pack
from ftcore.render import Example, Renderer, RenderError, renderer_for
from ftcore.splits import content_key, held_out
from ftcore.values import Conversation, Problem, Sample
from ftcore.windows import windows


@frozen
class Prepared:
    """One sample with what it became."""

    sample: Sample
    mode: Mode
    conversation: Conversation
    examples: tuple[Example, ...] = field(repr=False)
    note: str = ""
    """What was left out because the conversation is longer than a model's context, and why."""


@frozen
class Row:
    """One line of a micro-batch: examples side by side that must not see each other."""

    examples: tuple[Example, ...] = field(repr=False)

    @property
    def tokens(self) -> int:
        """How many tokens the row holds."""
        return sum(len(example.input_ids) for example in self.examples)

    @property
    def trained_tokens(self) -> int:
        """How many of them carry a label."""
        return sum(example.trained_tokens for example in self.examples)


@frozen
class DataSet:
    """Everything that training and evaluation read."""

    renderer: Renderer
    own_template: bool
    """Whether ftcore's chat template took the place of the model's."""
    train: tuple[Prepared, ...]
    held_out: tuple[Prepared, ...]
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    """Samples that this base model's template cannot render, or that are too long and refused."""
    long: int
    """Samples longer than ``max_seq_length``: dropped, refused, or trained without old turns."""


def prepare(
    samples: Sequence[tuple[Sample, Mode]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_seq_length: int,
    long_samples: Literal["split", "drop", "refuse"],
    eval_split: float,
    seed: int,
) -> DataSet:
    """Formats and renders every sample, and holds a seeded share of them out.

    No example has more than ``max_seq_length`` tokens and none is cut. A longer sample is split
    into examples without its oldest turns (:mod:`ftcore.windows`), dropped or refused.

    :raises InputError: no sample is left to train on.
    """
    renderer, conversations = _format(samples, tokenizer)
    kept: list[Prepared] = []
    entries: list[Entry] = []
    problems: list[Problem] = []
    long = 0
    for (sample, mode), conversation in zip(samples, conversations, strict=True):
        try:
            examples = renderer.examples(conversation)
            length = max(len(example.input_ids) for example in examples)
            reason = f"{length} tokens, max_seq_length is {max_seq_length}"
            if length <= max_seq_length:
                kept.append(Prepared(sample, mode, conversation, examples))
                continue
            long += 1
            if long_samples == "refuse":
                raise RenderError(f"the sample is too long: {reason}")
            parts, lost = ((), 0)
            if long_samples == "split":
                parts, lost = windows(conversation, partial(_fitting, renderer, max_seq_length))
        except RenderError as error:
            problem = Problem(str(error), file=sample.file, line=sample.line)
            problems.append(problem)
            entries.append(Entry(sample.file, sample.line, "refused", problem.message))
            continue
        if parts:
            examples = tuple(example for part in parts for example in part)
            said = f"; {lost} of its answers are longer still and left out" if lost else ""
            note = f"split into {len(examples)} without its oldest turns: {reason}{said}"
            kept.append(Prepared(sample, mode, conversation, examples, note))
        else:
            entries.append(Entry(sample.file, sample.line, "dropped", reason))
    train, measured = _split(kept, eval_split, seed)
    if not train:
        raise _nothing_left(len(samples), entries, problems)
    entries += [_entry(item, "trained") for item in train]
    entries += [_entry(item, "held_out") for item in measured]
    own = renderer.tokenizer is not tokenizer
    return DataSet(renderer, own, train, measured, tuple(entries), tuple(problems), long)


def make_rows(
    prepared: Sequence[Prepared], *, packing: bool, max_seq_length: int
) -> tuple[Row, ...]:
    """The examples as rows: packed to ``max_seq_length`` tokens, or one example a row."""
    examples = [example for item in prepared for example in item.examples]
    if not packing:
        return tuple(Row((example,)) for example in examples)
    lengths = [len(example.input_ids) for example in examples]
    return tuple(Row(tuple(examples[i] for i in row)) for row in pack(lengths, max_seq_length))


def row_columns(rows: Sequence[Row]) -> dict[str, list[list[int]]]:
    """Rows as the columns that TRL's padding-free collator takes, and ``parts`` beside them."""
    return {
        "input_ids": [np.concatenate([e.input_ids for e in row.examples]).tolist() for row in rows],
        "labels": [np.concatenate([e.labels for e in row.examples]).tolist() for row in rows],
        "parts": [np.concatenate([e.parts for e in row.examples]).tolist() for row in rows],
        "seq_lengths": [[len(e.input_ids) for e in row.examples] for row in rows],
    }


def _fitting(
    renderer: Renderer, max_seq_length: int, conversation: Conversation
) -> tuple[Example, ...] | None:
    examples = renderer.examples(conversation)
    fits = all(len(example.input_ids) <= max_seq_length for example in examples)
    return examples if fits else None


def _format(
    samples: Sequence[tuple[Sample, Mode]], tokenizer: PreTrainedTokenizerBase
) -> tuple[Renderer, list[Conversation]]:
    """Formats for the model's own template, and again for ftcore's where tools demand it."""
    renderer = renderer_for(tokenizer, tools=False)
    conversations = [mode.format(sample, renderer.target) for sample, mode in samples]
    if any(_uses_tools(conversation) for conversation in conversations):
        with_tools = renderer_for(tokenizer, tools=True)
        if with_tools.target != renderer.target:
            conversations = [mode.format(sample, with_tools.target) for sample, mode in samples]
        renderer = with_tools
    return renderer, conversations


def _uses_tools(conversation: Conversation) -> bool:
    return bool(conversation.tools) or any(m.tool_calls for m in conversation.messages)


def _split(
    kept: Sequence[Prepared], share: float, seed: int
) -> tuple[tuple[Prepared, ...], tuple[Prepared, ...]]:
    """A seeded share of each mode's samples is held out; both halves keep the order of the data."""
    by_mode: dict[str, list[int]] = {}
    for index, item in enumerate(kept):
        by_mode.setdefault(item.mode.name, []).append(index)
    chosen = {
        indices[place]
        for indices in by_mode.values()
        for place in held_out([content_key(kept[i].sample) for i in indices], share, seed)
    }
    train = tuple(item for index, item in enumerate(kept) if index not in chosen)
    return train, tuple(item for index, item in enumerate(kept) if index in chosen)


def _entry(item: Prepared, state: str) -> Entry:
    return Entry(
        item.sample.file,
        item.sample.line,
        "trained" if state == "trained" else "held_out",
        item.note,
        examples=len(item.examples),
        tokens=sum(len(example.input_ids) for example in item.examples),
        trained_tokens=sum(example.trained_tokens for example in item.examples),
    )


def _nothing_left(count: int, entries: Sequence[Entry], problems: Sequence[Problem]) -> InputError:
    if problems:
        return ProblemsError("no sample is left to train on", problems)
    if entries:
        longest = entries[0].reason
        return InputError(
            f"no sample is left to train on: all {count} are too long ({longest})",
            "raise max_seq_length: --set max_seq_length=4096",
        )
    return InputError("there is no sample to train on", "check --data, --mode and --max")
