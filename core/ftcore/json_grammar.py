"""Makes a GBNF grammar of a JSON Schema, for JSON that is spelt exactly as a template writes it.

llama.cpp's own converter lets the white space free, so that a model could leave the spelling that
it was trained on. Members come in the order of ``properties``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

from attrs import frozen

from ftcore.gbnf import quoted
from ftcore.schemata import pointer

Path = tuple[str | int, ...]


@frozen
class Spelling:
    """How JSON is written."""

    comma: str = ", "
    colon: str = ": "
    ascii_only: bool = False

    def write(self, value: object) -> str:
        """A value as JSON in this spelling."""
        return json.dumps(value, ensure_ascii=self.ascii_only, separators=(self.comma, self.colon))


SPELLINGS = tuple(
    Spelling(comma, colon, ascii_only)
    for comma, colon in ((", ", ": "), (",", ":"))
    for ascii_only in (False, True)
)
"""Those that chat templates use."""


class SchemaError(ValueError):
    """A grammar cannot hold what a schema demands; ``pointer`` leads to it."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer(path)


def schema_rules(schema: object, name: str, spelling: Spelling) -> list[str]:
    """Rules of GBNF for the values that a JSON Schema allows, the first one called ``name``.

    :param name: of the rule; the names of all others begin with it and ``-``. The rules
        :func:`value_rules` are to stand beside them.
    :raises SchemaError: the schema demands what a grammar cannot hold or this module does not
        know, such as ``pattern`` or ``allOf``.
    """
    maker = _Maker(schema, name, spelling)
    body = maker.expression(schema, ())
    return [f"{name} ::= {body}", *maker.rules]


def value_rules(spelling: Spelling) -> list[str]:
    """Rules ``json-…`` for any JSON value."""
    comma, colon = quoted(spelling.comma), quoted(spelling.colon)
    if spelling.ascii_only:
        plain = r"[ !#-\[\]-~]"
        escaped = (
            r'"u" ([0-9a-cefA-CEF] json-hex{3} | [dD] [0-7] json-hex{2} '
            r'| [dD] [89abAB] json-hex{2} "\\u" [dD] [c-fC-F] json-hex{2})'
        )
    else:
        plain = r'[^"\\\x00-\x1F\x7F]'
        escaped = r'"u00" [01] json-hex'
    return [
        "json-value ::= json-object | json-array | json-string | json-number "
        '| "true" | "false" | "null"',
        f'json-object ::= "{{" (json-string {colon} json-value '
        f'({comma} json-string {colon} json-value)*)? "}}"',
        f'json-array ::= "[" (json-value ({comma} json-value)*)? "]"',
        'json-string ::= "\\"" json-character* "\\""',
        rf'json-character ::= {plain} | "\\" (["\\bfnrt] | {escaped})',
        "json-hex ::= [0-9a-fA-F]",
        'json-integer ::= "-"? json-natural',
        'json-natural ::= "0" | [1-9] [0-9]{0,15}',
        'json-number ::= json-integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?',
    ]


_NOTES = frozenset(
    {
        *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
        *("format", "$schema", "$id", "$comment", "$defs", "definitions"),
    }
)
"""Keywords that demand nothing."""
_OF_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum"},
    "boolean": set[str](),
    "null": set[str](),
}
_MOST_NUMBERS = 1000
"""Whole numbers of a range that are written out one by one."""
_MOST_REPEATS = 2000
"""As many repetitions llama.cpp takes."""


