"""Collecting samples: every record of every file has exactly one fate, and the fates add up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftcore.collect import Collected
from ftcore.collect import collect_samples as collect_sources
from ftcore.errors import InputError
from ftcore.mode import Mode
from ftcore.plugins import open_mode
from ftcore.shapes import Importing
from ftcore.sources import find_sources

GOOD = '{"ask": "a", "say": "b"}'
KNOWN = ("haiku", "limerick", "sonnet")


def collect_samples(modes, files, **options):
    return collect_sources(modes, find_sources(files), importing=Importing(), **options)


@pytest.fixture
def modes(distribution) -> dict[str, Mode]:
    """Two open modes; ``sonnet`` is installed but not opened."""
    for name in KNOWN:
        distribution(f"ftc-{name}", mode=name)
    return {name: open_mode(name) for name in ("haiku", "limerick")}


def one(modes: dict[str, Mode]) -> dict[str, Mode]:
    return {"haiku": modes["haiku"]}


def collect(modes: dict[str, Mode], folder: Path, *lines: str, limit: int | None = None):
    path = folder / "data.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return collect_samples(modes, [path], known_modes=KNOWN, limit=limit)


def states(found: Collected) -> list[tuple[int, str]]:
    return [(entry.line, entry.state) for entry in found.entries]


def of_mode(name: object) -> str:
    return json.dumps({**json.loads(GOOD), "cognitive_mode": name})


def test_samples_come_in_the_order_of_the_files_with_their_mode(modes, tmp_path):
    for name, lines in (("b", of_mode("haiku")), ("a", f"\n{of_mode('limerick')}\n")):
        (tmp_path / f"{name}.jsonl").write_text(lines)
    files = [tmp_path / "b.jsonl", tmp_path / "a.jsonl"]
    found = collect_samples(modes, files, known_modes=KNOWN)
    assert [(Path(s.file).name, s.line, m.name) for s, m in found.samples] == [
        ("b.jsonl", 1, "haiku"),
        ("a.jsonl", 2, "limerick"),
    ]
    assert found.problems == ()
    assert found.records == 2


def test_one_missing_file_stops_before_any_is_read(modes, tmp_path):
    (tmp_path / "a.jsonl").write_text(GOOD)
    with pytest.raises(InputError, match=r"gone\.jsonl does not exist"):
        collect_samples(
            one(modes), [tmp_path / "a.jsonl", tmp_path / "gone.jsonl"], known_modes=KNOWN
        )


def test_with_one_mode_a_sample_need_not_name_it(modes, tmp_path):
    found = collect(one(modes), tmp_path, GOOD, of_mode("haiku"), of_mode(None))
    assert len(found.samples) == 3


def test_a_sample_of_another_installed_mode_is_left_out_and_accounted_for(modes, tmp_path):
    found = collect(one(modes), tmp_path, of_mode("limerick"), GOOD, of_mode("sonnet"))
    assert states(found) == [(1, "other_mode"), (3, "other_mode")]
    assert found.entries[0].reason == "of the mode 'limerick'"
    assert found.problems == ()


@pytest.mark.parametrize(
    ("name", "shown"), [("haikku", '"haikku"'), (5, "5"), (["haiku"], '["haiku"]')]
)
def test_a_sample_of_an_unknown_mode_is_a_problem(modes, tmp_path, name, shown):
    found = collect(one(modes), tmp_path, GOOD, of_mode(name))
    (problem,) = found.problems
    assert (problem.line, problem.pointer) == (2, "/cognitive_mode")
    assert problem.message == f"there is no mode {shown}"
    assert ("did you mean 'haiku'?" in problem.hint) == (name != 5)
    assert "installed modes: haiku, limerick, sonnet" in problem.hint
    assert states(found) == [(2, "refused")]


def test_mixed_data_must_name_the_mode_of_every_sample(modes, tmp_path):
    found = collect(modes, tmp_path, of_mode("haiku"), GOOD, of_mode("limerick"), of_mode("sonnet"))
    (problem,) = found.problems
    assert (problem.line, problem.message) == (2, "the key 'cognitive_mode' is missing")
    assert [mode.name for _, mode in found.samples] == ["haiku", "limerick"]
    assert states(found) == [(2, "refused"), (4, "other_mode")]


def test_all_problems_of_a_sample_are_told_and_it_is_refused_once(modes, tmp_path):
    found = collect(one(modes), tmp_path, '{"ask": 5, "extra": 1}')
    assert {p.pointer for p in found.problems} == {"/ask", "", "/extra"}
    assert states(found) == [(1, "refused")]
    assert found.entries[0].reason == found.problems[0].message


def test_a_limit_takes_the_first_valid_samples(modes, tmp_path):
    found = collect(one(modes), tmp_path, "{}", GOOD, of_mode("sonnet"), GOOD, GOOD, "{}", limit=2)
    assert [sample.line for sample, _ in found.samples] == [2, 4]
    assert states(found) == [
        (1, "refused"),
        (3, "other_mode"),
        (5, "over_max"),
        (6, "refused"),
    ]
    assert "first 2 samples" in found.entries[2].reason


def test_a_limit_of_zero_takes_none(modes, tmp_path):
    assert len(collect(one(modes), tmp_path, GOOD, limit=0).samples) == 0


def test_a_warning_does_not_refuse_a_sample(distribution, mode_code, tmp_path):
    warn = """
