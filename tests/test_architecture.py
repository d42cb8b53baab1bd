"""The boundaries that keep ftcore one core and many modes, and its command line quick."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "core").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
PACKAGES = sorted(folder.name for folder in (ROOT / "plugins").iterdir() if folder.is_dir())

MODES = re.compile(
    r"(?<![a-z])(agents?|dual|emulations?|ftcore_(agent|dual|emulation))(?![a-z])", re.I
)
PUBLIC = {"ftcore", "ftcore.errors", "ftcore.markers", "ftcore.schemata", "ftcore.values"}
"""What a plugin may import from the core."""

HEAVY = ("torch", "transformers", "datasets", "jsonschema", "numpy", "trl", "peft", "gguf")
MAX_LINES = 400


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute"
            yield node.module or ""


def test_there_is_something_to_look_at():
    assert len(CORE) > 20
    assert PLUGINS
    assert all(MODES.search(text) for text in ("agent", "Agent mode", "a_dual_b", "ftcore_agent"))
    assert not any(MODES.search(text) for text in ("management", "individual", "reagents"))


@pytest.mark.parametrize("path", [*CORE, *sorted((ROOT / "core").rglob("*.jinja"))], ids=name_of)
def test_the_core_names_no_mode(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{path}:{n}: {line}" for n, line in enumerate(lines, 1) if MODES.search(line)] == []


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_no_plugin(path):
    assert {module.partition(".")[0] for module in imports(path)}.isdisjoint(PACKAGES)


@pytest.mark.parametrize("path", PLUGINS, ids=name_of)
def test_a_plugin_imports_only_what_the_core_makes_public(path):
    package = path.relative_to(ROOT / "plugins").parts[0]
    for module in imports(path):
        top = module.partition(".")[0]
        assert top not in ("torch", "transformers", "datasets"), f"{name_of(path)}: {module}"
        assert top != "ftcore" or module in PUBLIC, f"{name_of(path)} imports {module}"
        assert top not in PACKAGES or top == package, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", [*CORE, *PLUGINS], ids=name_of)
def test_a_modules_first_line_says_what_it_is_for(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{name_of(path)} has no docstring"
    first = docstring.partition("\n")[0]
    assert re.fullmatch(r"(ftcore|[A-Z`\d]).{15,}\.", first), f"{name_of(path)}: {first!r}"
    assert not re.search(r"[.!?] [A-Z]", first.replace("e.g. ", "")), "one sentence"


@pytest.mark.parametrize("path", [*CORE, *PLUGINS], ids=name_of)
def test_a_module_can_be_read_at_a_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def loaded_after(code: str) -> set[str]:
    """Which heavy modules a fresh interpreter holds after running the code."""
    script = f"import sys\n{code}\nprint('\\nHELD', *(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


HELP = """
from ftcore.cli.main import cli
try:
    cli.main({arguments!r}, standalone_mode=False)
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["train", "--help"], ["check", "--help"], ["config", "--help"],
     ["preview", "--help"], ["new-mode", "--help"], ["check-mode", "--help"],
     ["config", "show", "--help"], ["modes"], ["plugins"], ["export", "--help"],
     ["chat", "--help"], ["grammar", "--help"]],
    ids=" ".join,
)  # fmt: skip
def test_help_and_lists_come_without_heavy_imports(arguments):
    assert loaded_after(HELP.format(arguments=arguments)) == set()


@pytest.mark.parametrize(
    "module", ["ftcore", "ftcore.hookspecs", "ftcore.values", "ftcore.plugins"]
)
def test_what_plugins_import_is_light(module):
    assert loaded_after(f"import {module}") == set()


def test_the_import_check_can_fail():
    assert "jsonschema" in loaded_after("import jsonschema")


def test_checking_data_needs_no_torch(tmp_path):
    code = """
from ftcore.records import read_jsonl
from ftcore.samples import judge_samples
from ftcore.schemata import Validator
Validator({"type": "object"}).problems({})
"""
    assert loaded_after(code) == {"jsonschema"}
