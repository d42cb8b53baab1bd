"""Data as people have it: the same records come out of every container, or a reason why not."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftcore.errors import InputError
from ftcore.hub_data import rows_of
from ftcore.records import MAX_DEPTH, MAX_LINE_BYTES
from ftcore.sources import ENDINGS, Source, find_sources, read_source
from ftcore.values import Problem, Sample

MIB = 2**20
TWO = [{"a": "eins", "b": "x"}, {"a": "zwei"}]


def read_all(*paths: Path) -> list[Sample | Problem]:
    return [item for source in find_sources(paths) for item in read_source(source)]


@pytest.fixture
def read(tmp_path: Path):
    """Writes bytes to a file of that name and gives what is read from it."""

    def write_and_read(name: str, raw: bytes | str) -> list[Sample | Problem]:
        path = tmp_path / name
        path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
        return read_all(path)

    return write_and_read


def seen(items: list[Sample | Problem]) -> list[Any]:
    """Samples by their line and data, problems by their line and message."""
    return [(i.line, dict(i.data) if isinstance(i, Sample) else i.message) for i in items]


def data_of(items: list[Sample | Problem]) -> list[dict[str, Any]]:
    assert all(isinstance(item, Sample) for item in items), items
    return [dict(item.data) for item in items if isinstance(item, Sample)]


def filled(items: list[Sample | Problem]) -> list[dict[str, Any]]:
    """The same without the empty cells of tables."""
    return [{k: v for k, v in data.items() if v is not None} for data in data_of(items)]


def parquet(path: Path, table: Any, **options: Any) -> Path:
    pq.write_table(table, path, **options)
    return path


# Finding


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="does not exist") as caught:
        find_sources([tmp_path / "data.jsonl"])
    assert str(tmp_path / "data.jsonl") in caught.value.message
    assert "--data" in caught.value.hint


def test_nothing_is_read_before_all_is_found(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(InputError, match=r"gone\.jsonl does not exist"):
        find_sources([tmp_path / "a.jsonl", tmp_path / "gone.jsonl"])


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(InputError, match="no regular file") as caught:
        find_sources([tmp_path / "pipe.jsonl"])
    assert "--data -" in caught.value.hint


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte"])
def test_a_name_that_the_system_refuses(tmp_path, name):
    with pytest.raises(InputError):
        find_sources([tmp_path / name])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["data.jsonl", "folder"])
def test_what_may_not_be_read(tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_text("{}")
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be read"):
        find_sources([path])
    path.chmod(0o700)


def test_a_folder_stands_for_its_data_files_in_the_order_of_their_names(tmp_path):
    names = ["b.jsonl", "a.JSON", "c.jsonl.gz", "d.csv", "e.tsv", "f.parquet", "g.ndjson"]
    for name in [*names, "README.md", ".hidden.jsonl", "dataset_info.json", "list.txt"]:
        raw = b"a\tb,c\n1\t2,3\n" if name[0] in "de" else b'{"a": 1}'
        raw = gzip.compress(raw) if name.endswith(".gz") else raw
        (tmp_path / name).write_bytes(raw)
    parquet(tmp_path / "f.parquet", pa.table({"a": [1]}))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "z.jsonl").write_text("{}")
    (tmp_path / "folder.json").mkdir()
    found = find_sources([tmp_path])
    assert [(source.path.name, source.kind) for source in found if source.path] == [
        ("a.JSON", "json"),
        ("b.jsonl", "jsonl"),
        ("c.jsonl.gz", "jsonl"),
        ("d.csv", "csv"),
        ("e.tsv", "tsv"),
        ("f.parquet", "parquet"),
        ("g.ndjson", "jsonl"),
    ]
    assert [source.name for source in found] == [str(source.path) for source in found]


def test_a_folder_without_data_says_what_was_looked_for(tmp_path):
    (tmp_path / "README.md").write_text("# Data")
    with pytest.raises(InputError, match="holds no data file") as caught:
        find_sources([tmp_path])
    assert all(ending in caught.value.hint for ending in (*ENDINGS, ".gz"))


def test_a_folder_of_folders_names_the_one_with_the_data(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "data" / "train.parquet").write_text("")
    with pytest.raises(InputError) as caught:
        find_sources([tmp_path])
    assert caught.value.hint.endswith("the data: data")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"PK\x03\x04....", "a zip or an Excel file"),
        (b"\xfd7zXZ\x00...", "compressed with xz"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer to the data"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "packed twice"),
    ],
)
def test_a_file_that_only_looks_like_data_is_refused_with_a_way_out(tmp_path, raw, message):
    (tmp_path / "data.jsonl").write_bytes(raw)
    with pytest.raises(InputError, match=message) as caught:
        find_sources([tmp_path / "data.jsonl"])
    assert caught.value.hint


def test_a_file_that_is_no_parquet_in_spite_of_its_name(tmp_path):
    (tmp_path / "data.parquet").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="no Parquet file"):
        find_sources([tmp_path / "data.parquet"])


# What a file is, its content tells

LINES = b'{"a": 1}\n{"a": 2}\n'
ARRAY = b'[{"a": 1},\n {"a": 2}]'
PRETTY = b'{\n "a": 1\n}\n{\n "a": 2\n}\n'


@pytest.mark.parametrize("raw", [LINES, ARRAY, PRETTY, b"\xef\xbb\xbf \n" + ARRAY])
@pytest.mark.parametrize("ending", ["jsonl", "json", "txt", "csv", "parquet", "json.gz", "gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_content_wins_over_the_ending(read, raw, ending, packed):
    found = read(f"data.{ending}", gzip.compress(raw) if packed else raw)
    assert data_of(found) == [{"a": 1}, {"a": 2}]


def test_a_parquet_file_by_any_name(tmp_path):
    found = read_all(parquet(tmp_path / "data.jsonl", pa.table({"a": [1, 2]})))
    assert data_of(found) == [{"a": 1}, {"a": 2}]


def test_a_broken_first_line_does_not_make_jsonl_something_else(read):
    found = read("data.jsonl", '{"a":\n{"a": 2}\n[1,\n{"a": 4}')
    assert [type(item).__name__ for item in found] == ["Problem", "Sample", "Problem", "Sample"]
    found = read("data.json", '{"a": 1,}\n{"a": 2}\n')
    assert [type(item).__name__ for item in found] == ["Problem", "Sample"]
    assert [item.line for item in read("data.jsonl", "[]\n{}\nnull")] == [1, 2, 3]


# JSON arrays


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("end", ["", "\n", " \r\n\n"])
def test_an_array_with_the_line_of_every_record(read, indent, end):
    found = read("data.json", "\n" + json.dumps([{"a": 1}, {"a": [{}, 2]}], indent=indent) + end)
    lines = [2, 2] if indent is None else [3, 6]
    assert seen(found) == [(lines[0], {"a": 1}), (lines[1], {"a": [{}, 2]})]


def test_one_object_over_several_lines_is_one_record(read):
    assert seen(read("data.json", '\n{\n"a": {\n"b": 1}}\n')) == [(2, {"a": {"b": 1}})]
    assert seen(read("data.json", '{"a": 1}')) == [(1, {"a": 1})]


@pytest.mark.parametrize(
    "raw", ['{"data": [{"a": 1}]}', '{\n"version": "1",\n"rows": [{"a": 1}]\n}']
)
def test_an_object_that_wraps_the_records(read, raw):
    (problem,) = read("data.json", raw)
    key = "data" if "data" in raw else "rows"
    assert problem.pointer == f"/{key}"
    assert f"jq .{key} FILE" in problem.hint


def test_an_object_with_messages_wraps_nothing(read):
    assert isinstance(read("data.json", '{"messages": [{"role": "user"}]}')[0], Sample)


def test_a_file_without_records(read):
    for name in ("a.json", "a.jsonl", "a.csv", "a.tsv", "a.txt"):
        for raw in (b"", b" \n \n", b"\xef\xbb\xbf"):
            assert seen(read(name, raw)) == [(1, "the file holds no record")]
            assert seen(read(name + ".gz", gzip.compress(raw))) == [(1, "the file holds no record")]
    assert seen(read("a.json", "\n[\n]\n")) == [(2, "the file holds no record")]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": 1e999}', "the number 1e999 is too large"),
        ('{"a": ' + "7" * 5000 + "}", "a number of 5000 digits is too long"),
        ('{"a": 1, "a": 1}', "the key 'a' stands twice"),
        (r'{"a": "\ud800"}', "half of a surrogate pair"),
        ('{"a": ' + "[" * 150 + "]" * 150 + "}", "nested more than 100"),
        ('{"a": ' + "[" * 9000 + "]" * 9000 + "}", "nested more than 100"),
        (b'{"a": "\xe9"}', "byte 8 of the record is not UTF-8 (0xe9)"),
        ("[1, 2]", "this is an array"),
        ("5", "this is a number"),
        ('"}]"', "this is a string"),
        ("null", "this is null"),
        ("NaN", "NaN is not JSON"),
        ("hello", "broken JSON at column 1"),
        ('{"a": tru}', "broken JSON at column 7"),
        ('{"a": 1,}', "broken JSON at column "),
        ('{"a": 1\n\n "b": 2}', "broken JSON at line 5, column 2"),
        ("{'a': 1}", "broken JSON at column 2"),
    ],
)
def test_a_bad_record_of_an_array_is_one_problem_and_the_others_are_read(read, item, message):
    raw = item if isinstance(item, bytes) else item.encode()
    first, problem, last = read("data.json", b'[{"a": 1},\n\n' + raw + b',\n{"a": 3}]')
    assert dict(first.data) == {"a": 1}
    assert dict(last.data) == {"a": 3}
    assert isinstance(problem, Problem)
    assert message in problem.message
    assert problem.line == 3
    assert problem.hint
    assert last.line == 4 + raw.count(b"\n")


def test_a_column_is_that_of_the_file(read):
    (_, problem) = read("data.json", '[{"a": 1}, {"b": }]')
    assert problem.message.startswith("broken JSON at column 18:")


@pytest.mark.parametrize(
    ("raw", "faults"),
    [
        ('[{},\n{},\n]', [(3, "a comma stands before the ]")]),
        ('[{}\n,\n,{}]', [(3, "no record before this comma")]),
        ('[,{},{}]', [(1, "no record before this comma")]),
        ('[{}\n{}]', [(2, "a comma is missing")]),
        ('[{},{}}\n]', [(1, "this } closes nothing")]),
        ('[{},{}\n', [(2, "the array does not end")]),
        ('[{},{},\n', [(2, "the array does not end")]),
        ('[{},\n{}]\n\n{}', [(4, "something after the end of the array")]),
        ('[{},{},\n{"a": [1,\n2}]', [(2, "JSON at line 3, column 2"), (3, "the array does not")]),
        ('[{},{},\n{"a": "b', [(2, "broken JSON at column 7")]),
        ('{\n"a": 1},\n{}', [(2, "begins with ','")]),
    ],
)  # fmt: skip
def test_faults_between_the_records(read, raw, faults):
    found = read("data.json", raw)
    problems = [item for item in found if isinstance(item, Problem)]
    assert len(found) - len(problems) == (1 if raw[0] == "{" else 2)
    assert [p.line for p in problems] == [line for line, _ in faults]
    assert all(text in p.message for p, (_, text) in zip(problems, faults, strict=True))
    assert all(p.hint for p in problems)


def test_json_in_utf16_is_one_problem_with_the_command_that_mends_it(read):
    for name, raw in (("a.json", '[{"a": 1}]\n'), ("a.csv", "a,b\n1,2\n")):
        (problem,) = read(name, raw.encode("utf-16"))
        assert "UTF-16" in problem.message
        assert "iconv -f UTF-16" in problem.hint


def test_json_as_deep_as_allowed(read):
    record = '{"a": ' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    assert len(data_of(read("data.json", f"[{record}]"))) == 1


@pytest.mark.parametrize("name", ["data.json", "data.jsonl.gz"])
def test_many_records_are_read_one_by_one(tmp_path, name):
    raw = b"[" + b",\n".join([json.dumps({"a": "é" * 1000}).encode()] * 5_000) + b"]"
    raw = raw if name.endswith("json") else gzip.compress(raw[1:-1].replace(b"},", b"}"))
    (tmp_path / name).write_bytes(raw)
    del raw
    (source,) = find_sources([tmp_path / name])
    tracemalloc.start()
    try:
        found = sum(isinstance(item, Sample) for item in read_source(source))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == 5_000
    assert peak < 5 * MIB


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("a.jsonl.gz", '{"a": "', '"}'),
        ("a.json.gz", '[{"a": "', '"}]'),
        ("a.json.gz", "[" + " " * 9, "{}]"),
        ("a.csv.gz", 'a\n"', '"'),
    ],
)
def test_a_bomb_is_a_problem_in_bounded_memory(tmp_path, name, begin, end):
    with gzip.open(tmp_path / name, "wt", compresslevel=1) as file:
        file.write(begin)
        for _ in range(100):
            file.write((" " if begin.endswith(" ") else "x") * MIB)
        file.write(end)
    (source,) = find_sources([tmp_path / name])
    tracemalloc.start()
    try:
        (item,) = read_source(source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(item, Sample) == (end == "{}]")
    assert isinstance(item, Sample) or "longer than 16 MiB" in item.message
    assert peak < 90 * MIB


# Compressed files


@pytest.mark.parametrize("cut", [12, 30, -9, -4])
def test_a_gz_that_was_cut_off(tmp_path, cut):
    path = tmp_path / "data.jsonl.gz"
    lines = "".join(json.dumps({"a": os.urandom(20).hex()}) + "\n" for _ in range(20_000))
    path.write_bytes(gzip.compress(lines.encode())[:cut])
    with pytest.raises(InputError, match=r"data\.jsonl\.gz is damaged or cut off") as caught:
        read_all(path)
    assert "gzip -t" in caught.value.hint


def test_a_gz_that_is_damaged(tmp_path):
    path = tmp_path / "data.jsonl.gz"
    raw = bytearray(gzip.compress(b'{"a": 1}\n' * 1000))
    raw[-8] ^= 1  # the checksum
    path.write_bytes(raw)
    with pytest.raises(InputError, match="damaged or cut off"):
        read_all(path)


def test_a_gz_of_several_members(read):
    raw = gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"a": 2}\n')
    assert data_of(read("data.jsonl.gz", raw)) == [{"a": 1}, {"a": 2}]


# CSV and TSV


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_and_line_ends(read, end, separator):
    raw = end.join(["a,b", '"x;,\t|y",1', "", '"p ""q""",', ",,"[:1], ""]).replace(",", separator)
    found = read("data.csv", raw)
    cell = "x;,\t|y".replace(",", separator)
    assert seen(found) == [(2, {"a": cell, "b": "1"}), (4, {"a": 'p "q"', "b": None})]


