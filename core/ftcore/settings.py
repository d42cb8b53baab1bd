"""The settings of a run as typed values, and the schema that says which keys there are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

import attrs
from attrs import frozen

from ftcore.jsontext import JsonDocument, did_you_mean, parse_json
from ftcore.schemata import Validator, pointer, unknown_key
from ftcore.values import Json, Problem

SCHEMA_NAME = "training-config.schema.json"
ANNOTATIONS = ("comment", "notes", "$schema")
"""Keys for the reader and the editor of a file; no setting."""


@frozen
class DatasetRequirements:
    """What the data must be for a run to start."""

    min_samples: int
    recommended_samples: int
    mode_filter: str | None
    note: str
    mode_distribution: Mapping[str, float]


@frozen
class Settings:
    """One field per key of the training configuration; the schema says what each reaches."""

    cognitive_mode: str
    base_model: str
    training_mode: Literal["full_finetune", "lora"]
    learning_rate: float
    lr_scheduler_type: str
    warmup_steps: int
    num_train_epochs: float
    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    max_seq_length: int
    long_samples: Literal["split", "drop", "refuse"]
    long_samples_limit: float
    control_tokens: Literal["refuse", "escape"]
    packing: bool
    optim: str
    weight_decay: float
    max_grad_norm: float
    precision: Literal["fp32"]
    bf16: bool
    fp16: bool
    load_in_8bit: bool
    gradient_checkpointing: bool
    lora_rank: int
    lora_alpha: float
    lora_dropout: float
    lora_target_modules: str | tuple[str, ...]
    seed: int
    max_samples: int | None
    balance: bool
    eval_split: float
    eval_samples: int
    max_new_tokens: int
    logging_steps: int
    save_checkpoints: bool
    save_steps: int
    save_total_limit: int
    load_best_model_at_end: bool
    metric_for_best_model: str
    invalid_samples: Literal["stop", "skip"]
    workers: int
    cache: bool
    dataset_requirements: DatasetRequirements
    output_format: Literal["gguf", "safetensors"]
    quantization: tuple[str, ...]
    """Each makes a GGUF."""
    certify: bool


def shipped_folder(package: str) -> Path:
    """The folder of a package of data files: ``ftcore.etc`` or ``ftcore.schemas``."""
    return Path(str(resources.files(package)))


def schema_text() -> str:
    """The JSON Schema of the training configuration as it is shipped."""
    return (shipped_folder("ftcore.schemas") / SCHEMA_NAME).read_text(encoding="utf-8")


@cache
def schema_document() -> JsonDocument:
    """The parsed schema with its lines."""
    return parse_json(schema_text())


@cache
def setting_schemas() -> Mapping[str, Json]:
    """The schema of every setting by its dotted key, in the schema's order.

    ``dataset_requirements.mode_distribution`` stands for all of its keys, which are names of
    modes.
    """
    return dict(_setting_schemas(schema_document().value, ""))


def _setting_schemas(schema: Json, prefix: str) -> Iterator[tuple[str, Json]]:
    for key, part in cast("Mapping[str, Json]", schema["properties"]).items():
        if key in ANNOTATIONS:
            continue
        if part.get("additionalProperties") is False:
            yield from _setting_schemas(part, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", part


def open_key(dotted: str) -> str | None:
    """The setting that holds ``dotted`` as one of its freely named members, if one does."""
    for key, schema in setting_schemas().items():
        if "properties" in schema and dotted.startswith(f"{key}.") and len(dotted) > len(key) + 1:
            return key
    return None


def steps_of(dotted: str) -> tuple[str, ...]:
    """The path of keys that a dotted key stands for. A mode's name may itself hold dots."""
    parent = open_key(dotted)
    if parent is None:
        return tuple(dotted.split("."))
    return (*parent.split("."), dotted[len(parent) + 1 :])


def is_setting(dotted: str) -> bool:
    """Whether ``dotted`` names a setting or an object of settings."""
    known = setting_schemas()
    inside = any(key.startswith(f"{dotted}.") for key in known)
    return dotted in known or inside or open_key(dotted) is not None


def flatten(data: Json) -> Iterator[tuple[str, Any]]:
    """``(dotted key, value)`` of every setting in a nested object; annotations are left out."""
    return _flatten(data, "")


