"""Knows the shapes that chats come in, and writes a record of each as messages, tools and system.

Nothing is read here that a message says: a record is only laid out in another way, with the
places of its pieces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

from attrs import evolve, field, frozen

from ftcore.origins import Origins
from ftcore.schemata import shown
from ftcore.shapes.embedded import ShapeError, read_json
from ftcore.shapes.keys import check_turn, is_empty, one_key
from ftcore.shapes.turns import role_of
from ftcore.values import Json

BESIDE = ("tools", "functions", "system", "system_prompt")
"""Keys that every shape of a chat may have beside its turns."""


@frozen
class Laid:
    """A record laid out as ``messages`` and, where it has them, ``tools`` and ``system``."""

    data: dict[str, Any]
    origins: Origins
    read: frozenset[str] = field(factory=frozenset[str])
    """The keys of the record that have been used."""
    ignored: tuple[str, ...] = ()
    """Keys of its turns that nothing reads."""


@frozen
class Format:
    """A shape of a chat."""

    name: str
    keys: tuple[tuple[str, ...], ...]
    """What a record of it must have: of each tuple, one key."""
    optional: tuple[str, ...]
    lay_out: Callable[[Json, str | None], Laid]
    """Takes the record and the name of the speaker who is learned, if the user gave it."""
    lists: bool = True
    """Whether the first of its keys holds a list, or JSON text of one."""

    def fits(self, record: Json) -> bool:
        """Whether a record has this shape, by its keys."""
        if self.missing(record):
            return False
        return not self.lists or _is_list(record[_first(record, self.keys[0])])

    def missing(self, record: Json) -> list[tuple[str, ...]]:
        """The keys that a record lacks: of each tuple, one would do."""
        return [some for some in self.keys if all(record.get(key) is None for key in some)]

    def is_filled(self, record: Json) -> bool:
        """Whether what it must have says something in a record that has this shape."""
        return all(not is_empty(record[_first(record, some)]) for some in self.keys)

    @property
    def known(self) -> tuple[str, ...]:
        """All keys that are read."""
        return (*(key for some in self.keys for key in some), *self.optional, *BESIDE)


def _messages(record: Json, speaker: str | None) -> Laid:
    return _renamed(record, "messages")


def _sharegpt(record: Json, speaker: str | None) -> Laid:
    return _renamed(record, "conversations", "conversation")


def _renamed(record: Json, *keys: str) -> Laid:
    key = _chosen(record, keys)
    turns = _list(record[key], f"/{key}")
    places = {"/messages": f"/{key}"}
    origins = Origins(texts=places) if isinstance(record[key], str) else Origins(places)
    return _with_beside(record, Laid({"messages": turns}, origins, frozenset(keys)))


def _alpaca(record: Json, speaker: str | None) -> Laid:
    """As LLaMA-Factory reads it: the input follows the instruction on a line of its own."""
    messages: list[Json] = []
    texts: dict[str, str] = {}

    def say(role: str, text: object, at: str) -> None:
        texts[f"/messages/{len(messages)}"] = at
        messages.append({"role": role, "content": text})

    history: object = record.get("history")
    pairs = [] if is_empty(history) else _list(history, "/history")
    for index, pair in enumerate(pairs):
        at = f"/history/{index}"
        both = cast("list[object]", pair) if isinstance(pair, list) else []
        if len(both) != 2:
            raise ShapeError(
                f"this is no pair of a question and its answer: {shown(cast('object', pair))}",
                at,
                'write ["what was asked", "what was answered"]',
            )
        asked, said = both
        say("user", _text(asked, f"{at}/0"), f"{at}/0")
        say("assistant", _text(said, f"{at}/1"), f"{at}/1")
    instruction = _text(record["instruction"], "/instruction")
    more = "" if record.get("input") is None else _text(record["input"], "/input")
    say("user", "\n".join(filter(None, (instruction, more))), "/instruction")
    say("assistant", _text(record["output"], "/output"), "/output")
    read = frozenset({"instruction", "input", "output", "history"})
    return _with_beside(record, Laid({"messages": messages}, Origins(texts=texts), read))


def _prompt_completion(record: Json, speaker: str | None) -> Laid:
    """Each half is a text, or a list of messages."""
    messages: list[object] = []
    places: dict[str, str] = {}
    texts: dict[str, str] = {}
    read: set[str] = set()
    for role, keys in (("user", ("prompt",)), ("assistant", ("completion", "response"))):
        key = _chosen(record, keys)
        read.update(keys)
        half: object = record[key]
        if not isinstance(half, list):
            texts[f"/messages/{len(messages)}"] = f"/{key}"
            messages.append({"role": role, "content": _text(half, f"/{key}")})
            continue
        for index, message in enumerate(cast("list[object]", half)):
            places[f"/messages/{len(messages)}"] = f"/{key}/{index}"
            messages.append(message)
    laid = Laid({"messages": messages}, Origins(places, texts), frozenset(read))
    return _with_beside(record, laid)


_SPOKEN_KEYS = ("turns", "dialogue", "dialog")
_TEXT_KEYS = ("texts", "text", "utterance", "content", "value")
_READ_OF_SPOKEN = frozenset({"speaker", *_TEXT_KEYS})


def _turns(record: Json, speaker: str | None) -> Laid:
    """One speaker is the assistant, all others the user; what one says in a row is one message."""
    key = _chosen(record, _SPOKEN_KEYS)
    items = _list(record[key], f"/{key}")
    names = [_speaker(item, f"/{key}/{index}") for index, item in enumerate(items)]
    learned = _folded(_learned(names, f"/{key}") if speaker is None else speaker)
    messages: list[dict[str, Any]] = []
    places: dict[str, str] = {}
    ignored: set[str] = set()
    for index, (item, name) in enumerate(zip(items, names, strict=True)):
        at = f"/{key}/{index}"
        turn = cast("Json", item)
        role = _role(name, learned, at)
        # the words of several turns are joined, so there is a place for nothing but words
        whose = f"the shape 'turns' (speaker {name!r})"
        check_turn(turn, at, whose, _READ_OF_SPOKEN, ignored, learned=role == "assistant")
        said, place = _said(turn, at)
        if not said.strip():
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n{said}"
            continue
        number = f"/messages/{len(messages)}"
        places |= {number: at, f"{number}/role": f"{at}/speaker", f"{number}/content": place}
        messages.append({"role": role, "content": said})
    read, unread = frozenset(_SPOKEN_KEYS), tuple(sorted(ignored))
    return _with_beside(record, Laid({"messages": messages}, Origins(places), read, unread))


def _speaker(turn: object, at: str) -> str:
    name: object = cast("Json", turn).get("speaker") if isinstance(turn, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise ShapeError(
            "this turn does not say who speaks", at, 'a turn is {"speaker": …, "text": …}'
        )
    return name


def _folded(name: str) -> str:
    """A speaker's name as it is compared: people do not always write it in the same way."""
    return name.strip().casefold()