def test_lines_are_right_where_cells_hold_line_ends(read):
    found = read("data.csv", '\ufeffa,b\n"1\n2\n3",x\n4,"5\n\n"\n6,7\n')
    assert seen(found) == [
        (2, {"a": "1\n2\n3", "b": "x"}),
        (5, {"a": "4", "b": "5\n\n"}),
        (8, {"a": "6", "b": "7"}),
    ]


def test_the_index_column_of_pandas_is_left_out(read):
    assert seen(read("data.csv", ",a\n0,x\n1,y\n")) == [(2, {"a": "x"}), (3, {"a": "y"})]


def test_tabs_separate_tsv_and_commas_are_text(read):
    assert data_of(read("data.tsv", "a,b,c,d\te\n1, 2\t3\n")) == [{"a,b,c,d": "1, 2", "e": "3"}]


def test_a_cell_longer_than_pythons_own_limit(read):
    assert data_of(read("data.csv", f"a,b\n{'x' * 200_000},1\n"))[0]["a"] == "x" * 200_000


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"1,2,3", "the row has 3 cells, the header 2"),
        (b"1", "the row has 1 cells, the header 2"),
        (b'"1"x,2', "a quote inside of a cell in quotes stands alone"),
        (b"1\r2,3", "a carriage return stands outside of quotes"),
        (b"1,\xe9", "the cell of 'b' is not UTF-8"),
    ],
)
def test_a_bad_row_is_one_problem_and_the_others_are_read(read, row, message):
    first, problem, last = read("data.csv", b"a,b\n1,2\n" + row + b"\n3,4\n")
    assert isinstance(first, Sample)
    assert seen([problem]) == [(3, message)]
    assert problem.hint
    assert seen([last]) == [(4, {"a": "3", "b": "4"})]


