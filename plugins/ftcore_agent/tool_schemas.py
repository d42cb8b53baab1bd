"""Checks a tool's own JSON Schema, and arguments against it, without network or crash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from ftcore.schemata import pointer

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_LITERAL = ("const", "default", "enum", "examples")
"""Keywords whose values are data, not schemas."""


@frozen
class Fault:
    """What is wrong, and where: ``path`` leads there from the checked value."""

    message: str
    path: tuple[str | int, ...] = ()
    hint: str = ""


def schema_faults(parameters: object) -> list[Fault]:
    """What is wrong with a tool's ``parameters`` as a JSON Schema of an object."""
    from jsonschema import SchemaError

    schema = cast(dict[str, Any], parameters)
    try:
        _draft(schema).check_schema(schema)
    except SchemaError as error:
        return [Fault(_short(error.message), tuple(error.absolute_path))]
    except Exception as error:
        return [Fault(f"it cannot be checked: {_cause(error)}", (), "simplify the schema")]
    if "object" not in _listed(schema.get("type", "object")):
        hint = 'use {"type": "object", "properties": {…}}'
        return [Fault("arguments are always an object", ("type",), hint)]
    return list(_lost_references(schema))


def argument_faults(parameters: object, arguments: object) -> list[Fault]:
    """What is wrong with a call's arguments by the schema of the tool that it names.

    :param parameters: the schema, or None where the tool takes no arguments.
    """
    from referencing import Registry

    if parameters is None:
        return [Fault("the tool has no parameters", (), "write {}")] if arguments else []
    schema = cast(dict[str, Any], parameters)
    try:
        # A registry of one's own: the default one would fetch a remote $ref.
        validator = _draft(schema)(schema, registry=Registry())
        errors = list(validator.iter_errors(cast(Any, arguments)))
    except Exception as error:
        # A schema is a program by a stranger: endless $ref, numbers beyond a float, odd patterns.
        return [Fault(f"that cannot be checked: {_cause(error)}", (), "simplify that schema")]
    faults = [Fault(_short(e.message), tuple(e.absolute_path)) for e in errors]
    return sorted(faults, key=lambda fault: pointer(fault.path))


def _draft(schema: dict[str, Any]) -> type[Validator]:
    """The validator of the draft that a schema names, 2020-12 where it names none that is known."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    try:
        return validator_for(schema, default=Draft202012Validator)
    except Exception:  # "$schema" is no string or no URI; check_schema says so
        return Draft202012Validator


def _lost_references(schema: dict[str, Any]) -> Iterator[Fault]:
    """References that lead out of the schema, or nowhere within it."""
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    registry: Registry[Any] = Registry()
    resolver = registry.resolver_with_root(DRAFT202012.create_resource(schema))
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), schema)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, list):
            waiting += [((*path, i), v) for i, v in enumerate(cast(list[object], item))]
        if not isinstance(item, dict):
            continue
        node = cast(dict[str, object], item)
        if path and isinstance(node.get("$id"), str):
            continue  # references below have another base; a call against the schema resolves them
        waiting += [((*path, k), v) for k, v in node.items() if k not in _LITERAL]
        reference = node.get("$ref")
        if isinstance(reference, str):
            try:
                resolver.lookup(reference)
            except Exception:  # Unresolvable, or a pointer that runs through a number or a text
                yield Fault(
                    f"$ref {reference!r} leads nowhere in this schema",
                    (*path, "$ref"),
                    'put what it means under "$defs" and refer to it as "#/$defs/NAME"; '
                    "nothing is fetched from the network",
                )


def _listed(value: object) -> list[object]:
    return cast(list[object], value) if isinstance(value, list) else [value]


def _cause(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it refers to itself without end, or is nested too deeply"
    return _short(f"{type(error).__name__}: {error}")


def _short(message: str, limit: int = 200) -> str:
    return message if len(message) <= limit else message[: limit - 1] + "…"
