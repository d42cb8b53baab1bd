"""Three modes for records to become samples of: one of chats, one of two texts, one with a hook."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from ftcore.mode import Mode
from ftcore.plugins import open_mode
from ftcore.shapes import Imported, Importing, import_record
from ftcore.values import Problem, Sample

CHAT = """
from ftcore import hookimpl
from ftcore.values import Conversation, Message, Part

CALL = {"type": "object", "required": ["function"], "properties": {
    "function": {"type": "object", "required": ["name"], "properties": {
        "name": {"enum": ["weather", "clock"]},
        "arguments": {"type": ["object", "string"], "properties": {"city": {"type": "string"}}},
    }},
}}

@hookimpl
def ftcore_sample_schema():
    return {
        "type": "object",
        "properties": {
            "messages": {"type": "array", "items": {"$ref": "#/$defs/message"}},
            "tools": {"type": "array"},
            "mood": {"type": "string"},
        },
        "required": ["messages"],
        "additionalProperties": False,
        "$defs": {"message": {
            "type": "object",
            "properties": {
                "role": {"enum": ["system", "user", "assistant", "tool"]},
                "content": {"type": ["string", "null"], "maxLength": 200},
                "reasoning": {"type": "string", "maxLength": 20},
                "tool_calls": {"type": "array", "items": CALL},
                "tool_call_id": {"type": "string"},
                "name": {"type": "string"},
                "accent": {"type": "string"},
            },
            "additionalProperties": False,
        }},
    }

@hookimpl
def ftcore_format_sample(sample, target):
    said = sample["messages"][-1]["content"]
    return Conversation((Message("assistant", (Part("", said),), trained=True),))
"""

HAIKU = """

@hookimpl
def ftcore_import_chat(chat):
    *_, asked, said = chat["messages"]
    return {"ask": asked["content"], "say": said["content"]}
"""


@pytest.fixture
def chat(distribution) -> Mode:
    """A mode of chats that has no hook of its own for chats."""
    distribution("ftc-chat", textwrap.dedent(CHAT), mode="chat")
    return open_mode("chat")


@pytest.fixture
def verse(distribution) -> Mode:
    """A mode of two texts, ``ask`` and ``say``, that takes no chats."""
    distribution("ftc-verse", mode="verse")
    return open_mode("verse")


@pytest.fixture
def haiku(distribution, mode_code) -> Mode:
    """The same with a hook: the last question and its answer."""
    distribution("ftc-haiku", mode_code + HAIKU, mode="haiku")
    return open_mode("haiku")


Import = Callable[..., Imported | Problem]


@pytest.fixture
def imported() -> Import:
    """``imported(record, mode, shape=…, columns=…)``."""

    def run(record: dict[str, Any], mode: Mode, **importing: Any) -> Imported | Problem:
        return import_record(Sample(record, "data.jsonl", 7), mode, Importing(**importing))

    return run