@pytest.mark.parametrize(
    ("raw", "line", "message"),
    [
        ('a,b\n1,2\n3,"4\n5,6\n', 3, "never closed"),
        ("a,b,a\n1,2,3\n", 1, "two columns have the name 'a'"),
        ("a,\n1,2\n", 2, "column 2 has no name"),
        ("a,b\n", 1, "no record"),
        ("a,b\n,\n", 1, "no record"),
    ],
)
def test_tables_that_cannot_be_read(read, raw, line, message):
    *_, problem = read("data.csv", raw)
    assert isinstance(problem, Problem)
    assert (problem.line, message in problem.message) == (line, True)


# Parquet


def test_nested_columns_come_back_as_they_were_written(tmp_path):
    records = [
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "calls": [{"n": 1}]},
            ]
        },
        {"messages": [], "score": 1.0, "n": 2},
        {"meta": {"x": {"y": True}}, "n": 12345678901234567},
    ]
    table = pa.Table.from_pylist(
        [{key: record.get(key) for key in ("messages", "score", "n", "meta")} for record in records]
    )
    found = read_all(parquet(tmp_path / "a.parquet", table))
    assert [json.dumps(d, sort_keys=True) for d in filled(found)] == [
        json.dumps(record, sort_keys=True) for record in records
    ]
    assert [item.line for item in found] == [1, 2, 3]


