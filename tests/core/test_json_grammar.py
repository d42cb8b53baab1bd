"""A schema's grammar describes the JSON that fits it, in one spelling, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.gbnf import Grammar, parse_gbnf
from ftcore.json_grammar import SPELLINGS, SchemaError, Spelling, schema_rules, value_rules

PLAIN = Spelling()


def grammar(schema: object, spelling: Spelling = PLAIN) -> Grammar:
    rules = schema_rules(schema, "root", spelling)
    return parse_gbnf("\n".join([*rules, *value_rules(spelling)]))


values: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e9, 1e9).map(lambda x: round(x, 6))
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text('ab"é', max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(values, st.sampled_from(SPELLINGS))
def test_any_json_is_described_in_its_spelling(value, spelling):
    assert grammar(True, spelling).accepts(spelling.write(value))


def test_another_spelling_is_not():
    assert not grammar(True).accepts('{"a":1}')
    assert not grammar(True).accepts("[1,2]")
    assert not grammar(True, SPELLINGS[1]).accepts('"é"')
    assert not grammar(True).accepts(' "a"')


OBJECT = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "minLength": 1, "maxLength": 3},
        "b": {"type": "integer", "minimum": -2, "maximum": 12},
        "c": {"enum": ["x", 1, None]},
        "d": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
        "e": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]},
        "f": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        "g": {"type": ["number", "null"], "description": "how warm"},
    },
    "required": ["b", "d"],
    "additionalProperties": False,
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {"left": {"$ref": "#/$defs/tree"}, "n": {"const": 7}},
            "required": ["n"],
            "additionalProperties": False,
        }
    },
}
PARTS: dict[str, list[Any]] = {
    "a": ["", "x", 'é"\n', "long"],
    "b": [-3, -2, 0, 7, 12, 13, 1.5, "1", True],
    "c": ["x", 1, None, "y", 2],
    "d": [[], [True], [True, False], [True, False, True], [1]],
    "e": [None, {"n": 7}, {"left": {"n": 7}, "n": 7}, {"left": {}, "n": 7}, {"n": 8}, {}],
    "f": [{}, {"k": 1}, {"k": 1, "l": 20}, {"k": 0}, 1],
    "g": [None, 1, -2.5, 1e20, "1", True],
}


@given(st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in PARTS.items()}))
def test_what_fits_the_schema_is_described_and_nothing_else(value):
    value = {key: value[key] for key in PARTS if key in value}  # in the order of the schema
    fits = jsonschema.Draft202012Validator(OBJECT).is_valid(value)
    assert grammar(OBJECT).accepts(json.dumps(value, ensure_ascii=False)) == fits


def test_members_come_in_the_order_of_the_schema():
    two = grammar({"properties": {"a": True, "b": True}})
    accepted = ["{}", '{"a": 1}', '{"b": 1}', '{"a": 1, "b": 1}']
    assert all(map(two.accepts, accepted))
    assert not two.accepts('{"b": 1, "a": 1}')
    assert not two.accepts('{, "b": 1}')


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "string", "pattern": "^a"}, "/pattern"),
        ({"type": "object", "properties": {"x": {"not": {}}}}, "/properties/x/not"),
        ({"allOf": [{"type": "object"}, {"type": "object"}]}, ""),
        ({"type": "array", "items": {"type": "string", "format": "date"}, "uniqueItems": True},
         "/uniqueItems"),
        ({"type": "integer", "minimum": 5}, ""),
        ({"type": "number", "maximum": 5}, "/maximum"),
        ({"$ref": "https://example.org/x"}, ""),
        ({"$ref": "#/$defs/none"}, ""),
        ({"type": "strnig"}, ""),
        ({"type": "object", "required": ["a"]}, "/required"),
        (False, ""),
    ],
)  # fmt: skip
def test_what_a_grammar_cannot_hold_is_refused_with_its_place(schema, pointer):
    with pytest.raises(SchemaError) as caught:
        grammar(schema)
    assert caught.value.pointer == pointer
    assert caught.value.message
