"""The report's figures are what a person would count by hand."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import attrs
import pytest

from ftcore.config import resolve
from ftcore.curation import curate
from ftcore.data_report import Answers, Report, Split, Spread, to_json
from ftcore.faults import KEPT, OTHERS, FaultCollector, Tally
from ftcore.fillers import opens_with_filler
from ftcore.plugins import open_mode
from ftcore.samples import judge_samples
from ftcore.shapes import Importing
from ftcore.sources import find_sources
from ftcore.token_lengths import TokenCounter
from ftcore.values import Problem

TOOLS = """
from ftcore import hookimpl
from ftcore.values import Conversation, Message, Part, ToolCall

@hookimpl
def ftcore_sample_schema():
    text = {"type": "string"}
    return {"type": "object", "additionalProperties": False,
            "properties": {"ask": text, "call": text, "think": text, "say": text}}

@hookimpl
def ftcore_markers():
    return ("<pen>", "</pen>")

@hookimpl
def ftcore_format_sample(sample, target):
    calls = (ToolCall(sample["call"], {"at": 1}),) if "call" in sample else ()
    return Conversation((
        Message("system", (Part("", "a system text of seven whole words"),)),
        Message("user", (Part("", sample["ask"]),)),
        Message("assistant", (Part("", sample.get("say", "")),),
                reasoning=(Part("", sample["think"]),) if "think" in sample else (),
                tool_calls=calls, trained=True),
    ))
