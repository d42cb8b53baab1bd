"""Emulation mode: a model learns to answer in the voice of one person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import cast

from ftcore import hookimpl
from ftcore.values import Conversation, Json, Prediction, Problem, Target
from ftcore_emulation.formatting import MARKERS, format_sample
from ftcore_emulation.importing import import_chat
from ftcore_emulation.metrics import metrics
from ftcore_emulation.validation import validate

FTCORE_API = 1


@hookimpl
def ftcore_sample_schema() -> Json:
    """The schema of ``messages`` and of the text that describes the persona."""
    text = (resources.files(__name__) / "schema.json").read_text(encoding="utf-8")
    return cast(Json, json.loads(text))


@hookimpl
def ftcore_format_sample(sample: Json, target: Target) -> Conversation:
    """Every reply of the persona to a user is trained."""
    return format_sample(sample, target)


@hookimpl
def ftcore_config_defaults() -> Path:
    """The shipped file, so that each value's origin has a line."""
    return Path(str(resources.files("ftcore.etc") / "modes" / "emulation-config.json"))


@hookimpl
def ftcore_validate_sample(sample: Json) -> Sequence[Problem]:
    """Who describes the persona, who speaks, and roles written as text."""
    return validate(sample)


@hookimpl
def ftcore_markers() -> Sequence[str]:
    """The role tags that older collections wrote as text."""
    return MARKERS


@hookimpl
def ftcore_import_chat(chat: Json) -> Json:
    """The assistant is the persona; tools that nobody calls are left out."""
    return import_chat(chat)


@hookimpl
def ftcore_metrics(predictions: Sequence[Prediction]) -> dict[str, float]:
    """How likely the persona's own words are, and whether what is said has its manner."""
    return metrics(predictions)
