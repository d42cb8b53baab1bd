"""Finds out from a mode's JSON Schema which keys its samples and their messages may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from attrs import frozen

from ftcore.values import Json

_IN_PLACE = ("allOf", "anyOf", "oneOf")
_BRANCHES = ("if", "then", "else")


@frozen
class SchemaKeys:
    """The keys that a schema names, wherever it applies to the sample as a whole."""

    properties: dict[str, tuple[Json, ...]]
    """With the schemas of each."""
    required: frozenset[str]
    """Those that some branch of the schema asks for."""
    message: frozenset[str]
    """The keys of an item of ``messages``; empty where there is no such key."""
    named: frozenset[str] = frozenset()
    """All keys that it names, however deep."""
    closed: bool = True
    """Whether it takes no other keys than those of ``properties``."""

    def takes_text(self, key: str) -> bool:
        """Whether the schema wants a text under ``key``, and takes no number."""
        types = self._types(key)
        return "string" in types and not types & {"number", "integer"}

    def takes_null(self, key: str) -> bool:
        """Whether the schema knows ``key`` and may take ``null`` under it."""
        types = self._types(key)
        return key in self.properties and (not types or "null" in types)

    def _types(self, key: str) -> set[str]:
        found: set[str] = set()
        for schema in self.properties.get(key, ()):
            named: object = schema.get("type", [])
            found.update([named] if isinstance(named, str) else cast("list[str]", named))
        return found


def schema_keys(schema: Json) -> SchemaKeys:
    """What a mode's schema says about keys."""
    properties: dict[str, tuple[Json, ...]] = {}
    required: set[str] = set()
    for part in _parts(schema, schema):
        for key, below in cast("Json", part.get("properties", {})).items():
            properties[key] = (*properties.get(key, ()), *_parts(below, schema))
        required.update(cast("list[str]", part.get("required", ())))
    message: set[str] = set()
    for below in properties.get("messages", ()):
        for part in _parts(below.get("items"), schema):
            message.update(part.get("properties", {}))
    closing = ("additionalProperties", "unevaluatedProperties")
    closed = any(part.get(key) is False for part in _parts(schema, schema) for key in closing)
    named = frozenset(_named(schema))
    return SchemaKeys(properties, frozenset(required), frozenset(message), named, closed)


def _named(schema: object) -> Iterator[str]:
    waiting: list[object] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            part = cast("Json", node)
            if isinstance(part.get("properties"), dict):
                yield from part["properties"]
            waiting += part.values()
        elif isinstance(node, list):
            waiting += cast("list[object]", node)


def _parts(node: object, root: Json) -> Iterator[Json]:
    """A schema and all that apply to the same value, each once; references of the document only."""
    waiting: list[object] = [node]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if not isinstance(part, dict) or id(cast("object", part)) in seen:
            continue
        schema = cast("Json", part)
        seen.add(id(schema))
        yield schema
        waiting += [schema[key] for key in _BRANCHES if key in schema]
        for key in _IN_PLACE:
            waiting += cast("list[object]", schema.get(key, ()))
        if isinstance(schema.get("$ref"), str):
            waiting.append(_referred(schema["$ref"], root))


def _referred(reference: str, root: Json) -> object:
    value: object = root
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        value = cast("Json", value).get(key) if isinstance(value, dict) else None
    return value if reference.startswith("#") else None
