"""A settings file: every key has its line, and every mistake its line, column and mending."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import ProblemsError
from ftcore.jsontext import JsonTextError, parse_json, read_json_object
from ftcore.schemata import pointer

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**50), 10**50)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20
)


@given(values, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_reads_what_the_standard_library_writes(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse_json(text).value == value
    assert parse_json(text).duplicates == ()


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn\\u \n\t/#', max_size=60))
def test_accepts_and_refuses_as_the_standard_library_does(text):
    def strict(constant: str) -> None:
        raise ValueError(constant)

    try:
        expected = json.loads(text, parse_constant=strict)
    except ValueError:
        expected = ...
    try:
        found = parse_json(text).value
    except JsonTextError as error:
        assert expected is ... or "inf" in repr(expected) or "surrogate" in error.message
        lines = text.count("\n") + 1
        assert 1 <= error.line <= lines
        assert 1 <= error.column <= len(text) + 1
    else:
        assert found == expected


@given(st.dictionaries(keys, st.dictionaries(keys, scalars)), st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_key_has_the_line_it_stands_on(value, newline):
    text = json.dumps(value, indent="\t")
    document = parse_json(text.replace("\n", newline))
    lines = text.split("\n")
    for outer, inner in value.items():
        assert lines[document.lines[pointer([outer])] - 1].startswith(f"\t{json.dumps(outer)}: ")
        for key in inner:
            line = lines[document.lines[pointer([outer, key])] - 1]
            assert line.startswith(f"\t\t{json.dumps(key)}: ")


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ('{"a": 1,}', (1, 8), "no comma may stand before }", "remove the comma"),
        ('{"a": 1\n "b": 2}', (2, 2), "a comma or } is missing before this", ""),
        ("{a: 1}", (1, 2), "a key is expected here", "double quotes"),
        ('{"a": True}', (1, 7), "'True' is no JSON value", "write true"),
        ('{"a": .5}', (1, 7), "'.5' is no JSON value", "write 0.5"),
        ('{"a": 1_000}', (1, 7), "'1_000' is no JSON value", "write 1000"),
        ('{"a": NaN}', (1, 7), "'NaN' is no JSON value", "finite"),
        ('{"a": 1e999}', (1, 7), "the number 1e999 is too large", ""),
        ('{"a": ' + "9" * 5000 + "}", (1, 7), "a number of 5000 digits is too long", ""),
        ("{\n // why\n}", (2, 2), "a key is expected here", '"comment"'),
        ('{"a": "x\ny"}', (1, 7), "the text in quotes does not end on its line", "close it"),
        (r'{"a": "C:\data"}', (1, 10), "wrong escape after a backslash", r"\\"),
        (r'{"a": "\ud800"}', (1, 7), "half of a surrogate pair", ""),
        ('{"a": 1', (1, 8), "the text ends too early", "closing bracket"),
        ("", (1, 1), "there is nothing in it", "{}"),
        ("{} {}", (1, 4), "there is something after the end", "remove"),
        ("[" * 100_000, (1, 66), "nested more than 64 deep", ""),
    ],
)
def test_a_mistake_is_explained_where_it_is(text, place, message, hint):
    with pytest.raises(JsonTextError) as caught:
        parse_json(text)
    error = caught.value
    assert (error.line, error.column) == place
    assert message in error.message
    assert hint in error.hint


def test_a_key_that_stands_twice_is_named_with_both_lines():
    document = parse_json('{\n"a": {"b": 1,\n"b": 2},\n"c": 3,\n"c": 4}')
    assert [(d.pointer, d.line, d.first_line) for d in document.duplicates] == [
        ("/a/b", 3, 2),
        ("/c", 5, 4),
    ]
    assert document.value == {"a": {"b": 2}, "c": 4}


def refusal(path: Path) -> str:
    with pytest.raises(ProblemsError) as caught:
        read_json_object(path, path.name)
    (problem,) = caught.value.problems
    assert caught.value.exit_code == 2
    return str(problem)


def test_files_that_cannot_be_used_are_refused_in_one_problem(tmp_path):
    file = tmp_path / "my-config.json"
    assert "there is no file my-config.json" in refusal(file)
    file.mkdir()
    assert "my-config.json is a directory" in refusal(file)
    file.rmdir()
    file.write_bytes(b'{\r\n"note": "\xff"}')
    assert refusal(file).startswith("my-config.json:2: byte 0xff is not UTF-8")
    file.write_text("[]")
    assert refusal(file).startswith("my-config.json:1: must hold one JSON object")
    file.write_bytes(b" " * (2**20 + 1))
    assert "longer than 1 MiB" in refusal(file)


def test_a_missing_file_is_guessed_from_its_neighbours(tmp_path):
    (tmp_path / "my-config.json").write_text("{}")
    assert "did you mean 'my-config.json'?" in refusal(tmp_path / "my-confg.json")


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    file = tmp_path / "bom.json"
    file.write_bytes(b'\xef\xbb\xbf{"seed": 1}')
    assert read_json_object(file, file.name).value == {"seed": 1}
