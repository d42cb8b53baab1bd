"""The samples that dual mode ships: valid, varied, and short enough for the demo."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import ftcore_dual
from ftcore.schemata import Validator
from ftcore_dual.validation import validate

LINES = Path(ftcore_dual.__file__).with_name("examples.jsonl").read_text("utf-8").splitlines()
SAMPLES: list[dict[str, Any]] = [json.loads(line) for line in LINES]

KINDS = {
    "inverted": lambda s: s.get("shape") == "inverted",
    "a system text": lambda s: "system" in s,
    "history": lambda s: "history" in s,
    "an answer": lambda s: "answer" in s,
    "Unicode": lambda s: not json.dumps(s, ensure_ascii=False).isascii(),
}


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def test_all_are_valid():
    validator = Validator(ftcore_dual.ftcore_sample_schema())
    faults = [
        f"line {number}: {problem}"
        for number, sample in enumerate(SAMPLES, start=1)
        for problem in (validator.problems(sample) or validate(sample))
    ]
    assert faults == []


@pytest.mark.parametrize("key", ["thought", "world"])
def test_there_are_enough_and_no_text_twice(key: str):
    assert len(SAMPLES) >= 180
    assert len({" ".join(words(sample[key])) for sample in SAMPLES}) == len(SAMPLES)


def test_no_question_is_asked_twice_of_the_same_past():
    asked = [json.dumps([s.get("history"), s["user"]]) for s in SAMPLES if "user" in s]
    assert len(set(asked)) == len(asked)


def test_they_do_not_come_out_of_a_few_moulds():
    for key in ("thought", "world"):
        openings = [tuple(words(sample[key])[:3]) for sample in SAMPLES]
        assert max(map(openings.count, openings)) <= len(SAMPLES) / 25


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_sixty_show_every_kind(kind: str):
    assert sum(map(KINDS[kind], SAMPLES[:60])) >= 2


def test_the_inverted_shape_is_a_tenth():
    assert 0.08 <= sum(map(KINDS["inverted"], SAMPLES)) / len(SAMPLES) <= 0.12


def test_answers_are_numbers_and_words():
    answers = [sample["answer"] for sample in SAMPLES if "answer" in sample]
    numbers = [answer for answer in answers if re.fullmatch(r"-?[\d.]+", answer)]
    assert len(numbers) >= 30
    assert len(answers) - len(numbers) >= 10


def test_a_history_has_replies_with_and_without_a_thought():
    turns = [turn for sample in SAMPLES for turn in sample.get("history", ())]
    assert sum("thought" in turn for turn in turns) >= 3
    assert sum("thought" not in turn for turn in turns) >= 3


def test_thoughts_are_inner_and_short():
    thoughts = [sample["thought"] for sample in SAMPLES]
    first_person = [t for t in thoughts if re.search(r"\b(I|I'\w+|me|my|we|us)\b", t)]
    assert len(first_person) / len(thoughts) > 0.9
    assert max(len(words(thought)) for thought in thoughts) <= 30


def test_they_are_short():
    lengths = sorted(map(len, LINES))
    assert 150 < lengths[len(lengths) // 2] < 300  # characters of JSON; about 62 tokens
    assert lengths[-1] < 450
