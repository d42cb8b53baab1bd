"""The schema of emulation mode: closed, and precise about where a sample is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ftcore_emulation
from ftcore.schemata import Validator

SAMPLE = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Fog?"},
        {"role": "assistant", "content": "Fog."},
    ],
    "persona": "A keeper.",
    "system": "You are a keeper.",
}


def problems(sample: object) -> list[tuple[str, str]]:
    """Problems of a sample as (pointer, message)."""
    found = Validator(ftcore_emulation.ftcore_sample_schema()).problems(sample)
    return [(problem.pointer, problem.message) for problem in found]


def found(path: str, value: object) -> list[tuple[str, str]]:
    """Problems of the sample after one value was set."""
    sample = json.loads(json.dumps(SAMPLE))
    *steps, last = path.strip("/").split("/")
    node = sample
    for step in steps:
        node = node[int(step)] if isinstance(node, list) else node[step]
    if isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value
    return problems(sample)


def test_the_sample_itself_is_fine():
    assert problems(SAMPLE) == []


@pytest.mark.parametrize("place", ["", "/messages/0", "/messages/1", "/messages/2"])
def test_an_unknown_key_is_one_problem_at_its_place(place: str):
    assert found(f"{place}/extra", 1) == [(f"{place}/extra", "unknown key 'extra'")]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("/messages", []),
        ("/messages", None),
        ("/messages", "hello"),
        ("/messages/1", "hello"),
        ("/messages/1/role", "tool"),
        ("/messages/1/role", "persona"),
        ("/messages/1/role", None),
        ("/messages/1/content", ""),
        ("/messages/1/content", None),
        ("/messages/1/content", ["hello"]),
        ("/messages/2/content", 7),
        ("/messages/2/tool_calls", []),
        ("/persona", ""),
        ("/persona", {"name": "Skarn"}),
        ("/system", None),
        ("/tools", []),
    ],
)
def test_a_wrong_value_is_one_problem_at_its_place(place: str, value: object):
    assert [pointer for pointer, _ in found(place, value)] == [place]


@pytest.mark.parametrize("key", ["role", "content"])
def test_a_missing_key_of_a_message_is_named(key: str):
    message = {"role": "user", "content": "Fog?"}
    del message[key]
    assert found("/messages/1", message) == [("/messages/1", f"the key '{key}' is missing")]


def test_messages_are_what_a_sample_needs():
    assert problems({}) == [("", "the key 'messages' is missing")]
    assert problems({"messages": SAMPLE["messages"]}) == []


def test_every_property_is_described_for_the_editor():
    schema = json.loads(Path(ftcore_emulation.__file__).with_name("schema.json").read_text("utf-8"))
    properties = {
        **schema["properties"],
        **schema["$defs"]["message"]["properties"],
    }
    assert [name for name, child in properties.items() if not child.get("description")] == []
