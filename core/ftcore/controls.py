"""Control tokens of a vocabulary: finds them in the user's text, and marks them as mere text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from attrs import frozen

_MARKS = tuple(f"zq{letter}qz" for letter in "abcdefghijklmnopqrstuvwxyz")
"""Words that stay what they are in JSON, in Python's notation and whatever else templates write."""

_JSON = json.JSONEncoder(ensure_ascii=False)


@frozen
class Marked:
    """A chat as templates take it; a mark stands before every control token of the user's text."""

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
    in_json: re.Pattern[str]
    """Finds each as JSON writes it, and now and then what is none."""

    def closing(self, mark: str = "") -> re.Pattern[str]:
        """Finds those that end a text, perhaps with white space between, and carry no mark."""
        unmarked = f"(?<!{mark})" if mark else ""
        return re.compile(rf"(?:{unmarked}(?:{self.pattern.pattern})\s*)+\Z")

    def in_chat(self, messages: Sequence[dict[str, Any]], tools: Sequence[object] | None) -> bool:
        """Whether any text of a chat holds one: keys, names and ids too."""
        found = self.pattern.search
        return any(
            found(message["content"]) or (len(message) > 2 and self.in_value(message))
            for message in messages
        ) or (tools is not None and self.in_value(tools) is not None)

    def in_value(self, value: object) -> str | None:
        """The first control token in the texts of a JSON value, its keys included."""
        if not self.in_json.search(_JSON.encode(value)):  # much the quickest
            return None
        found = (self.pattern.search(text) for text in _texts(value))
        return next((match.group() for match in found if match), None)

    def mark(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None
    ) -> Marked | None:
        """The chat with a mark before every control token; None where it uses every mark itself."""
        written = _JSON.encode([messages, tools])
        mark = next((mark for mark in _MARKS if mark[:3] not in written), None)
        if mark is None:
            return None

        def marked(text: str) -> str:
            return self.pattern.sub(lambda found: f"{mark}{found.group()}", text)

        return Marked(_map_texts(messages, marked), _map_texts(tools, marked), mark)


def control_tokens(ids: Mapping[str, int]) -> ControlTokens:
    """Prepared for looking up.

    :param ids: the control tokens of a vocabulary with their ids.
    """
    longest_first = sorted(ids, key=len, reverse=True)
    written = [json.dumps(token, ensure_ascii=False)[1:-1] for token in longest_first]
    return ControlTokens(ids, _any_of(longest_first), _any_of(written))


def unmarked(text: str, mark: str) -> tuple[str, tuple[int, ...]]:
    """The text without marks, and where in it the tokens stand that carried one."""
    if not mark:
        return text, ()
    pieces = text.split(mark)
    places: list[int] = []
    for piece in pieces[:-1]:
        places.append((places[-1] if places else 0) + len(piece))
    return "".join(pieces), tuple(places)


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
