"""A workspace with data of agent mode for the real command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def sample(index: int) -> dict[str, Any]:
    """A valid, short sample of agent mode."""
    city = ["Rome", "Oslo", "Lima", "Cairo", "Quito", "Seoul"][index % 6]
    return {
        "messages": [
            {"role": "user", "content": f"Weather in {city} for {index} days?"},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "type": "function",
                        "function": {
                            "name": "get_weather",
                            "arguments": {"city": city, "days": index},
                        },
                    }
                ],
            },
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                    },
                },
            }
        ],
    }


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace with ``data.jsonl``: 12 valid samples."""
    write_jsonl(tmp_path / "data.jsonl", [sample(index) for index in range(12)])
    return tmp_path


def write_jsonl(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
