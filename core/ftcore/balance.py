"""Leaves out samples of the modes that are too many, so that every mode has its share of a mix."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def shares_short(
    counts: Mapping[K, int], minimums: Mapping[K, float]
) -> dict[K, tuple[float, float]]:
    """``(share there is, share asked for)`` of every kind that has less than its minimum."""
    total = sum(counts.values())
    shares = {
        kind: (counts.get(kind, 0) / max(total, 1), least) for kind, least in minimums.items()
    }
    return {kind: s for kind, s in shares.items() if counts.get(kind, 0) < _needed(s[1], total)}


def balanced_counts(
    counts: Mapping[K, int], minimums: Mapping[K, float], limit: int | None = None
) -> dict[K, int]:
    """How many of each kind to keep: as many as possible, with every minimum share reached.

    What has to go is taken from the kinds above their minimum, in proportion to what they have
    above it. Where a kind that needs a share has no sample at all, nothing can be kept.

    :param limit: keep no more than so many in all.
    """
    total = sum(counts.values())
    total = total if limit is None else min(total, limit)
    for kind, least in minimums.items():
        if least > 0:
            total = min(total, math.floor(counts.get(kind, 0) / least + 1e-9))
    while total:
        needed = {kind: _needed(minimums.get(kind, 0.0), total) for kind in counts}
        if sum(needed.values()) <= total and all(needed[k] <= counts[k] for k in counts):
            return _shrunk(counts, needed, total)
        total -= 1
    return dict.fromkeys(counts, 0)


def choose_balanced(
    kinds: Sequence[K], minimums: Mapping[K, float], seed: int, limit: int | None = None
) -> frozenset[int]:
    """The indices that stay when :func:`balanced_counts` is kept to, drawn with ``seed``."""
    keep = balanced_counts(Counter(kinds), minimums, limit)
    generator = random.Random(seed)
    chosen: set[int] = set()
    for kind in dict.fromkeys(kinds):
        own = [index for index, other in enumerate(kinds) if other == kind]
        chosen.update(generator.sample(own, keep[kind]))
    return frozenset(chosen)


def _needed(share: float, total: int) -> int:
    """The least count that is ``share`` of ``total``; the float 0.2 is a little more than 1/5."""
    return math.ceil(share * total - 1e-9)


def _shrunk(counts: Mapping[K, int], needed: Mapping[K, int], total: int) -> dict[K, int]:
    above = {kind: counts[kind] - needed[kind] for kind in counts}
    spare, room = sum(above.values()), total - sum(needed.values())
    exact = {kind: room * above[kind] / spare if spare else 0.0 for kind in counts}
    kept = {kind: needed[kind] + math.floor(exact[kind]) for kind in counts}
    # the largest remainders get what rounding down has left
    by_remainder = sorted(counts, key=lambda kind: math.floor(exact[kind]) - exact[kind])
    for kind in by_remainder[: total - sum(kept.values())]:
        kept[kind] += 1
    return kept
