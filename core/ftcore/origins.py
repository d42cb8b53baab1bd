"""Keeps track of where in a user's record each piece of a converted sample was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast, get_args

from attrs import evolve, field, frozen

from ftcore.values import Json, Role

MIN_PIECE = 8
"""Characters from which on a text that a mode cut out is looked for in the chat's texts: a
shorter one may stand anywhere by chance."""


@frozen(eq=False)
class Origins(Mapping[str, str]):
    """JSON pointers of a converted sample, and where in the record their values were written.

    ``places`` hold for what lies below them too, with the same steps further down. What lies
    below one of ``texts`` was read from a text (JSON in a string, say) or made of one: within a
    text no pointer leads on, so all of it was written at the one place.
    """

    places: Mapping[str, str] = field(factory=dict[str, str])
    texts: Mapping[str, str] = field(factory=dict[str, str])
    outer: Origins | None = None
    """Leads on, if the places are within a value that was itself made of the record."""
    record: Json | None = None
    """Given it, every pointer leads to something that is there: what was read out of a text, or
    put in by a mode, leads to what it stood in."""

    def __getitem__(self, pointer: str) -> str:
        place = self._own(pointer)
        if self.outer is not None:
            place = translate(pointer if place is None else place, self.outer)
        if self.record is not None:
            return enclosing(pointer if place is None else place, self.record)
        if place is None:
            raise KeyError(pointer)
        return place

    def _own(self, pointer: str) -> str | None:
        head = pointer
        while head not in self.texts:
            if head in self.places:
                return self.places[head] + pointer[len(head) :]
            if not head:
                return None
            head = head.rpartition("/")[0]
        return self.texts[head]

    def __iter__(self) -> Iterator[str]:
        yield from {**self.places, **self.texts}

    def __len__(self) -> int:
        return len({**self.places, **self.texts})

    def within(self, outer: Origins) -> Origins:
        """The same, if all places are within a value of which ``outer`` tells the places."""
        return evolve(self, outer=outer if self.outer is None else self.outer.within(outer))


SOMEWHERE = Origins(texts={"": ""})
"""Of a sample of which it is only known that it was converted: no pointer leads into its record."""


def translate(pointer: str, origins: Mapping[str, str]) -> str:
    """The pointer into the record that a pointer into a sample stands for.

    The longest known prefix decides, and the rest is kept; a pointer of which nothing is known
    stays as it is.
    """
    head = pointer
    while head and head not in origins:
        head = head.rpartition("/")[0]
    return origins[head] + pointer[len(head) :] if head in origins else pointer


def enclosing(pointer: str, record: Json) -> str:
    """The pointer; where the record has no such place, that of the innermost around it."""
    value: object = record
    at = ""
    for step in pointer.split("/")[1:]:
        children = dict(_children(value))
        if step not in children:
            break
        value = children[step]
        at += f"/{step}"
    return at


def trace(sample: Json, chat: Json, origins: Origins) -> Origins:
    """The origins of a sample that a mode made of a chat, of whose pieces ``origins`` tells.

    A mode hands over texts, messages and lists of the chat, whole or in pieces: they are known
    again by being the same object, or by being part of a text of the chat. A key whose values
    are in no way the chat's leads to the whole record.
    """
    if sample is chat:
        return origins
    known = _objects(chat)
    texts = [(text, at) for at, text in _texts(chat)]
    found: dict[str, str] = {}
    lost: dict[str, str] = {}
    for key, value in sample.items():
        place = f"/{_escape(key)}"
        if _search(value, place, known, texts, found) is None:
            lost[place] = ""
    return Origins(found, lost).within(origins)


def _search(
    value: object,
    place: str,
    known: Mapping[int, str],
    texts: list[tuple[str, str]],
    found: dict[str, str],
) -> str | None:
    """Notes where in the chat ``value`` and what it holds come from; gives the place of itself."""
    origin = known.get(id(value))
    if origin is None and isinstance(value, str):
        piece = value.strip()
        if len(piece) >= MIN_PIECE and piece not in get_args(Role):
            origin = next((at for text, at in texts if piece in text), None)
    elif origin is None:
        within = [
            (id(v) not in known, at)
            for k, v in _children(value)
            if (at := _search(v, f"{place}/{k}", known, texts, found))
        ]
        # an object made anew comes from where its first piece stood that is surely the chat's
        within.sort(key=lambda item: item[0])
        origin = within[0][1].rpartition("/")[0] if within else None
    if origin is not None:
        found[place] = origin
    return origin


def _objects(chat: Json) -> dict[int, str]:
    """The place of each object in the chat, by identity; an object that stands twice has none."""
    found: dict[int, str] = {}
    twice: set[int] = set()
    waiting: list[tuple[str, object]] = [("", chat)]
    while waiting:
        at, value = waiting.pop()
        if id(value) in found:
            twice.add(id(value))
        if isinstance(value, str) or _children(value):
            found[id(value)] = at
        waiting += [(f"{at}/{key}", child) for key, child in _children(value)]
    return {key: at for key, at in found.items() if key not in twice}


def _texts(chat: Json) -> Iterator[tuple[str, str]]:
    for index, message in enumerate(cast("list[Json]", chat["messages"])):
        for key in ("reasoning", "content"):
            if isinstance(message.get(key), str):
                yield f"/messages/{index}/{key}", message[key]


def _children(value: object) -> list[tuple[str, object]]:
    if isinstance(value, Mapping):
        return [(_escape(key), v) for key, v in cast("Json", value).items()]
    if isinstance(value, list | tuple):
        return [(str(i), v) for i, v in enumerate(cast("list[object]", value))]
    return []


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
