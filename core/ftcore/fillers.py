"""Knows the courtesies that open an answer and say nothing."""

from __future__ import annotations

import re

EXCLAMATIONS = (
    "sure",
    "sure thing",
    "of course",
    "certainly",
    "absolutely",
    "definitely",
    "no problem",
)
"""Filler where a punctuation mark, a line break or the end follows: "Sure, here it is" is,
"sure enough" is not."""

PHRASES = (
    "great question",
    "good question",
    "excellent question",
    "what a great question",
    "that's a great question",
    "that is a great question",
    "that's a good question",
    "that is a good question",
    "thank you for asking",
    "thanks for asking",
    "happy to help",
    "i'm happy to help",
    "i'd be happy to help",
    "i would be happy to help",
    "glad to help",
    "i'd be glad to help",
)
"""Filler whatever follows."""

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u2032`\u00b4\uff07", "'"))


def opens_with_filler(text: str) -> bool:
    """Whether the first words of a text are filler.

    Whole words, in any case of their letters, after any punctuation and white space.
    """
    return bool(_PATTERN.match(text.translate(_APOSTROPHES)))


def _alternatives(phrases: tuple[str, ...]) -> str:
    return "|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in phrases)


_PATTERN = re.compile(
    rf"[\W_]*(?:(?:{_alternatives(PHRASES)})(?!\w)"
    rf"|(?:{_alternatives(EXCLAMATIONS)})[^\S\n]*(?:$|\n|[^\w\s'(]))",
    re.IGNORECASE,
)
