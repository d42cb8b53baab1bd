"""Finds the objects of a JSON Schema that do not say what becomes of keys that it does not name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

from ftcore.schemata import pointer
from ftcore.testing.walk import SchemaReader
from ftcore.values import Json

SAYING = ("additionalProperties", "unevaluatedProperties")
"""Keywords that close an object, or with ``true`` say that it is open on purpose."""

Node = tuple[str, Json]
"""A schema and its JSON pointer in the whole."""


def reference_faults(reader: SchemaReader) -> Iterator[tuple[str, str]]:
    """Pointer and text of every reference that does not lead to a place in the schema itself."""
    for at, schema in _reachable(reader):
        for keyword in ("$ref", "$dynamicRef"):
            try:
                if keyword in schema:
                    reader.target(schema[keyword])
            except LookupError as error:
                yield f"{at}/{keyword}", str(error)
        if at and "$id" in schema:
            yield f"{at}/$id", "an $id below the root changes what $ref means"


def open_by_neglect(reader: SchemaReader) -> list[str]:
    """Pointers of the schemas of objects that neither are closed nor say that they are open.

    A schema describes an object where it names keys or has the type ``object``. It is closed
    where it says so itself, or where what holds together with it does, whichever branch a sample
    takes.

    :raises LookupError: a reference leads nowhere.
    """
    return [*dict.fromkeys(_neglected(reader, ("", reader.schema), False, set()))]


def _neglected(
    reader: SchemaReader, node: Node, settled: bool, seen: set[tuple[str, bool]]
) -> Iterator[str]:
    at, schema = node
    if (at, settled) in seen:
        return
    seen.add((at, settled))
    if not settled and _is_closed(reader, node, frozenset()):
        settled = True
    if not settled and _describes_object(schema):
        yield at
        settled = True  # said once, not again for each of its branches
    for beside in _beside(reader, node):
        yield from _neglected(reader, beside, settled, seen)
    for below in _below(node):
        yield from _neglected(reader, below, False, seen)


def _is_closed(reader: SchemaReader, node: Node, above: frozenset[str]) -> bool:
    at, schema = node
    if at in above:
        return False
    above |= {at}

    def closed(value: object, below: str) -> bool:
        if isinstance(value, Mapping):
            return _is_closed(reader, (at + below, cast(Json, value)), above)
        return value is False  # no object satisfies it; with `true`, nothing is said

    if any(keyword in schema for keyword in SAYING):
        return True
    if "$ref" in schema:
        target_at, target = reader.target(schema["$ref"])
        if isinstance(target, Mapping) and _is_closed(
            reader, (target_at, cast(Json, target)), above
        ):
            return True
    if any(closed(part, f"/allOf/{i}") for i, part in enumerate(schema.get("allOf", ()))):
        return True
    for keyword in ("anyOf", "oneOf"):
        branches = schema.get(keyword, ())
        if branches and all(closed(b, f"/{keyword}/{i}") for i, b in enumerate(branches)):
            return True
    if "if" in schema and all(closed(schema.get(way, True), f"/{way}") for way in ("then", "else")):
        return True
    cases = [("", schema), *((f"/allOf/{i}", s) for i, s in enumerate(schema.get("allOf", ())))]
    return _covers_all(
        schema,
        [
            _case(cast(Json, case)["if"])
            for below, case in cases
            if isinstance(case, Mapping)
            and "if" in case
            and closed(cast(Json, case).get("then", True), f"{below}/then")
        ],
    )


def _covers_all(schema: Json, cases: list[tuple[str, list[Any]] | None]) -> bool:
    """Whether every value that the schema allows for some required key is one of the cases."""
    for key in schema.get("required", ()):
        possible = _values(schema.get("properties", {}).get(key))
        covered = [value for case in cases if case and case[0] == key for value in case[1]]
        if possible and all(value in covered for value in possible):
            return True
    return False


def _case(condition: object) -> tuple[str, list[Any]] | None:
    """The one key that an ``if`` looks at, and the values that it looks for."""
    looked_at: Any = condition
    if not isinstance(condition, Mapping) or not set(looked_at) <= {"required", "properties"}:
        return None
    properties: Json = looked_at.get("properties", {})
    if len(properties) != 1 or not set(looked_at.get("required", ())) <= set(properties):
        return None
    key, schema = next(iter(properties.items()))
    values = _values(schema)
    return (key, values) if values and set(schema) <= {"const", "enum", "description"} else None


def _values(schema: object) -> list[Any]:
    """The values that a schema lists."""
    if not isinstance(schema, Mapping):
        return []
    named = cast(Json, schema)
    return [named["const"]] if "const" in named else list(named.get("enum", ()))


def _describes_object(schema: Json) -> bool:
    types = schema.get("type", ())
    named = any(schema.get(k) for k in ("properties", "patternProperties", "required"))
    return named or "object" in ([types] if isinstance(types, str) else types)


def _reachable(reader: SchemaReader) -> Iterator[Node]:
    """Every schema that can hold for a part of a sample, each once."""
    waiting: list[Node] = [("", reader.schema)]
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node[0] not in seen:
            seen.add(node[0])
            yield node
            waiting += [*_beside(reader, node), *_below(node)]


def _beside(reader: SchemaReader, node: Node) -> Iterator[Node]:
    """The schemas that hold, or may hold, for the same value as this one."""
    at, schema = node
    if isinstance(schema.get("$ref"), str):
        with suppress(LookupError):  # reported for itself
            yield from _one(*reader.target(schema["$ref"]))
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from _many(at, keyword, enumerate(schema.get(keyword, ())))
    for keyword in ("then", "else") if "if" in schema else ():
        yield from _one(f"{at}/{keyword}", schema.get(keyword))
    yield from _many(at, "dependentSchemas", schema.get("dependentSchemas", {}).items())


def _below(node: Node) -> Iterator[Node]:
    """The schemas of the keys and items of the value."""
    at, schema = node
    for keyword in ("properties", "patternProperties"):
        yield from _many(at, keyword, schema.get(keyword, {}).items())
    yield from _many(at, "prefixItems", enumerate(schema.get("prefixItems", ())))
    for keyword in (*SAYING, "items", "unevaluatedItems"):
        yield from _one(f"{at}/{keyword}", schema.get(keyword))


def _many(at: str, keyword: str, schemas: Any) -> Iterator[Node]:
    for step, schema in schemas:
        yield from _one(at + pointer([keyword, step]), schema)


def _one(at: str, schema: object) -> Iterator[Node]:
    if isinstance(schema, Mapping):
        yield at, cast(Json, schema)
