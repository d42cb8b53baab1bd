"""What the loss of each part costs: training steps with it against steps without it.

    python benchmarks/loss_by_part.py

Trains a model of SmolLM2-135M's shape with random weights on rows of random tokens, in bfloat16
on a CUDA card, and a smaller one in float32 on a CPU. Runs with and without take turns, and the
median of the steps of each counts. Prints the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback
from trl.trainer.sft_trainer import SFTTrainer

from ftcore import trainer
from ftcore.base_models import load_tokenizer
from ftcore.config import resolve
from ftcore.evaluate import Loss
from ftcore.examples import store_examples
from ftcore.progress import Silent
from ftcore.render import Example
from ftcore.rows import Rows, make_rows

LABELS = ("structure", "end", "prose", "thought", "name", "arguments")
WARM = 4
"""Steps of a run that do not count."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=24, help="of each run")
    given = parser.parse_args()
    card = torch.cuda.is_available()
    length, layers, vocabulary = (2048, 30, 49152) if card else (64, 2, 1024)
    made_up = store_examples(examples(given.steps * 4, length, vocabulary))
    rows = make_rows(made_up, packing=True, max_seq_length=length)
    taken: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(given.rounds):
        taken["with"] += steps(made(layers, vocabulary), rows, card)
        with without():
            taken["without"] += steps(made(layers, vocabulary), rows, card)
    found = {name: statistics.median(seconds) for name, seconds in taken.items()}
    print(f"device            {torch.cuda.get_device_name() if card else 'CPU'}")
    print(f"a step            {4 * length:,} tokens in 4 micro-batches")
    print(f"with, without     {1e3 * found['with']:.1f} ms, {1e3 * found['without']:.1f} ms")
    print(f"ratio             {found['with'] / found['without']:.3f}")


def made(layers: int, vocabulary: int) -> LlamaForCausalLM:
    """A model of SmolLM2-135M's shape with so many layers and token ids."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def examples(count: int, length: int, vocabulary: int) -> Iterator[Example]:
    """Random tokens, of which the latter half is trained."""
    numbers = np.random.default_rng(0)
    for _ in range(count):
        ids = numbers.integers(10, vocabulary, length, np.int32)
        parts = numbers.integers(0, len(LABELS), length).astype(np.int16)
        parts[: length // 2] = -1
        yield Example(ids, parts)


def steps(model: LlamaForCausalLM, rows: Rows, card: bool) -> list[float]:
    """Seconds of each step of a run."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, patch.object(trainer, "_Watcher", clock.join):
        given = resolve(
            mode=None,
            mode_defaults=(),
            workspace=Path(folder),
            overrides=(
                f"bf16={str(card).lower()}",
                "learning_rate=1e-6",
                "num_train_epochs=1",
                "per_device_train_batch_size=1",
                "gradient_accumulation_steps=4",
                "save_checkpoints=false",
                "load_best_model_at_end=false",
            ),
        ).settings
        none = Rows(rows.examples, rows.order[:0], rows.ends[:0])
        trainer.train_model(
            *(model, load_tokenizer("smollm2:135m"), rows, none, LABELS, given, Path(folder)),
            *(lambda _: Loss(0.0, {}, 0), Silent()),
        )
    return clock.seconds[WARM:]


class Clock(TrainerCallback):
    """Times steps, waiting for the card at the end of each."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.log: list[dict[str, float]] = []
        self._at = 0.0

    def join(self, *_: Any) -> Clock:
        """Itself, in place of the trainer's own callback."""
        return self

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Starts the clock."""
        self._at = now()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Notes the seconds of the step."""
        self.seconds.append(now() - self._at)


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def without() -> Iterator[None]:
    """TRL's own loss, and no parts."""

    def compute_loss(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        inputs.pop("parts")
        compute: Any = SFTTrainer.compute_loss
        return compute(self, model, inputs, *args, **kwargs)

    with patch("ftcore.trainer._Trainer.compute_loss", compute_loss):
        yield


if __name__ == "__main__":
    main()
