"""Runs the real command line in real subprocesses, on real and on tiny models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Runner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def ftcore() -> Runner:
    """``ftcore(*arguments, cwd=…, env=…, prefix=…)`` in a process of its own."""

    def run(
        *arguments: str | Path,
        cwd: Path,
        env: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        command = [*prefix, sys.executable, "-m", "ftcore", *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with SmolLM2's tokenizer, its weights from a fixed seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ftcore.base_models import load_tokenizer

    tokenizer = load_tokenizer("smollm2:135m")
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


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
    """An empty workspace with ``data.jsonl``: 24 valid samples."""
    write_jsonl(tmp_path / "data.jsonl", [sample(index) for index in range(24)])
    return tmp_path


def write_jsonl(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
