"""Samples that say the same, or nearly the same, are found; others are left alone."""

from __future__ import annotations

import random

import numpy as np

from ftcore import duplicates
from ftcore.duplicates import ALIKE, RUN, DuplicateFinder, min_hashes, words_of

VOCABULARY = [f"word{index}" for index in range(3000)]


def runs(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}


def resemblance(left: str, right: str) -> float:
    """The share of common runs, counted and not estimated."""
    return len(runs(left) & runs(right)) / len(runs(left) | runs(right))


def text(generator: random.Random, length: int) -> str:
    return " ".join(generator.choices(VOCABULARY, k=length))


def changed(generator: random.Random, given: str, words: int) -> str:
    """The text with so many of its words replaced."""
    said = given.split()
    for at in generator.sample(range(len(said)), words):
        said[at] = "other"
    return " ".join(said)


def find(*texts: str) -> duplicates.Alike:
    finder = DuplicateFinder()
    for given in texts:
        finder.add(hash(given) % 2**64, given)
    return finder.find()


def test_hashes_agree_as_often_as_texts_share_runs():
    generator = random.Random(3)
    errors: list[float] = []
    for _ in range(200):
        given = text(generator, generator.randint(20, 200))
        other = changed(generator, given, generator.randint(0, len(given.split()) // 6))
        agreed = float((min_hashes(given) == min_hashes(other)).mean())
        errors.append(agreed - resemblance(given, other))
    assert abs(np.mean(errors)) < 0.01, "no bias"
    assert np.std(errors) < 0.05, "128 hashes: at most sqrt(0.25 / 128)"


def test_pairs_above_the_threshold_are_found_and_pairs_below_are_not():
    generator = random.Random(5)
    found: dict[str, list[bool]] = {"above": [], "below": []}
    while min(map(len, found.values())) < 100:
        given = text(generator, 60)
        other = changed(generator, given, generator.randint(1, 8))
        share = resemblance(given, other)
        if share >= ALIKE + 0.05 or share <= ALIKE - 0.2:
            near = find(given, other).near
            found["above" if share > ALIKE else "below"].append(bool(near[1] == 0))
    assert np.mean(found["above"]) > 0.9
    assert np.mean(found["below"]) < 0.02


def test_exact_copies_point_to_the_first_and_are_near_too():
    generator = random.Random(7)
    a, b = text(generator, 30), text(generator, 30)
    found = find(a, b, a, a, b)
    assert found.exact.tolist() == [0, 1, 0, 0, 1]
    assert found.near.tolist() == [0, 1, 0, 0, 1]


def test_a_chain_of_small_changes_is_one_group():
    generator = random.Random(9)
    first = text(generator, 200)
    second = changed(generator, first, 4)
    third = changed(generator, second, 4)
    assert find(third, text(generator, 200), first, second).near.tolist() == [0, 1, 0, 0]


def test_case_and_punctuation_make_no_difference_but_content_keys_do():
    found = find("Set a timer for eight minutes.", "set a timer, for EIGHT minutes!")
    assert found.exact.tolist() == [0, 1]
    assert found.near.tolist() == [0, 0]


def test_short_texts_are_alike_only_if_they_are_the_same():
    assert find("yes", "no", "Yes!", "yes please").near.tolist() == [0, 1, 0, 3]


def test_texts_without_words_are_not_alike():
    assert find("…", "🙂", "").near.tolist() == [0, 1, 2]


def test_scripts_without_spaces_are_compared_character_by_character():
    said = "私は昨日、友達と一緒に新しい映画を見に行きました。とても面白かったです。"
    near = said.replace("昨日", "今日")
    assert find(said, near, "今日は雨が降っていますから、家で本を読みます。").near.tolist() == [
        0,
        0,
        2,
    ]


def test_a_long_text_is_hashed_in_pieces_to_the_same_end(monkeypatch):
    given = text(random.Random(11), 1500)
    whole = min_hashes(given)
    monkeypatch.setattr(duplicates, "_CHUNK", 10_000)
    assert np.array_equal(min_hashes(given), whole)


def test_groups_are_those_of_comparing_all_pairs(monkeypatch):
    monkeypatch.setattr(duplicates, "_PAIRS", 7)  # so that there is more than one piece
    generator = random.Random(13)
    texts: list[str] = []
    for _ in range(40):
        base = text(generator, 80)
        texts += [base, *(changed(generator, base, 1) for _ in range(generator.randrange(3)))]
    generator.shuffle(texts)
    expected = [
        next(i for i, other in enumerate(texts) if resemblance(given, other) > ALIKE)
        for given in texts
    ]
    assert find(*texts).near.tolist() == expected


def test_nothing_is_no_fault():
    found = DuplicateFinder().find()
    assert found.exact.tolist() == found.near.tolist() == []
