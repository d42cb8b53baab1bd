"""Measures rendering, masking and tokenizing against the tokenizer alone on the same text.

    python benchmarks/render.py [FOLDER OF A TOKENIZER] [--repeat 9]

Prints for each corpus the texts' length, the rate of the tokenizer's own batch encoding, the rate
of :meth:`ftcore.render.Renderer.examples_many`, and the ratio, which the project wants at 0.70 or
more. The last column is a harder one, against the quickest that the tokenizer has: ids alone,
without the places of tokens, which is what ftcore itself calls. One process, one thread; the best
of some repetitions, in seconds of the process's own time.
"""

from __future__ import annotations

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

from attrs import evolve

from ftcore.base_models import load_tokenizer
from ftcore.plugins import open_mode
from ftcore.render import Renderer, RenderError, renderer_for
from ftcore.values import Conversation, Message, Part, Sample

COUNT = 240
"""Conversations of a corpus."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", nargs="?", default="smollm2:135m")
    parser.add_argument("--repeat", type=int, default=9)
    given = parser.parse_args()
    tokenizer: Any = load_tokenizer(given.tokenizer)
    columns = f"{'corpus':<12} {'characters':>10} {'tokenizer':>12} {'examples':>12}"
    print(f"{columns}   ratio   to ids alone")
    for name, tools, make in (
        ("agent", True, lambda target: mode_examples("agent", target)),
        ("dual", False, lambda target: mode_examples("dual", target)),
        ("emulation", False, lambda target: mode_examples("emulation", target)),
        ("chat", False, lambda target: chat(turns=3)),
        ("long chat", False, lambda target: chat(turns=12)),
    ):
        renderer = renderer_for(tokenizer, tools=tools)
        report(name, renderer, make(renderer.target), given.repeat)


def report(
    name: str, renderer: Renderer, conversations: Sequence[Conversation], repeat: int
) -> None:
    """One line of the table."""
    tokenizer: Any = renderer.tokenizer
    found = [e for e in renderer.examples_many(conversations) if not isinstance(e, RenderError)]
    refused = len(conversations) - len(found)
    texts = [tokenizer.decode(e.input_ids) for examples in found for e in examples]
    tokens = sum(len(e.input_ids) for examples in found for e in examples)
    quickest = tokenizer.backend_tokenizer.encode_batch_fast
    alone, ids, whole = best(
        repeat,
        lambda: tokenizer(texts, add_special_tokens=False)["input_ids"],
        lambda: [encoding.ids for encoding in quickest(texts, add_special_tokens=False)],
        lambda: list(renderer.examples_many(conversations)),
    )
    mean = sum(map(len, texts)) / len(texts)
    print(
        f"{name:<12} {mean:>10.0f} {tokens / alone:>10,.0f}/s {tokens / whole:>10,.0f}/s"
        f" {alone / whole:>7.2f} {ids / whole:>14.2f}"
        + (f"   {refused} refused" if refused else "")
    )


def best(repeat: int, *works: Callable[[], object]) -> list[float]:
    """Seconds of the process's own time for each, the least of some tries, taken in turn."""
    least = [float("inf")] * len(works)
    for _ in range(repeat):
        for place, work in enumerate(works):
            begun = time.process_time()
            work()
            least[place] = min(least[place], time.process_time() - begun)
    return least


def mode_examples(name: str, target: Any) -> list[Conversation]:
    """The samples that a mode ships."""
    text = resources.files(f"ftcore_{name}").joinpath("examples.jsonl").read_text("utf-8")
    samples = [json.loads(line) for line in text.splitlines()][:COUNT]
    mode = open_mode(name)
    return [mode.format(Sample(data, name, line), target) for line, data in enumerate(samples, 1)]


def chat(turns: int) -> list[Conversation]:
    """Chats of sentences drawn from the samples that come with the modes, from a fixed seed."""
    draw = random.Random(0)
    text = resources.files("ftcore_emulation").joinpath("examples.jsonl").read_text("utf-8")
    sentences = [
        message["content"] for line in text.splitlines() for message in json.loads(line)["messages"]
    ]

    def said(role: Any, most: int) -> Message:
        words = " ".join(draw.choices(sentences, k=draw.randint(1, most)))
        return Message(role, (Part("prose", words),))

    return [
        Conversation(
            (
                said("system", 4),
                *(
                    message
                    for _ in range(draw.randint(1, 2 * turns - 1))
                    for message in (said("user", 4), evolve(said("assistant", 16), trained=True))
                ),
            )
        )
        for _ in range(COUNT)
    ]


if __name__ == "__main__":
    main()
