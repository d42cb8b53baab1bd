"""The hooks that a mode provides and an extension wraps.

These docstrings are the reference. A *provider* hook is implemented once, by the mode; an
extension may wrap it with ``@hookimpl(wrapper=True)`` but never implement it. A *contributor*
hook may be implemented by the mode and by every extension; all results count. Arguments are
passed by name: declare the ones you need, under these names.

A plugin's module says which version of these hooks it was built for: ``FTCORE_API = 1``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pluggy

from ftcore.values import Conversation, Json, Prediction, Problem, Target

API_VERSION = 1
"""Raised when a plugin that was built before may no longer work. A new optional hook or a new
field with a default does not raise it."""

hookspec = pluggy.HookspecMarker("ftcore")


@hookspec(firstresult=True)
def ftcore_sample_schema() -> Json:  # type: ignore[empty-body]
    """Provider. The JSON Schema of one sample.

    Draft 2020-12 and closed: ``additionalProperties`` (or ``unevaluatedProperties``) is false
    on every object whose keys the mode knows. Called once, when the mode is opened; the result
    is checked against the metaschema. ``cognitive_mode``, ``comment`` and ``notes`` are the
    core's keys: they are taken off a sample before it is validated.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def ftcore_format_sample(sample: Json, target: Target) -> Conversation:
    """Provider. The conversation that a valid sample stands for.

    :param sample: the JSON object of one line, already valid; never change it.
    :param target: what the chat template of the model can express. Where it cannot express
        reasoning, say, the mode decides how to write it (or leave it out).
    :returns: messages made of labelled parts; at least one has ``trained=True``.

    Must be deterministic and must not import torch or transformers.
    """
    raise NotImplementedError


@hookspec
def ftcore_config_defaults() -> Mapping[str, Any] | Path:
    """Contributor. Training settings that this plugin changes from ftcore's defaults.

    Either a mapping with the keys of the training configuration or the path of a JSON file that
    holds one: then ``ftcore config show`` names the file and line of every value. Where several
    plugins set a key, an extension wins over the mode.
    """
    raise NotImplementedError


@hookspec
def ftcore_validate_sample(sample: Json) -> Sequence[Problem]:
    """Contributor. Problems of one sample that a JSON Schema cannot say.

    Called only for a sample that satisfies the schema. Give each problem a JSON pointer and a
    hint; the core adds file and line. An empty sequence: none.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def ftcore_import_chat(chat: Json) -> Json:  # type: ignore[empty-body]
    """Provider. The sample that a chat of another shape stands for.

    Called for a record in a foreign shape (ShareGPT, Alpaca, typed parts, ...) after the core has
    made a chat of it: ``{"messages": [...]}`` with messages as OpenAI writes them (``role``,
    ``content``, and where there are any ``reasoning``, ``tool_calls`` with arguments as objects,
    ``tool_call_id``, ``name``), and ``tools`` where the record had some. The result is validated
    as any sample is. A mode without this hook takes the chat as it is if its schema has a
    property ``messages``; otherwise it takes none.

    :param chat: never change it.
    """
    raise NotImplementedError


@hookspec
def ftcore_markers() -> Sequence[str]:
    """Contributor. The structural markers that this mode writes into learned text.

    Tags: ``"<name>"``, ``"</name>"``. In mixed training a sample of any other mode that holds one
    of them as structure is refused: the model could no longer tell the two modes apart.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def ftcore_grammar(tools: Sequence[Json]) -> str | None:
    """Provider. A GBNF grammar of what an answer of this mode looks like, or None.

    For decoding under constraint: a runtime that is given the grammar lets the model say nothing
    else. White space stands in it exactly as the formatter writes it. The rule ``root`` describes
    the text of an answer, without the token that ends the turn. Where there are tools, two rules
    of the core may be named without being defined, for the chat template and not the mode spells
    calls: ``tool-calls``, one or more calls of these tools with arguments that fit their schemas,
    and ``prose``, words in which no call begins. A mode without this hook, or one that gives None,
    has no such structure.

    :param tools: OpenAI-style definitions of the tools that may be called; often none.
    """
    raise NotImplementedError


@hookspec
def ftcore_metrics(predictions: Sequence[Prediction]) -> Mapping[str, float]:
    """Contributor. Figures computed on generated outputs against their references.

    Called once before and once after training, never inside the trainer's loop. Names are
    lower_snake_case, figures finite; a figure that has nothing to be computed from is left out
    (``predictions`` may be empty).
    """
    raise NotImplementedError
