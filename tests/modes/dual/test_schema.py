"""The schema of dual mode: closed, and precise about where a sample is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ftcore_dual
from ftcore.schemata import Validator

DUAL: dict[str, Any] = {
    "shape": "dual",
    "system": "You wait at table.",
    "history": [{"user": "Hello!", "thought": "A guest.", "world": "Good evening."}],
    "user": "3 + 4?",
    "thought": "I add them.",
    "world": "It is 7.",
    "answer": "7",
}
INVERTED = {"shape": "inverted", "thought": "I add them.", "world": "It is 7."}


def judged(sample: object) -> list[tuple[str, str]]:
    """Problems as (pointer, message); every one of them has a hint."""
    problems = Validator(ftcore_dual.ftcore_sample_schema()).problems(sample)
    assert all(problem.hint for problem in problems)
    return [(problem.pointer, problem.message) for problem in problems]


def changed(path: str, value: object) -> dict[str, Any]:
    """The dual sample with one value set."""
    sample: Any = json.loads(json.dumps(DUAL))
    *steps, last = path.strip("/").split("/")
    node = sample
    for step in steps:
        node = node[int(step)] if isinstance(node, list) else node[step]
    node[int(last) if isinstance(node, list) else last] = value
    return sample


def without(sample: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in sample.items() if key not in keys}


@pytest.mark.parametrize(
    "sample",
    [
        DUAL,
        without(DUAL, "shape"),
        without(DUAL, "shape", "system", "history", "answer"),
        changed("/history", []),
        changed("/history/0", {"user": "Hello!", "world": "Good evening."}),
        INVERTED,
    ],
)
def test_samples_of_both_shapes_are_fine(sample: dict[str, Any]):
    assert judged(sample) == []


@pytest.mark.parametrize("place", ["", "/history/0"])
def test_an_unknown_key_is_one_problem_at_its_place(place: str):
    assert judged(changed(f"{place}/extra", 1)) == [(f"{place}/extra", "unknown key 'extra'")]


@pytest.mark.parametrize("sample", [DUAL, INVERTED])
def test_a_misspelt_key_is_answered_with_the_nearest(sample: dict[str, Any]):
    (problem,) = Validator(ftcore_dual.ftcore_sample_schema()).problems({**sample, "answr": "7"})
    assert problem.pointer == "/answr"
    assert "did you mean 'answer'?" in problem.hint


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("/shape", "upside down"),
        ("/shape", None),
        ("/system", ""),
        ("/system", None),
        ("/history", None),
        ("/history", "Hello!"),
        ("/history/0", "Hello!"),
        ("/history/0/user", ""),
        ("/history/0/thought", None),
        ("/history/0/thought", ""),
        ("/history/0/world", ["Hi"]),
        ("/user", ""),
        ("/user", ["hello"]),
        ("/thought", ""),
        ("/thought", None),
        ("/world", ""),
        ("/world", 7),
        ("/answer", 7),
        ("/answer", ""),
    ],
)
def test_a_wrong_value_is_one_problem_at_its_place(place: str, value: object):
    assert [pointer for pointer, _ in judged(changed(place, value))] == [place]


@pytest.mark.parametrize("key", ["user", "thought", "world"])
def test_a_missing_key_is_named(key: str):
    assert judged(without(DUAL, key)) == [("", f"the key '{key}' is missing")]


@pytest.mark.parametrize("key", ["thought", "world"])
def test_a_missing_key_of_the_inverted_shape_is_named(key: str):
    assert judged(without(INVERTED, key)) == [("", f"the key '{key}' is missing")]


@pytest.mark.parametrize("key", ["user", "world"])
def test_a_missing_key_of_an_exchange_is_named(key: str):
    exchange = without(DUAL["history"][0], key)
    assert judged(changed("/history/0", exchange)) == [
        ("/history/0", f"the key '{key}' is missing")
    ]


def test_a_bare_pair_is_told_of_the_inverted_shape():
    (problem,) = Validator(ftcore_dual.ftcore_sample_schema()).problems(without(INVERTED, "shape"))
    assert problem.message == "the key 'user' is missing"
    assert '"shape": "inverted"' in problem.hint


@pytest.mark.parametrize("key", ["user", "system", "history", "answer"])
def test_the_inverted_shape_holds_nothing_else(key: str):
    ((pointer, message),) = judged({**INVERTED, key: DUAL[key]})
    assert pointer == f"/{key}"
    assert message.startswith("is not allowed here")


@pytest.mark.parametrize("sample", [[], "hello", None])
def test_a_sample_is_an_object(sample: object):
    assert ("", f"must be object, is {json.dumps(sample)}") in judged(sample)


def test_every_property_is_described_for_the_editor():
    schema = json.loads(Path(ftcore_dual.__file__).with_name("schema.json").read_text("utf-8"))
    for place in (schema, schema["$defs"]["exchange"]):
        fields = place["properties"]
        assert [name for name in fields if "description" not in fields[name]] == []
