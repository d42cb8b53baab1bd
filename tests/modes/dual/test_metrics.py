"""The figures of dual mode: what each counts, and of what."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftcore_dual
from ftcore.values import Message, Part, Prediction, Target
from ftcore_dual.formatting import format_sample
from ftcore_dual.metrics import metrics
from ftcore_dual.replies import read_reply

NAMES = {"well_formed", "thought_words", "exact_answer", "thought_leak", "ended"}
SUM = {"user": "3 + 4?", "thought": "I add them.", "world": "It is 7.", "answer": "7"}
PAIR = {"shape": "inverted", "thought": "I am cold.", "world": "I close the window."}
LONG = "I think that this is by far the worst soup of my life"


def predicted(text: str, sample: Mapping[str, Any] = SUM, ended: bool = True) -> Prediction:
    *history, reference = format_sample(sample, Target(False, True, False)).messages
    return Prediction(sample, reference, tuple(history), (), text, ended)


def reply(thought: str, world: str) -> str:
    return f"<thought>{thought}</thought>\n<world>{world}</world>"


def examples() -> list[dict[str, Any]]:
    lines = Path(ftcore_dual.__file__).with_name("examples.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_nothing_predicted_gives_zeros():
    assert metrics([]) == {}


@pytest.mark.parametrize("system", [True, False])
def test_the_modes_own_examples_said_back_are_perfect(system: bool):
    predictions: list[Prediction] = []
    for sample in examples():
        messages = format_sample(sample, Target(False, system, False)).messages
        predictions += [
            Prediction(sample, message, messages[:index], (), message.text, ended=True)
            for index, message in enumerate(messages)
            if message.trained
        ]
    figures = metrics(predictions)
    assert 5 < figures.pop("thought_words") < 30
    assert figures == {"well_formed": 1, "exact_answer": 1, "thought_leak": 0, "ended": 1}


WELL_FORMED = {
    "as trained": reply("I add 3 and 4.", "It is 7."),
    "white space around": f"\n {reply('I add.', '7')} \n",
    "on one line": "<thought>I add.</thought> <world>It is 7.</world>",
    "nothing between": "<thought>I add.</thought><world>It is 7.</world>",
    "over several lines": reply("I add:\n3 + 4.\n", "It\n\nis 7."),
    "a tag mentioned in the thought": reply("The <world> tag comes next, so 7.", "7"),
    "a border mentioned in the thought": reply("Then `</thought><world>`? No.", "7"),
    "a tag mentioned in the world": reply("I add.", "I close with `</world>`: 7"),
}
ILL_FORMED = {
    "nothing": "",
    "plain text": "It is 7.",
    "only a thought": "<thought>I add them.</thought>",
    "only a world": "<world>It is 7.</world>",
    "the other order": "<world>It is 7.</world>\n<thought>I add them.</thought>",
    "two thoughts": "<thought>Hm.</thought>\n" + reply("I add.", "7"),
    "two worlds": reply("I add.", "7") + "\n<world>7</world>",
    "two thoughts on one line": "<thought>Hm.</thought> So " + reply("I add.", "7"),
    "two worlds on one line": "<thought>I add.</thought><world>7</world> or <world>8</world>",
    "the whole twice": reply("I add.", "7") + "\n" + reply("I add.", "7"),
    "text before": "Sure! " + reply("I add.", "7"),
    "text after": reply("I add.", "7") + " Bye!",
    "text between": "<thought>I add.</thought> So: <world>7</world>",
    "not closed": "<thought>I add.</thought>\n<world>It is 7.",
    "a thought not closed": "<thought>I add.\n<world>It is 7.</world>",
    "an empty thought": reply(" ", "7"),
    "an empty world": reply("I add.", "\n"),
    "a thought in the world": reply("I add.", "It is <thought>easy, so</thought> 7."),
    "a world in the thought": reply("I say <world>7</world> then.", "7"),
    "capitals": "<Thought>I add.</Thought>\n<World>7</World>",
    "overlapping tags": "<thought></world>",
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_a_well_formed_reply_counts(name: str):
    assert metrics([predicted(WELL_FORMED[name])])["well_formed"] == 1


@pytest.mark.parametrize("name", ILL_FORMED)
def test_any_other_reply_does_not(name: str):
    assert metrics([predicted(ILL_FORMED[name])])["well_formed"] == 0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("<world>I close the window.</world>", 1),
        (" <world>The `<world>` tag.</world>\n", 1),
        (reply("I am cold.", "I close the window."), 0),
        ("<world>I close it.</world><world>I sit.</world>", 0),
        ("<world>I close it.</world> Then <world>I sit.</world>", 0),
        ("I close the window.", 0),
        ("<world></world>", 0),
        ("<world>", 0),
        ("So: <world>I close the window.</world>", 0),
    ],
)
def test_in_the_inverted_shape_one_world_alone_is_well_formed(text: str, share: float):
    assert metrics([predicted(text, PAIR)])["well_formed"] == share


# what was generated: whether 7 counts as said
ANSWERS = {
    reply("I add.", "It is 7."): 1,
    reply("I add.", "It is 8."): 0,
    reply("It is 7.", "I won't say."): 0,
    reply("It is 8.", "It is 7."): 1,
    "<thought>I add.</thought>\n<world>It is 7.": 1,
    "<thought>I add.\n<world>It is 7.</world>": 1,
    "<world>It is 7.</world>\n<thought>I add 8.</thought>": 1,
    "It is 7.": 1,
    "It is 8.": 0,
    "<thought>8</thought> It is 7.": 1,
    "<thought>It is 7.</thought>": 0,
    "<thought>It is 7.": 0,
    "7 <thought>7</thought> or 8": 0,
    "": 0,
}


@pytest.mark.parametrize("text", ANSWERS)
def test_the_answer_is_looked_for_in_the_world(text: str):
    assert metrics([predicted(text)])["exact_answer"] == ANSWERS[text]


def test_the_answer_is_asked_of_the_last_reply_only():
    sample = {**SUM, "history": [{"user": "3?", "thought": "A number.", "world": "Three."}]}
    for target in (Target(False, True, False), Target(False, False, False)):
        messages = format_sample({"system": "Add.", **sample}, target).messages
        said = [
            Prediction(sample, message, messages[:index], (), message.text, ended=True)
            for index, message in enumerate(messages)
            if message.trained
        ]
        assert len(said) == 2
        assert metrics(said)["exact_answer"] == 1
        assert "exact_answer" not in metrics(said[:1])  # its denominator is empty


LEAKS = {
    "eight words in a row": (reply(LONG, "I think that this is by far the best."), 1),
    "seven words in a row": (reply(LONG, "I think that this is by far, well, the best."), 0),
    "in another case, with other marks": (reply(LONG, "THINK: that this is by far the worst!"), 1),
    "eight words in another order": (reply(LONG, "Far by is this that think I, the worst."), 0),
    "a thought's tags in the world": (reply("Hm.", "Fine. <thought>Bad soup</thought> Thanks."), 1),
    "a thought not closed in the world": (reply("Hm.", "Fine.\n<thought>"), 1),
    "a tag mentioned in the world": (reply("Hm.", "The <thought> tag holds it."), 0),
    "a world not closed": (f"<thought>{LONG}</thought>\n<world>{LONG}", 1),
    "no world": (f"<thought>{LONG}</thought> {LONG}", 0),
    "nothing": ("", 0),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_what_the_world_has_from_the_thought(name: str):
    text, share = LEAKS[name]
    assert metrics([predicted(text)])["thought_leak"] == share


def test_in_the_inverted_shape_the_prompt_is_what_may_leak():
    sample = {**PAIR, "thought": LONG}
    assert metrics([predicted(f"<world>{LONG}</world>", sample)])["thought_leak"] == 1
    assert metrics([predicted("<world>Nice soup.</world>", sample)])["thought_leak"] == 0


def test_words_are_counted_where_there_is_a_thought():
    whole = reply("I add them up.", "7"), reply("So\u00a0so.", "7")
    cut = "<thought>Cut off", "<thought>Cut off\n<world>It is 7.</world>"
    texts = [*whole, *cut, "It is 7."]
    assert metrics([predicted(text) for text in texts])["thought_words"] == (4 + 2 + 2 + 2) / 4
    assert "thought_words" not in metrics([predicted("<world>Hm.</world>", PAIR)])


def test_each_share_has_its_own_denominator():
    unasked = {"user": "Hi!", "thought": "A guest.", "world": "Hello."}
    figures = metrics(
        [
            predicted(reply("I add.", "It is 7.")),
            predicted(reply("I add.", "It is 8."), ended=False),
            predicted("Hello.", unasked),
            predicted("<world>I close the window.</world>", PAIR),
        ]
    )
    assert figures == {
        "well_formed": 3 / 4,
        "thought_words": 2,
        "exact_answer": 1 / 2,
        "thought_leak": 0,
        "ended": 3 / 4,
    }


def test_keys_of_the_core_in_a_sample_do_no_harm():
    sample = {"cognitive_mode": "dual", "comment": "x", **SUM}
    assert metrics([predicted(reply("I add.", "7"), sample)])["exact_answer"] == 1


words = st.lists(
    st.sampled_from(["<thought>", "</thought>", "<world>", "</world>", "\n", " ", "I", "7", "`"])
    | st.text(max_size=5)
).map("".join)


@given(st.lists(st.tuples(words, st.sampled_from([SUM, PAIR]), st.booleans())))
def test_figures_are_finite_whatever_was_generated(drawn: list[tuple[str, dict[str, Any], bool]]):
    figures = metrics([predicted(*one) for one in drawn])
    assert figures.keys() <= NAMES
    assert all(math.isfinite(value) and value >= 0 for value in figures.values())
    assert all(value <= 1 for name, value in figures.items() if name != "thought_words")


plain = st.text(st.characters(exclude_characters="<>`"), max_size=20).map("I {}".format)


@given(plain, plain, st.sampled_from(["", "\n", " \n\n"]))
def test_a_reply_is_read_as_it_was_written(thought: str, world: str, between: str):
    text = f"<thought>{thought}</thought>{between}<world>{world}</world>"
    read = read_reply(text, world_only=False)
    assert (read.thought, read.world, read.well_formed) == (thought, world, True)


def test_a_reference_that_carries_no_sample_does_no_harm():
    message = Message("assistant", (Part("world", "x"),), trained=True)
    assert metrics([Prediction({}, message, (), (), "x", ended=True)])["ended"] == 1
