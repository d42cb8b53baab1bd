"""When a world counts as giving the reference answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore_dual.answers import gives_answer

# (world, answer)
GIVEN = [
    ("You have 12.", "12"),
    ("That makes 12 apples.", "12"),
    ("3 + 9 = 12", "12"),
    ("In the end:12", "12"),
    ("It costs $1,200.00!", "1200"),
    ("It costs 1200 dollars.", "$1,200"),
    ("A quarter, so 25%.", "25"),
    ("It is 4.5 metres.", "4.50"),
    ("It is -5 degrees.", "-5"),
    ("It is \N{MINUS SIGN}5 degrees.", "-5"),
    ("It is 0.", "0.0"),
    ("**12**", "12"),
    ("It is 1/2.", "1/2"),
    ("The film ends at 21:00.", "21:00"),
    ("Es sind 1,5.", "1,5"),
    ("It is Paris.", "Paris"),
    ("It is paris", "PARIS"),
    ("It lies in  New\nYork!", "New York"),
    ('They say "the same".', "the same"),
    ("No.", "no"),
    ("It is Reykjavi\u0301k.", "Reykjavík"),
    ("答えは東京です。", "東京です"),
    ("答えは東京。", "東京"),
    ("The language is C#.", "C#"),
    ("Thumbs: 👍", "👍"),
]
NOT_GIVEN = [
    ("", "12"),
    ("Twelve.", "12"),
    ("You have 120.", "12"),
    ("You have 112.", "12"),
    ("You have 12, no, 13.", "12"),
    ("For 12 apples you pay 3 euros.", "12"),
    ("It is 12.5.", "5"),
    ("It is 1/2.", "2"),
    ("It ends at 21:00.", "0"),
    ("It was on 2025-11-12.", "12"),
    ("The road is called B12.", "12"),
    ("It costs .5 euros.", "5"),
    ("It is 5 degrees.", "-5"),
    ("It is 11/2.", "1/2"),
    ("", "Paris"),
    ("Paris, of course.", "Paris"),
    ("It is comparis", "paris"),
    ("It is non-Paris.", "Paris"),
    ("I would say the piano.", "no"),
    ("It is C.", "C#"),
    ("Anything at all.", "…"),
    ("", ""),
]


@pytest.mark.parametrize(("world", "answer"), GIVEN)
def test_the_answer_is_found_at_the_end(world: str, answer: str):
    assert gives_answer(world, answer)


@pytest.mark.parametrize(("world", "answer"), NOT_GIVEN)
def test_another_answer_or_another_place_does_not_count(world: str, answer: str):
    assert not gives_answer(world, answer)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_numbers_are_equal_by_value_and_in_no_other_way(said: int, wanted: int):
    assert gives_answer(f"It makes {said:,}.", str(wanted)) == (said == wanted)


@given(st.text(), st.text())
def test_any_texts_are_compared_without_a_crash(world: str, answer: str):
    assert isinstance(gives_answer(world, answer), bool)


@given(st.text(st.characters(categories=["L"]), min_size=1))
def test_a_word_gives_itself(word: str):
    assert gives_answer(word, word)
    assert gives_answer(f"It is {word}.", word)
