"""Chooses the samples that are held out, so that no content is both trained on and measured on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from ftcore.mode import CORE_KEYS
from ftcore.values import Sample

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def content_key(sample: Sample) -> int:
    """A hash of 64 bits of what a sample says; equal for samples that differ in nothing else.

    The order of keys, white space between them and the core's own keys make no difference.
    """
    data = {key: value for key, value in sample.data.items() if key not in CORE_KEYS}
    written = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(written.encode(), digest_size=8).digest(), "big")


def held_out(keys: Sequence[int], share: float, seed: int) -> frozenset[int]:
    """The indices of the samples that are held out: about ``share`` of them, drawn with ``seed``.

    Samples of one key stay together. At least one sample is held out and never all are; where
    all samples have the same key, none is.

    :param keys: :func:`content_key` of every sample, each from 0 to 2**64 - 1.
    :param share: from 0 (nothing is held out) up to 1.
    """
    count = len(keys)
    if share <= 0 or count < 2:
        return frozenset()
    wanted = min(max(1, round(share * count)), count - 1)
    given = np.asarray(keys, dtype=np.uint64)
    distinct, group = np.unique(given, return_inverse=True)
    sizes = np.bincount(group)
    if len(distinct) == 1:
        return frozenset()
    order = np.argsort(_mixed(distinct ^ _mixed(np.array([seed & _MASK], np.uint64))))
    chosen = np.zeros(len(distinct), np.bool_)
    left = wanted
    for index in order:
        if sizes[index] <= left:
            chosen[index] = True
            left -= int(sizes[index])
            if not left:
                break
    if not chosen.any():  # every key has more samples than are wanted
        chosen[order[np.argmin(sizes[order])]] = True
    return frozenset(np.flatnonzero(chosen[group]).tolist())


def held_out_of_each(
    kinds: Sequence[Hashable], keys: Sequence[int], share: float, seed: int
) -> frozenset[int]:
    """The indices that :func:`held_out` draws from the samples of each kind by themselves."""
    members: dict[Hashable, list[int]] = {}
    for index, kind in enumerate(kinds):
        members.setdefault(kind, []).append(index)
    return frozenset(
        own[place]
        for own in members.values()
        for place in held_out([keys[index] for index in own], share, seed)
    )


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection that scatters 64-bit numbers: the output function of SplitMix64.

    Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014).
    """
    mixed = values + np.uint64(_GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
