"""Dual mode as a plugin: shipped settings, and described by a page that is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ftcore_dual
from ftcore.schemata import Validator
from ftcore_dual.metrics import LEAK_WORDS, metrics
from ftcore_dual.validation import validate

PAGE = (Path(__file__).parents[3] / "docs" / "modes" / "dual.md").read_text(encoding="utf-8")


def test_its_defaults_are_the_shipped_file():
    path = ftcore_dual.ftcore_config_defaults()
    assert path.parts[-3:] == ("etc", "modes", "dual-config.json")
    assert json.loads(path.read_text(encoding="utf-8"))["learning_rate"] == 6e-6


def test_the_pages_samples_are_valid_and_show_both_shapes():
    samples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    assert {sample.get("shape", "dual") for sample in samples} == {"dual", "inverted"}
    for sample in samples:
        assert Validator(ftcore_dual.ftcore_sample_schema()).problems(sample) == []
        assert validate(sample) == []


def test_the_page_names_every_metric_and_counts_the_samples():
    assert [name for name in metrics([]) if f"| `{name}` |" not in PAGE] == []
    lines = Path(ftcore_dual.__file__).with_name("examples.jsonl").read_text("utf-8").splitlines()
    assert f"{len(lines)} samples" in " ".join(PAGE.split())
    assert f"{LEAK_WORDS} or more words" in " ".join(PAGE.split())


def test_the_pages_hyperparameters_are_the_shipped_ones():
    settings = json.loads(ftcore_dual.ftcore_config_defaults().read_text(encoding="utf-8"))
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d.e-]+) \|", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for key, value in rows:
        node = settings
        for step in key.split("."):
            node = node[step]
        assert node == float(value), key
