"""How fast and in how much memory a GGUF is written, beside llama.cpp's converter and the disk.

    python benchmarks/export.py [--converter convert_hf_to_gguf.py] [--layers 20] [--folder DIR]

Makes a Llama of random bfloat16 weights (2,048 wide; 20 layers are 1.1 billion weights) and writes
it as Q8_0 and BF16. What is timed is the tensor phase: from the first weights to the end, when
ftcore's file is whole and on disk (fsync). Each runs in a process of its own, in turn, --repeats
times; the median counts. Prints the ratio to the converter, which is not part of ftcore and leaves
its file to the system's memory, and to a plain write of as many bytes, which are on disk too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from ftcore.base_models import load_tokenizer

WIDTH, FEED_FORWARD, HEADS = 2048, 5632, 32
BLOCK = 2**24
"""Bytes that a plain write writes at once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--converter", type=Path, help="llama.cpp's convert_hf_to_gguf.py")
    parser.add_argument("--tokenizer", default="smollm2:135m")
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("--quantization", default="Q8_0,BF16")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are written for a while")
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(*given.write)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        model = made(folder / "model", given.layers, given.tokenizer)
        read = (model / "model.safetensors").stat().st_size
        print(f"weights          {read / 2e9:.2f} billion, {read / 1e9:.2f} GB in bfloat16")
        for quantization in given.quantization.split(","):
            compare(folder, model, quantization, read, given.converter, given.repeats)


def compare(
    folder: Path, model: Path, quantization: str, read: int, converter: Path | None, repeats: int
) -> None:
    """Prints what one quantization took: medians, each side measured in turn."""
    ours, grown, plain, theirs = [], 0, [], []
    for _ in range(repeats):
        done = exported(model, folder / "ours.gguf", quantization)
        ours.append(done["seconds"])
        grown = max(grown, done["grown"])
        plain.append(plain_write(folder / "plain", done["size"]))
        if converter:
            theirs.append(converted(converter, model, folder / "theirs.gguf", quantization))
    seconds = median(ours)
    print(
        f"{quantization:<16} ftcore {seconds:.1f} s, {read / seconds / 1e6:,.0f} MB/s read, "
        f"{grown / 1e6:,.0f} MB of memory beside what is imported"
    )
    for name, others in (("a plain write", plain), ("the converter", theirs)):
        if others:
            print(
                f"                 {name} {median(others):.1f} s; ratio "
                f"{median(others) / seconds:.2f}"
            )


def exported(model: Path, output: Path, quantization: str) -> dict[str, Any]:
    """What :func:`write` says, in a process of its own, and the file's size."""
    said = subprocess.run(
        [sys.executable, __file__, "--write", str(model), str(output), quantization],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    done = {**json.loads(said), "size": output.stat().st_size}
    output.unlink()
    return done


def made(folder: Path, layers: int, tokenizer: str) -> Path:
    """A model folder with random weights."""
    read: Any = load_tokenizer(tokenizer)
    config = LlamaConfig(
        hidden_size=WIDTH,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 4,
        vocab_size=len(read),
        tie_word_embeddings=True,
        architectures=["LlamaForCausalLM"],
    )
    with torch.device("meta"):
        shapes = {n: t.shape for n, t in LlamaForCausalLM(config).state_dict().items()}
    shapes.pop("lm_head.weight")
    torch.manual_seed(0)
    weights = {n: torch.randn(s, dtype=torch.bfloat16) * 0.02 for n, s in shapes.items()}
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config.save_pretrained(folder)
    read.save_pretrained(folder)
    return folder


def write(model: str, output: str, quantization: str) -> None:
    """Exports once and prints the seconds of the tensor phase and the memory as JSON."""
    from ftcore.export.writer import export_gguf

    begun: list[float] = []
    before: list[int] = []

    def step(done: int, total: int) -> None:
        if not begun:
            begun.append(time.perf_counter())
            before.append(peak())

    export_gguf(Path(model), Path(output), quantization, progress=step)
    seconds = time.perf_counter() - begun[0]
    print(json.dumps({"seconds": seconds, "grown": peak() - before[0]}))


def peak() -> int:
    """Bytes that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def plain_write(path: Path, size: int) -> float:
    """Seconds to write so many bytes and to have them on disk."""
    block = os.urandom(BLOCK)
    begun = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(-(-size // BLOCK)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - begun
    path.unlink()
    return seconds


def converted(converter: Path, model: Path, output: Path, quantization: str) -> float:
    """Seconds of the converter's tensor phase: from its progress bar's first line to its end."""
    process = subprocess.Popen(
        [
            sys.executable,
            str(converter),
            str(model),
            "--outtype",
            quantization.lower(),
            "--outfile",
            str(output),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    begun: list[float] = []
    said: list[bytes] = []

    def watch() -> None:
        assert process.stderr
        while data := process.stderr.read1(4096):
            said.append(data)
            if not begun and b"Writing" in data:
                begun.append(time.perf_counter())

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    ended = time.perf_counter()
    watcher.join()
    if status or not begun:
        raise SystemExit(f"the converter failed: {b''.join(said)[-2000:].decode()}")
    output.unlink()
    return ended - begun[0]


if __name__ == "__main__":
    main()
