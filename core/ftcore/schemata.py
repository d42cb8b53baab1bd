"""Validates JSON values against a JSON Schema and says what is wrong in a person's words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from ftcore.values import Json, Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

MAX_SHOWN = 60
"""Characters of an offending value that a message shows."""


class Validator:
    """A compiled JSON Schema, draft 2020-12.

    :raises ValueError: the schema does not satisfy the metaschema.
    """

    def __init__(self, schema: Json) -> None:
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema_specifications import REGISTRY  # pyright: ignore[reportMissingTypeStubs]

        try:
            Draft202012Validator.check_schema(cast("dict[str, Any]", schema))
        except SchemaError as error:
            at = pointer(error.absolute_path)
            raise ValueError(f"{at}: {error.message}" if at else error.message) from error
        # given a registry, jsonschema does not fetch a $ref to another host
        self._validator: Any = Draft202012Validator(
            cast("dict[str, Any]", schema), registry=REGISTRY
        )

    def problems(self, value: object) -> list[Problem]:
        """Every violation, ordered by its place in the document, without file and line."""
        errors: list[ValidationError] = list(self._validator.iter_errors(value))
        errors.sort(key=lambda error: [(isinstance(s, str), s) for s in error.absolute_path])
        return [problem for error in errors for problem in _explained(error)]


def pointer(path: Iterable[str | int]) -> str:
    """The RFC 6901 JSON pointer of a path of keys and indices."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def shown(value: object) -> str:
    """A value as a message quotes it: JSON, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def unknown_key(key: str, known: list[str], at: str) -> Problem:
    """The problem of a key that is not among the known ones, with a did-you-mean."""
    close = difflib.get_close_matches(key, known, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    allowed = f"allowed here: {', '.join(known)}" if known else "no key is allowed here"
    return Problem(f"unknown key {key!r}", at, meant + allowed)


def _explained(error: ValidationError) -> list[Problem]:
    """At least one problem: an invalid value must never pass for a valid one."""
    found = list(_explain(error))
    return found or [Problem(error.message, pointer(error.absolute_path))]


def _explain(error: ValidationError) -> Iterable[Problem]:
    at = pointer(error.absolute_path)
    schema: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    hint = str(schema.get("description", ""))
    value: Any = error.instance
    limit: Any = error.validator_value
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties" if isinstance(value, dict):
            known = list(schema.get("properties", {}))
            for key in cast("dict[str, Any]", value):
                # other parts of the schema may allow a key; jsonschema's message has the rest
                if key not in known and repr(key) in error.message:
                    yield unknown_key(key, known, pointer([*error.absolute_path, key]))
        case "required":
            # jsonschema reports each missing key by itself and names it only in the message
            for key in limit:
                if error.message.startswith(f"{key!r} "):
                    yield Problem(f"the key {key!r} is missing", at, hint)
        case "type":
            kinds = limit if isinstance(limit, str) else " or ".join(limit)
            yield Problem(f"must be {kinds}, is {shown(value)}", at, hint)
        case "enum":
            allowed = ", ".join(shown(choice) for choice in limit)
            yield Problem(f"must be one of {allowed}, is {shown(value)}", at, hint)
        case "const":
            yield Problem(f"must be {shown(limit)}, is {shown(value)}", at, hint)
        case "minItems" | "minLength" | "minProperties" if not value:
            yield Problem("must not be empty", at, hint)
        case "oneOf" | "anyOf":
            yield from _closest(error, at, hint)
        case _ if error.schema is False or error.validator == "not":
            yield Problem(f"is not allowed here: {shown(value)}", at, hint or "remove it")
        case _:
            yield Problem(error.message.replace(repr(value), shown(value)), at, hint)


def _closest(error: ValidationError, at: str, hint: str) -> Iterable[Problem]:
    """Of several alternatives, the complaints of the one that the value comes nearest to."""
    branches: dict[str | int | None, list[ValidationError]] = {}
    for child in error.context or ():
        # the schema `false` fails without a path
        branches.setdefault(next(iter(child.schema_path), None), []).append(child)
    if not branches:
        yield Problem(
            f"fits more than one of the allowed shapes: {shown(error.instance)}", at, hint
        )
        return
    # the branch whose complaints lie deepest got furthest; of equals, the one with the fewest
    nearest = max(
        branches.values(),
        key=lambda found: (max(len(c.absolute_path) for c in found), -len(found)),
    )
    for child in nearest:
        yield from _explained(child)
