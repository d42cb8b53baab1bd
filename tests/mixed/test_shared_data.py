"""Real collections in their own shapes: all load, and what is refused is refused for a reason.

They are no part of the project. ``FTCORE_SHARED_DATA`` names the folder that holds them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ftcore.plugins import open_mode
from ftcore.shapes import Importing, import_record
from ftcore.shapes.chats import CUT
from ftcore.values import Problem, Sample, Target

FOLDER = os.environ.get("FTCORE_SHARED_DATA", "")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="FTCORE_SHARED_DATA names no folder with the shared collections"
)


def records(name: str) -> list[dict[str, Any]]:
    text = (Path(FOLDER) / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else [*map(json.loads, text.splitlines())]


class Outcome:
    """What became of the records of a file."""

    def __init__(self, name: str, mode: str, columns: dict[str, str] | None = None) -> None:
        self.mode = open_mode(mode)
        self.samples: dict[int, Sample] = {}
        self.refused: dict[int, tuple[str, str]] = {}
        self.shapes: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        for number, record in enumerate(records(name), 1):
            self._take(Sample(record, name, number), Importing(columns=columns or {}))

    def _take(self, record: Sample, importing: Importing) -> None:
        found = import_record(record, self.mode, importing)
        if isinstance(found, Problem):
            self.refused[record.line] = (found.pointer, found.message)
            return
        self.shapes[found.shape] += 1
        self.ignored.update(found.ignored)
        self.notes.update(found.notes)
        problems = self.mode.problems(found.sample)
        if problems:
            self.refused[record.line] = (problems[0].pointer, problems[0].message)
        else:
            self.samples[record.line] = found.sample


def test_conversations_with_function_calls():
    found = Outcome("agent/glaive_toolcall_en_demo.json", "agent")
    assert found.shapes == {"sharegpt": 300}
    assert len(found.samples) == 299
    assert found.refused == {
        260: (
            "/conversations/3/value",
            "the arguments do not satisfy the schema of tool 'track_calories': [150, 350, 800] is "
            "not of type 'number'",
        )
    }
    made = [m for s in found.samples.values() for m in s.data["messages"]]
    assert sum(len(m.get("tool_calls", ())) for m in made) == 210
    assert not found.ignored


def test_reasoning_and_calls_in_typed_parts():
    found = Outcome("agent/reason_tool_use_demo_50.jsonl", "agent")
    assert len(found.samples) == 48
    assert found.refused == {
        6: ("/messages/2/content/1/value", "</think> closes a thinking that was not opened"),
        7: ("/messages/4/content/1/value", "</think> closes a thinking that was not opened"),
    }
    third = found.samples[3].data["messages"]
    assert [m["role"] for m in third[2:6]] == ["assistant", "tool", "tool", "assistant"]
    assert [c["id"] for c in third[2]["tool_calls"]] == [m["tool_call_id"] for m in third[3:5]]
    made = [m for s in found.samples.values() for m in s.data["messages"]]
    assert all(m["reasoning"] for m in made if m["role"] == "assistant")


@pytest.mark.parametrize("with_answer", [False, True])
def test_a_table_of_word_problems(with_answer):
    columns = {"user": "question", "thought": "rationale", "world": "answer"}
    found = Outcome(
        "dual/gsm_symbolic.jsonl", "dual", columns | ({"answer": "answer"} if with_answer else {})
    )
    assert (len(found.samples), found.refused) == (8000, {})
    assert found.ignored == {"template": 8000}


def test_a_table_of_asides():
    columns = {"user": "cue", "thought": "thought", "world": "world"}
    found = Outcome("dual/iambic_asides.json", "dual", columns)
    assert (len(found.samples), found.refused) == (140, {})
    assert found.ignored == dict.fromkeys(("play", "scene", "speaker", "world_from"), 140)


def test_chats_of_one_persona():
    found = Outcome("emulation/chitchat_persona.jsonl", "emulation")
    assert found.shapes == {"turns": 515}
    assert (len(found.samples), found.refused) == (515, {})
    assert found.ignored == {"id": 515, "prompt": 515}
    target = Target(tools=False, system=True, reasoning=False)
    trained = [m for s in found.samples.values() for m in found.mode.format(s, target).messages]
    # 12,115 turns of the persona follow one of the partner's. One of those says nothing: the turns
    # of the persona around it are one.
    assert sum(message.trained for message in trained) == 12114
    assert set(found.notes) == {CUT}
