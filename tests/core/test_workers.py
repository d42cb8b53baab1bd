"""Several processes give what one gives, bit by bit, and end together."""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import attrs
import pytest

from ftcore.collect import collect_samples
from ftcore.errors import FtcoreError, PluginError
from ftcore.plugins import open_mode
from ftcore.prepare import prepare
from ftcore.shapes import Importing
from ftcore.sources import find_sources
from ftcore.workers import count_workers, in_order

VARIED = """
from ftcore.values import Problem

@hookimpl
def ftcore_format_sample(sample):
    ask = Message("user", (Part("", sample["ask"]),))
    texts = sample["say"].split("|")
    says = (
        Message("assistant", (Part(text[:1], text), Part("tail", "!")), trained=True)
        for text in texts
    )
    return Conversation(tuple(m for say in says for m in (ask, say)))

@hookimpl
def ftcore_validate_sample(sample):
    found = [Problem("dull", "/say", severity="warning")] if sample["say"] == "c1" else []
    return found + ([Problem("odd", "/say")] if sample["say"].startswith("z") else [])
"""
FAILING = """
@hookimpl
def ftcore_format_sample(sample):
    if sample["say"].startswith("k9"):
        raise ValueError("no nines")
    return Conversation((
        Message("user", (Part("", sample["ask"]),)),
        Message("assistant", (Part("said", sample["say"]),), trained=True),
    ))
"""


@pytest.fixture
def data(tmp_path) -> Path:
    """Records of every fate, more than a batch of them, with more labels in the later ones."""
    path = tmp_path / "data.jsonl"
    records = [
        {
            "ask": f"question {n}",
            "say": f"{'gfedcba'[7 - min(n // 60 + 1, 7)]}{n}|{'word ' * (n % 50)}.",
        }
        for n in range(400)
    ]
    for n in range(0, 400, 17):
        records[n]["say"] = "z"
    records[5]["say"] = records[300]["say"] = "c1"
    records[77]["say"] = "it ends <|im_end|>"
    records[111]["cognitive_mode"] = "limerick"
    lines = [json.dumps(record) for record in records]
    lines[222] = "{broken"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("options", [{}, {"long_samples": "refuse"}, {"limit": 333}])
def test_one_process_and_three_make_the_same(distribution, mode_code, tokenizer, data, options):
    distribution("ftc-limerick", mode="limerick")
    distribution("ftc-haiku", mode_code + VARIED, mode="haiku")
    made = []
    for workers in (1, 3):
        collected = collect_samples(
            {"haiku": open_mode("haiku")},
            find_sources([data]),
            known_modes=("haiku", "limerick"),
            importing=Importing(),
            limit=options.get("limit"),
            workers=workers,
        )
        prepared = prepare(
            collected.samples,
            tokenizer,
            max_seq_length=64,
            long_samples=options.get("long_samples", "split"),
            control_tokens="refuse",
            eval_split=0.1,
            seed=3,
            workers=workers,
        )
        folder = prepared.train.every.folder
        made.append(
            {
                "files": {
                    file.name: hashlib.sha256(file.read_bytes()).hexdigest()
                    for file in sorted([*folder.iterdir(), collected.samples.path])
                },
                "held out": prepared.held_out.indices.tolist(),
                "ledger": [*collected.entries, *prepared.entries],
                "problems": collected.problems + prepared.problems,
                "labels": prepared.part_labels,
                "rest": attrs.asdict(
                    collected, filter=lambda a, _: a.name in ("warnings", "shapes", "ignored")
                ),
            }
        )
    assert made[0] == made[1]
    assert len(made[0]["labels"]) > 6
    states = {entry.state for entry in made[0]["ledger"]}
    assert {"trained", "held_out", "refused", "other_mode"} <= states


def test_a_mode_that_fails_is_named_with_the_sample(distribution, mode_code, tokenizer, tmp_path):
    distribution("ftc-haiku", mode_code + FAILING, mode="haiku")
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps({"ask": "?", "say": f"k{n}"}) for n in range(20)))
    messages = []
    for workers in (1, 2):
        collected = collect_samples(
            {"haiku": open_mode("haiku")},
            find_sources([path]),
            known_modes=(),
            importing=Importing(),
            workers=workers,
        )
        with pytest.raises(PluginError, match="no nines") as failed:
            prepare(
                collected.samples,
                tokenizer,
                max_seq_length=64,
                long_samples="split",
                control_tokens="refuse",
                eval_split=0.1,
                seed=3,
                workers=workers,
            )
        messages.append(str(failed.value))
    assert messages[0] == messages[1]
    assert "data.jsonl:10: " in messages[0]
    assert multiprocessing.active_children() == []


TASKS = """
import os, time
from functools import partial

def start(scale):
    return partial(do, scale)

def do(scale, task):
    if task == 13:
        os._exit(3)
    time.sleep((task % 3) * 0.01)
    return scale * task
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """What opens work: it stands in a module that the other processes can import."""
    (tmp_path / "tasks_of_test.py").write_text(TASKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("tasks_of_test").start
    del sys.modules["tasks_of_test"]


def test_results_come_in_the_order_of_the_tasks(start):
    assert list(in_order(partial(start, 2), range(10), 3)) == [2 * n for n in range(10)]


def test_tasks_are_not_read_far_ahead(start):
    read: list[int] = []

    def tasks():
        for n in range(1000):
            read.append(n)
            yield 1

    results = in_order(partial(start, 1), tasks(), 2)
    next(results)
    results.close()
    assert len(read) < 10
    time.sleep(0.2)
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_is_told_and_not_waited_for(start):
    with pytest.raises(FtcoreError, match="ended unexpectedly"):
        list(in_order(partial(start, 1), range(10, 20), 2))


PROGRAM = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
from functools import partial
from ftcore.workers import in_order
def open_work():
    return work
def work(task):
    print(os.getpid(), flush=True)
    time.sleep(60)
if __name__ == "__main__":
    list(in_order(open_work, range(9), 2))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("kill", ["interrupt", "kill"])
def test_when_the_program_ends_all_processes_end(tmp_path, kill):
    """Ctrl-C reaches every process of a terminal; SIGKILL only the one it is sent to."""
    (tmp_path / "program.py").write_text(PROGRAM)
    program = subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout is not None and program.stderr is not None
    workers = {int(program.stdout.readline()) for _ in range(2)}
    assert len(workers) == 2
    if kill == "interrupt":
        os.killpg(program.pid, signal.SIGINT)
        # one traceback, the program's own
        assert program.stderr.read().count("Traceback (most recent call last)") == 1
    else:
        program.kill()
    program.wait(timeout=20)
    deadline = time.monotonic() + 20
    while any(map(_runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_runs, workers))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_processes_are_started_where_they_are_worth_it():
    assert count_workers(5, size=1, worth=10**9) == 5
    assert count_workers(0, size=1000, worth=10**9) == 1
    assert count_workers(0, size=10**15, worth=10**9) == min(len(os.sched_getaffinity(0)), 8)
