"""Agent mode as a plugin: shipped settings, and described by a page that is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ftcore_agent
from ftcore.schemata import Validator
from ftcore_agent.metrics import metrics
from ftcore_agent.validation import validate

PAGE = (Path(__file__).parents[3] / "docs" / "modes" / "agent.md").read_text(encoding="utf-8")


def test_its_defaults_are_the_shipped_file():
    path = ftcore_agent.ftcore_config_defaults()
    assert path.parts[-3:] == ("etc", "modes", "agent-config.json")
    assert json.loads(path.read_text(encoding="utf-8"))["learning_rate"] == 4e-6


def test_the_pages_sample_is_valid():
    block = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert block
    sample = json.loads(block.group(1))
    assert Validator(ftcore_agent.ftcore_sample_schema()).problems(sample) == []
    assert validate(sample) == []


def test_the_page_names_every_metric_and_counts_the_samples():
    assert [name for name in metrics([]) if f"| `{name}` |" not in PAGE] == []
    lines = Path(ftcore_agent.__file__).with_name("examples.jsonl").read_text("utf-8").splitlines()
    tools = {tool["function"]["name"] for line in lines for tool in json.loads(line)["tools"]}
    assert f"{len(lines)} samples ({len(tools)} tools)" in " ".join(PAGE.split())


def test_the_pages_hyperparameters_are_the_shipped_ones():
    settings = json.loads(ftcore_agent.ftcore_config_defaults().read_text(encoding="utf-8"))
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d.e-]+) \|", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for key, value in rows:
        node = settings
        for step in key.split("."):
            node = node[step]
        assert node == float(value), key
