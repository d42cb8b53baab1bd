"""The figures of a report on data: what a curator wants to know before training on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field, frozen

from ftcore.faults import Faults

SHORT_WORDS = 40
"""An answer of at most so many words is short."""
LONG_WORDS = 100
"""An answer of more words is long."""

GROUPS = 100
"""Groups of duplicates that a report names, the largest first."""
PLACES = 20
"""Samples of a group that it names."""


@frozen
class LongSample:
    """A sample and the tokens of its longest example."""

    place: str
    tokens: int


@frozen
class Spread:
    """How a number is spread over the samples: each quartile is the number of some sample."""

    minimum: int
    quarter: int
    median: int
    three_quarters: int
    maximum: int
    mean: float


@frozen
class Answers:
    """The messages that the model learns to say."""

    count: int = 0
    """Those with words."""
    calls_only: int = 0
    """Those that only call tools; no figure below counts them."""
    mean_words: float = 0.0
    short: float = 0.0
    """Share of answers of at most :data:`SHORT_WORDS` words."""
    long: float = 0.0
    """Share of answers of more than :data:`LONG_WORDS` words."""
    filler: float = 0.0
    """Share of answers that open with filler (:mod:`ftcore.fillers`)."""


@frozen
class ModeFigures:
    """The valid samples of one mode."""

    samples: int
    share: float
    least_share: float | None
    """What ``dataset_requirements.mode_distribution`` asks for in mixed training."""
    words: Spread | None
    """None where there is no sample."""
    tokens: Spread | None
    """None where there is none, or tokens were not counted."""
    answers: Answers


@frozen
class Tokens:
    """The samples after the tokenizer and the chat template. Figures that are not ``exact`` are
    estimated from the ``counted`` samples.
    """

    base_model: str
    own_template: bool
    """Whether ftcore's chat template takes the place of the base model's."""
    rendered: int
    counted: int
    exact: bool
    total: int
    """Of all samples, the long ones whole."""
    trained: int
    max_seq_length: int
    too_long: int
    """Samples that are longer than ``max_seq_length``."""
    long_samples: str
    """What becomes of them: the setting of this name."""
    long_samples_limit: float
    """A greater share of them stops a run."""
    longest: tuple[LongSample, ...]
    not_rendered: int
    """Samples that this base model cannot be trained on; ``problems`` says why."""


@frozen
class Group:
    """Samples that belong together."""

    size: int
    places: tuple[str, ...]
    """``file:line`` of the first :data:`PLACES`."""


@frozen
class Duplicates:
    """Samples that say what another says."""

    exact_copies: int
    """Samples whose content an earlier one has already."""
    exact_groups: int
    near_samples: int
    """Samples, of equal ones the first, that are nearly the same as some other."""
    near_groups: int
    exact: tuple[Group, ...] = field(repr=False)
    """At most :data:`GROUPS`, the largest first."""
    near: tuple[Group, ...] = field(repr=False)


@frozen
class Split:
    """What a run with these settings would hold out of these samples."""

    trained: int
    held_out: int
    exact_across: int
    """Held-out samples whose content is also trained on; a run never splits them so."""
    near_across: int
    """Held-out samples that are nearly the same as one that is trained on."""


@frozen
class Report:
    """What is to be known about data before they are trained on."""

    records: int
    refused: int
    """Records with problems, those that cannot be rendered included."""
    other_mode: int
    problems: Faults
    warnings: Faults
    shapes: Mapping[str, int]
    """How many records were written in which shape."""
    ignored: Mapping[str, int]
    """Keys of foreign shapes that nothing reads, and in how many records."""
    notes: Mapping[str, int]
    """What was done to records of foreign shapes, and to how many."""
    modes: Mapping[str, ModeFigures]
    """Of every mode that has a valid sample or a share to reach."""
    min_samples: int
    recommended_samples: int
    tokens: Tokens | None
    no_tokens: str
    """Why tokens were not counted."""
    duplicates: Duplicates
    split: Split

    @property
    def valid(self) -> int:
        """Samples that can be trained on."""
        return sum(figures.samples for figures in self.modes.values())


def to_json(report: Report) -> dict[str, Any]:
    """The report as JSON, every figure in it."""
    found = attrs.asdict(report)
    problems, warnings = found.pop("problems"), found.pop("warnings")
    return {
        "lines": found.pop("records"),
        "valid": {name: f.samples for name, f in report.modes.items() if f.samples},
        **found,
        "problem_count": problems["total"],
        "problems": problems["first"],
        "problems_by_message": problems["by_message"],
        "warning_count": warnings["total"],
        "warnings": warnings["first"],
        "warnings_by_message": warnings["by_message"],
    }
