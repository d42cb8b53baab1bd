"""No mode's samples may hold the structure of another's, neither in prompt nor in answer."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest

from ftcore.contamination import contamination, foreign_markers
from ftcore.plugins import open_mode
from ftcore.values import Sample

CALL = {"type": "function", "function": {"name": "look_up", "arguments": {"what": "TEXT"}}}
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks a word up.",
        "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
    },
}
# a valid sample of each mode, and the places of its texts: in the prompt, and in the answer
SAMPLES: dict[str, tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    "agent": (
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is a fen?"},
                {"role": "assistant", "reasoning": "I do not know.", "tool_calls": [CALL]},
                {"role": "tool", "content": "a wet land"},
                {"role": "assistant", "content": "It is a wet land."},
            ],
            "tools": [TOOL],
        },
        (
            "/messages/0/content",
            "/messages/1/content",
            "/messages/3/content",
            "/tools/0/function/description",
        ),
        (
            "/messages/2/reasoning",
            "/messages/2/tool_calls/0/function/arguments/what",
            "/messages/4/content",
        ),
    ),
    "dual": (
        {
            "system": "Think first.",
            "history": [{"user": "Hi.", "thought": "A guest.", "world": "Hello!"}],
            "user": "What is a fen?",
            "thought": "Some wet land.",
            "world": "It is a wet land.",
        },
        ("/system", "/history/0/user", "/user"),
        ("/history/0/thought", "/history/0/world", "/thought", "/world"),
    ),
    "emulation": (
        {
            "messages": [
                {"role": "system", "content": "You are Ann."},
                {"role": "user", "content": "What is a fen?"},
                {"role": "assistant", "content": "Some wet land, dear."},
            ]
        },
        ("/messages/0/content", "/messages/1/content"),
        ("/messages/2/content",),
    ),
}
PAIRS = list(itertools.permutations(SAMPLES, 2))
PLACES = [
    (mode, other, place)
    for mode, other in PAIRS
    for place in (*SAMPLES[mode][1], *SAMPLES[mode][2])
]


@pytest.fixture(scope="module")
def modes():
    return {name: open_mode(name) for name in SAMPLES}


def with_text(mode: str, place: str, text: str) -> Sample:
    data = copy.deepcopy(SAMPLES[mode][0])
    *steps, last = place.split("/")[1:]
    node: Any = data
    for step in steps:
        node = node[int(step)] if isinstance(node, list) else node[step]
    node[last] = text
    return Sample({"cognitive_mode": mode, **data}, "data.jsonl", 7)


def test_the_samples_are_valid_and_clean(modes):
    foreign = foreign_markers(modes)
    for name, (data, *_) in SAMPLES.items():
        sample = Sample(data, "data.jsonl", 1)
        assert modes[name].problems(sample) == ()
        assert contamination(sample, foreign[name]) == ()


@pytest.mark.parametrize(("mode", "other", "place"), PLACES)
def test_each_marker_of_another_mode_is_refused_at_its_place(modes, mode, other, place):
    foreign = foreign_markers(modes)[mode]
    for marker in modes[other].markers():
        name = marker.strip("</>")
        sample = with_text(mode, place, f"<{name}>wet land</{name}>")
        (problem,) = contamination(sample, foreign)
        assert problem.pointer == place
        assert f"belongs to {other} mode" in problem.message
        assert f"`<{name}>`" in problem.hint


@pytest.mark.parametrize(("mode", "other"), PAIRS)
def test_who_writes_about_a_marker_does_no_harm(modes, mode, other):
    foreign = foreign_markers(modes)[mode]
    for marker in modes[other].markers():
        for text in (f"The {marker} tag is odd.", f"`{marker}` first", f'He wrote "{marker}".'):
            for place in (*SAMPLES[mode][1], *SAMPLES[mode][2]):
                assert contamination(with_text(mode, place, text), foreign) == ()


def test_a_mode_may_use_its_own_markers_and_the_cores_keys_are_nobodys(modes):
    foreign = foreign_markers(modes)
    for name, mode in modes.items():
        assert not {marker.strip("</>") for marker in mode.markers()} & set(foreign[name])
    noted = Sample(
        {**SAMPLES["emulation"][0], "notes": "<thought>about it</thought>"}, "data.jsonl", 1
    )
    assert contamination(noted, foreign["emulation"]) == ()


def test_the_examples_of_all_modes_are_clean(modes):
    from ftcore.records import read_jsonl

    foreign = foreign_markers(modes)
    for name, mode in modes.items():
        for sample in read_jsonl(mode.examples()):
            assert isinstance(sample, Sample)
            assert contamination(sample, foreign[name]) == ()
