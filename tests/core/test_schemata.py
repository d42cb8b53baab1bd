"""Problems in a person's words: the right place, the right key, and none is ever lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ftcore.schemata import MAX_SHOWN, Validator, pointer, shown

CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "description": "a city's name"},
        "days": {"type": "integer", "minimum": 1},
        "unit": {"enum": ["metric", "imperial"]},
    },
    "required": ["city"],
    "additionalProperties": False,
}


def only(schema: dict[str, Any], value: object) -> tuple[str, str, str]:
    (problem,) = Validator(schema).problems(value)
    return problem.pointer, problem.message, problem.hint


@pytest.mark.parametrize(
    ("value", "pointer", "message", "hint"),
    [
        ([], "", "must be object, is []", ""),
        ({}, "", "the key 'city' is missing", ""),
        ({"city": 5}, "/city", "must be string, is 5", "a city's name"),
        ({"city": ""}, "/city", "must not be empty", "a city's name"),
        ({"city": "Rome", "unit": "x"}, "/unit", 'must be one of "metric", "imperial", is "x"', ""),
        ({"city": "Rome", "days": 0}, "/days", "0 is less than the minimum of 1", ""),
        ({"city": "Rome", "dys": 1}, "/dys", "unknown key 'dys'", "did you mean 'days'?"),
        ({"city": "Rome", "a/b~": 1}, "/a~1b~0", "unknown key 'a/b~'", "allowed here: city"),
    ],
)
def test_each_problem_says_where_what_and_how_to_mend_it(value, pointer, message, hint):
    found = only(CITY, value)
    assert found[:2] == (pointer, message)
    assert hint in found[2]


def test_all_problems_are_given_in_the_order_of_the_document():
    problems = Validator({"items": CITY}).problems([{"city": 1}] * 11 + [{}])
    assert [p.pointer for p in problems] == [f"/{index}/city" for index in range(11)] + ["/11"]


def test_a_long_value_is_shortened():
    _, message, _ = only({"type": "integer"}, "x" * 10_000)
    assert len(message) < MAX_SHOWN + 40


def test_keys_that_a_pattern_allows_are_not_called_unknown():
    schema = {"patternProperties": {"^x-": {}}, "additionalProperties": False}
    assert only(schema, {"x-own": 1, "y": 2})[0] == "/y"


def test_keys_that_another_part_of_the_schema_allows_are_not_called_unknown():
    schema = {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}
    assert only(schema, {"a": 1, "b": 2})[0] == "/b"


def test_a_value_that_nothing_may_stand_for_is_said_to_be_forbidden():
    found = only({"properties": {"a": False}}, {"a": 5})
    assert found[1:] == ("is not allowed here: 5", "remove it")


def test_of_alternatives_the_nearest_one_complains():
    text = {"properties": {"type": {"const": "text"}, "text": {"type": "string"}}}
    image = {"properties": {"type": {"const": "image"}, "url": {"type": "string"}}}
    both = {"anyOf": [{**text, "required": ["text"]}, {**image, "required": ["url"]}]}
    assert only(both, {"type": "text", "text": 5})[1] == "must be string, is 5"


def test_a_schema_that_is_none_is_refused_with_the_place():
    with pytest.raises(ValueError, match="/properties/a/type"):
        Validator({"properties": {"a": {"type": "strnig"}}})


def test_a_schema_never_reaches_for_the_network():
    with pytest.raises(Exception, match=r"example.invalid") as caught:
        Validator({"$ref": "https://example.invalid/schema"}).problems({})
    assert "Unresolvable" in str(caught.value)
    assert "urlopen" not in str(caught.value.__cause__)


def test_a_schema_may_refer_to_the_metaschema():
    schema = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
    assert Validator(schema).problems({"type": "string"}) == []
    assert Validator(schema).problems({"type": "strnig"})


LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "'a'"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "x-a", "'a'"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | st.sampled_from(
        [
            {"type": "string"},
            {"type": ["integer", "null"]},
            {"enum": [1, "a", None]},
            {"const": {"a": 1}},
            {"minItems": 1},
            {"minItems": 2},
            {"minLength": 1},
            {"minProperties": 1},
            {"maxProperties": 0},
            {"minimum": 0},
            {"uniqueItems": True},
            {"required": ["a", "'a'"]},
            {"dependentRequired": {"a": ["b"]}},
            {"propertyNames": {"pattern": "^a"}},
            {"propertyNames": False},
            {"pattern": "^a"},
        ]
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
            "patternProperties": st.fixed_dictionaries({"^x-": inner}),
            "additionalProperties": inner,
            "unevaluatedProperties": inner,
            "items": inner,
            "contains": inner,
            "not": inner,
            "if": inner,
            "then": inner,
            "dependentSchemas": st.fixed_dictionaries({"a": inner}),
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=3),
            "allOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)


@given(SCHEMAS, VALUES)
def test_a_value_has_problems_exactly_if_it_is_invalid(schema, value):
    problems = Validator(schema).problems(value)
    assert bool(problems) != Draft202012Validator(schema).is_valid(value)
    assert all(problem.message for problem in problems)


@given(st.lists(st.text() | st.integers(0, 20), max_size=4), st.integers())
def test_a_pointer_leads_back_to_the_place(path, value):
    document: Any = value
    for step in reversed(path):
        document = {str(step): document}
    node = document
    for step in pointer(path).split("/")[1:]:
        node = node[step.replace("~1", "/").replace("~0", "~")]
    assert node == value


@given(VALUES)
def test_a_shown_value_is_short(value):
    assert len(shown(value)) <= MAX_SHOWN
