"""Reading JSONL: whatever bytes a file holds, each line is a sample or a problem at that line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import InputError
from ftcore.records import MAX_DEPTH, MAX_LINE_BYTES, read_jsonl
from ftcore.values import Problem, Sample

MIB = 2**20


@pytest.fixture
def read(tmp_path: Path):
    """Writes bytes to ``data.jsonl`` and gives what is read from it."""

    def write_and_read(raw: bytes) -> list[Sample | Problem]:
        path = tmp_path / "data.jsonl"
        path.write_bytes(raw)
        return list(read_jsonl(path))

    return write_and_read


@pytest.fixture
def problem(read):
    """The one problem of a file, which must not hold anything else."""

    def only(raw: bytes) -> Problem:
        (found,) = read(raw)
        assert isinstance(found, Problem)
        assert found.file.endswith("data.jsonl")
        assert found.hint
        return found

    return only


# Files that cannot be read


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_a_file_that_fails_while_it_is_read():
    with pytest.raises(InputError, match="cannot be read"):
        list(read_jsonl(Path("/proc/self/mem")))


def test_a_file_that_vanished(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        list(read_jsonl(tmp_path / "gone.jsonl"))


# What is accepted


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1}\n{"a": 2}\n',
        b'{"a": 1}\n{"a": 2}',
        b'{"a": 1}\r\n{"a": 2}\r\n',
        b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n',
        b' {"a": 1} \n\t{"a":2}\n\n',
    ],
    ids=["LF", "no last line end", "CRLF", "BOM", "white space"],
)
def test_usual_ways_to_write_lines(read, raw):
    found = read(raw)
    assert [(dict(s.data), s.line) for s in found] == [({"a": 1}, 1), ({"a": 2}, 2)]


def test_blank_lines_are_passed_over_and_counted(read):
    found = read(b'\n\n{"a": 1}\n \t\r\n{"a": 2}\n\n')
    assert [(dict(s.data), s.line) for s in found] == [({"a": 1}, 3), ({"a": 2}, 5)]


def test_keys_keep_their_order_and_numbers_their_type(read):
    (sample,) = read(b'{"b": 1, "a": 1.0, "c": 1e2, "d": -0.0, "e": 12345678901234567890}')
    assert json.dumps(dict(sample.data)) == (
        '{"b": 1, "a": 1.0, "c": 100.0, "d": -0.0, "e": 12345678901234567890}'
    )


@pytest.mark.parametrize(
    "text", ["naïve 日本 🎉 مرحبا e\u0301", "\u2028 \u2029 \x85 \x0b \x0c \x7f"]
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_text_arrives_as_it_was_written(read, text, ascii_only):
    (sample,) = read(json.dumps({"a": text}, ensure_ascii=ascii_only).encode())
    assert sample.data["a"] == text


def test_a_number_as_long_as_any_that_is_used(read):
    (sample,) = read(b'{"a": ' + b"7" * 300 + b"}")
    assert sample.data["a"] == int("7" * 300)


# What is a problem, and where


@pytest.mark.parametrize("raw", [b"", b"\n \n", b"\xef\xbb\xbf", b"\r\n"])
def test_a_file_without_records(problem, raw):
    found = problem(raw)
    assert (found.line, found.message) == (1, "the file holds no record")


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (b'{"a": 1,}', 9),
        (b'{"a" 1}', 6),
        (b"{'a': 1}", 2),
        (b'{"a": tru}', 7),
        (b'{"a": "b', 7),
        (b'{"a":', 6),
        (b'{"a": 1} {"b": 2}', 10),
        (b'{"a": 1}}', 9),
        ("{'é': 1}".encode(), 2),
        ('{"ééé": 1,}'.encode(), 11),
        (b"hello", 1),
    ],
)
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"], ids=["at the end", "LF", "CRLF"])
def test_broken_json_is_found_at_its_line_and_column(read, line, column, end):
    ok, broken = read(b'{"a": 1}\n' + line + end)
    assert isinstance(ok, Sample)
    assert isinstance(broken, Problem)
    assert broken.line == 2
    assert f"broken JSON at column {column}:" in broken.message


def test_a_json_array_is_told_from_jsonl(read, problem):
    first, *rest = read(json.dumps([{"a": 1}, {"a": 2}], indent=1).encode())
    assert isinstance(first, Problem)
    assert "this looks like a JSON array" in first.hint
    assert len(rest) > 1
    assert "array" in problem(b'[{"a": 1}, {"a": 2}]').message


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"[]", "an array"),
        (b'"a"', "a string"),
        (b"true", "a boolean"),
        (b"null", "null"),
        (b"5", "a number"),
        (b"1.5", "a number"),
    ],
)
def test_what_is_no_object(problem, raw, kind):
    assert problem(raw).message == f"a sample must be a JSON object, this is {kind}"


def test_bytes_that_are_not_utf8(read):
    (latin,) = read('{"a": "é"}'.encode("latin-1"))
    assert latin.message == "byte 8 of the line is not UTF-8 (0xe9)"
    assert "iconv -f latin1" in latin.hint
    assert all(isinstance(item, Problem) for item in read('{"a": "b"}\n'.encode("utf-16")))
    assert "UTF-16" in read('{"a": "b"}\n'.encode("utf-16"))[0].hint


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e400"])
def test_numbers_that_are_none(problem, number):
    found = problem(f'{{"a": [{number}]}}'.encode())
    assert number in found.message


def test_a_number_too_long_to_be_one(problem):
    found = problem(b'{"a": ' + b"7" * 5000 + b"}")
    assert "5000 digits" in found.message
    assert "set_int_max_str_digits" not in str(found)


def test_a_key_that_stands_twice(problem):
    assert problem(b'{"a": {"b": 1, "c": 2, "b": 1}}').message == "the key 'b' stands twice"


def test_many_keys_of_which_the_last_two_are_equal(problem):
    keys = "".join(f'"{index}": 0, ' for index in range(200_000))
    assert "'z' stands twice" in problem(f'{{{keys}"z": 0, "z": 1}}'.encode()).message


@pytest.mark.parametrize(
    "text", [r"\ud800", r"\udc00", r"\udc00\ud800", r"a\ud83d", r"\ud83d\u0041"]
)
def test_half_of_a_surrogate_pair(problem, text):
    assert "surrogate pair" in problem(f'{{"a": "{text}"}}'.encode()).message
    assert "surrogate pair" in problem(f'{{"{text}": 1}}'.encode()).message


def test_a_whole_surrogate_pair_is_a_character(read):
    assert read(rb'{"a": "\ud83d\ude00"}')[0].data["a"] == "😀"


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 2000, 200_000])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_json_nested_too_deeply(problem, depth, pair):
    inner = "[" * depth if pair == "[]" else '{"a":' * depth
    assert "nested" in problem(f'{{"a": {inner}'.encode()).message
    whole = inner + "1" + pair[1] * depth
    assert "nested" in problem(f'{{"a": {whole}}}'.encode()).message


def test_json_as_deep_as_allowed_survives_what_comes_after(read):
    (sample,) = read(b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}")
    assert json.dumps(dict(sample.data))


def test_brackets_inside_texts_are_not_nesting(read):
    text = "[{" * 5000 + '"' + "\\"
    assert read(json.dumps({"a": text}).encode())[0].data["a"] == text


# Long lines, in bounded memory


def test_a_line_of_fifty_megabytes_is_a_problem_and_the_next_a_sample(read):
    raw = b'{"a": "' + b"x" * (50 * MIB) + b'"}\n{"a": 2}\n'
    tracemalloc.start()
    try:
        long, short = read(raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (long.line, short.line) == (1, 2)
    assert long.message == "the line is longer than 16 MiB"
    assert dict(short.data) == {"a": 2}
    assert peak < 50 * MIB  # less than the line itself


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_longest_line_that_is_read(read, end):
    fits = b'{"a": "' + b"x" * (MAX_LINE_BYTES - 9) + b'"}'
    assert len(fits) == MAX_LINE_BYTES
    assert isinstance(read(fits + end)[0], Sample)
    assert isinstance(read(b" " + fits + end)[0], Problem)


def test_many_lines_are_read_one_by_one(tmp_path):
    path = tmp_path / "data.jsonl"
    line = json.dumps({"a": "x" * 1000}).encode() + b"\n"
    path.write_bytes(line * 20_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_jsonl(path)) == 20_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


# Properties

KEYS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def read_bytes(raw: bytes) -> list[Sample | Problem]:
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(raw)
        file.flush()
        return list(read_jsonl(Path(file.name)))


@given(st.lists(st.dictionaries(KEYS, JSON, max_size=4), min_size=1, max_size=4), st.booleans())
def test_any_objects_come_back_as_they_were(objects, ascii_only):
    lines = [json.dumps(value, ensure_ascii=ascii_only) for value in objects]
    found = read_bytes("\n".join(lines).encode())
    assert [json.dumps(s.data, ensure_ascii=ascii_only) for s in found] == lines
    assert [s.line for s in found] == list(range(1, len(lines) + 1))


FRAGMENTS = st.sampled_from(
    [b"{", b"}", b'"', b"\\", b"\\u", b"d800", b"[", b"]", b",", b":", b"1e999", b"NaN", b"-", b"7",
     b"\xff", b"\xef\xbb\xbf", b"\xc3", b"\r", b" ", b'{"a": 1}', b'{"a": 1, "a": 1}', b"null"]
)  # fmt: skip


@given(st.lists(st.lists(FRAGMENTS, max_size=8).map(b"".join) | st.binary(max_size=20)))
def test_any_bytes_give_samples_and_problems_with_their_line(chunks):
    raw = b"\n".join(chunks)
    found = read_bytes(raw)
    lines = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    full = [number for number, line in enumerate(lines, start=1) if line.strip()]
    assert [item.line for item in found] == (full or [1])
    for item in found:
        if isinstance(item, Sample):
            assert json.loads(lines[item.line - 1]) == item.data
        else:
            assert item.message
            str(item).encode()


def test_the_command_line_names_every_line_and_exits_with_2(tmp_path, distribution):
    package = distribution("ftc-haiku", mode="haiku")
    data = tmp_path / "data.jsonl"
    data.write_bytes(b'{"ask": "a", "say": "b"}\n{"ask": "a"}\n{"ask": \n\xff\n')
    done = subprocess.run(
        [sys.executable, "-m", "ftcore", "check", "--mode", "haiku", "--data", str(data)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parent), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert [f"{data}:{line}:" in done.stdout for line in (1, 2, 3, 4)] == [False, True, True, True]
    assert "Traceback" not in done.stderr
