"""Knows the phrases by which a chat assistant gives itself away in anybody's voice."""

from __future__ import annotations

import re

ANYWHERE = (
    "as an ai",
    "as a language model",
    "as a large language model",
    "as a helpful assistant",
    "as a virtual assistant",
    "as your assistant",
    "i am an ai",
    "i'm an ai",
    "i am just an ai",
    "i'm just an ai",
    "i am a language model",
    "i'm a language model",
    "i am a large language model",
    "i'm a large language model",
    "i don't have personal opinions",
    "i don't have personal experiences",
    "my training data",
    "my knowledge cutoff",
    "i am here to help",
    "i'm here to help",
    "i am here to assist",
    "i'm here to assist",
    "i'd be happy to help",
    "i would be happy to help",
    "i'd be happy to assist",
    "i would be happy to assist",
    "i'd be glad to help",
    "i'm happy to help",
    "how can i help you",
    "how can i assist you",
    "how may i help you",
    "how may i assist you",
    "is there anything else i can help",
    "is there anything else i can assist",
    "is there anything else you'd like",
    "feel free to ask",
    "don't hesitate to ask",
    "i hope this helps",
    "i apologize for the confusion",
    "i apologize for any confusion",
    "it's important to note that",
    "it is important to note that",
    "i cannot fulfill that request",
    "i can't assist with that",
    "thank you for reaching out",
)
"""Boilerplate wherever it stands."""

AT_THE_START = (
    "certainly",
    "absolutely!",
    "of course!",
    "sure!",
    "sure, here",
    "sure thing",
    "great question",
    "that's a great question",
    "what a great question",
    "that is a great question",
)
"""Boilerplate only as the first words of a reply; elsewhere anybody says them."""

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u2032`\u00b4\uff07", "'"))


def has_boilerplate(text: str) -> bool:
    """Whether a reply holds one of the phrases.

    Whole words: ``uncertainly`` is not ``certainly``. Case, kinds of apostrophes and of white
    space make no difference.
    """
    return bool(_PATTERN.search(text.translate(_APOSTROPHES)))


def _alternatives(phrases: tuple[str, ...]) -> str:
    return "|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in phrases)


_PATTERN = re.compile(
    rf"(?:(?<!\w)(?:{_alternatives(ANYWHERE)})|\A\W*(?:{_alternatives(AT_THE_START)}))(?!\w)",
    re.IGNORECASE,
)
