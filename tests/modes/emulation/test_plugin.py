"""Emulation mode as a plugin: shipped settings, and described by a page that is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ftcore_emulation
from ftcore.schemata import Validator
from ftcore_emulation.metrics import metrics
from ftcore_emulation.validation import validate

PAGE = (Path(__file__).parents[3] / "docs" / "modes" / "emulation.md").read_text(encoding="utf-8")


def test_its_defaults_are_the_shipped_file():
    path = ftcore_emulation.ftcore_config_defaults()
    assert path.parts[-3:] == ("etc", "modes", "emulation-config.json")
    assert json.loads(path.read_text(encoding="utf-8"))["learning_rate"] == 5e-6


def test_the_pages_samples_are_valid():
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        sample = json.loads(block)
        assert Validator(ftcore_emulation.ftcore_sample_schema()).problems(sample) == []
        assert validate(sample) == []


def test_the_page_names_every_metric_and_counts_the_samples():
    assert [name for name in metrics([]) if f"| `{name}` |" not in PAGE] == []
    path = Path(ftcore_emulation.__file__).with_name("examples.jsonl")
    count = len(path.read_text("utf-8").splitlines())
    assert f"own {count} samples" in " ".join(PAGE.split())


def test_the_pages_hyperparameters_are_the_shipped_ones():
    settings = json.loads(ftcore_emulation.ftcore_config_defaults().read_text(encoding="utf-8"))
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d.e-]+) \|", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for key, value in rows:
        node = settings
        for step in key.split("."):
            node = node[step]
        assert node == float(value), key
