"""The run record: what is written is what the schema promises, and JSON for every reader."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any, get_args, get_type_hints

import attrs
import pytest
from jsonschema import Draft202012Validator

from ftcore import record as module
from ftcore.errors import InputError
from ftcore.ledger import Entry, Totals, totals
from ftcore.record import (
    Artifact,
    DataFile,
    Measured,
    Plugin,
    RunRecord,
    Setting,
    State,
    Training,
    library_versions,
    read_record,
    to_json,
    write_record,
)

SCHEMA = json.loads(
    (resources.files("ftcore.schemas") / "run-record.schema.json").read_text(encoding="utf-8")
)
DIGEST = "0123456789abcdef" * 4

BEGUN = RunRecord(
    id="2026-01-02-haiku-abc123",
    modes=("haiku",),
    state="running",
    started="2026-01-02T03:04:05+02:00",
    base_model="smollm2:135m",
    settings={
        "learning_rate": Setting(4e-6, "etc/modes/haiku-config.json:7"),
        "dataset_requirements.mode_distribution": Setting({"haiku": 0.5}, "ftcore's default"),
    },
    versions=library_versions(),
    plugins=(Plugin("haiku", "mode", "ftc-haiku", "1.0"), Plugin("shout", "extension", "x", "2")),
    data=(DataFile("data.jsonl", 12, DIGEST),),
    ledger=totals([Entry("data.jsonl", 1, "trained", "", 1, 9, 4)]),
    own_chat_template=True,
)
DONE = attrs.evolve(
    BEGUN,
    state="complete",
    finished="2026-01-02T03:09:05+02:00",
    before=Measured(3.5, {"prose": 3.25}, {"exact": 0.0}),
    after=Measured(1.5, {"prose": 1.25}, {"exact": 1.0}),
    training=Training(3, 27, 12, 1.5, "cpu"),
    artifacts=(Artifact("gguf", "model-Q8_0.gguf", 3, DIGEST),),
    certificate_passed=True,
    warnings=("few samples",),
)
FAILED = attrs.evolve(BEGUN, state="failed", error="the disk is full")


def strictly(text: str) -> Any:
    """JSON as RFC 8259 has it: Python alone reads NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("record", [BEGUN, DONE, FAILED], ids=["begun", "done", "failed"])
def test_a_record_satisfies_the_schema_and_comes_back(tmp_path, record):
    write_record(tmp_path, record)
    found = read_record(tmp_path)
    assert found == strictly((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(SCHEMA).iter_errors(found)) == []
    assert found["settings"]["learning_rate"] == {
        "value": 4e-6,
        "origin": "etc/modes/haiku-config.json:7",
    }
    assert found["versions"]["python"]
    assert "torch" in found["versions"]


def test_the_schema_is_one_and_closed():
    Draft202012Validator.check_schema(SCHEMA)
    stray = {**to_json(DONE), "extra": 1}
    assert not Draft202012Validator(SCHEMA).is_valid(stray)


def described(schema: dict[str, Any], at: str = "") -> list[str]:
    """Places of properties that say nothing about themselves."""
    found: list[str] = []
    for key, value in schema.get("properties", {}).items():
        target = SCHEMA["$defs"].get(value.get("$ref", "").removeprefix("#/$defs/"), {})
        if not {**target, **value}.get("description"):
            found.append(f"{at}/{key}")
        found += described(value, f"{at}/{key}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found += described(schema[key], f"{at}/{key}")
    for branch in schema.get("anyOf", ()):
        found += described(branch, at)
    return found


def test_every_key_is_described():
    assert described(SCHEMA) + described(SCHEMA["$defs"]["measured"]) == []


PROPERTIES = SCHEMA["properties"]
OBJECTS = {
    RunRecord: SCHEMA,
    Totals: PROPERTIES["ledger"],
    Setting: PROPERTIES["settings"]["additionalProperties"],
    Plugin: PROPERTIES["plugins"]["items"],
    DataFile: PROPERTIES["data"]["items"],
    Artifact: PROPERTIES["artifacts"]["items"],
    Training: PROPERTIES["training"]["anyOf"][0],
    Measured: SCHEMA["$defs"]["measured"],
}


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: value.__name__)
def test_schema_and_values_name_the_same_keys(value):
    keys = [field.name for field in attrs.fields(value)]
    assert list(OBJECTS[value]["properties"]) == keys
    assert OBJECTS[value]["required"] == keys
    assert OBJECTS[value]["additionalProperties"] is False


def test_schema_and_values_allow_the_same_words():
    assert PROPERTIES["state"]["enum"] == list(get_args(State))
    kinds = get_args(get_type_hints(Artifact, vars(module))["kind"])
    assert OBJECTS[Artifact]["properties"]["kind"]["enum"] == list(kinds)
    assert PROPERTIES["format"]["const"] == BEGUN.format


def test_the_record_of_a_run_that_diverged_is_still_json(tmp_path):
    after = Measured(math.nan, {"prose": math.inf, "end": 1.0}, {"exact": 0.0})
    write_record(tmp_path, attrs.evolve(DONE, after=after))
    found = strictly((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert found["after"]["loss"] is None
    assert found["after"]["loss_by_part"] == {"prose": None, "end": 1.0}
    assert list(Draft202012Validator(SCHEMA).iter_errors(found)) == []


def test_a_later_record_takes_the_place_of_the_earlier(tmp_path):
    write_record(tmp_path, BEGUN)
    write_record(tmp_path, DONE)
    assert read_record(tmp_path)["state"] == "complete"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_folder_that_is_no_run_is_called_so(tmp_path):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(InputError, match=r"is no run: it holds no record\.json"):
            read_record(folder)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[]", b"5"])
def test_a_broken_record_is_named(tmp_path, raw):
    (tmp_path / "record.json").write_bytes(raw)
    with pytest.raises(InputError, match=r"record\.json cannot be read"):
        read_record(tmp_path)


def test_a_record_below_a_file_cannot_be_read(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is no run"):
        read_record(tmp_path / "file")
