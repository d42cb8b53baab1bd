"""Decides whether a text ends with a reference answer: as a number, or in the same words."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal


def gives_answer(text: str, answer: str) -> bool:
    """Whether ``text`` ends with ``answer``.

    * Where the answer is a number (a currency sign, ``%`` and commas between thousands are
      allowed), the last number of the text must be equal to it: ``4.50`` equals ``4.5``, and
      ``$1,200`` equals ``1200``. Words may follow the number. ``1/2``, ``3:30`` and ``1,5`` are
      no numbers.
    * Where it is anything else, the text must end with it as whole words. Case, the kind and
      amount of white space, and punctuation after the last word do not matter.

    An answer that holds no letter, digit or symbol is found nowhere.
    """
    number = _number(answer.strip())
    if number is not None:
        tokens = _TOKEN.findall(text.replace(_MINUS, "-"))
        return bool(tokens) and _number(tokens[-1]) == number
    wanted, said = plain(answer), plain(text)
    return bool(wanted) and said.endswith(wanted) and _begins_word(said, len(said) - len(wanted))


def plain(text: str) -> str:
    """A text in Unicode's composed form without case, spare white space and last punctuation."""
    folded = unicodedata.normalize("NFC", text).casefold()
    text = " ".join(folded.split())
    end = len(text)
    while end and _spare(text[end - 1]):
        end -= 1
    return text[:end]


def _spare(character: str) -> bool:
    """Whether a character may be left off the end: punctuation, but no sign that is read out."""
    punctuation = unicodedata.category(character) in ("Po", "Pi", "Pf", "Pe")
    return character.isspace() or character in "_`" or (punctuation and character not in "%#&@/")


def _begins_word(text: str, at: int) -> bool:
    around = text[max(at - 1, 0) : at + 1]
    # Scripts without capitals (Lo) often write words without spaces, or join small ones to them.
    if any(unicodedata.category(character) == "Lo" for character in around):
        return True
    return not (text[at].isalnum() and _JOINED.search(text, max(at - 2, 0), at))


def _number(text: str) -> Decimal | None:
    found = _NUMBER.fullmatch(text.replace(_MINUS, "-"))
    return Decimal(found.group(1).replace(",", "")) if found else None


_MINUS = "\N{MINUS SIGN}"
# A run of digits with the signs that numbers, dates, times and fractions are written with.
_TOKEN = re.compile(r"(?<!\w)[-+]?\.?\d(?:[\d.,:/-]*\d)?")
_NUMBER = re.compile(r"[$€£¥₹]?\s*([-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)\s*[%$€£¥₹]?")
_JOINED = re.compile(r"\w[-/.,]?$")