def test_keys_that_arrow_adds_to_structs_are_no_keys_of_the_record(tmp_path):
    table = pa.table({"calls": [[{"city": "Rome"}, {"n": 3}, None]], "none": [None]})
    (data,) = data_of(read_all(parquet(tmp_path / "a.parquet", table)))
    assert data == {"calls": [{"city": "Rome"}, {"n": 3}, None], "none": None}


def test_types_that_json_does_not_have(tmp_path):
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "when": pa.array([moment]),
            "day": pa.array([moment.date()]),
            "whole": pa.array([decimal.Decimal(7)], pa.decimal128(38, 0)),
            "price": pa.array([decimal.Decimal("7.50")]),
            "text": pa.array(["é".encode()], pa.binary()),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "kind": pa.array(["x"]).dictionary_encode(),
        }
    )
    assert data_of(read_all(parquet(tmp_path / "a.parquet", table))) == [
        {
            "when": "2026-01-02T03:04:05+00:00",
            "day": "2026-01-02",
            "whole": 7,
            "price": 7.5,
            "text": "é",
            "map": {"k": 1},
            "kind": "x",
        }
    ]


def test_columns_of_json_as_datasets_writes_them(tmp_path):
    calls = ['{"city": "Rome", "zip": null}', '{"n": 1.0}']
    calls += ['{"n": 1, "n": 2}', '{"n": NaN}', "{", "[" * 101 + "]" * 101, r'"\ud800"']
    column = pa.ExtensionArray.from_storage(pa.json_(), pa.array(calls))
    table = pa.table({"a": pa.ListArray.from_arrays(list(range(len(calls) + 1)), column)})
    found = read_all(parquet(tmp_path / "a.parquet", table))
    assert data_of(found[:2]) == [{"a": [{"city": "Rome", "zip": None}]}, {"a": [{"n": 1.0}]}]
    assert [(p.pointer, p.line, bool(p.hint)) for p in found[2:]] == [
        ("/a", 3, True),
        ("/a", 4, True),
        ("/a", 5, True),
        ("/a", 6, True),
        ("", 7, True),
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([float("nan"), 1.0]), "nan is not JSON"),
        (pa.array([float("inf"), 1.0]), "inf is not JSON"),
        (pa.array([b"\xff\xfe\xfd", b"x"], pa.binary()), "holds bytes, not text"),
        (pa.array([[b"\xff\xfe\xfd"], [b"x"]], pa.list_(pa.binary())), "holds bytes, not text"),
        (pa.array([datetime.timedelta(1), None]), "type timedelta"),
    ],
)
def test_values_that_are_refused_with_a_reason(tmp_path, values, message):
    found = read_all(parquet(tmp_path / "a.parquet", pa.table({"x/y": values})))
    assert (found[0].line, found[0].pointer) == (1, "/x~1y")
    assert message in found[0].message
    assert found[0].hint
    assert isinstance(found[1], Sample)


