"""Mutants of valid samples: where the schema knows, what must be refused, and what may be valid."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.schemata import Validator, pointer
from ftcore.testing.mutants import PER_SHAPE, Mutant, mutants
from ftcore.values import Sample

TEXT = {"type": "string"}


def closed(**properties: object) -> dict[str, Any]:
    """A closed object that requires all its keys but those that end with ``_``."""
    return {
        "type": "object",
        "properties": {name.rstrip("_"): schema for name, schema in properties.items()},
        "required": [name for name in properties if not name.endswith("_")],
        "additionalProperties": False,
    }


def made(schema: Any, *samples: Any) -> list[Mutant]:
    assert all(Validator(schema).problems(sample) == [] for sample in samples)
    return mutants(schema, [Sample(data, "f", n) for n, data in enumerate(samples, 1)])


def refused(found: list[Mutant], kind: str) -> set[str]:
    return {pointer(mutant.path) for mutant in found if mutant.kind == kind and mutant.refused}


def allowed(found: list[Mutant], kind: str) -> set[str]:
    return {pointer(mutant.path) for mutant in found if mutant.kind == kind and not mutant.refused}


def values(found: list[Mutant], at: str, *, must: bool) -> list[object]:
    """The values of other types at a place that must, or need not, be refused."""
    taken: list[object] = []
    for mutant in found:
        if mutant.kind == "type" and pointer(mutant.path) == at and mutant.refused == must:
            value: Any = mutant.sample.data
            for step in mutant.path:
                value = value[step]
            taken.append(value)
    return taken


DEEP = closed(
    ask=TEXT,
    turns={"type": "array", "items": closed(say=TEXT, mood_=closed(word=TEXT))},
    note_=TEXT,
)
DEEP_SAMPLE = {"ask": "a", "turns": [{"say": "b"}, {"say": "c", "mood": {"word": "d"}}]}


def test_every_depth_is_spoiled_in_every_way():
    found = made(DEEP, DEEP_SAMPLE)
    assert refused(found, "dropped") == {
        "/ask",
        "/turns",
        "/turns/0/say",
        "/turns/1/say",
        "/turns/1/mood/word",
    }
    assert allowed(found, "dropped") == {"/turns/1/mood"}
    assert refused(found, "extra") == {
        "/no_such_key",
        "/turns/0/no_such_key",
        "/turns/1/no_such_key",
        "/turns/1/mood/no_such_key",
    }
    assert allowed(found, "extra") == set()
    assert {"/ask", "/turns", "/turns/0", "/turns/0/say", "/turns/1/mood/word"} <= refused(
        found, "type"
    )


def test_a_key_that_no_sample_has_is_added_with_another_type():
    found = made(DEEP, DEEP_SAMPLE)
    assert values(found, "/note", must=True) == [None, True, 7, 0.5, [], {}]
    assert values(found, "/turns/0/mood", must=True) == [None, True, 7, 0.5, "text", []]


def test_a_mutant_is_the_sample_but_for_the_one_change_and_the_sample_stays():
    before = repr(DEEP_SAMPLE)
    found = made(DEEP, DEEP_SAMPLE)
    assert repr(DEEP_SAMPLE) == before
    assert {(m.sample.file, m.sample.line) for m in found} == {("f", 1)}
    datas = [m.sample.data for m in found]
    assert DEEP_SAMPLE not in datas
    assert {"ask": "a", "turns": [{"say": "b"}, {"say": "c"}]} in datas
    assert {"turns": DEEP_SAMPLE["turns"], "ask": 0.5} in datas
    assert {**DEEP_SAMPLE, "no_such_key": 0} in datas


def test_the_cores_keys_are_left_alone():
    found = made({**DEEP, "properties": {**DEEP["properties"], "comment": TEXT}}, DEEP_SAMPLE)
    assert not any(m.path[0] == "comment" for m in found)
    sample = {"cognitive_mode": "x", **DEEP_SAMPLE}
    assert [m.sample.data for m in mutants(DEEP, [Sample(sample, "f", 1)])] == [
        m.sample.data for m in made(DEEP, DEEP_SAMPLE)
    ]


# Types

NOT_TEXT: list[Any] = [None, True, 7, 0.5, [], {}]


@pytest.mark.parametrize(
    ("schema", "value", "must"),
    [
        ({"type": "string"}, "a", NOT_TEXT),
        ({"type": ["string", "null"]}, "a", [True, 7, 0.5, [], {}]),
        ({"type": "number"}, 1, [None, True, "text", [], {}]),
        ({"type": "integer"}, 1, [None, True, 0.5, "text", [], {}]),
        ({"enum": ["a", "b"]}, "a", NOT_TEXT),
        ({"enum": ["a", 1]}, "a", [None, True, [], {}]),
        ({"type": "integer", "enum": [1, 2]}, 1, [None, True, 0.5, "text", [], {}]),
        ({"const": None}, None, [True, 7, 0.5, "text", [], {}]),
        ({"type": ["string", "null"], "enum": ["a", 1]}, "a", NOT_TEXT),
        ({"allOf": [{"type": ["string", "null"]}, {"type": "string"}]}, "a", NOT_TEXT),
        ({"$ref": "#/$defs/text"}, "a", NOT_TEXT),
    ],
)
def test_the_types_that_the_schema_names_are_allowed_and_no_others(schema, value, must):
    found = made({**closed(x=schema), "$defs": {"text": TEXT}}, {"x": value})
    assert values(found, "/x", must=True) == must


def test_where_the_schema_names_no_type_it_means_the_one_that_is_there():
    found = made(closed(x={}, n={"minimum": 0}), {"x": "a", "n": 1})
    assert values(found, "/x", must=True) == NOT_TEXT
    assert values(found, "/n", must=True) == [None, True, "text", [], {}]


@pytest.mark.parametrize(
    "schema",
    [
        closed(x=True),
        {"type": "object", "additionalProperties": True},
        {"type": "object", "unevaluatedProperties": True},
    ],
)
def test_what_the_schema_leaves_open_in_so_many_words_is_left_alone(schema):
    found = made(schema, {"x": {"y": [1]}})
    assert not any(mutant.path[:1] == ("x",) and mutant.kind != "dropped" for mutant in found)


def test_values_under_keys_of_the_users_own_are_spoiled_by_their_schema():
    schema = {"type": "object", "additionalProperties": closed(y=TEXT)}
    found = made(schema, {"x": {"y": "a"}})
    assert refused(found, "extra") == {"/x/no_such_key"}
    assert allowed(found, "extra") == {"/no_such_key"}
    assert refused(found, "dropped") == {"/x/y"}


def test_an_object_that_says_nothing_of_unknown_keys_must_refuse_them_all_the_same():
    schema = {"type": "object", "properties": {"x": TEXT}}
    assert refused(made(schema, {"x": "a"}), "extra") == {"/no_such_key"}


# Branches


def test_a_value_of_another_branch_need_not_be_refused():
    schema = closed(x={"anyOf": [TEXT, {"type": "null"}, closed(y=TEXT)]})
    found = made(schema, {"x": "a"}, {"x": {"y": "b"}})
    assert None in values(found, "/x", must=False)
    assert None not in values(found, "/x", must=True)
    assert {7, 0.5} <= {v for v in values(found, "/x", must=True) if isinstance(v, float | int)}
    assert refused(found, "dropped") == {"/x", "/x/y"}
    assert refused(found, "extra") == {"/no_such_key", "/x/no_such_key"}


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_a_key_that_another_branch_does_without_need_not_be_there(keyword):
    both = closed(kind=TEXT, extra=TEXT)
    schema = closed(x={keyword: [both, closed(kind=TEXT)]})
    found = made(schema, {"x": {"kind": "a", "extra": "b"}})
    assert refused(found, "dropped") == {"/x", "/x/kind"}
    assert allowed(found, "dropped") == {"/x/extra"}
    assert "/x/no_such_key" in refused(found, "extra")


def test_an_open_branch_excuses_an_unknown_key_only_where_it_accepts_it():
    open_branch = {**closed(kind={"const": "free"}), "additionalProperties": True}
    schema = closed(x={"anyOf": [closed(kind=TEXT), open_branch]})
    assert "/x/no_such_key" in refused(made(schema, {"x": {"kind": "tied"}}), "extra")
    assert "/x/no_such_key" in allowed(made(schema, {"x": {"kind": "free"}}), "extra")


BY_ROLE: dict[str, Any] = {
    **closed(role={"enum": ["ask", "say"]}, text_=TEXT, mood_=TEXT),
    "if": {"properties": {"role": {"const": "say"}}, "required": ["role"]},
    "then": {"required": ["mood"]},
    "else": {"required": ["text"], "properties": {"mood": False}},
}


def test_what_a_condition_demands_must_be_there_while_the_condition_holds():
    found = made(BY_ROLE, {"role": "say", "mood": "glad"}, {"role": "ask", "text": "a"})
    assert refused(found, "dropped") == {"/role", "/mood", "/text"}
    found = made(BY_ROLE, {"role": "say", "mood": "glad", "text": "a"})
    assert allowed(found, "dropped") == {"/text"}


def test_a_condition_that_turns_excuses_what_it_demanded():
    schema = {
        **closed(kind_=TEXT, word_=TEXT),
        "if": {"required": ["kind"]},
        "then": {"required": ["kind", "word"]},
    }
    found = made(schema, {"kind": "a", "word": "b"})
    assert refused(found, "dropped") == {"/word"}
    assert allowed(found, "dropped") == {"/kind"}


def test_what_depends_on_a_key_is_demanded_while_the_key_is_there():
    schema = {
        **closed(a_=TEXT, b_=TEXT, c_=TEXT),
        "dependentRequired": {"a": ["b"]},
        "dependentSchemas": {"a": {"required": ["c", "a"]}},
    }
    found = made(schema, {"a": "1", "b": "2", "c": "3"})
    assert refused(found, "dropped") == {"/b", "/c"}
    assert allowed(found, "dropped") == {"/a"}


def test_a_schema_that_refers_to_itself_is_followed_as_deep_as_the_sample_goes():
    tree = closed(word=TEXT, below_={"$ref": "#"})
    found = made(tree, {"word": "a", "below": {"word": "b", "below": {"word": "c"}}})
    assert "/below/below/word" in refused(found, "dropped")
    circle = {"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {**closed(a=TEXT)}}}
    assert refused(made(circle, {"a": "b"}), "dropped") == {"/a"}


def test_a_reference_to_nowhere_is_an_error():
    schema = {"$ref": "#/$defs/x", **closed(a=TEXT)}
    with pytest.raises(LookupError, match="#/\\$defs/x"):
        mutants(schema, [Sample({"a": "b"}, "f", 1)])


def test_many_samples_alike_give_no_more_mutants_than_a_few():
    some = made(DEEP, *[DEEP_SAMPLE] * PER_SHAPE)
    assert len(made(DEEP, *[DEEP_SAMPLE] * 50)) == len(some)
    other = {"ask": "a", "turns": [], "note": "n"}
    assert len(made(DEEP, *[DEEP_SAMPLE] * 50, other)) > len(some)


# Against the validator, on schemas that nobody thought of

SIMPLE: dict[str, Any] = {
    "string": "a",
    "integer": 3,
    "number": 1.5,
    "boolean": False,
    "null": None,
}
NAMES = ["a", "b", "c"]


def objects(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Closed objects with some required keys, and a value that has those and some others."""

    def of(properties: dict[str, Any], required: set[str], given: set[str]) -> Any:
        schema = {
            "type": "object",
            "properties": {name: part[0] for name, part in properties.items()},
            "required": [name for name in properties if name in required],
            "additionalProperties": False,
        }
        kept = {n: part[1] for n, part in properties.items() if n in required | given}
        return schema, kept

    keys = st.sets(st.sampled_from(NAMES))
    return st.builds(of, st.dictionaries(st.sampled_from(NAMES), parts), keys, keys)


