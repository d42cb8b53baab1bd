"""Renders batches of samples: formats, tokenizes, and fits what is too long into the context."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from ftcore.mode import Mode
from ftcore.render import END, STRUCTURE, Example, Renderer, RenderError
from ftcore.values import Conversation, Sample
from ftcore.whereabouts import place_of
from ftcore.windows import windows

LongSamples = Literal["split", "drop", "refuse"]
Fate = Literal["kept", "dropped", "refused"]

LONGER = "shorten it, or --set max_seq_length=N; --set long_samples=split leaves old turns out"
"""How to mend a sample that is too long."""


@frozen
class Rendering:
    """How samples are rendered."""

    renderer: Renderer
    tools: bool
    """Whether the renderer was chosen for samples with tools."""
    max_seq_length: int
    long_samples: LongSamples


@frozen
class Remark:
    """What is to be said about a sample of a batch."""

    place: int
    """Of the sample in its batch."""
    fate: Fate
    text: str
    hint: str = ""
    """How to mend what is refused."""
    pointer: str = ""
    """JSON pointer to what is wrong in the record, as its author wrote it."""


@frozen(eq=False)
class Batch:
    """What samples became: examples end to end. Holds arrays only, to pass between processes."""

    ids: NDArray[np.int32] = field(repr=False)
    parts: NDArray[np.int16] = field(repr=False)
    """Indices into :attr:`part_labels`, -1 where nothing is trained."""
    lengths: NDArray[np.int64]
    """How many tokens each example has."""
    counts: NDArray[np.int64]
    """How many examples each sample became; 0 of one that is not kept."""
    part_labels: tuple[str, ...]
    """In the order in which they first stand in ``parts``."""
    remarks: tuple[Remark, ...] = ()
    """About samples that are not kept, or not whole."""
    long: int = 0
    """Samples longer than ``max_seq_length``."""


@frozen
class _Outcome:
    examples: tuple[Example, ...]
    fate: Fate = "kept"
    said: str = ""
    hint: str = ""
    pointer: str = ""
    long: bool = False


def render_batch(rendering: Rendering, samples: Sequence[tuple[Sample, Mode]]) -> Batch | None:
    """The examples of some samples; None if one has tools, which the template cannot render.

    :raises PluginError: a mode fails on a sample.
    """
    renderer = rendering.renderer
    conversations = [mode.format(sample, renderer.target) for sample, mode in samples]
    if not (rendering.tools or renderer.target.tools) and any(map(uses_tools, conversations)):
        return None
    rendered = renderer.examples_many(conversations)
    outcomes = [
        _fitted(rendering, sample, conversation, found)
        for (sample, _), conversation, found in zip(samples, conversations, rendered, strict=True)
    ]
    examples = [example for outcome in outcomes for example in outcome.examples]
    parts = np.concatenate([np.empty(0, np.int16), *(e.parts for e in examples)])
    parts, labels = _renumbered(parts, renderer.part_labels)
    return Batch(
        np.concatenate([np.empty(0, np.int32), *(e.input_ids for e in examples)]),
        parts,
        np.array([len(example.input_ids) for example in examples], np.int64),
        np.array([len(outcome.examples) for outcome in outcomes], np.int64),
        labels,
        tuple(
            Remark(i, o.fate, o.said, o.hint, o.pointer) for i, o in enumerate(outcomes) if o.said
        ),
        sum(outcome.long for outcome in outcomes),
    )


def uses_tools(conversation: Conversation) -> bool:
    """Whether a conversation lists tools or calls one."""
    return bool(conversation.tools) or any(m.tool_calls for m in conversation.messages)


class PartLabels:
    """Numbers the parts of batches by where each is first seen, however the data were divided."""

    def __init__(self) -> None:
        self._numbers = {STRUCTURE: 0, END: 1}

    def numbered(self, batch: Batch) -> NDArray[np.int16]:
        """The batch's parts as indices into :meth:`labels`."""
        own = [self._numbers.setdefault(name, len(self._numbers)) for name in batch.part_labels]
        return np.array([*own, -1], np.int16)[batch.parts]  # -1 finds the last

    def labels(self) -> tuple[str, ...]:
        """All labels so far."""
        return tuple(self._numbers)


def _fitted(
    rendering: Rendering,
    sample: Sample,
    conversation: Conversation,
    found: tuple[Example, ...] | RenderError,
) -> _Outcome:
    """The examples of a conversation, or of windows of it, none longer than allowed."""
    if isinstance(found, RenderError):
        return _refused(found, sample, conversation)
    length, most = max(len(example.input_ids) for example in found), rendering.max_seq_length
    if length <= most:
        return _Outcome(found)
    reason = f"{length} tokens, max_seq_length is {most}"
    if rendering.long_samples == "refuse":
        return _Outcome((), "refused", f"the sample is too long: {reason}", LONGER, long=True)
    parts, lost = ((), 0)
    if rendering.long_samples == "split":
        try:
            parts, lost = windows(conversation, partial(_fitting, rendering.renderer, most))
        except RenderError as error:
            error.index = None  # it counts the messages of a window
            return _refused(error, sample, conversation)
    if not parts:
        return _Outcome((), "dropped", reason, long=True)
    examples = tuple(example for part in parts for example in part)
    said = f"; {lost} of its answers are longer still and left out" if lost else ""
    note = f"split into {len(examples)} without its oldest turns: {reason}{said}"
    return _Outcome(examples, "kept", note, long=True)


def _refused(error: RenderError, sample: Sample, conversation: Conversation) -> _Outcome:
    pointer = place_of(sample, conversation, error.index, error.text)
    return _Outcome((), "refused", str(error), error.hint, pointer)


def _fitting(
    renderer: Renderer, max_seq_length: int, conversation: Conversation
) -> tuple[Example, ...] | None:
    examples = renderer.examples(conversation)
    fits = all(len(example.input_ids) <= max_seq_length for example in examples)
    return examples if fits else None


def _renumbered(
    parts: NDArray[np.int16], labels: Sequence[str]
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """The parts as indices into those labels that occur, in the order in which they do."""
    present = np.flatnonzero(np.bincount(parts.astype(np.int64) + 1, minlength=1)[1:])
    order = sorted(present.tolist(), key=lambda part: int((parts == part).argmax()))
    numbers = np.full(len(labels) + 1, -1, np.int16)
    numbers[order] = np.arange(len(order))
    return numbers[parts], tuple(labels[part] for part in order)
