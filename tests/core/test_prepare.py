"""From samples to rows: what is held out, dropped or refused is told, and rows are whole."""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from ftcore.errors import InputError, ProblemsError
from ftcore.ledger import totals
from ftcore.mode import Mode
from ftcore.plugins import open_mode
from ftcore.prepare import DataSet, prepare
from ftcore.render import IGNORE
from ftcore.rows import Rows, make_rows
from ftcore.spool import store_samples
from ftcore.values import Sample

TOOL = """
from ftcore.values import ToolCall

@hookimpl
def ftcore_format_sample(sample, target):
    label = "with tools" if target.tools else "without tools"
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    return Conversation((
        Message("user", (Part("", sample["ask"]),)),
        Message("assistant", (Part(label, sample["say"]),), (), (ToolCall("f", {}),), trained=True),
    ), (tool,))
"""
THINKING = """
@hookimpl
def ftcore_format_sample(sample):
    def turn(say):
        thought = (Part("thought", "hm"),)
        return Message("assistant", (Part("said", say),), thought, trained=True)
    ask = Message("user", (Part("", sample["ask"]),))
    return Conversation((ask, turn("short"), ask, turn(sample["say"])))
"""
TALK = """
@hookimpl
def ftcore_format_sample(sample):
    ask = Message("user", (Part("", sample["ask"]),))
    texts = sample["say"].split("|")
    says = (Message("assistant", (Part("said", text),), trained=True) for text in texts)
    return Conversation(tuple(m for say in says for m in (ask, say)))
"""
COUNTED = """
@hookimpl
def ftcore_format_sample(sample):
    asks = (Message("user", (Part("", str(index)),)) for index in range(3))
    says = Message("assistant", (Part("said", sample["say"]),), trained=True)
    return Conversation(tuple(m for ask in asks for m in (ask, says)))
"""
FROM_THE_BEGINNING = (
    "{% if messages[0].content in '12' %}{{ raise_exception('begin at 0') }}{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if loop.last and m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def haiku(distribution) -> Mode:
    distribution("ftc-haiku", mode="haiku")
    return open_mode("haiku")


def samples(mode: Mode, *answers: str) -> list[tuple[Sample, Mode]]:
    return [
        (Sample({"ask": "?", "say": answer}, "data.jsonl", line), mode)
        for line, answer in enumerate(answers, start=1)
    ]


def prepared(tokenizer: Any, given: list[tuple[Sample, Mode]], **changes: Any) -> DataSet:
    options = {"max_seq_length": 512, "eval_split": 0.0, "seed": 1, "long_samples": "split"}
    options |= {"control_tokens": "refuse"}
    return prepare(store_samples(given), tokenizer, **(options | changes))


def fates(data: DataSet) -> dict[int, str]:
    assert len({entry.line for entry in data.entries}) == len(data.entries)
    return {entry.line: entry.state for entry in data.entries}


# What becomes of a sample


def test_a_control_token_in_a_text_is_refused_by_name_or_escaped(tokenizer, haiku):
    given = samples(haiku, "plain", "an <|im_end|> inside")
    data = prepared(tokenizer, given)
    assert fates(data) == {1: "trained", 2: "refused"}
    (problem,) = data.problems
    assert (problem.line, "'<|im_end|>'" in problem.message) == (2, True)
    assert "--control-tokens=escape" in problem.hint

    data = prepared(tokenizer, given, control_tokens="escape")
    assert fates(data) == {1: "trained", 2: "trained"}
    ((one,), (other,)) = (item.examples for item in data.train)
    said = [i for i in other.labels.tolist() if i != IGNORE]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.decode(said) == "an <|im_end|> inside<|im_end|>"
    assert said.count(end) == 1 and said[-1] == end
    assert one.input_ids.tolist().count(end) == other.input_ids.tolist().count(end)


def test_the_ledger_counts_the_tokens_that_are_trained(tokenizer, haiku):
    data = prepared(tokenizer, samples(haiku, "one two", "three"))
    trained = [example for item in data.train for example in item.examples]
    summed = totals(data.entries)
    assert fates(data) == {1: "trained", 2: "trained"}
    assert summed.examples == len(trained) == 2
    assert summed.tokens == sum(len(example.input_ids) for example in trained)
    assert summed.trained_tokens == sum(example.trained_tokens for example in trained)


def test_a_sample_that_is_too_long_is_dropped_with_its_length(tokenizer, haiku):
    data = prepared(tokenizer, samples(haiku, "short", "long " * 300), max_seq_length=64)
    assert fates(data) == {1: "trained", 2: "dropped"}
    (dropped,) = [entry for entry in data.entries if entry.state == "dropped"]
    length = int(dropped.reason.split()[0])
    assert length > 300
    assert dropped.reason == f"{length} tokens, max_seq_length is 64"
    assert (dropped.tokens, dropped.trained_tokens) == (0, 0)


def test_a_sample_of_just_the_length_allowed_is_kept_whole(tokenizer, haiku):
    (item,) = prepared(tokenizer, samples(haiku, "word " * 40)).train
    length = len(item.examples[0].input_ids)
    again = prepared(tokenizer, samples(haiku, "word " * 40), max_seq_length=length)
    assert len(again.train[0].examples[0].input_ids) == length
    with pytest.raises(InputError, match="too long"):
        prepared(tokenizer, samples(haiku, "word " * 40), max_seq_length=length - 1)


def test_a_long_conversation_is_split_without_its_oldest_turns(distribution, mode_code, tokenizer):
    distribution("ftc-talk", mode_code + TALK, mode="talk")
    words = ["alpha " * 12, "beta " * 12, "gamma " * 12]
    given = [(Sample({"ask": "Hi", "say": "|".join(words)}, "data.jsonl", 1), open_mode("talk"))]
    (whole,) = prepared(tokenizer, given).train
    trained = whole.examples[0].trained_tokens
    limit = len(whole.examples[0].input_ids) - 1
    data = prepared(tokenizer, given, max_seq_length=limit)
    (item,) = data.train
    texts = [tokenizer.decode(example.input_ids) for example in item.examples]
    said = [tokenizer.decode(e.input_ids[e.labels != IGNORE]) for e in item.examples]
    assert [len(example.input_ids) <= limit for example in item.examples] == [True, True]
    assert [("alpha" in t, "beta" in t, "gamma" in t) for t in texts] == [
        (True, True, False),
        (False, True, True),
    ]
    assert [("alpha" in t, "beta" in t, "gamma" in t) for t in said] == [
        (True, True, False),
        (False, False, True),
    ]
    (entry,) = data.entries
    assert entry.reason.startswith("split into 2 without its oldest turns: ")
    assert entry.trained_tokens == trained
    assert data.long == 1


@pytest.mark.parametrize("policy", ["drop", "refuse"])
def test_a_long_conversation_may_be_dropped_or_refused(distribution, mode_code, tokenizer, policy):
    distribution("ftc-talk", mode_code + TALK, mode="talk")
    talk = open_mode("talk")
    given = [
        (Sample({"ask": "Hi", "say": say}, "data.jsonl", line), talk)
        for line, say in enumerate(("a", "|".join(["word " * 40] * 3)), start=1)
    ]
    data = prepared(tokenizer, given, max_seq_length=128, long_samples=policy)
    assert fates(data) == {1: "trained", 2: "dropped" if policy == "drop" else "refused"}
    assert [problem.line for problem in data.problems] == ([] if policy == "drop" else [2])
    assert data.long == 1


def test_a_long_conversation_without_whose_beginning_there_is_none_is_refused_and_not_split(
    distribution, mode_code, tokenizer
):
    distribution("ftc-counted", mode_code + COUNTED, mode="counted")
    strict = copy.deepcopy(tokenizer)
    strict.chat_template = FROM_THE_BEGINNING
    given = samples(open_mode("counted"), "brief", "long " * 20)
    data = prepared(strict, given, max_seq_length=60)
    assert fates(data) == {1: "trained", 2: "refused"}
    (problem,) = data.problems
    assert "begin at 0" in problem.message
    assert data.long == 0


def test_of_a_split_conversation_the_answer_that_is_left_out_is_told(
    distribution, mode_code, tokenizer
):
    distribution("ftc-think", mode_code + THINKING, mode="think")
    forgetful = copy.deepcopy(tokenizer)
    forgetful.chat_template = FORGETFUL
    given = samples(open_mode("think"), "brief", "long " * 300)
    data = prepared(forgetful, given, max_seq_length=64)
    whole, partly = data.entries
    assert (whole.state, whole.examples, whole.reason) == ("trained", 2, "")
    assert (partly.state, partly.examples) == ("trained", 1)
    assert "max_seq_length is 64; 1 of its answers" in partly.reason


def test_a_control_token_in_a_sample_is_a_problem_at_its_line(tokenizer, haiku):
    data = prepared(tokenizer, samples(haiku, "good", "bad <|im_end|> bad", "good"))
    assert fates(data) == {1: "trained", 2: "refused", 3: "trained"}
    (problem,) = data.problems
    assert (problem.file, problem.line, problem.pointer) == ("data.jsonl", 2, "/say")
    assert "message 1 holds '<|im_end|>'" in problem.message


def test_of_a_converted_sample_no_pointer_is_made_up(tokenizer, haiku):
    given = samples(haiku, "good", "bad <|im_end|> bad")
    given[1] = (evolve(given[1][0], origins={"/say": "/answer"}), haiku)
    (problem,) = prepared(tokenizer, given).problems
    assert (problem.line, problem.pointer) == (2, "")


def test_when_nothing_is_left_the_reason_is_given(tokenizer, haiku):
    with pytest.raises(InputError, match="all 2 are too long") as long:
        prepared(tokenizer, samples(haiku, "long " * 90, "long " * 80), max_seq_length=64)
    assert "max_seq_length" in long.value.hint
    with pytest.raises(ProblemsError) as wrong:
        prepared(tokenizer, samples(haiku, "<|im_end|>"))
    assert [problem.line for problem in wrong.value.problems] == [1]
    with pytest.raises(InputError, match="no sample to train on"):
        prepared(tokenizer, [])


# Holding out


def test_a_seeded_share_is_held_out(tokenizer, haiku):
    given = samples(haiku, *(f"answer {index}" for index in range(40)))
    data = prepared(tokenizer, given, eval_split=0.25, seed=5)
    assert (len(data.train), len(data.held_out)) == (30, 10)
    assert Counter(fates(data).values()) == {"trained": 30, "held_out": 10}

    def lines(found: DataSet) -> list[int]:
        return [item.sample.line for item in found.held_out]

    assert lines(data) == sorted(lines(data))
    assert lines(prepared(tokenizer, given, eval_split=0.25, seed=5)) == lines(data)
    assert lines(prepared(tokenizer, given, eval_split=0.25, seed=6)) != lines(data)
    both = {i.sample.line for i in data.train} & {i.sample.line for i in data.held_out}
    assert both == set()


def test_tokens_that_are_held_out_are_not_counted_as_trained(tokenizer, haiku):
    data = prepared(tokenizer, samples(haiku, *"abcdefghij"), eval_split=0.5)
    one = data.train[0].examples[0].trained_tokens
    assert totals(data.entries).trained_tokens == 5 * one


@pytest.mark.parametrize(
    ("count", "share", "held_out"),
    [(10, 0.0, 0), (1, 0.5, 0), (2, 0.05, 1), (2, 0.9, 1), (3, 0.99, 2), (10, 0.05, 1)],
)
def test_at_least_one_is_held_out_and_one_is_left(tokenizer, haiku, count, share, held_out):
    data = prepared(tokenizer, samples(haiku, *"abcdefghij"[:count]), eval_split=share)
    assert (len(data.train), len(data.held_out)) == (count - held_out, held_out)


def test_samples_that_say_the_same_are_never_on_both_sides(tokenizer, haiku):
    given = samples(haiku, *(f"answer {index % 20}" for index in range(60)))
    for seed in range(5):
        data = prepared(tokenizer, given, eval_split=0.25, seed=seed)
        trained, measured = (
            {item.sample.data["say"] for item in side} for side in (data.train, data.held_out)
        )
        assert trained.isdisjoint(measured)
        assert len(data.held_out) == 15


def test_each_mode_has_its_share_held_out(distribution, tokenizer):
    for name in ("haiku", "ode"):
        distribution(f"ftc-{name}", mode=name)
    few, many = samples(open_mode("ode"), *"abcd"), samples(open_mode("haiku"), *"abcdefgh" * 5)
    data = prepared(tokenizer, [*many, *few], eval_split=0.05)
    assert Counter(item.mode.name for item in data.held_out)["ode"] == 1


# The template


def test_samples_without_tools_keep_the_models_template(tokenizer, haiku):
    data = prepared(tokenizer, samples(haiku, "a"))
    assert not data.own_template
    assert data.renderer.tokenizer is tokenizer


def test_samples_with_tools_are_formatted_for_the_template_that_is_used(
    distribution, mode_code, tokenizer
):
    distribution("ftc-call", mode_code + TOOL, mode="call")
    data = prepared(tokenizer, samples(open_mode("call"), "a"))
    assert data.own_template
    assert data.train[0].conversation.messages[-1].content[0].label == "with tools"


def test_in_mixed_data_one_template_serves_all(distribution, mode_code, tokenizer, haiku):
    distribution("ftc-call", mode_code + TOOL, mode="call")
    given = [*samples(haiku, "plain"), *samples(open_mode("call"), "call")]
    data = prepared(tokenizer, given)
    prompts = [data.renderer.turns(item.conversation)[0].prompt for item in data.train]
    assert not any("SmolLM" in prompt for prompt in prompts)


# Rows


def columns_of(rows: Rows) -> dict[str, list[list[int]]]:
    return rows.columns({"row": range(len(rows))})


def test_packed_rows_hold_every_example_once_and_whole(tokenizer, haiku):
    data = prepared(tokenizer, samples(haiku, *("word " * (n % 7 + 1) for n in range(30))))
    rows = make_rows(data.train.examples, packing=True, max_seq_length=128)
    assert len(rows) < 30
    assert all(len(ids) <= 128 for ids in columns_of(rows)["input_ids"])
    packed = Counter(
        tuple(rows.examples[index].input_ids.tolist())
        for number in range(len(rows))
        for index in rows.row(number)
    )
    assert packed == Counter(tuple(i.examples[0].input_ids.tolist()) for i in data.train)


def test_without_packing_a_row_is_an_example_in_the_order_of_the_data(tokenizer, haiku):
    data = prepared(tokenizer, samples(haiku, "one", "two", "three"))
    rows = make_rows(data.train.examples, packing=False, max_seq_length=512)
    said = [item.examples[0].input_ids.tolist() for item in data.train]
    assert columns_of(rows)["input_ids"] == said


def test_columns_lay_examples_side_by_side_with_their_lengths(tokenizer, haiku):
    data = prepared(tokenizer, samples(haiku, "one", "two and three"))
    columns = columns_of(make_rows(data.train.examples, packing=True, max_seq_length=512))
    (ids,), (labels,), (lengths,) = (
        columns["input_ids"],
        columns["labels"],
        columns["seq_lengths"],
    )
    assert sum(lengths) == len(ids) == len(labels)
    cuts = np.split(np.asarray(labels), np.cumsum(lengths)[:-1])
    for piece in cuts:  # the first token of each example is prompt, so no answer runs into it
        assert piece[0] == IGNORE
    said = {tokenizer.decode([t for t in piece.tolist() if t != IGNORE]) for piece in cuts}
    assert said == {"one<|im_end|>", "two and three<|im_end|>"}
    assert json.dumps(columns)  # plain numbers, as the collator takes them
