"""What is held out: about the share asked for, never a content that is also trained on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ftcore.splits import content_key, held_out, held_out_of_each
from ftcore.values import Sample

KEYS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=60)
SHARES = st.floats(0, 1)
SEEDS = st.integers(0, 2**70)

EXPECTED = [0, 2, 4, 7]
"""Of ``held_out([*range(10), 3, 3, 9], 0.3, 42)``: a run resumed elsewhere splits alike."""


@given(KEYS, SHARES, SEEDS)
def test_equal_samples_are_never_on_both_sides(keys, share, seed):
    chosen = held_out(keys, share, seed)
    assert chosen <= set(range(len(keys)))
    held, trained = (
        {key for index, key in enumerate(keys) if (index in chosen) is side}
        for side in (True, False)
    )
    assert not held & trained
    if share > 0 and len(set(keys)) > 1:
        assert held and trained, "at least one sample is held out, and never all are"
    else:
        assert not held


@given(st.integers(2, 400), st.floats(0.01, 0.99), SEEDS)
def test_of_samples_that_all_differ_exactly_the_share_is_held_out(count, share, seed):
    chosen = held_out(range(count), share, seed)
    assert len(chosen) == min(max(1, round(share * count)), count - 1)


@given(KEYS, SHARES, SEEDS)
def test_no_more_than_the_share_is_held_out_unless_a_single_group_is_larger(keys, share, seed):
    chosen = held_out(keys, share, seed)
    wanted = max(1, round(share * len(keys)))
    smallest = min(Counter(keys).values(), default=0)
    assert len(chosen) <= max(wanted, smallest)


def test_the_share_is_nearly_reached_among_repeated_samples():
    keys = [index % 700 for index in range(1000)]  # 300 stand twice
    for seed in range(50):
        assert 99 <= len(held_out(keys, 0.1, seed)) <= 100


def test_another_seed_holds_out_other_samples_and_every_sample_has_its_chance():
    counts = Counter(index for seed in range(2000) for index in held_out(range(20), 0.25, seed))
    assert all(400 < counts[index] < 600 for index in range(20)), counts


def test_the_choice_is_the_same_on_every_machine_and_in_every_process():
    assert sorted(held_out([*range(10), 3, 3, 9], 0.3, 42)) == EXPECTED
    code = "from ftcore.splits import held_out; print(sorted(held_out([*range(10),3,3,9],.3,42)))"
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == str(EXPECTED)


def test_the_order_of_the_samples_makes_no_difference():
    keys = [(index * 2654435761) % 1000003 for index in range(200)]
    held = {keys[index] for index in held_out(keys, 0.1, 7)}
    turned = keys[::-1]
    assert {turned[index] for index in held_out(turned, 0.1, 7)} == held


def test_every_kind_gives_its_share():
    kinds = ["a"] * 100 + ["b"] * 10
    chosen = held_out_of_each(kinds, range(110), 0.1, 1)
    assert Counter(kinds[index] for index in chosen) == {"a": 10, "b": 1}


def test_the_key_is_that_of_the_content():
    def key(**data):
        return content_key(Sample(data, "a.jsonl", 1))

    assert key(a=1, b=[1, 2]) == key(b=[1, 2], a=1)
    assert key(a=1) == key(a=1, cognitive_mode="x", notes="seen twice", comment="c")
    assert len({key(a=1), key(a="1"), key(a=2), key(b=1), key(a=[1]), key(a=True), key()}) == 7
    assert 0 <= key(a=1) < 2**64
