"""An answer is taken apart while it comes, the same however it is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.answer_parts import AnswerSplitter
from ftcore.call_frame import find_call_frame
from ftcore.testing.predictions import spoken
from ftcore.values import Message

MARKERS = ("<thought>", "</thought>", "<world>", "</world>", "<alone>")
HERMES = find_call_frame(spoken)


def llama(message: Message) -> str:
    said = spoken(message)
    return said.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")


def split(pieces, frame=None) -> list[tuple[str, str]]:
    splitter = AnswerSplitter(MARKERS, frame)
    found: list[tuple[str, str]] = []
    for piece in [*(p for text in pieces for p in splitter.add(text)), *splitter.end()]:
        if found and found[-1][0] == piece.label:
            found[-1] = (piece.label, found[-1][1] + piece.text)
        else:
            found.append((piece.label, piece.text))
    return found


CALL = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
ANSWERS: dict[str, list[tuple[str, str]]] = {
    "": [],
    " Hello  there.\n": [("prose", "Hello  there.")],
    "<thought>a b</thought>\n<world>c</world>": [("thought", "a b"), ("world", "c")],
    "<thought>of <world> as such": [("thought", "of <world> as such")],
    "<think>\nhm\n</think>\n\nYes < no.": [("reasoning", "hm"), ("prose", "Yes < no.")],
    "Look.\n<world>x</world> So.": [("prose", "Look."), ("world", "x"), ("prose", "So.")],
    "</world> <alone> <b>": [("prose", "</world> <alone> <b>")],
    f"I look.\n{CALL}": [("prose", "I look."), ("calls", CALL)],
    f"{CALL}\n{CALL}": [("calls", f"{CALL}\n{CALL}")],
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_parts_are_told_from_words_and_calls(answer):
    assert split([answer], HERMES) == ANSWERS[answer]


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 90)))
def test_however_it_is_cut(answer, places):
    cuts = sorted({0, *(place for place in places if place < len(answer)), len(answer)})
    pieces = [answer[a:b] for a, b in pairwise(cuts)]
    assert split(pieces, HERMES) == ANSWERS[answer]


def test_nothing_waits_that_is_certain():
    splitter = AnswerSplitter(MARKERS, HERMES)
    assert [p.text for p in splitter.add("Hello <b")] == ["Hello <b"]
    assert [p.text for p in splitter.add("> <wor")] == [">"]
    assert [p.text for p in splitter.add("k>")] == [" <work>"]


def test_without_a_tag_calls_are_told_by_how_the_answer_begins():
    bare = find_call_frame(llama)
    call = '{"name": "now", "arguments": {}}'
    assert split([f"\n{call}"], bare) == [("calls", call)]
    assert split([f"I write {call}"], bare) == [("prose", f"I write {call}")]
