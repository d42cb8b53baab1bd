"""What `ftcore check` says about samples of dual mode that the schema lets pass."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.values import Prediction, Target
from ftcore_dual.formatting import format_sample
from ftcore_dual.metrics import metrics
from ftcore_dual.validation import validate


def dual(**changes: Any) -> dict[str, Any]:
    return {
        "user": "Is dinner good?",
        "thought": "It is too salty.",
        "world": "Could I have some water?",
        **changes,
    }


def inverted(**changes: Any) -> dict[str, Any]:
    return {"shape": "inverted", "thought": "I am cold.", "world": "I close the window.", **changes}


def earlier(**changes: Any) -> dict[str, Any]:
    return dual(history=[{"user": "Hi!", "world": "Welcome."}, dual(**changes)])


GOOD = {
    "a thought and a world": dual(),
    "the inverted shape": inverted(),
    "an earlier reply without a thought": earlier(),
    "no earlier exchange": dual(history=[]),
    "a system text that shows the form": dual(
        system="Answer like this:\n<thought>what you think</thought>\n<world>what you say</world>"
    ),
    "the world quotes the thought": dual(world="It is too salty. Could I have some water?"),
    "a question about a tag": dual(user="What does the <thought> tag mean?"),
    "a question about a tag in backticks": dual(user="What is `<world>`"),
    "a thought about a tag": dual(thought="They ask where the <world> tag begins. I explain."),
    "a world about the tags": dual(world="Between <thought> and </thought> stands what I think."),
    "a world that shows the form": dual(world="Like this: `<thought>Hm.</thought>`"),
    "an inverted thought about a tag": inverted(thought="I never liked the </world> tag much."),
    "other people's tags": dual(thought="<think>\nHm.\n</think>", world="<b>Fine.</b>"),
    "a number as the answer": dual(world="That makes 1,200 euros.", answer="1200"),
    "a word as the answer": dual(world="It lies in Norway, I'd say.", answer="norway, i'd say"),
    "the world is the answer": dual(world="12", answer="12"),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_samples_pass(name: str):
    assert validate(GOOD[name]) == []


REPLY = "<thought>I am cold.</thought>\n<world>I close the window.</world>"
OWN = "carries its own"
OTHER = "which belong to another text"
INSIDE = "tags stand inside"
OPEN = "is opened and not closed"
CLOSED = "closes a tag that was not opened"

# what is wrong: (the sample, where, words of the message, words of the hint)
BAD = {
    # empty
    "a blank thought": (dual(thought=" \n\t"), "/thought", "is empty", "thinks to itself"),
    "a blank world": (dual(world="\u00a0"), "/world", "is empty", "says or does"),
    "a blank user": (dual(user=" "), "/user", "is empty", "said to the model"),
    "a thought of invisible characters": (dual(thought="\u200b"), "/thought", "is empty", "thinks"),
    "a blank system text": (dual(system="\n"), "/system", "is empty", 'leave "system" out'),
    "a blank inverted thought": (inverted(thought=" "), "/thought", "is empty", "thinks"),
    "a blank inverted world": (inverted(world=" "), "/world", "is empty", "says or does"),
    "a blank earlier thought": (
        earlier(thought=" "),
        "/history/1/thought",
        "is empty",
        "leave it out",
    ),
    "a blank earlier world": (earlier(world=" "), "/history/1/world", "is empty", "says or does"),
    "a blank earlier user": (earlier(user=" "), "/history/1/user", "is empty", "said to"),
    # the same twice
    "the same twice": (dual(world="It is too salty."), "/world", "says the same", "what is not"),
    "the same but for case": (dual(world="IT IS TOO SALTY."), "/world", "says the same", "what"),
    "the same but for white space": (
        dual(world="\n It is\u00a0too\nsalty. "),
        "/world",
        "says the same",
        "what is not said",
    ),
    "the same in the inverted shape": (
        inverted(world="I am cold."),
        "/world",
        "says the same",
        "what is not said",
    ),
    "the same in an earlier reply": (
        earlier(world="it is too salty."),
        "/history/1/world",
        "says the same",
        "what is not said",
    ),
    # tags around
    "a thought in its own tags": (
        dual(thought="<thought>It is too salty.</thought>"),
        "/thought",
        OWN,
        "keep the text between <thought> and </thought>",
    ),
    "a world in its own tags, on lines": (
        dual(world="\n<world>\nCould I have some water?\n</world>\n"),
        "/world",
        OWN,
        "keep the text between <world> and </world>",
    ),
    "a thought in its own tags, with capitals": (
        dual(thought="<Thought>It is too salty.</Thought>"),
        "/thought",
        OWN,
        "keep the text",
    ),
    "an inverted thought in its own tags": (
        inverted(thought="<thought>I am cold.</thought>"),
        "/thought",
        OWN,
        "keep the text",
    ),
    "empty tags": (dual(world="<world></world>"), "/world", OWN, "keep the text"),
    "a world in a thought's tags": (
        dual(world="<thought>Hm.</thought>"),
        "/world",
        OTHER,
        'move the text to "thought"',
    ),
    "a user in a thought's tags": (
        dual(user="<thought>Hm.</thought>"),
        "/user",
        OTHER,
        'move the text to "thought"',
    ),
    "a world that is a whole reply": (dual(world=REPLY), "/world", "whole reply", '"thought" and'),
    "a user that is a whole reply": (dual(user=REPLY), "/user", "whole reply", '"thought" and'),
    "an earlier world that is a whole reply": (
        earlier(world=REPLY),
        "/history/1/world",
        "whole reply",
        '"thought" and "world"',
    ),
    # tags inside
    "a thought inside a world": (
        dual(world="Fine. <thought>I hate it.</thought> Thank you."),
        "/world",
        INSIDE,
        "neither holds the other",
    ),
    "a second thought after the first": (
        dual(thought="<thought>Hm.</thought> <thought>Oh.</thought>"),
        "/thought",
        INSIDE,
        "remove them",
    ),
    "a world inside a thought": (
        dual(thought="I could say:\n<world>No.</world>\nBut I won't."),
        "/thought",
        INSIDE,
        "remove them",
    ),
    "a thought inside an inverted world": (
        inverted(world="I get up. <thought>Brr!</thought> I close it."),
        "/world",
        INSIDE,
        "remove them",
    ),
    # tags without their other half
    "a thought that is opened only": (dual(thought="<thought>Hm."), "/thought", OPEN, "<thought>"),
    "a world that is closed only": (dual(world="Water!</world>"), "/world", CLOSED, "</world>"),
    "a thought that is cut too late": (
        dual(thought="It is too salty.</thought>\n<world>"),
        "/thought",
        CLOSED,
        "remove </thought>",
    ),
    "a world that is cut too early": (
        dual(world="</thought><world>Water!"),
        "/world",
        CLOSED,
        "remove </thought>",
    ),
    "crossed tags": (
        dual(world="<world>a b<thought>c d</world>e f</thought>"),
        "/world",
        CLOSED,
        "remove </world>",
    ),
    "an earlier thought that is opened only": (
        earlier(thought="<thought>Hm."),
        "/history/1/thought",
        OPEN,
        "remove <thought>",
    ),
    # the answer
    "a world without the answer": (
        dual(world="It makes 7.", answer="8"),
        "/answer",
        'does not end with the answer "8"',
        "the last one",
    ),
    "an answer that is not at the end": (
        dual(world="It makes 7, for 2 people.", answer="7"),
        "/answer",
        "does not end",
        "the last one",
    ),
    "an answer of punctuation": (
        dual(answer="…"),
        "/answer",
        "nothing that could be compared",
        "in words or digits",
    ),
    "a blank answer": (dual(answer=" "), "/answer", "nothing that could be compared", "in words"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_fault_is_one_problem_at_its_place_with_a_hint(name: str):
    sample, place, message, hint = BAD[name]
    problems = validate(sample)
    assert [problem.pointer for problem in problems] == [place]
    assert message in problems[0].message
    assert hint in problems[0].hint
    assert problems[0].severity == "error"


def test_who_meant_to_write_about_a_tag_is_told_how():
    sample = dual(user="Is it spelt <thought>")
    (problem,) = validate(sample)
    assert "put it in backticks: `<thought>`" in problem.hint
    assert validate(dual(user="Is it spelt `<thought>`")) == []


def test_all_problems_are_told_at_once_in_the_order_of_reading():
    sample = dual(
        answer="9",
        world="</world>",
        thought=" ",
        user="<world>Hi there</world>",
        history=[dual(world="<world>x"), dual(thought="")],
        system=" ",
    )
    assert [problem.pointer for problem in validate(sample)] == [
        "/system",
        "/history/0/world",
        "/history/1/thought",
        "/user",
        "/thought",
        "/world",
        "/answer",
    ]


pieces = st.sampled_from(
    ["<thought>", "</thought>", "<world>", "</world>", "`", '"', "\n", " ", "and", "I am", "7", "…"]
)
texts = st.lists(pieces, min_size=1, max_size=7).map("".join) | st.text(min_size=1, max_size=8)
exchanges = st.fixed_dictionaries({"user": texts, "world": texts}, optional={"thought": texts})
duals = st.fixed_dictionaries(
    {"user": texts, "thought": texts, "world": texts},
    optional={"system": texts, "history": st.lists(exchanges, max_size=2), "answer": texts},
)
inverteds = st.fixed_dictionaries({"shape": st.just("inverted"), "thought": texts, "world": texts})


@given(duals | inverteds)
def test_what_is_accepted_can_be_read_back_as_a_perfect_reply(sample: dict[str, Any]):
    before = json.dumps(sample)
    problems = validate(sample)
    assert json.dumps(sample) == before
    for problem in problems:
        assert problem.message
        assert problem.hint
        node: Any = sample
        for step in problem.pointer.split("/")[1:]:
            node = node[int(step)] if isinstance(node, list) else node[step]
    if problems:
        return
    messages = format_sample(sample, Target(False, False, False)).messages
    predictions = [
        Prediction(sample, message, messages[:index], (), message.text, ended=True)
        for index, message in enumerate(messages)
        if message.trained
    ]
    figures = metrics(predictions)
    assert figures["well_formed"] == 1
    assert figures.get("exact_answer") == (1 if "answer" in sample else None)
