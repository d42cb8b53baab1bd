"""Scores and types of a SentencePiece BPE vocabulary, which ``tokenizer.json`` no longer holds.

llama.cpp's ``llama`` tokenizer merges the two neighbours whose union has the highest score.
``tokenizer.json`` has the order of merges instead; the scores follow from it. Those of Llama 2
(llama.cpp's models/ggml-vocab-llama-spm.gguf) and of five versions of Mistral's (mistral-common's
tokenizer.model files) come out equal, piece for piece.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

BYTE = re.compile("<0x[0-9A-F]{2}>")
"""A token that stands for one byte of a character without a token."""

LAST = -1e9
"""Of runs of blanks where they are merged after everything else."""

_BLANK = "\u2581"

ADDED, SPARE = -1000.0, -10000.0
"""Of tokens that were added later, and of ids without a token, as llama.cpp's converter has it."""


def piece_scores(description: Mapping[str, Any], size: int) -> tuple[float, ...]:
    """The score of every id.

    SentencePiece scores its pieces 0, -1, -2 … in the order of their ids. The merges come in the
    order of the scores of what they make, so where they come in the order of the ids, perhaps with
    the runs of blanks at the end, the scores are known; else they are made from the merges.

    :param description: ``tokenizer.json``.
    :param size: ids, those without a token included.
    """
    vocabulary = cast("dict[str, int]", description["model"]["vocab"])
    added = {int(token["id"]) for token in description["added_tokens"]}
    pieces = sorted(
        index
        for token, index in vocabulary.items()
        if index not in added and not BYTE.fullmatch(token)
    )
    places = {index: place for place, index in enumerate(pieces)}
    blanks = {places[i] for t, i in vocabulary.items() if i in places and not t.strip(_BLANK)}
    merged = [
        places[index]
        for left, right in map(_halves, description["model"]["merges"])
        if (index := vocabulary.get(left + right)) in places
    ]
    scores = [SPARE] * size
    for index in vocabulary.values():
        scores[index] = 0.0
    for index, place in places.items():
        scores[index] = -float(place)
    drops = [at for at, (one, other) in enumerate(pairwise(merged), 1) if other < one]
    if len(drops) == 1 and blanks.issuperset(merged[drops[0] :]):
        for place in blanks:
            scores[pieces[place]] = LAST
    elif drops:
        for rank, place in enumerate(dict.fromkeys(merged)):
            scores[pieces[place]] = -float(rank)
    for index in added:
        scores[index] = ADDED
    return tuple(scores)


def _halves(merge: str | list[str]) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right
