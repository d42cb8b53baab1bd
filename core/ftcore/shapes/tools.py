"""Reads definitions of tools as collections write them, and gives them OpenAI's form."""

from __future__ import annotations

import re
from typing import Any, cast

from attrs import field, frozen

from ftcore.origins import Origins
from ftcore.schemata import shown
from ftcore.shapes.embedded import ShapeError, read_json
from ftcore.values import Json

REWRITTEN = "definitions of tools in Python's words were rewritten as JSON Schema"
"""What is said of a record whose tools say ``dict`` or ``str, optional``, or hold ``required``
beside the parameters."""

HINT = (
    """write a list of {"name": …, "description": …, "parameters": …}, or the same as JSON text"""
)


@frozen
class Tools:
    """Tools in OpenAI's form."""

    definitions: list[dict[str, Any]] = field(factory=list[dict[str, Any]])
    origins: Origins = field(factory=Origins)
    """From pointers below the list."""
    rewritten: bool = False
    """Whether a schema was not JSON Schema and had to be read as what it meant."""


def read_tools(value: object, at: str) -> Tools:
    """The tools that a record defines.

    :param value: a list of definitions, one definition, JSON text of either, or None or an empty
        text where there are none. A definition is OpenAI's (``{"type": "function", "function":
        {…}}``) or bare (``{"name": …, "parameters": {…}}``; Anthropic calls the latter
        ``input_schema``).
    :param at: JSON pointer to the value in the record.
    :raises ShapeError: it is something else.
    """
    is_text = isinstance(value, str)
    if isinstance(value, str):
        value = read_json(value, at, "the text of the tools") if value.strip() else None
    if value is None:
        return Tools()
    if not isinstance(value, list | dict):
        raise ShapeError(f"the tools must be a list, this is {shown(value)}", at, HINT)
    items = cast("list[object]", value if isinstance(value, list) else [value])
    definitions: list[dict[str, Any]] = []
    places: dict[str, str] = {}
    rewritten = False
    for index, item in enumerate(items):
        place = at if is_text or isinstance(value, dict) else f"{at}/{index}"
        function = _function(item, place)
        function, mended = _with_schema(function)
        rewritten = rewritten or mended
        definitions.append({"type": "function", "function": function})
        if isinstance(item, dict) and "function" not in item:
            places[f"/{index}/function"] = place
        places[f"/{index}"] = place
    return Tools(definitions, Origins(texts={"": at}) if is_text else Origins(places), rewritten)


def _function(item: object, at: str) -> dict[str, Any]:
    if isinstance(item, dict):
        outer = cast("dict[str, Any]", item)
        inner = outer.get("function", outer)
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):  # pyright: ignore[reportUnknownMemberType]
            function = dict(cast("dict[str, Any]", inner))
            if inner is outer and function.get("type") == "function":
                del function["type"]  # as OpenAI's Responses API writes a tool
            elif "parameters" not in function and isinstance(outer.get("parameters"), dict):
                function["parameters"] = outer["parameters"]
            return {key: v for key, v in function.items() if v is not None}
    raise ShapeError(f"this is no definition of a tool: {shown(cast('object', item))}", at, HINT)


def _with_schema(function: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The function with a JSON Schema as its parameters, and whether it had to be mended."""
    written: object = function.get("parameters", function.get("input_schema"))
    if not isinstance(written, dict):
        return function, False
    schema = cast("dict[str, Any]", written)
    required: object = function.get("required")
    if _is_flat(schema):
        optional = [k for k, v in schema.items() if "optional" in str(v.get("type", ""))]
        if optional and required is None:
            required = [k for k in schema if k not in optional]
        schema = {"type": "object", "properties": schema}
    if isinstance(required, list) and "required" not in schema:
        schema = {**schema, "required": cast("list[object]", required)}
    schema = _json_schema(schema)
    if "input_schema" not in function and "required" not in function and schema is written:
        return function, False
    said = ("input_schema", "required" if required == schema.get("required") else "")
    kept = {key: value for key, value in function.items() if key not in said}
    return {**kept, "parameters": schema}, schema is not written


def _is_flat(schema: Json) -> bool:
    """Whether it maps each argument to its schema, without the object around them."""
    return bool(schema) and all(
        isinstance(value, dict) and ("type" in value or "description" in value)
        for value in schema.values()
    )


def _json_schema(schema: Json) -> Json:
    """The schema with types in Python's words replaced; the same object where there are none."""
    new: dict[str, Any] = {}
    for key, value in schema.items():
        match key, value:
            case "type", str() if value not in JSON_TYPES:
                read = _read_type(value)
                new |= {k: v for k, v in read.items() if k == "type" or k not in schema}
            case "properties" | "patternProperties" | "$defs" | "definitions", dict():
                new[key] = {k: _schema(v) for k, v in cast("Json", value).items()}
            case "items" | "additionalProperties" | "not", dict():
                new[key] = _schema(cast("Json", value))
            case "anyOf" | "oneOf" | "allOf", list():
                new[key] = [_schema(v) for v in cast("list[object]", value)]
            case _:
                new[key] = value
    return schema if new == schema else new


def _schema(value: object) -> object:
    return _json_schema(cast("Json", value)) if isinstance(value, dict) else value


def _read_type(written: str) -> dict[str, Any]:
    """The keywords that a type in Python's words stands for; as it is if it is not understood."""
    text = _OPTIONAL.sub("", written.strip())
    outer = _GENERIC.fullmatch(text)
    name, inside = (outer[1], outer[2].strip()) if outer else (text, "")
    name = name.rpartition(".")[2].lower()
    if name == "any" and not outer:
        return {}
    if name == "optional" and inside:
        return _read_type(inside)
    kind = PYTHON_TYPES.get(name, name)
    if kind not in JSON_TYPES:
        return {"type": written}
    if kind == "array" and inside and "," not in inside:
        return {"type": kind, "items": _read_type(inside)}
    return {"type": kind}


JSON_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
PYTHON_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
    "set": "array",
    "sequence": "array",
    "dict": "object",
    "dictionary": "object",
    "hash": "object",
    "none": "null",
}
"""Types as the Berkeley Function-Calling Leaderboard, ToolACE and xLAM write them."""
_OPTIONAL = re.compile(r"\s*,?\s*\(?\boptional\)?$", re.IGNORECASE)
_GENERIC = re.compile(r"([\w.]+)\s*\[(.+)\]", re.DOTALL)