"""


@pytest.fixture
def report(tmp_path, distribution):
    """``report(records, …)``: of a mode whose samples ask and say."""
    distribution("ftc-haiku", mode="haiku")
    distribution("ftc-pen", TOOLS, mode="pen")

    def make(records, *, modes=("haiku",), shares=None, tokenizer=None, every=False, **settings):
        path = tmp_path / "data.jsonl"
        lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        opened = {name: open_mode(name) for name in modes}
        judged = judge_samples(
            opened, find_sources([path]), known_modes=("haiku", "pen"), importing=Importing()
        )
        mode = modes[0] if len(modes) == 1 else None
        base = resolve(mode=mode, mode_defaults=(), workspace=tmp_path).settings
        chosen = attrs.evolve(base, **settings)
        counter = TokenCounter(tokenizer, chosen, every=every) if tokenizer else None
        return curate(judged, chosen, shares=shares or {}, tokens=counter, base_model="some/model")

    return make


def sample(ask: str, say: str, **more: str) -> dict[str, str]:
    return {"ask": ask, "say": say, **more}


def words(count: int, word: str = "word") -> str:
    return " ".join(f"{word}{index}" for index in range(count))


def test_every_record_is_counted_once(report):
    made = report(
        [
            sample("a", "b"),
            sample("c", "d", cognitive_mode="haiku"),
            sample("e", "f", cognitive_mode="pen"),
            {"ask": "no answer"},
            {"ask": 1, "say": ""},
            "{broken",
        ]
    )
    assert made.records == 6
    assert made.modes["haiku"].samples == made.valid == 2
    assert made.refused == 3
    assert made.other_mode == 1
    assert [problem.line for problem in made.problems.first] == [4, 5, 5, 6]
    assert made.problems.total == sum(made.problems.by_message.values()) == 4
    assert made.shapes["native"] >= 2


def test_lengths_are_those_of_real_samples(report):
    made = report([sample("one two", words(count)) for count in (1, 3, 8, 20, 98)])
    figures = made.modes["haiku"]
    assert figures.words == Spread(3, 5, 10, 22, 100, 28.0)
    assert figures.tokens is None


def test_answers_are_measured_by_their_own_words(report):
    says = [words(40), words(41), words(100), words(101), "Sure! " + words(17)]
    made = report([sample("a question of some words", say) for say in says])
    assert made.modes["haiku"].answers == Answers(
        count=5, calls_only=0, mean_words=60.0, short=0.4, long=0.2, filler=0.2
    )


def test_markers_are_no_words_and_hide_no_filler_and_calls_alone_are_no_answers(report):
    made = report(
        [
            {"ask": "a", "say": "<pen>It is late.</pen>"},
            {"ask": "b", "say": "<pen> Sure, it is. </pen>", "think": "hm hm"},
            {"ask": "c", "call": "go"},
        ],
        modes=("pen",),
    )
    figures = made.modes["pen"]
    assert figures.answers == Answers(2, 1, 4.0, 1.0, 0.0, 0.5)
    assert figures.words is not None
    assert figures.words.minimum == 8, "a call is no words, a system text is"


@pytest.mark.parametrize(
    ("text", "filler"),
    [
        ("Sure!", True),
        ("Sure, here it is.", True),
        ("  *Certainly* - as you wish", True),
        ("Of  course.\nHere", True),
        ("Great question", True),
        ("That\u2019s a great question! It", True),
        ("OF COURSE", True),
        ("I'd be happy to help you with", True),
        ("Absolutely\nyes", True),
        ("Sure enough, it rained.", False),
        ("Surely not.", False),
        ("Of course it rained.", False),
        ("Uncertainly, he went on.", False),
        ("I am sure!", False),
        ("Great questions, all of them", False),
        ("Certainly not.", False),
        ("", False),
    ],
)
def test_filler_is_whole_words_at_the_beginning(text, filler):
    assert opens_with_filler(text) is filler


def test_duplicates_are_named_and_do_not_straddle_the_split(report):
    long = words(60)
    records = [sample(f"q{index}", words(30, f"w{index}x")) for index in range(36)]
    records += [sample("same", long)] * 3
    records += [sample("same", long.replace("word30", "other")), sample("same", long + " end")]
    made = report(records, eval_split=0.5)
    found = made.duplicates
    assert (found.exact_copies, found.exact_groups) == (2, 1)
    assert [place.rpartition(":")[2] for place in found.exact[0].places] == ["37", "38", "39"]
    assert (found.near_samples, found.near_groups) == (3, 1)
    assert [place.rpartition(":")[2] for place in found.near[0].places] == ["37", "40", "41"]
    assert made.split.trained + made.split.held_out == 41
    assert made.split.exact_across == 0


def test_near_duplicates_across_the_split_are_counted(report):
    records = [sample("q", words(50) + f" end{index}") for index in range(10)]
    made = report(records, eval_split=0.3)
    assert made.split == Split(trained=7, held_out=3, exact_across=0, near_across=3)
    assert report(records, eval_split=0.0).split == Split(10, 0, 0, 0)


def test_the_split_is_the_one_that_training_makes(report, tokenizer, tmp_path):
    from ftcore.prepare import prepare
    from ftcore.spool import store_samples

    records = [sample(f"q{index % 30}", f"a{index % 30}") for index in range(40)]
    made = report(records, eval_split=0.2, tokenizer=tokenizer)
    mode = open_mode("haiku")
    judged = judge_samples(
        {"haiku": mode},
        find_sources([tmp_path / "data.jsonl"]),
        known_modes=("haiku",),
        importing=Importing(),
    )
    data = prepare(
        store_samples((one.sample, mode) for one in judged if one.sample),
        tokenizer,
        max_seq_length=2048,
        long_samples="split",
        control_tokens="refuse",
        eval_split=0.2,
        seed=42,
    )
    assert made.split.held_out == len(data.held_out)
    held = {item.sample.data["ask"] for item in data.held_out}
    assert held.isdisjoint(item.sample.data["ask"] for item in data.train)
    examples = [e for item in (*data.train, *data.held_out) for e in item.examples]
    assert made.tokens is not None
    assert made.tokens.total == sum(len(example.input_ids) for example in examples)
    assert made.tokens.trained == sum(example.trained_tokens for example in examples)


def test_modes_without_samples_show_the_share_that_they_lack(report):
    records = [sample(str(i), "b", cognitive_mode="haiku") for i in range(3)]
    records.append({"ask": "x", "say": "y", "cognitive_mode": "pen"})
    shares = {"haiku": 0.5, "pen": 0.3, "ode": 0.1}
    made = report(records, modes=("haiku", "pen"), shares=shares)
    got = {name: (f.samples, f.share, f.least_share) for name, f in made.modes.items()}
    assert got == {"haiku": (3, 0.75, 0.5), "pen": (1, 0.25, 0.3), "ode": (0, 0.0, 0.1)}


def test_what_cannot_be_rendered_is_a_problem_with_its_line(report, tokenizer):
    made = report(
        [sample("a", "b"), sample("a", "ends <|im_end|> here"), "{broken"], tokenizer=tokenizer
    )
    assert made.valid == 1
    assert made.refused == 2
    assert made.tokens is not None
    assert made.tokens.not_rendered == 1
    by_line = {problem.line: problem.message for problem in made.problems.first}
    assert "<|im_end|>" in by_line[2]
    assert made.split.held_out + made.split.trained == 1


def test_long_samples_are_named_and_refused_where_training_refuses_them(report, tokenizer):
    records = [sample("a", words(count)) for count in (5, 200, 300, 10)]
    made = report(records, tokenizer=tokenizer, max_seq_length=128)
    assert made.tokens is not None
    assert made.tokens.too_long == 2
    assert [one.place.rpartition(":")[2] for one in made.tokens.longest] == ["3", "2", "4", "1"]
    assert not made.problems.total
    dropped = report(records, tokenizer=tokenizer, max_seq_length=128, long_samples="drop")
    assert dropped.split.held_out + dropped.split.trained == 2
    refused = report(records, tokenizer=tokenizer, max_seq_length=128, long_samples="refuse")
    assert [problem.line for problem in refused.problems.first] == [2, 3]


def test_the_template_that_training_takes_is_counted_wherever_tools_first_occur(report, tokenizer):
    """SmolLM2's own template knows no tools and takes fewer tokens than ftcore's."""

    def tokens(*records):
        made = report(records, modes=("pen",), tokenizer=tokenizer)
        assert made.tokens is not None
        return made.tokens.total, made.tokens.own_template

    plain = {"ask": "a", "say": "b"}
    call = {"ask": "c", "call": "go"}
    assert tokens(plain)[1] is False
    assert tokens(plain, call) == tokens(call, plain)
    assert tokens(plain, call)[1] is True


def test_of_very_many_samples_a_part_is_rendered_and_the_report_says_so(
    report, tokenizer, monkeypatch
):
    monkeypatch.setattr("ftcore.token_lengths.SAMPLED", 40)
    records = [sample(f"q{index}", words(1 + index % 50)) for index in range(600)]
    records += [sample("long", words(300))] * 150
    records = [records[(index * 7) % 750] for index in range(750)]
    part = report(records, tokenizer=tokenizer, max_seq_length=256).tokens
    whole = report(records, tokenizer=tokenizer, max_seq_length=256, every=True).tokens
    assert part is not None and whole is not None
    assert whole.exact and whole.rendered == whole.counted == 750
    assert not part.exact and 20 <= part.counted <= 40 and part.rendered < 300
    assert whole.too_long == 150
    assert part.total == pytest.approx(whole.total, rel=0.5)
    assert part.too_long == pytest.approx(whole.too_long, rel=0.9)
    again = report(records, tokenizer=tokenizer, max_seq_length=256).tokens
    assert again == part, "the seed chooses"


def test_problems_are_kept_in_bounded_memory():
    collector = FaultCollector()
    tracemalloc.start()
    for index in range(50_000):
        collector.add([Problem(f"no {index}" * 20, file="a.jsonl", line=index)])
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    faults = collector.faults()
    assert faults.total == 50_000
    assert [problem.line for problem in faults.first] == list(range(KEPT))
    assert faults.by_message[OTHERS] == 50_000 - KEPT


def test_a_tally_is_sorted_by_count():
    tally = Tally()
    tally.add(["a", "b", "b"])
    tally.add(["c"], 5)
    assert list(tally.sorted().items()) == [("c", 5), ("b", 2), ("a", 1)]


def test_no_record_gives_no_figure_and_no_failure(report):
    made = report(["{}"])
    assert made.valid == 0
    assert made.modes == {}
    assert made.split == Split(0, 0, 0, 0)
    assert json.loads(json.dumps(to_json(made)))["valid"] == {}


def test_json_has_every_figure_and_keeps_its_keys(report, tokenizer):
    made = report([sample("a", "b"), {}], tokenizer=tokenizer)
    written = json.loads(json.dumps(to_json(made)))
    assert written["lines"] == 2
    assert written["valid"] == {"haiku": 1}
    assert written["problem_count"] == len(written["problems"]) > 0
    assert {"file", "line", "pointer", "message", "hint"} <= written["problems"][0].keys()
    names = {field.name for field in attrs.fields(Report)} - {"records", "problems", "warnings"}
    assert names <= written.keys()
    assert written["modes"]["haiku"]["words"]["median"] == 2
    assert Path(written["tokens"]["longest"][0]["place"]).name == "data.jsonl:1"