def test_a_text_that_is_no_text_refuses_its_row_only(tmp_path):
    bad = pa.array([b"ok", b"\xff", b"ok"], pa.binary())
    strings = pa.StringArray.from_buffers(3, bad.buffers()[1], bad.buffers()[2])
    found = read_all(parquet(tmp_path / "a.parquet", pa.table({"a": strings})))
    assert [type(item).__name__ for item in found] == ["Sample", "Problem", "Sample"]


@pytest.mark.parametrize("cut", [4, 50, -1])
def test_a_parquet_file_that_was_cut_off(tmp_path, cut):
    path = parquet(tmp_path / "a.parquet", pa.table({"a": [1, 2, 3]}))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="damaged or cut off") as caught:
        read_all(path)
    assert "\n" not in caught.value.message


def test_a_parquet_file_without_rows_or_with_a_column_twice(tmp_path):
    path = parquet(tmp_path / "a.parquet", pa.table({"a": pa.array([], pa.string())}))
    assert seen(read_all(path)) == [(1, "the file holds no record")]
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pytest.raises(InputError, match="two columns"):
        read_all(parquet(tmp_path / "b.parquet", twice))


def test_a_row_of_parquet_that_is_too_long(tmp_path):
    table = pa.table({"a": ["x" * (MAX_LINE_BYTES + 1), "y"]})
    found = read_all(parquet(tmp_path / "a.parquet", table))
    assert seen(found) == [(1, "the row is longer than 16 MiB"), (2, {"a": "y"})]


