"""How fast and in how much memory a run's data are prepared: read, checked, rendered, packed.

    python benchmarks/prepare.py                                  # 20,000 records of 2 KB
    python benchmarks/prepare.py --records 1000000 --workers 0

Prints records and tokens per second of both steps, the processor's time against that of the
tokenizer's own batch encoding of the same text, and the peak memory of all processes together
(the proportional set size, in which a page that several share counts once; Linux only). The data
are those of ``benchmarks/check.py``, made from a fixed seed and removed afterwards.
"""

from __future__ import annotations

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one process, one core

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import Factory, define
from check import records

from ftcore.base_models import load_tokenizer
from ftcore.collect import collect_samples
from ftcore.plugins import open_mode
from ftcore.prepare import prepare
from ftcore.rows import make_rows
from ftcore.shapes import Importing
from ftcore.sources import find_sources

COMPARED = 2000
"""Examples that the tokenizer encodes by itself."""


@define
class Measured:
    """What a step took."""

    seconds: float = 0.0
    processors: dict[int, float] = Factory(dict[int, float])
    """Seconds of each process's time so far, by its id."""
    peak: int = 0
    """Bytes of all processes together."""

    @property
    def processor(self) -> float:
        """Seconds of all processes together."""
        return sum(self.processors.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=2000, help="of a record, about")
    parser.add_argument("--mode", default="emulation", help="a mode that takes messages")
    parser.add_argument("--base-model", default="smollm2:135m")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.jsonl")
        with path.open("w", encoding="utf-8") as file:
            file.writelines(records(given.records, given.bytes))
        run(path, given)


def run(path: Path, given: argparse.Namespace) -> None:
    """Prepares the data and prints what it took."""
    mode, tokenizer = open_mode(given.mode), load_tokenizer(given.base_model)
    with measured() as collecting:
        collected = collect_samples(
            {given.mode: mode},
            find_sources([path]),
            known_modes=[given.mode],
            importing=Importing(),
            workers=given.workers,
        )
    with measured() as rendering:
        data = prepare(
            collected.samples,
            tokenizer,
            max_seq_length=2048,
            long_samples="split",
            control_tokens="refuse",
            eval_split=0.05,
            seed=0,
            workers=given.workers,
        )
    with measured() as packing:
        rows = make_rows(data.train.examples, packing=True, max_seq_length=2048)
    every = data.train.every
    tokens, count = int(every.lengths.sum()), len(collected.samples)
    alone = seconds_alone(tokenizer, [every[i] for i in range(min(COMPARED, len(every)))])
    alone *= tokens / int(every.lengths[:COMPARED].sum())
    print(f"data                {count:,} records, {path.stat().st_size / 1e9:.2f} GB")
    print(f"workers             {given.workers or 'as many as it is worth'}")
    for name, step in (("read and checked", collecting), ("rendered", rendering)):
        print(
            f"{name:<18}  {count / step.seconds:,.0f} records/s, {tokens / step.seconds:,.0f} "
            f"tokens/s ({step.seconds:,.1f} s, {step.processor:,.1f} s of processors)"
        )
    print(
        f"packed              {len(every):,} examples, {len(rows):,} rows, {packing.seconds:.1f} s"
    )
    print(f"tokenizer alone     {tokens / alone:,.0f} tokens/s per core")
    print(f"rendered, ratio     {alone / rendering.processor:.2f} per core")
    peak = max(step.peak for step in (collecting, rendering, packing))
    print(f"peak memory         {peak / 1e9:.2f} GB, all processes together")


def seconds_alone(tokenizer: Any, examples: list[Any]) -> float:
    """Seconds of the processor for the tokenizer to encode the text of examples; mean of 3."""
    texts = [tokenizer.decode(example.input_ids) for example in examples]
    taken: list[float] = []
    for _ in range(3):
        begun = time.process_time()
        tokenizer(texts, add_special_tokens=False)["input_ids"]
        taken.append(time.process_time() - begun)
    return sum(taken) / len(taken)


@contextmanager
def measured() -> Iterator[Measured]:
    """Measures what is done inside."""
    step, done = Measured(), threading.Event()
    before = {pid: processor_seconds(pid) for pid in family()}
    watcher = threading.Thread(target=watch, args=(step, before, done))
    began = time.monotonic()
    watcher.start()
    try:
        yield step
    finally:
        step.seconds = time.monotonic() - began
        done.set()
        watcher.join()


def watch(step: Measured, before: dict[int, float], done: threading.Event) -> None:
    while not done.wait(0.2):
        pids = family()
        step.peak = max(step.peak, sum(map(memory, pids)))
        used = {pid: processor_seconds(pid) - before.get(pid, 0.0) for pid in pids}
        step.processors |= {pid: seconds for pid, seconds in used.items() if seconds > 0}


def processor_seconds(pid: int) -> float:
    """Of a process, in its own code and in the system's for it; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family() -> list[int]:
    """The ids of this process and of all that come from it."""
    found = [os.getpid()]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:  # it has ended
                continue
    return found


def memory(pid: int) -> int:
    """The bytes of a process, and its share of those that it has in common with others."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    values = {line.split()[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return 1024 * values.get("Pss:", 0)  # nothing of one that has just ended


if __name__ == "__main__":
    main()
