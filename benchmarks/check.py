"""How much memory and time ``ftcore check`` takes for many records.

    python benchmarks/check.py                        # 20,000 records of 2 KB
    python benchmarks/check.py --records 1000000 --base-model smollm2:135m

Prints the peak memory of the command in GB (its resident set) and records per second. The data
are made from a fixed seed and removed afterwards: chats of made-up words, few of them common; one
record in 50 is an earlier one again, one in 50 an earlier one with a word changed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

FREQUENT = (
    "the of and to in is you that it he was for on are as with his they at be this have from or "
    "one had by word but not what all were we when your can said there use an each which she do "
    "how their if will up other about out many then them these so some her would make like him "
    "into time has look two more write go see number no way could people my than first water"
)
COMMON = FREQUENT.split()
REPEATED = 50
RECENT = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=2000, help="of a record, about")
    parser.add_argument("--mode", default="emulation", help="a mode that takes messages")
    parser.add_argument("--base-model", help="count tokens with this tokenizer")
    parser.add_argument("--all-tokens", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.jsonl")
        with path.open("w", encoding="utf-8") as file:
            file.writelines(records(given.records, given.bytes))
        size = path.stat().st_size
        command = [sys.executable, "-m", "ftcore", "check", "--json"]
        command += ["--mode", given.mode, "--data", str(path)]
        command += ["--base-model", given.base_model] if given.base_model else []
        command += ["--all-tokens"] if given.all_tokens else []
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
    report = json.loads(done.stdout)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # Linux: kilobytes
    tokens = report["tokens"]
    print(f"records            {report['lines']:,} ({size / 1e9:.2f} GB)")
    print(f"peak memory        {peak / 1e9:.2f} GB")
    print(f"time               {seconds:,.0f} s, {report['lines'] / seconds:,.0f} records/s")
    print(f"copies             {report['duplicates']['exact_copies']:,}")
    print(f"nearly the same    {report['duplicates']['near_samples']:,}")
    if tokens:
        print(f"rendered           {tokens['rendered']:,}, {tokens['total']:,} tokens in all")


def records(count: int, size: int) -> Iterator[str]:
    """Lines of JSONL."""
    generator = random.Random(0)
    words = [*COMMON, *(a + b for a in COMMON for b in COMMON if a != b)]
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    recent: list[list[str]] = []
    for _ in range(count):
        kind = generator.randrange(REPEATED) if recent else -1
        if kind == 0:
            said = generator.choice(recent)
        elif kind == 1:
            said = list(generator.choice(recent))
            said[generator.randrange(len(said))] = "changed"
        else:
            length = max(6, round(generator.gauss(size / 6, size / 30)))
            said = generator.choices(words, cum_weights=weights, k=length)
            recent.append(said)
            del recent[:-RECENT]
        third = len(said) // 3
        chat = [
            {"role": "user", "content": " ".join(said[:third])},
            {"role": "assistant", "content": " ".join(said[third:])},
        ]
        yield json.dumps({"messages": chat}) + "\n"


if __name__ == "__main__":
    main()
