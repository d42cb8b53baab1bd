"""Knows the shapes that chats come in, and writes a record of each as messages, tools and system.

Nothing is read here that a message says: a record is only laid out in another way, with the
places of its pieces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

from attrs import field, frozen

from ftcore.origins import Origins
from ftcore.schemata import shown
from ftcore.shapes.embedded import ShapeError, read_json
from ftcore.shapes.turns import ROLES
from ftcore.values import Json

BESIDE = ("tools", "functions", "system", "system_prompt")
"""Keys that every shape of a chat may have beside its turns."""


MEDIA = ("images", "image", "videos", "video", "audios", "audio")
"""Keys under which records hold what a model of text cannot learn from."""


@frozen
class Laid:
    """A record laid out as ``messages`` and, where it has them, ``tools`` and ``system``."""

    data: dict[str, Any]
    origins: Origins
    read: frozenset[str] = field(factory=frozenset[str])
    """The keys of the record that have been used."""


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

    @property
    def known(self) -> tuple[str, ...]:
        """All keys that are read."""
        return (*(key for some in self.keys for key in some), *self.optional, *BESIDE)


def _messages(record: Json, speaker: str | None) -> Laid:
    return _renamed(record, "messages")


def _sharegpt(record: Json, speaker: str | None) -> Laid:
    return _renamed(record, _first(record, ("conversations", "conversation")))


def _renamed(record: Json, key: str) -> Laid:
    turns = _list(record[key], f"/{key}")
    places = {"/messages": f"/{key}"}
    origins = Origins(texts=places) if isinstance(record[key], str) else Origins(places)
    return _with_beside(record, Laid({"messages": turns}, origins, frozenset({key})))


def _alpaca(record: Json, speaker: str | None) -> Laid:
    """As LLaMA-Factory reads it: the input follows the instruction on a line of its own."""
    messages: list[Json] = []
    texts: dict[str, str] = {}

    def say(role: str, text: object, at: str) -> None:
        texts[f"/messages/{len(messages)}"] = at
        messages.append({"role": role, "content": text})

    for index, pair in enumerate(_list(record.get("history") or [], "/history")):
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
    more = _text(record.get("input") or "", "/input")
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
        key = _first(record, keys)
        read.add(key)
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


def _turns(record: Json, speaker: str | None) -> Laid:
    """One speaker is the assistant, all others the user; what one says in a row is one message."""
    key = _first(record, ("turns", "dialogue", "dialog"))
    items = _list(record[key], f"/{key}")
    names = [_speaker(item, f"/{key}/{index}") for index, item in enumerate(items)]
    learned = speaker if speaker is not None else _learned(names, f"/{key}")
    messages: list[dict[str, Any]] = []
    places: dict[str, str] = {}
    for index, (item, name) in enumerate(zip(items, names, strict=True)):
        at = f"/{key}/{index}"
        role = "assistant" if name == learned else "user"
        role = "system" if name != learned and ROLES.get(name.lower()) == "system" else role
        said, place = _said(cast("Json", item), at)
        if not said.strip():
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n{said}"
            continue
        number = f"/messages/{len(messages)}"
        places |= {number: at, f"{number}/role": f"{at}/speaker", f"{number}/content": place}
        messages.append({"role": role, "content": said})
    laid = Laid({"messages": messages}, Origins(places), frozenset({key}))
    return _with_beside(record, laid)


def _speaker(turn: object, at: str) -> str:
    name: object = cast("Json", turn).get("speaker") if isinstance(turn, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise ShapeError(
            "this turn does not say who speaks", at, 'a turn is {"speaker": …, "text": …}'
        )
    return name


def _learned(names: Collection[str], at: str) -> str:
    """The speaker who is the assistant, if the names tell."""
    there = list(dict.fromkeys(names))
    for name in there:
        if name.lower() == "persona" or ROLES.get(name.lower()) == "assistant":
            return name
    raise ShapeError(
        "none of the speakers is the one to be learned by name (assistant, persona)",
        at,
        f"say whose words are learned: --map assistant=SPEAKER; here speak: {', '.join(there)}",
    )


def _said(turn: Json, at: str) -> tuple[str, str]:
    """All that is said in a turn, a line for each of its texts, and where it is written."""
    keys = ("texts", "text", "utterance", "content", "value")
    key = next((k for k in keys if turn.get(k) is not None), None)
    if key is None:
        raise ShapeError("this turn says nothing", at, 'give it a "text", or a list of "texts"')
    place = f"{at}/{key}"
    value: object = turn[key]
    if not isinstance(value, list):
        return _text(value, place), place
    texts = [_text(t, f"{place}/{i}") for i, t in enumerate(cast("list[object]", value))]
    return "\n".join(text for text in texts if text.strip()), place


def _with_beside(record: Json, laid: Laid) -> Laid:
    """Adds the tools and the system text of a record."""
    data = dict(laid.data)
    places = dict(laid.origins.places)
    read = set(laid.read)
    for key in BESIDE:
        meant = {"functions": "tools", "system_prompt": "system"}.get(key, key)
        if record.get(key) is not None and meant not in data:
            data[meant] = record[key]
            places[f"/{meant}"] = f"/{key}"
            read.add(key)
    return Laid(data, Origins(places, laid.origins.texts), frozenset(read))


def _first(record: Json, keys: Collection[str]) -> str:
    return next(key for key in keys if record.get(key) is not None)


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
        Format("turns", (("turns", "dialogue", "dialog"),), (), _turns),
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
