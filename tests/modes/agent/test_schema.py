"""The schema of agent mode: closed, and precise about where a sample is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ftcore_agent
from ftcore.schemata import Validator

SAMPLE = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Oslo?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": {"city": "Oslo"}},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "rain"},
        {"role": "assistant", "content": "Rain."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "get_weather", "parameters": {"type": "object"}},
        }
    ],
}


def found(path: str, value: object) -> list[tuple[str, str]]:
    """Problems of the sample after one value was set, as (pointer, message)."""
    sample = json.loads(json.dumps(SAMPLE))
    *steps, last = path.strip("/").split("/")
    node = sample
    for step in steps:
        node = node[int(step)] if isinstance(node, list) else node[step]
    if isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value
    problems = Validator(ftcore_agent.ftcore_sample_schema()).problems(sample)
    return [(problem.pointer, problem.message) for problem in problems]


def test_the_sample_itself_is_fine():
    assert found("/messages/0/content", "Be brief.") == []


@pytest.mark.parametrize(
    "place",
    [
        "",
        "/messages/0",
        "/messages/1",
        "/messages/2",
        "/messages/2/tool_calls/0",
        "/messages/2/tool_calls/0/function",
        "/messages/3",
        "/tools/0",
        "/tools/0/function",
    ],
)
def test_an_unknown_key_is_one_problem_at_its_place(place: str):
    assert found(f"{place}/extra", 1) == [(f"{place}/extra", "unknown key 'extra'")]


def test_a_tools_parameters_are_open():
    assert found("/tools/0/function/parameters/x-anything", 1) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("/messages", []),
        ("/messages", "hello"),
        ("/messages/1", "hello"),
        ("/messages/1/role", "robot"),
        ("/messages/1/content", ""),
        ("/messages/1/content", ["hello"]),
        ("/messages/2/reasoning", None),
        ("/messages/2/tool_calls", []),
        ("/messages/2/tool_calls/0/type", "tool"),
        ("/messages/2/tool_calls/0/id", 7),
        ("/messages/2/tool_calls/0/function/arguments", [1]),
        ("/messages/2/tool_calls/0/function/arguments", None),
        ("/messages/3/content", None),
        ("/tools", None),
        ("/tools/0/function/name", "two words"),
        ("/tools/0/function/parameters", True),
    ],
)
def test_a_wrong_value_is_one_problem_at_its_place(place: str, value: object):
    assert [pointer for pointer, _ in found(place, value)] == [place]


def test_calls_belong_to_the_assistant():
    assert [pointer for pointer, _ in found("/messages/1/tool_calls", [])] == [
        "/messages/1/tool_calls"
    ]


@pytest.mark.parametrize("key", ["type", "function"])
def test_a_missing_key_is_named(key: str):
    call = {"type": "function", "function": {"name": "f", "arguments": {}}}
    del call[key]
    assert found("/messages/2/tool_calls/0", call) == [
        ("/messages/2/tool_calls/0", f"the key '{key}' is missing")
    ]


def test_every_property_is_described_for_the_editor():
    schema = json.loads(Path(ftcore_agent.__file__).with_name("schema.json").read_text("utf-8"))

    def described(node: object, place: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        missing = [
            f"{place}/{name}"
            for name, child in node.get("properties", {}).items()
            if "description" not in child
        ]
        for name, child in node.items():
            if name not in ("allOf", "if"):
                missing += described(child, f"{place}/{name}")
        return missing

    assert described(schema, "") == []
