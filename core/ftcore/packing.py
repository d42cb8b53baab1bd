"""Lays examples side by side into rows, best fit first, without cutting any."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pack(
    lengths: Sequence[int] | NDArray[np.int64], capacity: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of example indices whose lengths add up to at most ``capacity`` tokens.

    Best-fit decreasing: the longest example first, each into the fullest row that still holds
    it. Deterministic; every index appears once. An example longer than ``capacity`` must have
    been dropped before.

    :return: ``(order, ends)``: row ``r`` is ``order[ends[r - 1] : ends[r]]``.
    :raises ValueError: an example is longer than ``capacity``.
    """
    given = np.asarray(lengths, np.int64)
    falling = np.argsort(-given, kind="stable")
    row_of = np.empty(len(given), np.int64)  # in the order of falling lengths
    rows = 0
    by_room: dict[int, list[int]] = {}  # rows by their free tokens: heaps, none empty
    rooms: list[int] = []  # the keys of it, sorted: no more than a row has tokens
    for place, index in enumerate(falling.tolist()):
        length = int(given[index])
        if length > capacity:
            raise ValueError(f"example {index} has {length} tokens, a row holds {capacity}")
        at = bisect.bisect_left(rooms, length)
        if at == len(rooms):
            row, room = rows, capacity
            rows += 1
        else:
            room = rooms[at]
            row = heapq.heappop(by_room[room])
            if not by_room[room]:
                del by_room[room], rooms[at]
        row_of[place] = row
        left = room - length
        if left not in by_room:
            by_room[left] = []
            bisect.insort(rooms, left)
        heapq.heappush(by_room[left], row)
    order = falling[np.argsort(row_of, kind="stable")]
    return order, np.cumsum(np.bincount(row_of, minlength=rows))
