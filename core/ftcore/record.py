"""The run record: one JSON file that says what a run did, with what, and how it ended."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import attrs
from attrs import frozen

from ftcore.errors import InputError
from ftcore.files import write_whole
from ftcore.ledger import Totals

RECORD = "record.json"
FORMAT = 1

ArtifactKind = Literal[
    "model",
    "model_card",
    "gguf",
    "modelfile",
    "grammar",
    "certificate",
    "ledger",
    "log",
    "predictions",
]
State = Literal["running", "complete", "certificate_failed", "failed", "interrupted"]

LIBRARIES = (
    "ftcore",
    "accelerate",
    "datasets",
    "gguf",
    "numpy",
    "peft",
    "pluggy",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "xllamacpp",
)


@frozen
class Plugin:
    """A plugin that took part."""

    name: str
    kind: str
    distribution: str
    version: str


@frozen
class DataFile:
    """A data file (or stdin, or a hub's data set) as it was read."""

    path: str
    bytes: int
    sha256: str


@frozen
class Measured:
    """Loss (nats per trained token) and mode metrics on the held-out samples at one moment."""

    loss: float | None
    loss_by_part: Mapping[str, float]
    metrics: Mapping[str, float]


@frozen
class Training:
    """What the optimizer did."""

    steps: int
    tokens: int
    trained_tokens: int
    seconds: float
    device: str
    best_step: int | None = None
    """Of the checkpoint that was taken for the best; None: the weights of the last step."""


@frozen
class Artifact:
    """A file that the run made. The path is relative to the run."""

    kind: ArtifactKind
    path: str
    bytes: int
    sha256: str


@frozen
class Setting:
    """One setting's value and where it came from."""

    value: Any
    origin: str


@frozen
class RunRecord:
    """See ``schemas/run-record.schema.json``."""

    id: str
    modes: tuple[str, ...]
    state: State
    started: str
    base_model: str
    settings: Mapping[str, Setting]
    versions: Mapping[str, str]
    plugins: tuple[Plugin, ...]
    data: tuple[DataFile, ...]
    ledger: Totals
    own_chat_template: bool
    format: int = FORMAT
    finished: str | None = None
    error: str | None = None
    before: Measured | None = None
    after: Measured | None = None
    training: Training | None = None
    artifacts: tuple[Artifact, ...] = ()
    certificate_passed: bool | None = None
    warnings: tuple[str, ...] = ()
    system: str | None = None
    """The system text of every trained sample, where they have the same."""

    def artifact(self, kind: ArtifactKind) -> Artifact | None:
        """The first artifact of a kind."""
        return next((a for a in self.artifacts if a.kind == kind), None)


def to_json(record: RunRecord) -> dict[str, Any]:
    """The record as JSON values, in the order of its fields; what is not finite is None."""
    return cast("dict[str, Any]", _json(attrs.asdict(record)))


def _json(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _json(item) for key, item in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN, and a run that diverged needs its record most
    return value


def write_record(folder: Path, record: RunRecord) -> None:
    """Writes ``record.json``, whole or not at all."""
    text = json.dumps(to_json(record), ensure_ascii=False, indent=2)
    write_whole(folder / RECORD, text + "\n")


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a run as JSON values.

    :raises InputError: the folder holds no record, or a broken one.
    """
    path = folder / RECORD
    try:
        record: object = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{folder} is no run: it holds no {RECORD}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"the run record {path} cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise InputError(f"the run record {path} cannot be read: it is no JSON object")
    return cast("dict[str, Any]", record)


def library_versions() -> dict[str, str]:
    """Versions of Python and of every library that can change what a run gives."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
