"""What every mode promises, whichever modes are allowed to be loaded here."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from pathlib import Path

import pytest

from ftcore import hookspecs
from ftcore.config import resolve
from ftcore.plugins import implemented_hooks, installed_plugins, load_plugin, open_mode
from ftcore.records import read_jsonl
from ftcore.values import Sample, Target

MODES = [info.name for info in installed_plugins() if info.kind == "mode"]
TARGETS = [
    Target(tools, system, reasoning)
    for tools, system, reasoning in [(True, True, True), (False, False, False), (True, True, False)]
]


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    return open_mode(request.param)


@pytest.fixture(scope="module")
def samples(mode) -> list[Sample]:
    found = list(read_jsonl(mode.examples()))
    assert all(isinstance(item, Sample) for item in found)
    return found


def test_a_mode_is_installed():
    assert MODES


def test_a_mode_has_enough_examples_of_its_own_all_valid_and_different(mode, samples):
    assert len(samples) >= 150
    for sample in samples:
        assert mode.problems(sample) == ()
    assert len({repr(sample.data) for sample in samples}) == len(samples)


@pytest.mark.parametrize("target", TARGETS, ids=["all", "none", "no-reasoning"])
def test_formatting_is_total_deterministic_and_changes_nothing(mode, samples, target):
    for sample in samples:
        before = copy.deepcopy(sample.data)
        conversation = mode.format(sample, target)
        assert conversation == mode.format(sample, target)
        assert sample.data == before
        assert any(message.trained for message in conversation.messages)


def test_an_unknown_key_is_refused_with_its_pointer(mode, samples):
    for sample in samples[:20]:
        changed = Sample({**sample.data, "no_such_key": 1}, "f.jsonl", 3)
        problems = mode.problems(changed)
        assert "/no_such_key" in {problem.pointer for problem in problems}
        assert {(problem.file, problem.line) for problem in problems} == {("f.jsonl", 3)}


def test_a_missing_required_key_is_refused(mode, samples):
    for key in mode.schema["required"]:
        cut = {k: v for k, v in samples[0].data.items() if k != key}
        assert any(key in problem.message for problem in mode.problems(Sample(cut, "f", 1)))


def test_defaults_make_settings_and_say_where_they_come_from(mode):
    resolved = resolve(
        mode=mode.name, mode_defaults=mode.config_defaults(), workspace=Path("/nonexistent")
    )
    assert resolved.settings.cognitive_mode == mode.name
    assert f"{mode.name}-config.json:" in str(resolved.values["learning_rate"].origin)


def test_metrics_of_nothing_are_finite(mode):
    figures = mode.metrics(())
    assert figures
    assert all(math.isfinite(value) for value in figures.values())


def test_a_mode_implements_every_hook(mode):
    hooks = {name for name in vars(hookspecs) if name.startswith("ftcore_")}
    assert set(implemented_hooks(load_plugin(mode.info))) == hooks


def test_importing_a_mode_imports_nothing_heavy(mode):
    code = (
        f"import sys, {mode.info.module}; "
        "heavy = {'torch', 'transformers', 'datasets', 'trl', 'jsonschema', 'numpy'}; "
        "heavy &= set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