class _Maker:
    def __init__(self, root: object, name: str, spelling: Spelling) -> None:
        self.rules: list[str] = []
        self._root = root
        self._name = name
        self._spelling = spelling
        self._made: dict[str, str] = {}  # by reference, the rule

    def expression(self, schema: object, path: Path) -> str:
        """What stands in a rule for a value of a schema; alternatives are in parentheses."""
        if schema is True or schema == {}:
            return "json-value"
        if not isinstance(schema, Mapping):
            self._refuse("allows no value", path)
        node = cast("Mapping[str, Any]", schema)
        demands = set(node) - _NOTES
        if "$ref" in node:
            self._only(demands, {"$ref"}, path)
            return self._reference(node["$ref"], path)
        for key in ("const", "enum"):
            if key in node:
                self._only(demands, {key, "type"}, path)
                values = [node[key]] if key == "const" else cast("list[object]", node[key])
                return self._either([quoted(self._spelling.write(value)) for value in values])
        for key in ("anyOf", "oneOf", "allOf"):
            if key in node:
                self._only(demands, {key, "type"}, path)
                members = cast("list[object]", node[key])
                if key == "allOf" and len(members) > 1:
                    self._refuse("allOf", path)
                return self._either(
                    [self.expression(m, (*path, key, i)) for i, m in enumerate(members)]
                )
        types = node.get("type", "object" if "properties" in node else list(_OF_TYPE))
        names = cast("list[str]", types if isinstance(types, list) else [types])
        unknown = [name for name in names if name not in _OF_TYPE]
        if unknown:
            self._refuse(f"the type {unknown[0]!r}", path)
        self._only(demands, {"type"}.union(*(_OF_TYPE[name] for name in names)), path)
        return self._either([self._typed(name, node, path) for name in names])

    def _typed(self, kind: str, node: Mapping[str, Any], path: Path) -> str:
        match kind:
            case "object":
                return self._object(node, path)
            case "array":
                item = self.expression(node.get("items", True), (*path, "items"))
                return self._array(item, node, path)
            case "string":
                low, high = node.get("minLength", 0), node.get("maxLength")
                return f'"\\"" {self._times("json-character", low, high, path)} "\\""'
            case "integer":
                return self._integer(node, path)
            case "number":
                least = node.get("minimum")
                if least is None:
                    return "json-number"
                if least != 0:
                    self._refuse(f"a number with the minimum {least}", (*path, "minimum"))
                return 'json-natural ("." [0-9]{1,16})?'
            case "boolean":
                return '("true" | "false")'
            case _:
                return '"null"'

    def _object(self, node: Mapping[str, Any], path: Path) -> str:
        properties = cast("Mapping[str, Any]", node.get("properties", {}))
        required = cast("Sequence[str]", node.get("required", ()))
        others = node.get("additionalProperties", True)
        for name in required:
            if name not in properties:
                self._refuse(f"{name!r}, which is required and not described", (*path, "required"))
        if not properties:
            return '"{}"' if others is False else self._map(others, path)
        members = [self._member(key, value, path) for key, value in properties.items()]
        needed = [key in required for key in properties]
        comma = quoted(self._spelling.comma)

        def after(place: int) -> str:
            rest = zip(members[place:], needed[place:], strict=True)
            return "".join(f" {comma} {m}" if must else f" ({comma} {m})?" for m, must in rest)

        # the first member that is written, and those that may follow it
        firsts: list[str] = []
        for place, member in enumerate(members):
            firsts.append(member + after(place + 1))
            if needed[place]:
                break
        optional = "" if any(needed) else "?"
        return f'"{{" ({" | ".join(firsts)}){optional} "}}"'

    def _map(self, others: object, path: Path) -> str:
        if others is True:
            return "json-object"
        value = self.expression(others, (*path, "additionalProperties"))
        comma, colon = quoted(self._spelling.comma), quoted(self._spelling.colon)
        member = f"json-string {colon} {value}"
        return f'"{{" ({member} ({comma} {member})*)? "}}"'

    def _member(self, key: str, schema: object, path: Path) -> str:
        """A rule for one member, so that it can stand in several places."""
        before = quoted(self._spelling.write(key) + self._spelling.colon)
        return self._rule(f"{before} {self.expression(schema, (*path, 'properties', key))}")

    def _array(self, item: str, node: Mapping[str, Any], path: Path) -> str:
        low, high = node.get("minItems", 0), node.get("maxItems")
        if high == 0:
            return '"[]"'
        more = f"({quoted(self._spelling.comma)} {item})"
        rest = self._times(more, max(low - 1, 0), None if high is None else high - 1, path)
        return f'"[" {item} {rest} "]"' if low else f'"[" ({item} {rest})? "]"'

    def _integer(self, node: Mapping[str, Any], path: Path) -> str:
        low, high = node.get("minimum"), node.get("maximum")
        if low is None and high is None:
            return "json-integer"
        if high is None and low in (0, 1):
            return "json-natural" if low == 0 else "[1-9] [0-9]{0,15}"
        if low is None or high is None or high - low >= _MOST_NUMBERS:
            self._refuse("this range of numbers", path)
        numbers = range(-int(-low // 1), int(high // 1) + 1)
        return self._either([quoted(str(number)) for number in numbers])

    def _times(self, what: str, low: int, high: int | None, path: Path) -> str:
        if high is not None and high < low:
            self._refuse("allows no value", path)
        if max(low, high or 0) > _MOST_REPEATS:
            self._refuse(f"more than {_MOST_REPEATS} repetitions", path)
        if high is None:
            return f"{what}*" if low == 0 else f"{what}{{{low},}}"
        return f"{what}{{{low},{high}}}" if high else ""

    def _reference(self, reference: object, path: Path) -> str:
        if not isinstance(reference, str) or not reference.startswith("#"):
            self._refuse(f"$ref {reference!r}", path)
        if reference not in self._made:
            target: Any = self._root
            for step in reference.removeprefix("#").split("/")[1:]:
                key = step.replace("~1", "/").replace("~0", "~")
                if not isinstance(target, Mapping) or key not in target:
                    self._refuse(f"$ref {reference!r}", path)
                target = cast("Mapping[str, Any]", target)[key]
            self._made[reference] = self._rule("")  # named first: it may refer to itself
            at = len(self.rules) - 1
            body = self.expression(target, path)
            self.rules[at] += body
        return self._made[reference]

    def _rule(self, body: str) -> str:
        name = f"{self._name}-{len(self.rules) + 1}"
        self.rules.append(f"{name} ::= {body}")
        return name

    def _either(self, options: Sequence[str]) -> str:
        if not options:
            return self._refuse("allows no value", ())
        return options[0] if len(options) == 1 else f"({' | '.join(options)})"

    def _only(self, demands: set[str], known: set[str], path: Path) -> None:
        for keyword in sorted(demands - known):
            self._refuse(keyword, (*path, keyword))

    def _refuse(self, what: str, path: Path) -> NoReturn:
        raise SchemaError(what, path)
