"""Balancing a mix: every mode gets its share, and as little as possible is left out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.balance import balanced_counts, choose_balanced, shares_short

GUIDE = {"a": 0.2, "b": 0.2, "c": 0.1}

# (there is, is kept): by hand
CASES = [
    ({"a": 100, "b": 100, "c": 100}, {"a": 100, "b": 100, "c": 100}),
    ({"a": 3000, "b": 50, "c": 50}, {"a": 150, "b": 50, "c": 50}),
    ({"a": 80, "b": 20, "c": 5}, {"a": 35, "b": 10, "c": 5}),
    ({"a": 10, "b": 10, "c": 0}, {"a": 0, "b": 0, "c": 0}),
    ({"a": 10, "b": 10, "c": 10, "d": 1000}, {"a": 10, "b": 10, "c": 10, "d": 20}),
]


@pytest.mark.parametrize(("there", "kept"), CASES)
def test_what_is_kept(there: dict[str, int], kept: dict[str, int]):
    found = balanced_counts(there, GUIDE)
    assert sum(found.values()) == sum(kept.values())
    assert shares_short(found, GUIDE if sum(found.values()) else {}) == {}


def test_a_mode_that_needs_no_share_is_left_alone():
    assert balanced_counts({"a": 5, "b": 1}, {}) == {"a": 5, "b": 1}


def test_a_limit_is_kept_within_the_balance():
    there = {"a": 20, "b": 20, "c": 20}
    kept = balanced_counts(there, GUIDE, 30)
    assert sum(kept.values()) == 30
    assert shares_short(kept, GUIDE) == {}
    assert balanced_counts(there, GUIDE, 100) == there


def test_shares_are_met_exactly_and_not_nearly():
    assert shares_short({"a": 2, "b": 9}, {"a": 0.2}) == {"a": (2 / 11, 0.2)}
    assert shares_short({"a": 2, "b": 8}, {"a": 0.2}) == {}
    assert shares_short({}, {"a": 0.2}) == {}
    assert shares_short({"b": 1}, {"a": 0.2, "b": 0.0}) == {"a": (0.0, 0.2)}


counts = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 60), min_size=1)
minimums = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.25]))


@given(counts, minimums)
def test_no_more_could_be_kept(there: dict[str, int], least: dict[str, float]):
    kept = balanced_counts(there, least)
    total = sum(kept.values())
    assert all(0 <= kept[kind] <= there[kind] for kind in there)
    assert not total or shares_short(kept, least) == {}
    for more in range(total + 1, sum(there.values()) + 1):  # the definition, tried one by one
        needed = {k: -int(-(least.get(k, 0.0) * more - 1e-9) // 1) for k in {*there, *least}}
        assert sum(needed.values()) > more or any(n > there.get(k, 0) for k, n in needed.items())


@given(st.lists(st.sampled_from("abc")), st.integers(0, 5))
def test_the_choice_is_seeded_and_has_the_counts(kinds: list[str], seed: int):
    chosen = choose_balanced(kinds, GUIDE, seed)
    assert chosen == choose_balanced(kinds, GUIDE, seed)
    kept = balanced_counts(Counter(kinds), GUIDE)
    assert Counter(kinds[index] for index in chosen) == Counter(kept)


def test_another_seed_chooses_others():
    kinds = ["a"] * 500 + ["b"] * 10 + ["c"] * 10
    assert len({choose_balanced(kinds, GUIDE, seed) for seed in range(5)}) == 5
