"""What was rendered before is found again, and never where anything that matters has changed."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftcore import cache
from ftcore.cache import KEPT, made_once, samples_key
from ftcore.plugins import open_mode
from ftcore.prepare import DataSet, prepare
from ftcore.rendered import RenderingRules
from ftcore.spool import Samples, store_samples
from ftcore.values import Sample

RULES = RenderingRules(64, "split", "refuse")
CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "the text of a sample": lambda one: one.update(say="c"),
    "a key's place in a sample": lambda one: one.update(data={"say": "b", "ask": "a"}),
    "the mode of a sample": lambda one: one.update(mode="ode"),
    "how many samples there are": lambda one: one.update(count=2),
    "max_seq_length": lambda one: one.update(rules=RenderingRules(65, "split", "refuse")),
    "long_samples": lambda one: one.update(rules=RenderingRules(64, "drop", "refuse")),
    "control_tokens": lambda one: one.update(rules=RenderingRules(64, "split", "escape")),
    "the mode's code": lambda one: (one["folder"] / "__init__.py").open("a").write("\n# new\n"),
    "a file of the mode": lambda one: (one["folder"] / "words.txt").write_text("new"),
    "the mode's version": lambda one: one["install"]("ftc-haiku2", mode="haiku", version="2.0"),
    "an extension": lambda one: one["install"]("ftc-more", "", extension="more"),
    "any other distribution": lambda one: one["install"]("ftc-library", "x = 1"),
    "the chat template": lambda one: setattr(one["tokenizer"], "chat_template", "{{ messages }}"),
    "the vocabulary": lambda one: one["tokenizer"].add_tokens(["haikuish"]),
    "a special token": lambda one: setattr(one["tokenizer"], "eos_token", "<|im_start|>"),
    "nothing": lambda one: None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_result_changes_the_key(distribution, tokenizer, monkeypatch, change):
    folder = distribution("ftc-haiku", mode="haiku")
    distribution("ftc-ode", mode="ode")
    if change == "the mode's version":  # the same mode, from another distribution
        monkeypatch.setenv("FTCORE_PLUGINS", "haiku")

    def key(of: dict[str, Any]) -> str:
        data = of.get("data", {"ask": "a", "say": of.get("say", "b")})
        mode = open_mode(of.get("mode", "haiku"))
        given = [(Sample(data, "f.jsonl", n), mode) for n in range(of.get("count", 1))]
        return samples_key(store_samples(given), of["tokenizer"], of.get("rules", RULES))

    one = {"tokenizer": copy.deepcopy(tokenizer), "folder": folder, "install": distribution}
    before = key(one)
    if change == "the mode's version":
        (metadata,) = folder.parent.glob("ftc_haiku-*/METADATA")
        metadata.write_text(metadata.read_text().replace("1.0", "1.1"))
    else:
        CHANGES[change](one)
    assert (key(one) == before) == (change == "nothing")


def test_a_template_that_writes_the_date_is_rendered_anew_each_day(
    distribution, tokenizer, monkeypatch
):
    distribution("ftc-haiku", mode="haiku")
    samples = store_samples([(Sample({"ask": "a", "say": "b"}, "f", 1), open_mode("haiku"))])
    dated = copy.deepcopy(tokenizer)
    dated.chat_template = "{{ strftime_now('%d %b %Y') }}" + str(tokenizer.chat_template)
    today = [samples_key(samples, one, RULES) for one in (tokenizer, dated)]
    monkeypatch.setattr("ftcore.cache.time.strftime", lambda _: "2030-01-02")
    assert samples_key(samples, tokenizer, RULES) == today[0]
    assert samples_key(samples, dated, RULES) != today[1]


def test_the_code_of_ftcore_counts(tmp_path, monkeypatch):
    """An upgrade changes the version; whoever works on ftcore changes files."""
    (tmp_path / "somecode").mkdir()
    (tmp_path / "somecode" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    code = cache._code  # pyright: ignore[reportPrivateUsage]
    before = list(code("somecode"))
    (tmp_path / "somecode" / "template.jinja").write_text("{{ x }}")
    assert list(code("somecode")) != before
    names = {Path(entry[1]).name for entry in code("ftcore")}
    assert {"render.py", "chat_template.jinja", "cache.py"} <= names


@pytest.fixture
def samples(distribution) -> Samples:
    """Enough of them to be kept."""
    distribution("ftc-haiku", mode="haiku")
    mode = open_mode("haiku")
    given = [(Sample({"ask": "?", "say": f"{n} " * 2000}, "f", n), mode) for n in range(300)]
    assert sum(len(sample.data["say"]) for sample, _ in given) > cache.WORTH_KEEPING
    return store_samples(given)


def of(samples: Samples, tokenizer: Any, root: Path, **options: Any) -> DataSet:
    asked = {"max_seq_length": 512, "long_samples": "drop", "eval_split": 0.1, "seed": 1}
    asked["control_tokens"] = "refuse"
    return prepare(samples, tokenizer, cache=root, **(asked | options))


def test_a_second_run_takes_what_the_first_rendered(samples, tokenizer, tmp_path):
    with pytest.raises(Exception, match="all 300 are too long"):
        of(samples, tokenizer, tmp_path / "cache")
    made = [of(samples, tokenizer, tmp_path / "cache", max_seq_length=8192) for _ in range(2)]
    assert [data.from_cache for data in made] == [False, True]
    one, other = (
        {
            "ids": [example.input_ids.tolist() for example in data.train.examples[:3]],
            "held out": data.held_out.indices.tolist(),
            "entries": list(data.entries),
            "labels": data.part_labels,
            "long": data.long,
        }
        for data in made
    )
    assert one == other
    again = of(samples, tokenizer, tmp_path / "cache", max_seq_length=8192, seed=2)
    assert again.from_cache  # what is held out is drawn anew
    assert again.held_out.indices.tolist() != one["held out"]


def test_few_samples_are_not_kept(samples, tokenizer, tmp_path):
    data = of(samples[:3], tokenizer, tmp_path / "cache", max_seq_length=8192)
    assert not data.from_cache
    assert not (tmp_path / "cache").exists()


def filler(text: str) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        (folder / "file").write_text(text)

    return fill


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    def broken(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        made_once(tmp_path / "root", "key", broken)
    assert list((tmp_path / "root").iterdir()) == []
    folder, _, found = made_once(tmp_path / "root", "key", filler("whole"))
    assert not found
    assert (folder / "file").read_text() == "whole"
    folder, _, found = made_once(tmp_path / "root", "key", filler("other"))
    assert found
    assert (folder / "file").read_text() == "whole"


def test_of_two_that_make_the_same_at_once_both_go_on(tmp_path):
    def slow(folder: Path) -> None:
        made_once(tmp_path, "key", filler("quick"))
        (folder / "file").write_text("slow")

    folder, _, _ = made_once(tmp_path, "key", slow)
    assert (folder / "file").read_text() in ("quick", "slow")
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_the_one_used_longest_ago_goes_first(tmp_path):
    for n in range(KEPT):
        folder, _, _ = made_once(tmp_path, str(n), filler(str(n)))
        os.utime(folder, (n, n))
    made_once(tmp_path, "0", filler("never"))
    made_once(tmp_path, "new", filler("new"))
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {"0", "new", *map(str, range(2, KEPT))}


def test_what_a_killed_process_left_goes_after_a_day(tmp_path):
    for name, age in ((".unfinished-old", 2 * 86_400), (".unfinished-new", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    made_once(tmp_path, "key", filler("x"))
    assert {entry.name for entry in tmp_path.iterdir()} == {".unfinished-new", "key"}


def test_without_a_place_to_keep_it_the_run_goes_on(tmp_path):
    (tmp_path / "file").write_text("in the way")
    folder, scratch, found = made_once(tmp_path / "file" / "cache", "key", filler("x"))
    assert scratch is not None
    assert not found
    assert (folder / "file").read_text() == "x"
