"""The samples that emulation mode ships: valid, one voice, varied, short enough for the demo."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

import ftcore_emulation
from ftcore.schemata import Validator
from ftcore_emulation.metrics import words
from ftcore_emulation.validation import validate

LINES = Path(ftcore_emulation.__file__).with_name("examples.jsonl").read_text("utf-8").splitlines()
SAMPLES: list[dict[str, Any]] = [json.loads(line) for line in LINES]


def speakers(sample: dict[str, Any]) -> list[str]:
    """Who speaks, each run of one speaker once, without the system."""
    roles = [message["role"] for message in sample["messages"] if message["role"] != "system"]
    return [role for role, _ in groupby(roles)]


def contents(role: str) -> list[str]:
    return [m["content"] for sample in SAMPLES for m in sample["messages"] if m["role"] == role]


def several_in_a_row(sample: dict[str, Any], role: str) -> bool:
    runs = groupby(message["role"] for message in sample["messages"])
    return any(name == role and len(list(run)) > 1 for name, run in runs)


KINDS = {
    "one turn": lambda s: speakers(s) == ["user", "assistant"],
    "several turns": lambda s: speakers(s).count("user") > 1,
    "a persona": lambda s: "persona" in s,
    "a system text": lambda s: "system" in s,
    "a system message": lambda s: s["messages"][0]["role"] == "system",
    "several messages of a user": lambda s: several_in_a_row(s, "user"),
    "several messages of the persona": lambda s: several_in_a_row(s, "assistant"),
    "the persona begins": lambda s: speakers(s)[0] == "assistant",
    "Unicode": lambda s: not json.dumps(s, ensure_ascii=False).isascii(),
}


def test_all_are_valid():
    validator = Validator(ftcore_emulation.ftcore_sample_schema())
    faults = [
        f"line {number}: {problem}"
        for number, sample in enumerate(SAMPLES, start=1)
        for problem in (validator.problems(sample) or validate(sample))
    ]
    assert faults == []


def test_there_are_enough_and_nothing_is_said_twice():
    assert len(SAMPLES) >= 180
    assert [text for text, count in Counter(contents("assistant")).items() if count > 1] == []
    assert [text for text, count in Counter(contents("user")).items() if count > 1] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_shown_early(kind: str):
    assert sum(map(KINDS[kind], SAMPLES)) >= 3
    assert sum(map(KINDS[kind], SAMPLES[:100])) >= 1


def test_about_a_quarter_has_several_turns():
    share = sum(map(KINDS["several turns"], SAMPLES)) / len(SAMPLES)
    assert 0.2 <= share <= 0.3


def test_it_is_one_voice():
    """What the demo's model can learn from a hundred samples: weather first, briefly, no fuss."""
    firsts = [
        next(m["content"] for m in sample["messages"] if m["role"] == "assistant")
        for sample in SAMPLES
    ]
    weather = Counter(words(text)[0] for text in firsts)
    assert sum(count for _, count in weather.most_common(20)) / len(firsts) > 0.85
    openings = [re.split(r"[.!?]", text)[0] for text in firsts]
    assert all(len(opening.split()) <= 7 for opening in openings)
    assert not any("!" in text for text in contents("assistant"))


def test_replies_are_no_template():
    """Beyond the habit of beginning with the weather, hardly a run of five words comes twice."""
    runs: Counter[tuple[str, ...]] = Counter()
    for text in contents("assistant"):
        said = words(text)
        runs.update(set(zip(*(said[i:] for i in range(5)), strict=False)))
    assert max(runs.values()) <= 3


def test_they_are_short():
    lengths = sorted(
        sum(len(words(message["content"])) for message in sample["messages"]) for sample in SAMPLES
    )
    assert lengths[0] >= 8  # words; rendered, 35 tokens
    assert 25 <= lengths[len(lengths) // 2] <= 45
    assert lengths[-1] <= 90
