"""Packing: no example is lost, cut or doubled, no row is over-full, and rows are not wasted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore import packing


def pack(lengths: Sequence[int], capacity: int) -> list[tuple[int, ...]]:
    order, ends = packing.pack(lengths, capacity)
    return [tuple(row.tolist()) for row in np.split(order, ends[:-1])] if len(ends) else []


CASES = st.integers(1, 60).flatmap(
    lambda capacity: st.tuples(st.lists(st.integers(0, capacity), max_size=40), st.just(capacity))
)


@given(CASES)
def test_every_example_stands_in_exactly_one_row_that_holds_it(case):
    lengths, capacity = case
    rows = pack(lengths, capacity)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= capacity for row in rows)
    assert all(rows)


@given(CASES)
def test_no_two_rows_could_have_been_one(case):
    lengths, capacity = case
    fill = [sum(lengths[index] for index in row) for row in pack(lengths, capacity)]
    assert all(one + other > capacity for one, other in combinations(fill, 2))


@given(CASES, st.randoms(use_true_random=False))
def test_the_plan_is_the_same_each_time_and_rows_depend_on_lengths_alone(case, random):
    lengths, capacity = case
    rows = pack(lengths, capacity)
    assert pack(list(lengths), capacity) == rows
    shuffled = list(lengths)
    random.shuffle(shuffled)

    def contents(rows, lengths):
        return sorted(sorted(lengths[index] for index in row) for row in rows)

    assert contents(pack(shuffled, capacity), shuffled) == contents(rows, lengths)


def fewest_rows(lengths: list[int], capacity: int) -> int:
    """The best there is, by trying everything."""
    best = len(lengths)

    def place(index: int, free: list[int]) -> None:
        nonlocal best
        if len(free) >= best:
            return
        if index == len(lengths):
            best = len(free)
            return
        for row, room in enumerate(free):
            if room >= lengths[index]:
                free[row] -= lengths[index]
                place(index + 1, free)
                free[row] += lengths[index]
        place(index + 1, [*free, capacity - lengths[index]])

    place(0, [])
    return best


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_rows_are_nearly_as_few_as_can_be(lengths):
    fewest = fewest_rows(lengths, 12)
    assert fewest <= len(pack(lengths, 12)) <= fewest + 1


def test_known_rows():
    assert pack([7, 3, 5, 5, 2], 10) == [(0, 1), (2, 3), (4,)]
    assert pack([4, 4, 4], 4) == [(0,), (1,), (2,)]
    assert pack([], 8) == []


def test_an_example_that_is_too_long_is_never_cut():
    with pytest.raises(ValueError, match="example 1 has 9 tokens, a row holds 8"):
        pack([8, 9], 8)
