"""The ledger: lines, tokens and states add up, and the file holds one JSON object a line."""

from __future__ import annotations

import json

import attrs
from hypothesis import given
from hypothesis import strategies as st

from ftcore.ledger import STATES, Entry, Ledger, totals, write_ledger

ENTRIES = st.lists(
    st.builds(
        Entry,
        file=st.sampled_from(["a.jsonl", "b.jsonl"]),
        line=st.integers(1, 100),
        state=st.sampled_from(STATES),
        reason=st.text(st.characters(exclude_categories=("Cs",)), max_size=10),
        examples=st.integers(0, 5),
        tokens=st.integers(0, 5000),
        trained_tokens=st.integers(0, 5000),
    )
)


@given(ENTRIES)
def test_the_states_add_up_to_the_lines(entries):
    summed = totals(entries)
    assert summed.lines == len(entries)
    assert summed.lines == sum(getattr(summed, state) for state in STATES)


@given(ENTRIES)
def test_tokens_are_those_that_are_trained_on(entries):
    summed = totals(entries)
    trained = [entry for entry in entries if entry.state == "trained"]
    assert summed.examples == sum(entry.examples for entry in trained)
    assert summed.tokens == sum(entry.tokens for entry in trained)
    assert summed.trained_tokens == sum(entry.trained_tokens for entry in trained)


@given(ENTRIES)
def test_a_ledger_keeps_every_entry_and_sorts_them_by_place(entries):
    ledger = Ledger(entries)
    assert list(ledger) == entries
    assert [ledger[index] for index in range(-len(entries), 0)] == entries
    assert list(ledger[1:4]) == entries[1:4]
    assert list(ledger.by_place()) == sorted(entries, key=lambda e: (e.file, e.line))


def test_the_file_has_one_entry_a_line_in_the_order_given(tmp_path):
    entries = [
        Entry("b.jsonl", 2, "refused", "über\nzwei Zeilen \u2028"),
        Entry("a.jsonl", 1, "trained", examples=1, tokens=9, trained_tokens=4),
    ]
    write_ledger(tmp_path / "ledger.jsonl", iter(entries))
    lines = (tmp_path / "ledger.jsonl").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == [attrs.asdict(entry) for entry in entries]


def test_an_empty_ledger_is_an_empty_file(tmp_path):
    write_ledger(tmp_path / "ledger.jsonl", [])
    assert (tmp_path / "ledger.jsonl").read_bytes() == b""


def test_a_file_name_that_is_no_utf8_does_not_stop_a_run(tmp_path):
    write_ledger(tmp_path / "ledger.jsonl", [Entry("d\udcfcnn.jsonl", 1, "dropped")])
    (line,) = (tmp_path / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["file"] == "d\udcfcnn.jsonl"
