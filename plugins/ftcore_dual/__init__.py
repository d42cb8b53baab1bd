"""Dual mode: a model learns to think to itself first, and then to say or do something outwardly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import cast

from ftcore import hookimpl
from ftcore.values import Conversation, Json, Prediction, Problem, Target
from ftcore_dual.formatting import MARKERS, format_sample
from ftcore_dual.grammar import GRAMMAR
from ftcore_dual.importing import import_chat
from ftcore_dual.metrics import metrics
from ftcore_dual.validation import validate

FTCORE_API = 1


@hookimpl
def ftcore_sample_schema() -> Json:
    """The schema of a thought and a world, in the dual and in the inverted shape."""
    text = (resources.files(__name__) / "schema.json").read_text(encoding="utf-8")
    return cast(Json, json.loads(text))


@hookimpl
def ftcore_format_sample(sample: Json, target: Target) -> Conversation:
    """Replies with a thought are trained; in the inverted shape, the world alone."""
    return format_sample(sample, target)


@hookimpl
def ftcore_config_defaults() -> Path:
    """The shipped file, so that each value's origin has a line."""
    return Path(str(resources.files("ftcore.etc") / "modes" / "dual-config.json"))


@hookimpl
def ftcore_validate_sample(sample: Json) -> Sequence[Problem]:
    """Empty texts, worlds that repeat their thought, and tags in the wrong place."""
    return validate(sample)


@hookimpl
def ftcore_markers() -> Sequence[str]:
    """The tags around a thought and a world."""
    return MARKERS


@hookimpl
def ftcore_import_chat(chat: Json) -> Json:
    """The last reply is the thought and the world, what led to it the history."""
    return import_chat(chat)


@hookimpl
def ftcore_grammar() -> str:
    """A thought, then a world."""
    return GRAMMAR


@hookimpl
def ftcore_metrics(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Whether the model keeps to the form, keeps its thought to itself, and is right."""
    return metrics(predictions)