from ftcore.values import Problem
@hookimpl
def ftcore_validate_sample(sample):
    return [Problem("dull", severity="warning")]
"""
    distribution("ftc-mild", mode_code + warn, mode="mild")
    found = collect({"mild": open_mode("mild")}, tmp_path, GOOD)
    assert len(found.samples) == 1
    assert found.problems == ()


LINES = st.sampled_from(
    ["", " ", GOOD, "{}", "[]", "{", '{"ask": 1, "say": 2, "x": 3}', "\ufeff{}", "null"]
    + [of_mode(name) for name in (*KNOWN, "nobody", None, 5)]
)


@given(
    st.lists(st.lists(LINES, max_size=8), min_size=1, max_size=3),
    st.none() | st.integers(0, 5),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_record_has_exactly_one_fate(modes, tmp_path, contents, limit, mixed):
    files = [tmp_path / f"{index}.jsonl" for index in range(len(contents))]
    for file, lines in zip(files, contents, strict=True):
        file.write_text("\n".join(lines), encoding="utf-8")
    found = collect_samples(modes if mixed else one(modes), files, known_modes=KNOWN, limit=limit)
    fates = Counter((s.file, s.line) for s, _ in found.samples)
    fates += Counter((entry.file, entry.line) for entry in found.entries)
    expected = {
        (str(file), number)
        for file, lines in zip(files, contents, strict=True)
        for number, line in enumerate(lines, start=1)
        if line.removeprefix("\ufeff" if number == 1 else "").strip()
    }
    empty = {
        (str(file), 1)
        for file, lines in zip(files, contents, strict=True)
        if not any(line.strip() for line in lines)
    }
    assert fates == Counter(expected | empty)
    assert found.records == len(expected | empty)
    assert limit is None or len(found.samples) <= limit
    refused = {(e.file, e.line) for e in found.entries if e.state == "refused"}
    assert refused == {(p.file, p.line) for p in found.problems}


def test_warnings_of_a_mode_are_told_and_refuse_nothing(distribution, tmp_path):
    code = """
from ftcore import hookimpl
from ftcore.values import Conversation, Message, Part, Problem

@hookimpl
def ftcore_sample_schema():
    return {"type": "object"}

@hookimpl
def ftcore_format_sample(sample, target):
    return Conversation((Message("assistant", (Part("a", "b"),), trained=True),))

@hookimpl
def ftcore_validate_sample(sample):
    return [Problem("is short", "/say", severity="warning")]
"""
    distribution("ftc-ode", code, mode="ode")
    path = tmp_path / "data.jsonl"
    path.write_text(GOOD)
    found = collect_samples({"ode": open_mode("ode")}, [path], known_modes=("ode",))
    assert len(found.samples) == 1
    assert found.problems == ()
    assert [(p.line, p.pointer, p.message) for p in found.warnings] == [(1, "/say", "is short")]


def test_a_column_of_another_name_says_the_mode(modes, tmp_path):
    (tmp_path / "data.csv").write_text("kind,q,a\nhaiku,one,two\nlimerick,three,four\nodd,x,y\n")
    columns = {"cognitive_mode": "kind", "ask": "q", "say": "a"}
    found = collect_sources(
        modes,
        find_sources([tmp_path / "data.csv"]),
        known_modes=KNOWN,
        importing=Importing(columns=columns),
    )
    assert [mode.name for _, mode in found.samples] == ["haiku", "limerick"]
    (problem,) = found.problems
    assert (problem.line, problem.message) == (4, 'there is no mode "odd"')
