"""Tells the tags that structure a text from tags that it only mentions."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from attrs import frozen


@frozen
class Tag:
    """A tag in a text, written in any case of its letters."""

    name: str
    """In lower case and without brackets."""
    closing: bool
    start: int
    end: int

    @property
    def written(self) -> str:
        """The tag as a mode writes it."""
        return f"</{self.name}>" if self.closing else f"<{self.name}>"


def structural_tags(text: str, names: Sequence[str]) -> tuple[Tag, ...]:
    """The tags of ``text`` that act as structure, in order; those that it mentions are left out.

    ``names`` are those of the tags that are looked for, in lower case and without brackets.

    A tag in code (between backticks), or by itself between quotation marks, brackets or marks of
    emphasis, is a mention. Any other tag is structure where it

    * stands first or last on a line, alone or beside other tags,
    * touches the word that it opens or closes (``it is.</thought>``), or closes just before
      another tag opens, or
    * is one of a pair ``<x>…</x>`` that encloses text, or of which one is structure.

    A pair encloses text unless it holds no letter or digit (``<thought>…</thought>``), a single
    word between spaces ("between <thought> and </thought>"), or goes on like a sentence
    ("<thought>, not </thought>"). A word in a script without capitals may touch a tag that is
    only mentioned: there, spaces are rare.
    """
    tags = unquoted_tags(text, names)
    found = _at_edges(text, tags) | {tag for tag in tags if _touches_word(text, tag)}
    for opening, closing in _pairs(tags):
        if opening in found or closing in found or _encloses_text(text, opening, closing):
            found |= {opening, closing}
    return tuple(tag for tag in tags if tag in found)


def unquoted_tags(text: str, names: Sequence[str]) -> tuple[Tag, ...]:
    """All tags of ``text`` that are neither in code nor in quotation marks."""
    if "<" not in text:
        return ()
    matches = list(_pattern(tuple(names)).finditer(text))
    if not matches:
        return ()
    code = [span.span() for span in _CODE.finditer(text)]
    starts = [start for start, _ in code]
    found: list[Tag] = []
    for match in matches:
        before = bisect(starts, match.start())
        if before and match.start() < code[before - 1][1]:
            continue
        if not (_quotes(text, match.start() - 1) and _quotes(text, match.end())):
            name, closing = match.group(2).lower(), bool(match.group(1))
            found.append(Tag(name, closing, match.start(), match.end()))
    return tuple(found)


def blank(text: str) -> bool:
    """Whether a text shows nothing: empty, or only white space and invisible characters."""
    return all(map(_invisible, text))


def _at_edges(text: str, tags: tuple[Tag, ...]) -> set[Tag]:
    found: set[Tag] = set()
    for row in _rows(text, tags):
        if _edge(text, row[0].start - 1, -1) or _edge(text, row[-1].end, 1):
            found.update(row)
        for tag, following in pairwise(row):
            if tag.closing and not following.closing:
                found |= {tag, following}
    return found


def _rows(text: str, tags: tuple[Tag, ...]) -> list[list[Tag]]:
    """The tags, those together that have only white space of one line between them."""
    rows: list[list[Tag]] = []
    for tag in tags:
        gap = text[rows[-1][-1].end : tag.start] if rows else "-"
        if blank(gap) and _LINE_BREAKS.isdisjoint(gap):
            rows[-1].append(tag)
        else:
            rows.append([tag])
    return rows


def _touches_word(text: str, tag: Tag) -> bool:
    if not tag.closing:
        return text[tag.end : tag.end + 1].isalnum() and not _caseless(text[tag.end])
    at = tag.start - 1
    while at >= 0 and not text[at].isalnum() and not text[at].isspace() and text[at] != ">":
        at -= 1
    return at >= 0 and text[at].isalnum() and not _caseless(text[at])


def _edge(text: str, at: int, step: int) -> bool:
    """Whether only white space stands from ``at``, going by ``step``, to the end of the line."""
    while 0 <= at < len(text) and _invisible(text[at]):
        if text[at] in _LINE_BREAKS:
            return True
        at += step
    return not 0 <= at < len(text)


def _pairs(tags: tuple[Tag, ...]) -> list[tuple[Tag, Tag]]:
    """Each closing tag with the nearest opening one of its name that is still open."""
    opened: dict[str, list[Tag]] = {tag.name: [] for tag in tags}
    pairs: list[tuple[Tag, Tag]] = []
    for tag in tags:
        if not tag.closing:
            opened[tag.name].append(tag)
        elif opened[tag.name]:
            pairs.append((opened[tag.name].pop(), tag))
    return pairs


def _encloses_text(text: str, opening: Tag, closing: Tag) -> bool:
    place = opening.end, closing.start
    return bool(_WORD.search(text, *place)) and not _NO_TEXT.fullmatch(text, *place)


def _quotes(text: str, at: int) -> bool:
    """Whether a quotation mark, a bracket or a mark of emphasis stands at ``at``."""
    if not 0 <= at < len(text):
        return False
    return text[at] in "\"'*_`" or unicodedata.category(text[at]) in ("Pi", "Pf", "Ps", "Pe")


def _caseless(character: str) -> bool:
    return unicodedata.category(character) == "Lo"


def _invisible(character: str) -> bool:
    # Cc and Cf: control and format characters, such as a byte order mark or a zero-width space.
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<(/?)({'|'.join(map(re.escape, names))})\s*>", re.IGNORECASE)


# Code in Markdown: a fence may hold lines, one or two backticks enclose a part of a line.
_CODE = re.compile(
    r"(?<!`)(`{3,})(?!`).*?(?<!`)\1(?!`)|(?<!`)(`{1,2})(?!`)[^\n]*?(?<!`)\2(?!`)", re.DOTALL
)
_WORD = re.compile(r"\w")
_NO_TEXT = re.compile(r"\s+\S+\s+|(?:[,.;:!?]|-\w).*", re.DOTALL)
_LINE_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
