"""Control tokens of a vocabulary: finds them in the user's text, and marks them as mere text."""

from __future__ import annotations

import itertools
import json
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from attrs import frozen

_JSON = json.JSONEncoder(ensure_ascii=False)


@frozen
class Marked:
    """A chat as templates take it; a mark stands before every control token of the user's text,
    and before every piece of one with which a text begins or ends.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    mark: str
    """Empty where the user's text holds no control token."""


@frozen
class ControlTokens:
    """Those of one vocabulary."""

    ids: Mapping[str, int]
    pattern: re.Pattern[str]
    """Finds each, the longer one where two begin."""
    edges: tuple[str, ...]
    """The characters with which they begin or end: where none is, no control token and no piece
    of one that a text could begin or end with.
    """
    edges_in_json: tuple[str, ...]
    """The same as JSON writes them."""
    beginnings: frozenset[str]
    """Pieces of them, from the first character on."""
    endings: frozenset[str]
    """Pieces of them, up to the last character."""
    firsts: tuple[str, ...]
    """The first characters of them."""
    lasts: tuple[str, ...]
    """The last characters of them."""
    longest: int
    """Characters of the longest."""

    def closing(self, mark: str = "") -> re.Pattern[str]:
        """Finds those that end a text, perhaps with white space between, and carry no mark."""
        unmarked = f"(?<!{mark})" if mark else ""
        return re.compile(rf"(?:{unmarked}(?:{self.pattern.pattern})\s*)+\Z")

    def in_chat(self, messages: Sequence[dict[str, Any]], tools: Sequence[object] | None) -> bool:
        """Whether any text of a chat holds one, keys, names and ids too, or begins or ends with a
        piece of one, which the template may complete.
        """
        return any(
            self._in_text(message["content"]) or (len(message) > 2 and self._within(message))
            for message in messages
        ) or (tools is not None and self._within(tools))

    def in_value(self, value: object) -> str | None:
        """The first control token in the texts of a JSON value, its keys included."""
        found = (self.pattern.search(text) for text in self._suspects(value))
        return next((match.group() for match in found if match), None)

    def piece_in_value(self, value: object) -> str:
        """The first text of a JSON value that begins or ends with a piece of a control token."""
        return next((text for text in self._suspects(value) if self._broken(text)), "")

    def standing(self, text: str, places: Iterable[int]) -> tuple[int, ...]:
        """Where the control tokens begin in which the places lie."""
        tokens = [found.span() for found in self.pattern.finditer(text)]
        within = {start for at in places for start, end in tokens if start <= at < end}
        return tuple(sorted(within))

    def _within(self, value: object) -> bool:
        return any(self._in_text(text) for text in self._suspects(value))

    def _in_text(self, text: str) -> bool:
        for edge in self.edges:  # much the quickest
            if edge in text:
                return self.pattern.search(text) is not None or bool(self._broken(text))
        return False

    def _suspects(self, value: object) -> Iterable[str]:
        """The texts of a JSON value, or none of them where none can be of interest."""
        written = _JSON.encode(value)  # quicker than to walk through it
        return _texts(value) if any(edge in written for edge in self.edges_in_json) else ()

    def _broken(self, text: str) -> list[int]:
        """Where the pieces begin with which a text begins or ends, but for white space."""
        bare = text.strip()
        begin = text.find(bare)
        head, tail = bare[: self.longest], bare[-self.longest :]
        found: list[int] = []
        if any(head[: at + 1] in self.endings for at in _places(head, self.lasts)):
            found.append(begin)
        for at in _places(tail, self.firsts):
            if tail[at:] in self.beginnings:
                found.append(begin + len(bare) - len(tail) + at)
        return found

    def mark(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> Marked:
        """The chat with marks, which stand nowhere else in it."""
        written = _JSON.encode([messages, tools])
        mark = f"{next(word for word in _words() if word not in written)}qz"

        def marked(text: str) -> str:
            whole = [found.start() for found in self.pattern.finditer(text)]
            places = {*whole, *self._broken(text)}
            for place in sorted(places, reverse=True):
                text = f"{text[:place]}{mark}{text[place:]}"
            return text

        return Marked(_map_texts(messages, marked), _map_texts(tools, marked), mark)


def control_tokens(ids: Mapping[str, int]) -> ControlTokens:
    """Prepared for looking up.

    :param ids: the control tokens of a vocabulary with their ids.
    """
    longest_first = sorted(ids, key=len, reverse=True)
    firsts, lasts = (tuple(dict.fromkeys(token[at] for token in ids)) for at in (0, -1))
    edges = tuple(dict.fromkeys(firsts + lasts))
    return ControlTokens(
        ids,
        _any_of(longest_first),
        edges,
        tuple(_JSON.encode(edge)[1:-1] for edge in edges),
        frozenset(token[:length] for token in ids for length in range(1, len(token))),
        frozenset(token[length:] for token in ids for length in range(1, len(token))),
        firsts,
        lasts,
        max(map(len, ids), default=1),
    )


def _words() -> Iterator[str]:
    """Those that stay what they are in JSON, in Python's notation and what else templates write."""
    for count in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=count):
            yield f"zq{''.join(letters)}"


def unmarked(text: str, mark: str) -> tuple[str, tuple[int, ...]]:
    """The text without marks, and where in it the tokens stand that carried one."""
    if not mark:
        return text, ()
    pieces = text.split(mark)
    places: list[int] = []
    for piece in pieces[:-1]:
        places.append((places[-1] if places else 0) + len(piece))
    return "".join(pieces), tuple(places)


def _places(text: str, characters: Iterable[str]) -> Iterator[int]:
    for character in characters:
        at = text.find(character)
        while at >= 0:
            yield at
            at = text.find(character, at + 1)


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, texts)) or "(?!)")  # which matches nowhere


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[object, object]", value).items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("Sequence[object]", value):
            yield from _texts(item)


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {_map_texts(key, change): _map_texts(item, change) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_map_texts(item, change) for item in cast("Sequence[Any]", value)]
    return value