def _role(name: str, learned: str, at: str) -> str:
    if _folded(name) == learned:
        return "assistant"
    role = role_of(name)
    if role in ("tool", "call"):
        raise ShapeError(
            f"the speaker {name!r} is no person: the shape 'turns' has no place for tools",
            f"{at}/speaker",
            'write the chat as "messages", or leave the record out',
        )
    return "system" if role == "system" else "user"


def _learned(names: Collection[str], at: str) -> str:
    """The speaker who is the assistant, if the names tell."""
    there = {_folded(name): name for name in reversed(list(names))}
    found = [n for f, n in there.items() if f == "persona" or role_of(n) == "assistant"]
    if len(found) == 1:
        return found[0]
    which = f"several of the speakers could be the one to be learned: {', '.join(found[::-1])}"
    none = "none of the speakers is the one to be learned by name (assistant, persona)"
    speakers = ", ".join(reversed(there.values()))
    raise ShapeError(
        which if found else none,
        at,
        f"say whose words are learned: --map assistant=SPEAKER; here speak: {speakers}",
    )


def _said(turn: Json, at: str) -> tuple[str, str]:
    """All that is said in a turn, a line for each of its texts, and where it is written."""
    # one text and a list of this one text say the same
    there = {key: _words(turn[key]) for key in _TEXT_KEYS if turn.get(key) is not None}
    key = one_key(there, _TEXT_KEYS, at)
    if key is None:
        raise ShapeError("this turn says nothing", at, 'give it a "text", or a list of "texts"')
    place = f"{at}/{key}"
    if not isinstance(turn[key], list):
        return _text(turn[key], place), place
    items = cast("list[object]", turn[key])
    texts = [_text(text, f"{place}/{index}") for index, text in enumerate(items)]
    return "\n".join(text for text in texts if text.strip()), place


def _words(value: object) -> list[object]:
    """The texts of a turn that say something."""
    texts = cast("list[object]", value) if isinstance(value, list) else [value]
    return [text for text in texts if not is_empty(text)]


def _with_beside(record: Json, laid: Laid) -> Laid:
    """Adds the tools and the system text of a record."""
    data = dict(laid.data)
    places = dict(laid.origins.places)
    for meant, keys in (("tools", BESIDE[:2]), ("system", BESIDE[2:])):
        key = one_key(record, keys, "")
        if key is not None:
            data[meant] = record[key]
            places[f"/{meant}"] = f"/{key}"
    origins = Origins(places, laid.origins.texts)
    return evolve(laid, data=data, origins=origins, read=laid.read.union(BESIDE))


def _chosen(record: Json, keys: Collection[str]) -> str:
    """The key that holds a record's turns, or a half of it.

    :raises ShapeError: two of them hold different things.
    """
    return cast("str", one_key(record, keys, ""))


def _first(record: Json, keys: Collection[str]) -> str:
    there = [key for key in keys if record.get(key) is not None]
    return next((key for key in there if not is_empty(record[key])), there[0])


def _is_list(value: object) -> bool:
    return isinstance(value, list) or (isinstance(value, str) and value.lstrip().startswith("["))


def _list(value: object, at: str) -> list[object]:
    if isinstance(value, str):
        value = read_json(value, at, "this text of a list")
    if not isinstance(value, list):
        raise ShapeError(f"this must be a list, it is {shown(value)}", at, "write […]")
    return cast("list[object]", value)


def _text(value: object, at: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    raise ShapeError(f"this must be text, it is {shown(value)}", at, 'write it in quotes: "…"')


FORMATS: Mapping[str, Format] = {
    found.name: found
    for found in (
        Format("messages", (("messages",),), (), _messages),
        Format("sharegpt", (("conversations", "conversation"),), (), _sharegpt),
        Format("turns", (_SPOKEN_KEYS,), (), _turns),
        Format(
            "alpaca", (("instruction",), ("output",)), ("input", "history"), _alpaca, lists=False
        ),
        Format(
            "prompt_completion",
            (("prompt",), ("completion", "response")),
            (),
            _prompt_completion,
            lists=False,
        ),
    )
}
"""By name, in the order in which a record is tried."""
