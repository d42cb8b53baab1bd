"""Counts the tokens of samples as a run renders them, all of them or a seeded part of many."""

from __future__ import annotations

import heapq
import random
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ftcore.data_report import LongSample
from ftcore.faults import FaultCollector, Faults
from ftcore.mode import Mode
from ftcore.render import Example, Renderer, RenderError, renderer_for
from ftcore.rendering import LONGER
from ftcore.settings import Settings
from ftcore.values import Problem, Sample
from ftcore.whereabouts import place_of

SAMPLED = 50_000
"""From this many samples on a part of them is rendered, unless all are asked for."""

LONGEST = 5
"""Samples that are named as the longest."""

_RANK_BITS = 32
_COLUMNS = 4


@frozen
class TokenLengths:
    """What rendering said about the samples. The arrays have one element per counted sample."""

    samples: int
    """How many there are; estimates are scaled to them."""
    rendered: int
    """How many were rendered: those that cannot be are known of these."""
    modes: NDArray[np.uint16] = field(repr=False)
    """The number of the sample's mode, as :meth:`TokenCounter.add` was given it."""
    longest: NDArray[np.uint32] = field(repr=False)
    """Tokens of a sample's longest example."""
    tokens: NDArray[np.uint32] = field(repr=False)
    """Tokens of all its examples."""
    trained: NDArray[np.uint32] = field(repr=False)
    """Those of them that are trained."""
    usable: NDArray[np.bool_] = field(repr=False)
    """For every sample: whether a run can use it; true where that is not known."""
    named: tuple[LongSample, ...]
    """The longest of the rendered."""
    own_template: bool
    """Whether ftcore's chat template takes the place of the base model's."""
    refused: Faults
    """Samples that cannot be rendered with this base model."""
    refused_by_mode: Mapping[int, int] = field(repr=False)


class TokenCounter:
    """Takes valid samples one by one and renders them, or a part of them where they are many.

    Whether the base model's own chat template will do is known only when all samples were seen:
    it must give way where one of them uses tools. Until one does, both templates are counted.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, settings: Settings, *, every: bool
    ) -> None:
        """``every``: render all samples, however many they are."""
        own, with_tools = (
            renderer_for(tokenizer, tools=tools, control_tokens=settings.control_tokens)
            for tools in (False, True)
        )
        # a renderer has another tokenizer than it was given where ftcore's template is in it
        same = (own.tokenizer is tokenizer) == (with_tools.tokenizer is tokenizer)
        renderers = (with_tools,) if same else (own, with_tools)
        self._tracks = [_Track(renderer, settings) for renderer in renderers]
        self._given = tokenizer
        self._random = random.Random(settings.seed)
        self._every = every
        self._samples = self._rendered = self._ranked = self._level = 0

    def add(self, sample: Sample, mode: Mode, number: int) -> None:
        """Takes a sample; ``number`` stands for its mode in what is counted."""
        index = self._samples
        self._samples += 1
        rank = self._random.getrandbits(_RANK_BITS)
        if rank >> (_RANK_BITS - self._level):
            return
        self._rendered += 1
        for track in tuple(self._tracks):
            if track.add(sample, mode, number, index, rank):
                self._tracks = self._tracks[-1:]
        while not self._every and len(self._tracks[-1].modes) > SAMPLED:
            self._level += 1
            for track in self._tracks:
                track.thin(_RANK_BITS - self._level)

    def lengths(self) -> TokenLengths:
        """What was counted."""
        track = self._tracks[0]
        rows = np.array(track.rows, np.uint32).reshape(-1, _COLUMNS)
        usable = np.ones(self._samples, np.bool_)
        usable[np.array(track.unusable, np.int64)] = False
        return TokenLengths(
            samples=self._samples,
            rendered=self._rendered,
            modes=np.array(track.modes, np.uint16),
            longest=rows[:, 1],
            tokens=rows[:, 2],
            trained=rows[:, 3],
            usable=usable,
            named=tuple(LongSample(place, n) for n, _, place in sorted(track.named, reverse=True)),
            own_template=track.renderer.tokenizer is not self._given,
            refused=track.faults.faults(),
            refused_by_mode=dict(track.refused_by_mode),
        )


class _Track:
    """What one renderer makes of the samples."""

    def __init__(self, renderer: Renderer, settings: Settings) -> None:
        self.renderer = renderer
        self.max_seq_length = settings.max_seq_length
        self.long_samples = settings.long_samples
        self.faults = FaultCollector()
        self.refused_by_mode: Counter[int] = Counter()
        self.modes = array("H")
        self.rows = array("I")  # rank, longest, tokens, trained of every counted sample
        self.named: list[tuple[int, int, str]] = []
        self.unusable = array("Q")

    def add(self, sample: Sample, mode: Mode, number: int, index: int, rank: int) -> bool:
        """Renders a sample; whether it uses tools."""
        conversation = mode.format(sample, self.renderer.target)
        try:
            examples = self.renderer.examples(conversation)
            self._count(examples, sample, number, index, rank)
        except RenderError as error:
            at = place_of(sample, conversation, error.index, error.text)
            self.faults.add([Problem(str(error), at, error.hint, sample.file, sample.line)])
            self.refused_by_mode[number] += 1
            self.unusable.append(index)
        return bool(conversation.tools) or any(m.tool_calls for m in conversation.messages)

    def _count(
        self, examples: Sequence[Example], sample: Sample, number: int, index: int, rank: int
    ) -> None:
        lengths = [len(example.input_ids) for example in examples]
        if max(lengths) > self.max_seq_length:
            if self.long_samples == "refuse":
                raise RenderError(
                    f"the sample is too long: {max(lengths)} tokens, max_seq_length is "
                    f"{self.max_seq_length}",
                    LONGER,
                )
            if self.long_samples == "drop":
                self.unusable.append(index)
        trained = sum(example.trained_tokens for example in examples)
        self.modes.append(number)
        self.rows.extend((rank, max(lengths), sum(lengths), trained))
        # of equally long ones the first is named
        heapq.heappush(self.named, (max(lengths), -index, sample.place))
        if len(self.named) > LONGEST:
            heapq.heappop(self.named)

    def thin(self, bits: int) -> None:
        """Forgets the lengths of all samples but those whose rank has at most ``bits`` bits."""
        rows = np.array(self.rows, np.uint32).reshape(-1, _COLUMNS)
        keep = rows[:, 0] >> np.uint32(bits) == 0
        modes = np.array(self.modes, np.uint16)[keep]
        self.modes = array("H", modes.tobytes())
        self.rows = array("I", rows[keep].tobytes())
