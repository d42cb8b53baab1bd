"""The figures of emulation mode: what each counts, and of what."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftcore_emulation
from ftcore.values import Message, Part, Prediction, Target
from ftcore_emulation.boilerplate import ANYWHERE, AT_THE_START, has_boilerplate
from ftcore_emulation.formatting import format_sample
from ftcore_emulation.metrics import WORST, metrics, words

NAMES = {
    "log_likelihood",
    "reply_length_distance",
    "boilerplate",
    "distinct_1",
    "distinct_2",
    "ended",
}


def predicted(
    text: str,
    reference: str = "Fog.",
    *,
    ended: bool = True,
    nll: float | None = None,
    tokens: int = 0,
) -> Prediction:
    return Prediction(
        sample={},
        reference=Message("assistant", (Part("reply", reference),), trained=True),
        history=(),
        tools=(),
        text=text,
        ended=ended,
        reference_nll=nll,
        reference_tokens=tokens,
    )


def test_nothing_predicted_gives_zeros():
    assert metrics([]) == {}


def test_the_modes_own_examples_said_back_are_perfect():
    path = Path(ftcore_emulation.__file__).with_name("examples.jsonl")
    replies = [
        message.text
        for line in path.read_text("utf-8").splitlines()
        for message in format_sample(json.loads(line), Target(True, True, True)).messages
        if message.trained
    ]
    figures = metrics([predicted(text, text, nll=0.0, tokens=9) for text in replies])
    assert figures["log_likelihood"] == 0
    assert figures["reply_length_distance"] == 0
    assert figures["boilerplate"] == 0
    assert figures["ended"] == 1
    # the persona does not repeat itself, so that a model which does is told apart
    assert figures["distinct_1"] > 0.25
    assert figures["distinct_2"] > 0.75


def test_an_assistants_answer_is_worse_in_every_figure():
    persona = ["Fog. Wind west.", "Calm, for once."]
    answer = "Certainly! I'm here to help you, so very, very, very, very, very much."
    good = metrics([predicted(text, text, nll=2.0, tokens=4) for text in persona])
    bad = metrics([predicted(answer, t, nll=9.0, tokens=4, ended=False) for t in persona])
    for name in ("log_likelihood", "distinct_1", "distinct_2", "ended"):
        assert bad[name] < good[name], name
    for name in ("reply_length_distance", "boilerplate"):
        assert bad[name] > good[name], name


# likelihood


def likelihood(*scores: tuple[float | None, int]) -> float:
    return metrics([predicted("x", nll=n, tokens=t) for n, t in scores])["log_likelihood"]


def test_every_token_weighs_the_same():
    assert likelihood((2.0, 1), (4.0, 3)) == -1.5


def test_predictions_without_likelihood_are_left_out():
    assert likelihood((None, 0), (6.0, 3), (None, 5)) == -2.0
    assert "log_likelihood" not in metrics([predicted("x")])


@pytest.mark.parametrize("broken", [math.nan, math.inf, 1e300])
def test_a_broken_likelihood_is_the_worst_and_never_looks_good(broken: float):
    assert likelihood((broken, 2)) == -WORST
    assert likelihood((broken, 1), (1.0, 1)) == -(WORST + 1) / 2


# lengths


def distance(*pairs: tuple[int, int]) -> float:
    made = [predicted("w " * said, "w " * meant) for said, meant in pairs]
    return metrics(made)["reply_length_distance"]


def test_lengths_are_compared_as_distributions_not_reply_by_reply():
    assert distance((3, 9), (9, 3)) == 0
    assert distance((3, 9), (3, 3)) == 3  # half of the replies are six words too short
    assert distance((5, 3), (5, 7)) == 2  # the mean is right, the spread is not
    assert distance((0, 4)) == 4


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=8))
def test_the_distance_is_the_area_between_the_two_distributions(pairs: list[tuple[int, int]]):
    # the definition: the integral of |F(x) - G(x)|, for whole numbers a sum
    n = len(pairs)
    area = sum(
        abs(sum(a <= x for a, _ in pairs) - sum(b <= x for _, b in pairs)) for x in range(31)
    )
    assert distance(*pairs) == pytest.approx(area / n)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t", []),
        ("Wind west, four.", ["wind", "west", "four"]),
        ("wind\nWEST  —  four!", ["wind", "west", "four"]),
        ("don't; don\u2019t", ["don't", "don\u2019t"]),
        ("«Ça va ?»", ["ça", "va"]),
        ("\u221214 °C, 21:40", ["14", "c", "21:40"]),
        ("north-west", ["north-west"]),
        ("…", []),
        ("ΌΧΙ STRASSE Straße", ["όχι", "strasse", "strasse"]),
    ],
)
def test_words(text: str, expected: list[str]):
    assert words(text) == expected


# boilerplate


@pytest.mark.parametrize(
    "text",
    [
        "As an AI language model, I cannot feel the fog.",
        "Well, as an ai,\nI have no opinion",
        "I'm here to help!",
        "I\u2019m here to help.",
        "I`m here to help.",
        "I AM HERE TO HELP",
        "Hello. How can I assist you today?",
        "How  may\nI help you?",
        "Certainly! Here is a recipe.",
        "  certainly, the fog lifts",
        "**Certainly!** Here it is.",
        "Sure, here is a poem.",
        "That\u2019s a great question.",
    ],
)
def test_boilerplate_is_found_in_any_case_and_with_any_apostrophe(text: str):
    assert has_boilerplate(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "She answered uncertainly.",
        "Uncertainly! And then she left.",
        "Uncertainly, at first.",
        "The fog will certainly lift.",
        "As an aircraft lands, the birds rise.",
        "He was an aide.",
        "Was an AI here?",
        "I'm here to helplessly watch.",
        "I am here. To help is another thing.",
        "Of course the boat was late.",
        "Sure as tide.",
        "Hiking? How can I assist your donkey?",
    ],
)
def test_a_phrase_counts_as_whole_words_only(text: str):
    assert not has_boilerplate(text)


@pytest.mark.parametrize("phrase", [*ANYWHERE, *AT_THE_START])
def test_every_phrase_is_found_as_people_write_it(phrase: str):
    written = phrase[0].upper() + phrase[1:].replace("'", "\u2019") + " …"
    assert has_boilerplate(written)
    assert not has_boilerplate("x" + phrase)
    assert has_boilerplate(f"Fog. {written}") == (phrase in ANYWHERE)


def test_boilerplate_is_a_share_of_replies():
    texts = ["As an AI, I'm here to help.", "Fog.", "Calm.", "Rain."]
    assert metrics([predicted(text) for text in texts])["boilerplate"] == 1 / 4


# distinct n-grams


def distinct(*texts: str) -> tuple[float | None, float | None]:
    figures = metrics([predicted(text) for text in texts])
    return figures.get("distinct_1"), figures.get("distinct_2")


def test_distinct_counts_over_all_replies_and_pairs_stay_within_one():
    assert distinct("a b", "a b") == (2 / 4, 1 / 2)
    assert distinct("a b", "b a") == (2 / 4, 2 / 2)  # "b b" is no pair: it spans two replies
    assert distinct("a a a a") == (1 / 4, 1 / 3)
    assert distinct("Fog.", "fog!") == (1 / 2, None)
    assert distinct("", "…") == (None, None)


def test_ended_is_a_share():
    assert metrics([predicted("x"), predicted("y", ended=False)])["ended"] == 1 / 2


scores = st.none() | st.floats()


@given(st.lists(st.tuples(st.text(), st.text(), st.booleans(), scores, st.integers(0, 10**6))))
def test_figures_are_finite_whatever_was_generated(
    drawn: list[tuple[str, str, bool, float | None, int]],
):
    figures = metrics(
        [
            predicted(text, reference, ended=ended, nll=nll, tokens=tokens)
            for text, reference, ended, nll, tokens in drawn
        ]
    )
    assert figures.keys() <= NAMES
    assert all(math.isfinite(value) for value in figures.values())
    assert -WORST <= figures.pop("log_likelihood", 0.0) <= 0
    assert figures.pop("reply_length_distance", 0.0) >= 0
    assert all(0 <= value <= 1 for value in figures.values())
