"""Lays examples side by side into rows, best fit first, without cutting any."""

from __future__ import annotations

import bisect
from collections.abc import Sequence


def pack(lengths: Sequence[int], capacity: int) -> list[tuple[int, ...]]:
    """Rows of example indices whose lengths add up to at most ``capacity`` tokens.

    Best-fit decreasing: the longest example first, each into the fullest row that still holds
    it. Deterministic; every index appears once. An example longer than ``capacity`` must have
    been dropped before.

    :raises ValueError: an example is longer than ``capacity``.
    """
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (free tokens, row), sorted
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        if length > capacity:
            raise ValueError(f"example {index} has {length} tokens, a row holds {capacity}")
        at = bisect.bisect_left(room, (length, -1))
        if at == len(room):
            rows.append([index])
            bisect.insort(room, (capacity - length, len(rows) - 1))
        else:
            free, row = room.pop(at)
            rows[row].append(index)
            bisect.insort(room, (free - length, row))
    return [tuple(row) for row in rows]
