"""Tells what a JSON Schema says of every place in a valid sample, through references and branches.

The validator answers yes or no for a whole sample. Here the schema is read by the sample instead:
for each place, the schemas that hold there, and the branches (``anyOf``, ``oneOf``, ``if``,
``dependentSchemas``) that the sample took to get there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast
from urllib.parse import unquote

from attrs import frozen

from ftcore.values import Json

Path = tuple[str | int, ...]
Branching = Literal["anyOf", "oneOf", "if", "dependentSchemas"]


@frozen(eq=False)
class Choice:
    """A branching of the schema, and which way a value went."""

    path: Path
    """The place in the sample of the value that decides."""
    keyword: Branching
    schema: Json
    """The schema that has the keyword."""
    taken: int | bool | str
    """The branch: its index, what ``if`` came to, or the key that was there."""


@frozen(eq=False)
class Rule:
    """A schema that holds for a place; what its branches and references say are rules too."""

    schema: Json
    choices: tuple[Choice, ...] = ()
    """The branchings on the way to it, outermost first; none: it holds whatever the sample."""


@frozen(eq=False)
class Place:
    """A value in a sample that the schema knows."""

    path: Path
    value: Any
    rules: tuple[Rule, ...]


class SchemaReader:
    """A schema to be read by samples. References must lead into the schema itself.

    The schema must satisfy the metaschema of draft 2020-12.
    """

    def __init__(self, schema: Json) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema_specifications import REGISTRY  # pyright: ignore[reportMissingTypeStubs]

        self.schema = schema
        # given a registry, jsonschema does not fetch a $ref to another host
        self._validator: Any = Draft202012Validator(
            cast("dict[str, Any]", schema), registry=REGISTRY
        )

    def accepts(self, schema: object, value: object) -> bool:
        """Whether a value satisfies a part of the schema."""
        return bool(self._validator.evolve(schema=schema).is_valid(value))

    def target(self, reference: str) -> tuple[str, Any]:
        """Where a ``$ref`` leads in this schema, as a pointer, and the schema there.

        :raises LookupError: nowhere, or out of the schema.
        """
        hash_sign, fragment = reference[:1], unquote(reference[1:])
        if hash_sign != "#":
            raise LookupError(f"$ref {reference!r} leads out of the schema")
        if fragment and not fragment.startswith("/"):
            for pointer, schema in _nodes(self.schema, ""):
                if schema.get("$anchor") == fragment:
                    return pointer, schema
            raise LookupError(f"$ref {reference!r} leads nowhere")
        try:
            return fragment, follow(fragment, self.schema)
        except LookupError as error:
            raise LookupError(f"$ref {reference!r} leads nowhere") from error

    def places(self, sample: object) -> Iterator[Place]:
        """Every place of a valid sample that the schema knows, the sample itself first.

        What the schema explicitly leaves open (``true``) has no place, nor has anything below it.
        """
        waiting = [Place((), sample, tuple(self.rules(self.schema, sample, ())))]
        while waiting:
            place = waiting.pop()
            yield place
            waiting += reversed(list(self._children(place)))

    def rules(
        self, schema: object, value: object, path: Path, choices: tuple[Choice, ...] = ()
    ) -> Iterator[Rule]:
        """What a schema says of a value: itself, and whatever it refers or branches to."""
        if not isinstance(schema, Mapping):
            return
        here = cast(Json, schema)
        yield Rule(here, choices)
        if isinstance(here.get("$ref"), str):
            yield from self.rules(self.target(here["$ref"])[1], value, path, choices)
        for part in here.get("allOf", ()):
            yield from self.rules(part, value, path, choices)
        for taken, branch in self._taken(here, value, path):
            yield from self.rules(branch, value, path, (*choices, taken))

    def turns(self, choice: Choice, value: object) -> bool:
        """Whether the value that now stands at the choice's place may be valid by another branch.

        For ``anyOf`` and ``oneOf`` another branch accepts it; ``if`` comes to something else; the
        key of ``dependentSchemas`` is gone.
        """
        schema = choice.schema
        if choice.keyword == "if":
            return self.accepts(schema["if"], value) != choice.taken
        if choice.keyword == "dependentSchemas":
            return not isinstance(value, Mapping) or choice.taken not in value
        branches = enumerate(cast("list[object]", schema[choice.keyword]))
        return any(i != choice.taken and self.accepts(branch, value) for i, branch in branches)

    def _taken(self, schema: Json, value: object, path: Path) -> Iterator[tuple[Choice, object]]:
        """The branches of one schema that a value takes."""
        keywords: tuple[Branching, ...] = ("anyOf", "oneOf")
        for keyword in keywords:
            for index, branch in enumerate(schema.get(keyword, ())):
                if self.accepts(branch, value):
                    yield Choice(path, keyword, schema, index), branch
        if "if" in schema:
            came_to = self.accepts(schema["if"], value)
            branch = schema.get("then" if came_to else "else", True)
            yield Choice(path, "if", schema, came_to), branch
        for key, branch in schema.get("dependentSchemas", {}).items():
            if isinstance(value, Mapping) and key in value:
                yield Choice(path, "dependentSchemas", schema, key), branch

    def _children(self, place: Place) -> Iterator[Place]:
        value: Any = place.value
        if isinstance(value, Mapping):
            steps: list[tuple[str | int, Any]] = list(cast(Json, value).items())
        elif isinstance(value, list):
            steps = list(enumerate(cast("list[Any]", value)))
        else:
            return
        for step, child in steps:
            path = (*place.path, step)
            rules = tuple(
                found
                for rule in place.rules
                for schema in _below(rule.schema, step)
                for found in self.rules(schema, child, path, rule.choices)
            )
            if rules:
                yield Place(path, child, rules)


def follow(pointer: str, value: object) -> Any:
    """What a JSON pointer leads to.

    :raises LookupError: nothing is there.
    """
    if pointer and not pointer.startswith("/"):
        raise LookupError(f"{pointer!r} is no JSON pointer")
    found: Any = value
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(key) if isinstance(found, list) else key]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise LookupError(f"{pointer!r} leads nowhere") from error
    return found


def _below(schema: Json, step: str | int) -> list[object]:
    """What a schema says of the value of a key, or of an item."""
    if isinstance(step, int):
        first: list[object] = schema.get("prefixItems", [])
        return [first[step]] if step < len(first) else _given(schema, "items", "unevaluatedItems")
    found: list[object] = []
    if step in schema.get("properties", {}):
        found.append(schema["properties"][step])
    for pattern, sub in schema.get("patternProperties", {}).items():
        if re.search(pattern, step):
            found.append(sub)
    return found or _given(schema, "additionalProperties", "unevaluatedProperties")


def _given(schema: Json, *keywords: str) -> list[object]:
    return [schema[keyword] for keyword in keywords if keyword in schema]


def _nodes(value: object, at: str) -> Iterator[tuple[str, Json]]:
    """Every object of a JSON document with its pointer."""
    if isinstance(value, Mapping):
        node = cast(Json, value)
        yield at, node
        for key, below in node.items():
            yield from _nodes(below, f"{at}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, below in enumerate(cast("list[object]", value)):
            yield from _nodes(below, f"{at}/{index}")
