"""The benchmarks' commands run, on little data, and print what the page on them says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
SMALL = {
    "export.py": (("--layers", "1", "--quantization", "Q8_0"), r"ratio (\d+\.\d\d)$"),
    "loss_by_part.py": (("--rounds", "1", "--steps", "5"), r"ratio +(\d\.\d+)$"),
    "render.py": (("--repeat", "1"), r"\b(\d\.\d\d)$"),
    "prepare.py": (("--records", "300", "--workers", "2"), r"ratio +(\d\.\d\d) per core$"),
}
"""Arguments that make it quick, and where it prints ratios."""


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_prints_its_ratio(name):
    arguments, pattern = SMALL[name]
    assert f"\npython benchmarks/{name}" in PAGE
    done = subprocess.run(
        [sys.executable, f"benchmarks/{name}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ratios = [float(found) for found in re.findall(pattern, done.stdout, re.MULTILINE)]
    assert ratios and all(0 < ratio < 5 for ratio in ratios)
