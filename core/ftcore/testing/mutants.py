"""Spoils valid samples in small ways: a key dropped, another type, a key that nobody knows.

Whether a spoiled sample must be refused is decided twice over. What the schema says of the place
is read with the branches that the sample took to get there (:mod:`ftcore.testing.walk`); where the
spoiled sample may take another branch, nothing is demanded. And some things are demanded whatever
the schema says or leaves out: an unknown key, or another type of value, is refused everywhere
unless the schema leaves the place open in so many words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, cast

import attrs
from attrs import frozen

from ftcore.mode import CORE_KEYS
from ftcore.schemata import pointer, shown
from ftcore.testing.walk import Path, Place, Rule, SchemaReader
from ftcore.values import Json, Sample

Kind = Literal["dropped", "type", "extra"]

UNKNOWN_KEY = "no_such_key"
PER_SHAPE = 1
"""Mutants of one shape: of the same kind, at the same place but for its indices, after the same
branches, beside the same keys."""

OTHER_TYPES: tuple[Any, ...] = (None, True, 7, 0.5, "text", [], {})
"""A value of each type that JSON has."""


@frozen(eq=False)
class Mutant:
    """A valid sample with one thing spoiled."""

    sample: Sample
    kind: Kind
    path: Path
    """The place of the spoiled value, of the dropped or of the unknown key."""
    what: str
    """As a message says it: ``without the key /say``."""
    refused: bool
    """Whether it must be refused; if not, it may be valid, and then it is like any valid sample."""


def mutants(schema: Json, samples: Iterable[Sample], per_shape: int = PER_SHAPE) -> list[Mutant]:
    """The mutants of valid samples, at most ``per_shape`` of one shape.

    :raises LookupError: a reference of the schema leads nowhere.
    """
    reader = SchemaReader(schema)
    made: Counter[object] = Counter()
    found: list[Mutant] = []
    for sample in samples:
        data = {key: value for key, value in sample.data.items() if key not in CORE_KEYS}
        bare = attrs.evolve(sample, data=data)
        for place in reader.places(data):
            for change in _changes(reader, place):
                if change.path[0] in CORE_KEYS:
                    continue  # the core takes it off again
                shape = _shape(place, change)
                if made[shape] < per_shape:
                    made[shape] += 1
                    found.append(_mutant(reader, bare, change))
    return found


@frozen(eq=False)
class _Change:
    kind: Kind
    path: Path
    value: Any
    what: str
    against: tuple[Rule, ...]
    """The rules that forbid it; one that still holds afterwards is enough. None: allowed."""


def _changes(reader: SchemaReader, place: Place) -> Iterator[_Change]:
    if place.path:
        yield from _other_types(place)
    value: Json = place.value
    if not isinstance(place.value, Mapping):
        return
    for key in value:
        path = (*place.path, key)
        against = tuple(rule for rule in place.rules if _requires(rule.schema, key, value))
        yield _Change("dropped", path, None, f"without the key {pointer(path)}", against)
    for key, schema, rule in _absent(place, value):
        yield from _absent_with_other_type(reader, (*place.path, key), schema, rule)
    yield _extra(place, value)


def _other_types(place: Place) -> Iterator[_Change]:
    """The value replaced by one of each other type, also of those that the schema allows."""
    saying = [rule for rule in place.rules if _types(rule.schema) is not None]
    for value in OTHER_TYPES:
        if _kind(value) == _kind(place.value) and _allowed(value, saying):
            continue
        forbidding = [rule for rule in saying if not _allowed(value, [rule])]
        # where the schema does not say which types it means, it means the one that is there
        against = tuple(forbidding if saying else place.rules)
        what = f"with {shown(value)} at {pointer(place.path)}"
        yield _Change("type", place.path, value, what, against)


def _absent(place: Place, value: Json) -> Iterator[tuple[str, object, Rule]]:
    """The keys that the schema knows here and the sample does not have."""
    for rule in place.rules:
        for key, schema in rule.schema.get("properties", {}).items():
            if key not in value:
                yield key, schema, rule


def _absent_with_other_type(
    reader: SchemaReader, path: Path, schema: object, rule: Rule
) -> Iterator[_Change]:
    for value in OTHER_TYPES:
        said = reader.rules(schema, value, path, rule.choices)
        against = tuple(
            r for r in said if len(r.choices) == len(rule.choices) and not _allowed(value, [r])
        )
        if against:
            what = f"with {shown(value)} at {pointer(path)}"
            yield _Change("type", path, value, what, against)


def _extra(place: Place, value: Json) -> _Change:
    key = UNKNOWN_KEY
    while key in value:
        key += "_"
    says = [
        (rule, rule.schema[keyword])
        for rule in place.rules
        for keyword in ("additionalProperties", "unevaluatedProperties")
        if keyword in rule.schema
    ]
    # an object that says nothing of unknown keys does not know them
    against = tuple(rule for rule, said in says if said is False) if says else place.rules
    path = (*place.path, key)
    return _Change("extra", path, 0, f"with the unknown key {pointer(path)}", against)


def _mutant(reader: SchemaReader, sample: Sample, change: _Change) -> Mutant:
    spoiled = attrs.evolve(sample, data=_changed(sample.data, change.path, change))

    def still_holds(rule: Rule) -> bool:
        return not any(
            reader.turns(choice, _at(spoiled.data, choice.path)) for choice in rule.choices
        )

    refused = any(still_holds(rule) for rule in change.against)
    return Mutant(spoiled, change.kind, change.path, change.what, refused)


def _changed(value: Any, path: Path, change: _Change) -> Any:
    """The value with the change made at the path; what lies beside the path is shared."""
    step, *rest = path
    copied: Any = dict(cast(Json, value)) if isinstance(value, Mapping) else list(value)
    if rest:
        copied[step] = _changed(value[step], tuple(rest), change)
    elif change.kind == "dropped":
        del copied[step]
    else:
        copied[step] = change.value
    return copied


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _shape(place: Place, change: _Change) -> object:
    path = tuple("*" if isinstance(step, int) else step for step in change.path)
    branches = frozenset(
        (id(choice.schema), choice.keyword, choice.taken)
        for rule in place.rules
        for choice in rule.choices
    )
    value: Any = place.value
    beside = frozenset(cast(Json, value)) if isinstance(value, Mapping) else None
    return change.kind, path, repr(change.value), branches, beside


def _requires(schema: Json, key: str, value: Json) -> bool:
    depends: Json = schema.get("dependentRequired", {})
    return key in schema.get("required", ()) or any(
        key in needed and other in value and other != key for other, needed in depends.items()
    )


def _allowed(value: object, rules: Iterable[Rule]) -> bool:
    said = (_types(rule.schema) for rule in rules)
    return all(types is None or _fits(value, types) for types in said)


def _types(schema: Json) -> frozenset[str] | None:
    """The JSON types that a schema allows, by ``type`` or by the values that it lists."""
    named = schema.get("type")
    types: frozenset[str] | None = None
    if named is not None:
        types = frozenset([named] if isinstance(named, str) else named)
    for keyword in ("const", "enum"):
        if keyword in schema:
            values = [schema["const"]] if keyword == "const" else schema["enum"]
            listed = frozenset(map(_kind, values))
            if "number" in listed:
                listed |= frozenset(["integer"])
            types = listed if types is None else types & listed
    return types


def _fits(value: object, types: frozenset[str]) -> bool:
    kind = _kind(value)
    if kind == "number" and isinstance(value, float) and not value.is_integer():
        return "number" in types
    return kind in types or (kind == "number" and "integer" in types)


def _kind(value: object) -> str:
    """The JSON type of a value; an integer is a number."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"
