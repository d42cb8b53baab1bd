"""Renders all samples of a run into a folder, in one process or several, and reads it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, evolve, field, frozen
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ftcore.examples import Examples, ExampleWriter, open_examples
from ftcore.plugins import open_mode
from ftcore.quiet import quieten
from ftcore.render import Renderer, renderer_for
from ftcore.rendering import Batch, LongSamples, PartLabels, Remark, Rendering, render_batch
from ftcore.scratch import Scratch
from ftcore.spool import COLUMNS, Samples
from ftcore.turns import Escaping
from ftcore.workers import count_workers, in_order

COUNTS, FACTS = "counts.npy", "rendered.json"

BATCH = 256
"""Samples that are rendered at once, or fewer where they are long."""
BATCH_BYTES = 2**20

WORTH_A_WORKER = 16 * 2**20
"""Bytes of samples for which it is worth starting one more process: some ten seconds of work."""

Render = Callable[[NDArray[Any]], Batch | None]
"""Renders the samples of a part of their table."""


@frozen
class RenderingRules:
    """What settings say about rendering."""

    max_seq_length: int
    long_samples: LongSamples
    control_tokens: Escaping


@frozen
class Facts:
    """What is told about samples as they are rendered."""

    part_labels: tuple[str, ...]
    """What the parts of examples are indices into, in the order in which the data bring them."""
    remarks: tuple[Remark, ...]
    """About samples that are not kept, or not whole; their places are among all samples."""
    long: int
    """Samples longer than ``max_seq_length``."""
    tools: bool
    """Whether a template that renders tools is needed."""


@frozen(eq=False)
class Rendered:
    """What a run's samples became."""

    examples: Examples = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)
    """How many examples each sample became; 0 of one that is not kept."""
    facts: Facts


def render_samples(
    samples: Samples,
    tokenizer: PreTrainedTokenizerBase,
    rules: RenderingRules,
    folder: Path,
    *,
    workers: int = 1,
    disabled: frozenset[str] = frozenset(),
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Renders samples into a folder; :func:`open_rendered` reads it.

    They are rendered with the model's own template, and all again with ftcore's where a sample
    turns up that needs tools which the model's cannot render. The result is the same, bit by bit,
    however many processes do it.

    :param workers: processes that render; 0: as many as it is worth.
    :param disabled: plugins that are turned off, wherever modes are opened.
    :param advance: told how many samples of how many are rendered.
    :raises PluginError: a mode fails on a sample.
    """
    workers = count_workers(workers, samples.bytes, WORTH_A_WORKER)
    for tools in (False, True):
        if workers == 1:
            renderer = renderer_for(tokenizer, tools=tools, control_tokens=rules.control_tokens)
            open_render = partial(_open_here, samples, renderer, tools, rules)
        else:
            elsewhere = (samples.path, samples.files, samples.mode_names, disabled)
            open_render = partial(_open_there, *elsewhere, tokenizer, tools, rules)
        facts = _write(samples, open_render, tools, folder, workers, advance)
        if facts is not None:
            (folder / FACTS).write_text(json.dumps(asdict(facts)), encoding="utf-8")
            return


def open_rendered(folder: Path, scratch: Scratch | None = None) -> Rendered:
    """What :func:`render_samples` wrote into a folder."""
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    facts["part_labels"] = tuple(facts["part_labels"])
    facts["remarks"] = tuple(Remark(**remark) for remark in facts["remarks"])
    counts = np.load(folder / COUNTS, allow_pickle=False)
    return Rendered(open_examples(folder, scratch), counts, Facts(**facts))


def _write(
    samples: Samples,
    open_render: Callable[[], Render],
    tools: bool,
    folder: Path,
    workers: int,
    advance: Callable[[int, int], None],
) -> Facts | None:
    """Writes the examples; None if a sample needs tools that the template cannot render."""
    labels = PartLabels()
    counts = [np.empty(0, np.int64)]
    remarks: list[Remark] = []
    long = done = 0
    writer = ExampleWriter(folder)
    made = in_order(open_render, _tables(samples), workers)
    with closing(writer), closing(made):
        for batch in made:
            if batch is None:
                return None
            writer.add(batch.ids, labels.numbered(batch), batch.lengths)
            counts.append(batch.counts)
            remarks += [evolve(remark, place=done + remark.place) for remark in batch.remarks]
            long += batch.long
            done += len(batch.counts)
            advance(done, len(samples))
        writer.finish()
    np.save(folder / COUNTS, np.concatenate(counts))
    return Facts(labels.labels(), tuple(remarks), long, tools)


def _tables(samples: Samples) -> Iterator[NDArray[Any]]:
    """The table of the samples in batches of bounded size."""
    begin = 0
    while begin < len(samples):
        ends = np.cumsum(samples.table["size"][begin : begin + BATCH])
        count = max(int(np.searchsorted(ends, BATCH_BYTES, side="right")), 1)
        yield samples.table[begin : begin + count]
        begin += count


def _open_here(samples: Samples, renderer: Renderer, tools: bool, rules: RenderingRules) -> Render:
    rendering = Rendering(renderer, tools, rules.max_seq_length, rules.long_samples)
    return lambda table: render_batch(rendering, list(evolve(samples, table=table)))


def _open_there(
    path: Path,
    files: tuple[str, ...],
    names: tuple[str, ...],
    disabled: frozenset[str],
    tokenizer: PreTrainedTokenizerBase,
    tools: bool,
    rules: RenderingRules,
) -> Render:
    """In a process that has nothing but what can be pickled."""
    quieten()
    modes = {name: open_mode(name, disabled) for name in names}
    samples = Samples(path, np.empty(0, COLUMNS), files, names, modes)
    renderer = renderer_for(tokenizer, tools=tools, control_tokens=rules.control_tokens)
    return _open_here(samples, renderer, tools, rules)