def _flatten(data: Json, prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if key in ANNOTATIONS:
            continue
        if isinstance(value, Mapping):
            yield from _flatten(cast("Json", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def nest(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The nested object of dotted keys; the inverse of :func:`flatten`."""
    nested: dict[str, Any] = {}
    for dotted, value in pairs:
        *parents, last = steps_of(dotted)
        inner = nested
        for step in parents:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return nested


def structure(values: Mapping[str, Any]) -> Settings:
    """The settings of valid values, one for every dotted key of the schema."""
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str | tuple[str, ...], _text_or_texts)
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _separated)
    nested = nest(values.items())
    nested["dataset_requirements"].setdefault("mode_distribution", {})
    return converter.structure(nested, Settings)


def _text_or_texts(value: Any, _: Any) -> str | tuple[str, ...]:
    return value if isinstance(value, str) else tuple(value)


def _separated(value: Any, _: Any) -> tuple[str, ...]:
    return tuple(value.split(",")) if isinstance(value, str) else tuple(value)


def one_spelling(key: str, value: Any) -> Any:
    """A value as messages and records write it: quantizations with commas, each once."""
    if key != "quantization":
        return value
    return ",".join(dict.fromkeys(_separated(value, None)))


@cache
def _validator() -> Validator:
    return Validator(schema_document().value)


def data_problems(data: Json) -> list[Problem]:
    """What is wrong with one layer of settings, with pointers but without file and line."""
    problems = [_with_better_hint(problem, data) for problem in _validator().problems(data)]
    for key, value in flatten(data):  # NaN is neither above nor below any bound
        if isinstance(value, float) and not math.isfinite(value):
            problems.append(Problem(f"must be a finite number, is {value}", pointer(steps_of(key))))
    return problems


def no_such_key(dotted: str, at: str = "") -> Problem:
    """The problem of a key that is no setting; also finds a key that stands at another depth."""
    by_last = {key.rpartition(".")[2]: key for key in setting_schemas()}
    names = [*setting_schemas(), *by_last]
    meant = did_you_mean(dotted, names) or did_you_mean(dotted.rpartition(".")[2], names)
    for last, key in by_last.items():
        meant = meant.replace(repr(last), repr(key))
    every = "`ftcore config show` lists every key"
    problem = unknown_key(dotted, [], at)
    return attrs.evolve(problem, hint=f"{meant} {every}" if meant else every)


def _with_better_hint(problem: Problem, data: Json) -> Problem:
    """Says what a person who edits settings needs: the key meant, or how the value is written."""
    steps = [s.replace("~1", "/").replace("~0", "~") for s in problem.pointer.split("/")[1:]]
    dotted = ".".join(steps)
    if problem.message.startswith("unknown key"):
        if is_setting(dotted):
            nested = json.dumps(nest([(dotted, "…")]), ensure_ascii=False)
            return attrs.evolve(problem, hint=f"in a file it is written nested: {nested}")
        return no_such_key(dotted, problem.pointer)
    value = _at(data, steps)
    hint = _how_to_write(value, setting_schemas().get(dotted, {}))
    return attrs.evolve(problem, hint=f"{hint} {problem.hint}".strip()) if hint else problem


def _at(value: Any, steps: Iterable[str]) -> Any:
    for step in steps:
        value = value[int(step) if isinstance(value, list) else step]
    return value


def _choices(branches: Iterable[Json]) -> list[str]:
    """The names that one of several ways to write a value lists."""
    return [name for branch in branches for name in branch.get("enum", ())]


def _how_to_write(value: Any, schema: Json) -> str:
    if not isinstance(value, str):
        return ""
    choices = schema.get("enum") or _choices(schema.get("anyOf", ()))
    if choices:
        wrong = [part for part in value.split(",") if part not in choices]
        return did_you_mean(wrong[0] if wrong else value, choices)
    if schema.get("type") in ("integer", "number", "boolean"):
        try:
            plain = parse_json(value.strip().lower()).value
        except ValueError:
            try:
                plain = float(value)
            except ValueError:
                return ""
        if isinstance(plain, int | float) and plain - plain == 0:
            return f"write {json.dumps(plain)}, without quotes."
    return ""
