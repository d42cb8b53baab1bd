"""Which held-out messages the model is asked to say: a fair, seeded choice of those that fit."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ftcore.evaluate import HeldOutTurn, choose_turns
from ftcore.plugins import open_mode
from ftcore.prepare import DataSet, prepare
from ftcore.spool import store_samples
from ftcore.values import Sample

TALK = """
@hookimpl
def ftcore_format_sample(sample):
    ask = Message("user", (Part("", sample["ask"]),))
    texts = sample["say"].split("|")
    says = (Message("assistant", (Part("said", text),), trained=True) for text in texts)
    return Conversation(tuple(m for say in says for m in (ask, say)))
"""


def held_out(tokenizer: Any, **counts: int) -> DataSet:
    """Half of so many samples of each mode, each of three answers, the last being long."""
    given = [
        (Sample({"ask": "?", "say": f"{name}{n}|b{n}|{'long ' * 90}"}, name, n), open_mode(name))
        for name, count in counts.items()
        for n in range(2 * count)
    ]
    return prepare(
        store_samples(given),
        tokenizer,
        max_seq_length=64,
        long_samples="split",
        control_tokens="refuse",
        eval_split=0.5,
        seed=1,
    )


def chosen(data: DataSet, count: int, seed: int = 1) -> tuple[HeldOutTurn, ...]:
    return choose_turns(data.held_out, data.renderer, count=count, max_tokens=64, seed=seed)


def test_each_mode_has_its_share_of_what_is_said(distribution, mode_code, tokenizer):
    for name in ("haiku", "ode"):
        distribution(f"ftc-{name}", mode_code + TALK, mode=name)
    data = held_out(tokenizer, haiku=30, ode=3)
    assert Counter(data.held_out.kinds) == {"haiku": 30, "ode": 3}
    turns = chosen(data, 10)
    assert Counter(turn.item.mode.name for turn in turns) == {"haiku": 5, "ode": 5}
    every = chosen(data, 1000)
    assert len(every) == 2 * 33  # the long ones do not fit
    said = {turn.turn.answer.partition("<")[0] for turn in every}
    assert all(not text.startswith("long") for text in said)
    held = {item.sample.line for item in data.held_out if item.mode.name == "haiku"}
    assert {t.item.sample.line for t in every if t.item.mode.name == "haiku"} == held


def test_the_choice_is_seeded(distribution, mode_code, tokenizer):
    distribution("ftc-haiku", mode_code + TALK, mode="haiku")
    data = held_out(tokenizer, haiku=30)

    def places(seed: int) -> list[tuple[int, int]]:
        return [(t.item.sample.line, t.turn.index) for t in chosen(data, 8, seed)]

    assert places(1) == places(1)
    assert len(set(places(1))) == 8
    assert len({tuple(places(seed)) for seed in range(5)}) == 5
    assert chosen(data, 0) == ()


def test_only_so_many_samples_are_rendered_as_are_asked_for(distribution, mode_code, tokenizer):
    distribution("ftc-haiku", mode_code + TALK, mode="haiku")
    data = held_out(tokenizer, haiku=40)
    rendered: list[object] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            if name == "turns":
                rendered.append(name)
            return getattr(data.renderer, name)

    renderer: Any = Counting()
    turns = choose_turns(data.held_out, renderer, count=6, max_tokens=64, seed=1)
    assert len(turns) == 6
    assert len(rendered) == 6
