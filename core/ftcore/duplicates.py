"""Finds samples that say the same, or nearly the same, among a million in bounded memory.

Nearly the same: of the runs of three words that two texts have between them, both have at least
80 %, as MinHash estimates it (Broder: On the resemblance and containment of documents, 1997).
Pairs are looked for by banding (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, 3.4)
with 16 bands of 8 of the 128 hashes: of pairs that share 80 % of their runs 95 % fall into a
common band, of those that share 90 % all but one in ten thousand.

A sample takes 200 bytes: 128 for the lowest 8 bits of each hash, which is what pairs are compared
by (Li, König: b-Bit Minwise Hashing, 2010), 64 for its bands, 8 for its content's key.
"""

from __future__ import annotations

import re
from array import array
from zlib import crc32

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

RUN = 3
"""Words in a run."""
ALIKE = 0.8
"""Share of common runs from which on two texts are nearly the same."""

HASHES = 128
BANDS = 16
ROWS = HASHES // BANDS

MAX_LEADERS = 32
"""How many members of one bucket the others are compared with: a bucket of a hundred thousand
that are all different must not be compared pair by pair."""

_CHUNK = 256
"""Runs that are hashed at once, so that a text of megabytes takes no gigabytes."""
_PAIRS = 2**16
"""Pairs that are compared at once."""

# Scripts that write no spaces between words (Thai, Lao, Khmer, Japanese, Chinese): each
# character counts as a word there.
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3041-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")

_generator = np.random.Generator(np.random.PCG64(20_240_229))
_FACTORS = _generator.integers(0, 2**32, (HASHES, 1), np.uint32) | np.uint32(1)
_MASKS = _generator.integers(0, 2**32, (HASHES, 1), np.uint32)
_BAND_FACTORS = _generator.integers(0, 2**63, (1, ROWS), np.uint64) | np.uint64(1)
_RUN_FACTORS = _generator.integers(0, 2**63, RUN, np.uint64) | np.uint64(1)


@frozen
class Alike:
    """For every sample, in order, the index of the first that it belongs with."""

    exact: NDArray[np.int64] = field(repr=False)
    """The first sample with the same content; its own index where there is none."""
    near: NDArray[np.int64] = field(repr=False)
    """The first sample of the group in which each is nearly the same as some other."""


class DuplicateFinder:
    """Takes samples one by one and then says which belong together."""

    def __init__(self) -> None:
        self._keys = array("Q")
        self._signatures = bytearray()
        self._bands = array("I")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int, text: str) -> None:
        """Takes a sample: the 64-bit hash of its content, and the words to compare it by."""
        hashes = min_hashes(text)
        self._keys.append(key)
        self._signatures += (hashes & np.uint32(0xFF)).astype(np.uint8).tobytes()
        rows = hashes.reshape(BANDS, ROWS).astype(np.uint64)
        bands = (rows * _BAND_FACTORS).sum(axis=1) >> np.uint64(32)
        self._bands.frombytes(bands.astype(np.uint32).tobytes())

    def find(self) -> Alike:
        """The groups of all samples taken so far. Takes some seconds for a million."""
        if not self._keys:
            return Alike(np.empty(0, np.int64), np.empty(0, np.int64))
        keys = np.frombuffer(self._keys, np.uint64)
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        exact = first[inverse]
        signatures = np.frombuffer(self._signatures, np.uint8).reshape(-1, HASHES)
        bands = np.frombuffer(self._bands, np.uint32).reshape(-1, BANDS)
        return Alike(exact, _near(exact, np.sort(first), signatures, bands))


def words_of(text: str) -> list[str]:
    """The words by which texts are compared: small letters, no punctuation."""
    return _WORD.findall(text.lower())


def min_hashes(text: str) -> NDArray[np.uint32]:
    """The least value of each of 128 hash functions over the runs of words of a text, uint32.

    Two texts agree in a share of them that is about their share of common runs. A text of fewer
    words than a run is one run; one without words has the greatest value everywhere.
    """
    words = words_of(text)
    least = np.full(HASHES, 0xFFFFFFFF, np.uint32)
    if not words:
        return least
    hashed = np.fromiter((crc32(word.encode()) for word in words), np.uint64, len(words))
    if len(words) < RUN:
        hashed = np.concatenate([hashed, np.zeros(RUN - len(words), np.uint64)])
    count = len(hashed) - RUN + 1
    runs = np.zeros(count, np.uint64)
    for at, factor in enumerate(_RUN_FACTORS):
        runs = (runs ^ (runs >> np.uint64(29))) + hashed[at : at + count] * factor
    runs ^= runs >> np.uint64(32)
    runs = (runs * _RUN_FACTORS[0]) >> np.uint64(32)
    short = runs.astype(np.uint32)
    for at in range(0, count, _CHUNK):
        values = ((short[at : at + _CHUNK] ^ _MASKS) * _FACTORS).min(axis=1)
        np.minimum(least, values, out=least)
    return least


def _near(
    exact: NDArray[np.int64],
    distinct: NDArray[np.int64],
    signatures: NDArray[np.uint8],
    bands: NDArray[np.uint32],
) -> NDArray[np.int64]:
    """The groups of samples that are nearly the same; ``distinct`` are the first of each content.

    In each bucket of each band all are compared with the first, those unlike it with the first
    of the rest, and so on.
    """
    labels = exact.copy()
    wordless = min_hashes("")[:ROWS].astype(np.uint8)
    worded = distinct[(signatures[distinct, :ROWS] != wordless).any(axis=1)]
    for band in range(BANDS):
        keys = bands[worded, band]
        order = worded[np.argsort(keys, kind="stable")]
        members, bucket = _shared(order, bands[order, band])
        for _ in range(MAX_LEADERS):
            if not len(members):
                break
            starts = np.flatnonzero(np.diff(bucket, prepend=-1))
            leaders = np.repeat(members[starts], np.diff(starts, append=len(members)))
            alike = _similar(signatures, leaders, members)
            labels = _joined(labels, leaders[alike], members[alike])
            members, bucket = _shared(members[~alike], bucket[~alike])
    return labels[exact]


def _shared(
    members: NDArray[np.int64], bucket: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The members, sorted by bucket, that are not alone in theirs, and their buckets' numbers."""
    if not len(members):
        return members, members
    fresh = np.concatenate([[True], bucket[1:] != bucket[:-1]])
    number = np.cumsum(fresh) - 1
    crowded = np.bincount(number)[number] > 1
    return members[crowded], number[crowded]


def _similar(
    signatures: NDArray[np.uint8], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which pairs agree in enough of their hashes. One in 256 agrees by its 8 bits alone."""
    needed = round(HASHES * (ALIKE + (1 - ALIKE) / 256))
    alike = np.empty(len(left), np.bool_)
    for at in range(0, len(left), _PAIRS):
        part = slice(at, at + _PAIRS)
        same = (signatures[left[part]] == signatures[right[part]]).sum(axis=1)
        alike[part] = same >= needed
    return alike


def _joined(
    labels: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The labels when each pair belongs together: the least index of a group is its label."""
    joined = labels.copy()
    while True:
        least = np.minimum(joined[left], joined[right])
        before = joined.copy()
        # a label is itself an index, so lowering the label's own label lowers all of its group
        np.minimum.at(joined, before[left], least)
        np.minimum.at(joined, before[right], least)
        while not np.array_equal(further := joined[joined], joined):
            joined = further
        if np.array_equal(before, joined):
            return joined
