"""Agent mode: a model learns when to call which tool, with which arguments, and when not to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import cast

from ftcore import hookimpl
from ftcore.values import Conversation, Json, Prediction, Problem, Target
from ftcore_agent.formatting import MARKERS, format_sample
from ftcore_agent.importing import import_chat
from ftcore_agent.metrics import metrics
from ftcore_agent.validation import validate

FTCORE_API = 1


@hookimpl
def ftcore_sample_schema() -> Json:
    """The schema of ``messages`` and ``tools`` in OpenAI's shape."""
    text = (resources.files(__name__) / "schema.json").read_text(encoding="utf-8")
    return cast(Json, json.loads(text))


@hookimpl
def ftcore_format_sample(sample: Json, target: Target) -> Conversation:
    """Every assistant message is trained."""
    return format_sample(sample, target)


@hookimpl
def ftcore_config_defaults() -> Path:
    """The shipped file, so that each value's origin has a line."""
    return Path(str(resources.files("ftcore.etc") / "modes" / "agent-config.json"))


@hookimpl
def ftcore_validate_sample(sample: Json) -> Sequence[Problem]:
    """Tools, calls, results and the order of roles."""
    return validate(sample)


@hookimpl
def ftcore_markers() -> Sequence[str]:
    """The tags around reasoning and calls; chat templates write them, samples do not."""
    return MARKERS


@hookimpl
def ftcore_import_chat(chat: Json) -> Json:
    """Results get the ids of the calls that they answer."""
    return import_chat(chat)


@hookimpl
def ftcore_grammar(tools: Sequence[Json]) -> str | None:
    """Words, calls of the tools, or words and then calls; without tools nothing is prescribed."""
    return "root ::= prose | prose? tool-calls\n" if tools else None


@hookimpl
def ftcore_metrics(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Whether the model calls when it should, and whether its calls would work."""
    return metrics(predictions)