def arrays(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return parts.map(lambda part: ({"type": "array", "items": part[0]}, [part[1]]))


def nullable(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def of(part: Any) -> Any:
        schema, value = part
        return ({**schema, "type": [schema["type"], "null"]}, value)

    return parts.filter(lambda part: part[0].get("type") in SIMPLE and part[1] is not None).map(of)


LEAVES = st.sampled_from([({"type": name}, value) for name, value in SIMPLE.items()])
PLAIN = objects(
    st.recursive(LEAVES | nullable(LEAVES), lambda parts: objects(parts) | arrays(parts))
)


def branched(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The same values under schemas with branches of which at least one accepts them."""

    def of(part: Any, other: Any, keyword: str, first: bool) -> Any:
        schema, value = part
        if keyword == "allOf":
            return {"allOf": [schema, schema]}, value
        if keyword == "if":
            return {"if": other[0], "then": True, "else": schema, "allOf": [schema]}, value
        return {keyword: [schema, other[0]] if first else [other[0], schema]}, value

    keywords = st.sampled_from(["anyOf", "allOf", "if"])
    return st.builds(of, parts, parts, keywords, st.booleans())


BRANCHED = objects(
    st.recursive(LEAVES, lambda parts: objects(parts) | arrays(parts) | branched(parts))
)


@given(PLAIN)
def test_without_branches_a_mutant_must_be_refused_exactly_where_the_validator_refuses_it(case):
    schema, sample = case
    validator = Validator(schema)
    for mutant in made(schema, sample):
        assert mutant.refused == bool(validator.problems(mutant.sample.data)), mutant.what


@given(BRANCHED)
def test_with_branches_what_must_be_refused_is_refused(case):
    schema, sample = case
    validator = Validator(schema)
    for mutant in made(schema, sample):
        if mutant.refused:
            assert validator.problems(mutant.sample.data), mutant.what
