"""What every mode promises, whichever modes are allowed to be loaded here.

The laws are those that any mode keeps (:class:`ftcore.testing.ModeConformance`); beside them stands
what is promised of the modes that ftcore ships.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ftcore import hookspecs
from ftcore.config import resolve
from ftcore.plugins import implemented_hooks, installed_plugins, load_plugin, open_mode
from ftcore.records import read_jsonl
from ftcore.schemata import Validator
from ftcore.testing import ModeConformance
from ftcore.testing.subject import InvalidExample, Subject
from ftcore.values import Sample

MODES = [info.name for info in installed_plugins() if info.kind == "mode"]

for name in MODES:  # pytest collects what the module holds
    title = f"Test{name.title()}"
    globals()[title] = type(title, (ModeConformance,), {"mode": name, "__module__": __name__})


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    return open_mode(request.param)


@pytest.fixture(scope="module")
def samples(mode) -> list[Sample]:
    return [item for item in read_jsonl(mode.examples()) if isinstance(item, Sample)]


def test_a_mode_is_installed():
    assert MODES


def test_the_laws_are_tested_for_each_mode():
    tests = [cls for name, cls in globals().items() if name.startswith("Test")]
    assert sorted(cls.mode for cls in tests) == sorted(MODES)


def test_a_mode_has_enough_examples_of_its_own_all_different(samples):
    assert len(samples) >= 150
    assert len({repr(sample.data) for sample in samples}) == len(samples)


def test_what_a_mode_says_it_refuses_is_more_than_its_schema_says(mode):
    invalid = Subject(mode.name).invalid_examples
    assert len(invalid) >= 8
    validator = Validator(mode.schema)
    beyond = [
        item
        for item in invalid
        if isinstance(item, InvalidExample) and not validator.problems(item.sample.data)
    ]
    assert len(beyond) >= 8
    told = [problem.message for item in beyond for problem in mode.problems(item.sample)]
    assert len(set(told)) >= 8


def test_an_unknown_key_is_refused_with_its_pointer(mode, samples):
    for sample in samples[:20]:
        changed = Sample({**sample.data, "no_such_key": 1}, "f.jsonl", 3)
        problems = mode.problems(changed)
        assert "/no_such_key" in {problem.pointer for problem in problems}
        assert {(problem.file, problem.line) for problem in problems} == {("f.jsonl", 3)}


def test_a_missing_required_key_is_told_by_its_name(mode, samples):
    for key in mode.schema["required"]:
        cut = {k: v for k, v in samples[0].data.items() if k != key}
        assert any(key in problem.message for problem in mode.problems(Sample(cut, "f", 1)))


def test_defaults_come_from_the_shipped_file(mode):
    resolved = resolve(
        mode=mode.name, mode_defaults=mode.config_defaults(), workspace=Path("/nonexistent")
    )
    assert resolved.settings.cognitive_mode == mode.name
    assert f"{mode.name}-config.json:" in str(resolved.values["learning_rate"].origin)


def test_a_mode_implements_every_hook_that_is_not_optional(mode):
    hooks = {name for name in vars(hookspecs) if name.startswith("ftcore_")}
    optional = {"ftcore_import_chat", "ftcore_markers", "ftcore_grammar"}
    assert optional < hooks
    assert hooks - optional <= set(implemented_hooks(load_plugin(mode.info))) <= hooks


def test_importing_a_mode_does_not_even_import_jsonschema_or_numpy(mode):
    code = (
        f"import sys, {mode.info.module}; "
        "heavy = {'torch', 'transformers', 'datasets', 'trl', 'jsonschema', 'numpy'}; "
        "heavy &= set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