def test_rows_of_parquet_are_numbered_through_all_row_groups(tmp_path):
    table = pa.table({"a": list(range(500))})
    found = read_all(parquet(tmp_path / "a.parquet", table, row_group_size=30))
    assert seen(found) == [(n + 1, {"a": n}) for n in range(500)]


# Standard input


def piped(raw: bytes) -> list[dict[str, Any]]:
    """What another process reads from its standard input."""
    code = """
import json, sys
from pathlib import Path
from ftcore.sources import find_sources, read_source
from ftcore.errors import InputError
try:
    (source,) = find_sources([Path("-")])
    for item in read_source(source):
        print(json.dumps({"line": item.line, "file": item.file, **getattr(item, "data", {})}))
    print(json.dumps({"bytes": source.digest.bytes, "sha256": source.digest.hexdigest()}))
    list(read_source(source))
except InputError as error:
    print(json.dumps({"error": str(error)}))
"""
    done = subprocess.run([sys.executable, "-c", code], input=raw, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "raw", [LINES, ARRAY, gzip.compress(LINES, mtime=0), gzip.compress(ARRAY, mtime=0)]
)
def test_standard_input_is_read_once(raw):
    first, second, digest, again = piped(raw)
    assert (first["file"], first["line"], first["a"]) == ("stdin", 1, 1)
    assert (second["line"], second["a"]) == (2, 2)
    assert digest == {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    assert "only once" in again["error"]


def test_standard_input_larger_than_any_buffer():
    *records, digest, _ = piped(b'{"a": "' + b"x" * 999 + b'"}\n' + LINES * 20_000)
    assert len(records) == 40_001
    assert digest["bytes"] == 1009 + 20_000 * len(LINES)


def test_parquet_on_standard_input_is_refused_with_a_reason(tmp_path):
    path = parquet(tmp_path / "a.parquet", pa.table({"a": [1]}))
    (answer,) = piped(path.read_bytes())
    assert "standard input" in answer["error"]


def test_standard_input_twice():
    with pytest.raises(InputError, match="only once"):
        find_sources([Path("-"), Path("-")])


# Data sets of the Hub


def test_what_is_no_file_may_be_a_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("acme/poems", "acme/poems:test"):
        assert [(s.name, s.kind) for s in find_sources([Path(name)])] == [(name, "hub")]
    for name in ("poems", "data/poems", "acme/poems.jsonl", "acme/poems.csv.gz", "a/b/c", "/a/b"):
        with pytest.raises(InputError, match="does not exist"):
            find_sources([Path(name)])


def test_a_data_set_without_the_network_is_one_clear_error(tmp_path):
    code = """
from pathlib import Path
from ftcore.sources import find_sources, read_source
from ftcore.errors import InputError
try:
    list(read_source(find_sources([Path("acme/poems")])[0]))
except InputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "there is no file or folder acme/poems, and HF_HUB_OFFLINE forbids" in done.stdout
    assert done.stderr == ""


def test_rows_that_datasets_streams(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    records = [{"a": "x", "m": [{"k": 1}]}, {"a": "y", "m": [{"k": 2, "l": "z"}]}]
    (tmp_path / "data").mkdir()
    for split, lines in (("train", records), ("test", records[:1])):
        text = "".join(json.dumps(record) + "\n" for record in lines)
        (tmp_path / "data" / f"{split}.jsonl").write_text(text)
    taken: list[bytes] = []
    found = list(rows_of(str(tmp_path / "data"), "train", "acme/poems", taken.append))
    assert seen(found) == [(1, records[0]), (2, records[1])]
    assert found[0].file == "acme/poems"
    assert [json.loads(line) for line in taken] == records
    assert taken[0] == b'{"a":"x","m":[{"k":1}]}\n'
    assert len(list(rows_of(str(tmp_path / "data"), "test", "acme/poems", taken.append))) == 1
    with pytest.raises(InputError, match="cannot be read") as caught:
        list(rows_of(str(tmp_path / "data"), "dev", "acme/poems", taken.append))
    assert "train" in caught.value.message


# The digest


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("a.jsonl", LINES * 50_000),
        ("a.jsonl.gz", gzip.compress(LINES * 1000, mtime=0)),
        ("a.json", ARRAY),
        ("broken.json", b'[{"a": [1,\n' + ARRAY * 30_000),
        ("a.csv", b"a,b\n1,2\n"),
        ("twice.csv", b"a,a\n1,2\n" * 99_999),
    ],
)
def test_the_digest_is_that_of_the_whole_file(tmp_path, name, raw):
    (tmp_path / name).write_bytes(raw)
    (source,) = find_sources([tmp_path / name])
    for _ in range(2):  # reading again counts anew
        list(read_source(source))
        assert source.digest.bytes == len(raw)
        assert source.digest.hexdigest() == hashlib.sha256(raw).hexdigest()


def test_the_digest_of_a_parquet_file(tmp_path):
    path = parquet(tmp_path / "a.parquet", pa.table({"a": [1]}))
    (source,) = find_sources([path])
    list(read_source(source))
    assert source.digest.bytes == path.stat().st_size
    assert source.digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_plain_files_are_read_without_heavy_libraries(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "b.json").write_bytes(ARRAY)
    (tmp_path / "c.csv").write_bytes(b"a,b\n1,2\n")
    code = """
import sys
from pathlib import Path
from ftcore.sources import find_sources, read_source
for source in find_sources([Path(sys.argv[1])]):
    print(len(list(read_source(source))))
print({"pyarrow", "datasets", "torch", "numpy", "pandas"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["2", "2", "1", "set()"]


# Properties

CHARACTERS = st.characters(exclude_categories=("Cs",))
KEYS = st.text(CHARACTERS, min_size=1, max_size=6).map(str.strip).filter(bool)
TEXTS = st.text(CHARACTERS, min_size=1, max_size=12)
FLAT = st.lists(KEYS, min_size=1, max_size=4, unique=True).flatmap(
    lambda keys: st.lists(
        st.dictionaries(st.sampled_from(keys), TEXTS, min_size=1), min_size=1, max_size=5
    )
)


def containers(records: list[dict[str, Any]], folder: Path) -> list[Path]:
    """The records in every kind of file that can hold them."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    columns = sorted({key for record in records for key in record})
    texts = {
        "a.jsonl": lines,
        "b.json": json.dumps(records),
        "c.json": json.dumps(records, indent=2, ensure_ascii=False),
        "d.json": "\n".join(json.dumps(record, indent=1) for record in records),
    }
    for name, delimiter in (("e.csv", ","), ("f.tsv", "\t")):
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, columns, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(records)
        texts[name] = table.getvalue()
    paths: list[Path] = []
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        paths += [folder / name, folder / f"{name}.gz"]
    full = [{key: record.get(key) for key in columns} for record in records]
    return [*paths, parquet(folder / "g.parquet", pa.Table.from_pylist(full))]


@given(FLAT)
@settings(max_examples=60, deadline=None)
def test_the_same_records_come_out_of_every_container(records):
    with tempfile.TemporaryDirectory() as folder:
        for path in containers(records, Path(folder)):
            assert filled(read_all(path)) == records, path


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(
    st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), min_size=1, max_size=5),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
)
@settings(deadline=None)
def test_an_array_holds_what_jsonl_holds(records, indent, ascii_only):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.json"
        text = json.dumps(records, indent=indent, ensure_ascii=ascii_only)
        path.write_text(text, encoding="utf-8", newline="")
        found = read_all(path)
        lines = text.split("\n")
    assert json.dumps(data_of(found)) == json.dumps(records)
    assert all("{" in lines[item.line - 1] for item in found)
    assert [item.line for item in found] == sorted(item.line for item in found)


FRAGMENTS = st.sampled_from(
    [b"{", b"}", b'"', b"\\", b"\\ud800", b"[", b"]", b",", b":", b"1e999", b"NaN", b"7", b"\xff",
     b"\xef\xbb\xbf", b"\xc3", b"\r", b"\n", b" ", b'{"a": 1}', b'{"a": 1, "a": 1}', b"null", b";",
     b"\t", b"\x00"]
)  # fmt: skip


@given(
    st.lists(FRAGMENTS, max_size=12).map(b"".join),
    st.sampled_from(["a.json", "a.jsonl", "a.csv", "a.tsv", "a", "a.json.gz"]),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_give_samples_and_problems_with_their_line(raw, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        (source,) = find_sources([path])
        found = list(read_source(source))
    assert found
    for item in found:
        assert 1 <= item.line <= raw.count(b"\n") + 1
        if isinstance(item, Sample):
            json.dumps(dict(item.data), ensure_ascii=False, allow_nan=False).encode()
        else:
            assert item.message
            assert item.hint
            str(item).encode()


def test_a_source_is_a_value_that_carries_its_mode():
    source = Source("a.jsonl", "jsonl", Path("a.jsonl"), mode="haiku")
    assert source == Source("a.jsonl", "jsonl", Path("a.jsonl"), mode="haiku")
    assert source.digest.bytes == 0
