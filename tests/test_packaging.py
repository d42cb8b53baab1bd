"""What pip installs: everything in the tree, each file once, the same from wheel and sdist."""

from __future__ import annotations

import configparser
import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parents[1]
SUFFIXES = {".py", ".json", ".jsonl", ".jinja", ".in"}
LEFT_OUT = shutil.ignore_patterns(
    ".*cache*", ".git", ".hypothesis", ".tox", ".venv", "__pycache__", "*.egg-info", "build",
    "dist", "runs", "profiles", "*.gguf", "*.safetensors",
)  # fmt: skip


@frozen
class Built:
    """Contents by name: of the wheel, of the sdist, and of the wheel that the sdist builds."""

    path: Path
    wheel: dict[str, str]
    sdist: list[str]
    wheel_of_sdist: dict[str, str]
    metadata: str
    entry_points: str


def build(kind: str, source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", out, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.iterdir()
    return found


def hashes(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names)), "a file stands in the wheel twice"
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("packaging")
    # a copy, so that nothing left over from an earlier build gets in and nothing is left behind
    shutil.copytree(ROOT, folder / "source", ignore=LEFT_OUT)
    wheel = build("--wheel", folder / "source", folder / "wheel")
    sdist = build("--sdist", folder / "source", folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
        names = [name.partition("/")[2] for name in archive.getnames()]
    (unpacked,) = (folder / "unpacked").iterdir()
    again = build("--wheel", unpacked, folder / "again")
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = archive.read(info).decode()
        entries = archive.read(info.replace("METADATA", "entry_points.txt")).decode()
    return Built(wheel, hashes(wheel), names, hashes(again), metadata, entries)


def expected_files() -> dict[str, Path]:
    """By name in the wheel: every file of the tree that a program can need."""
    roots = {"ftcore": ROOT / "core" / "ftcore", "ftcore/etc": ROOT / "etc"}
    roots["ftcore/schemas"] = ROOT / "schemas"
    roots.update({p.name: p for p in (ROOT / "plugins").iterdir() if (p / "__init__.py").exists()})
    return {
        f"{prefix}/{path.relative_to(root).as_posix()}": path
        for prefix, root in roots.items()
        for path in root.rglob("*")
        if path.suffix in SUFFIXES or path.name == "py.typed"
    }


def test_the_wheel_holds_every_file_of_the_tree_and_no_other(built):
    expected = {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in expected_files().items()
    }
    assert {f"ftcore/{name}" for name in ("py.typed", "chat_template.jinja")} <= set(expected)
    found = {name: h for name, h in built.wheel.items() if ".dist-info/" not in name}
    assert found == expected


def test_no_module_stands_in_the_wheel_twice(built):
    modules: dict[str, list[str]] = {}
    for name, digest in built.wheel.items():
        if name.endswith(".py"):
            modules.setdefault(digest, []).append(name)
    assert [names for names in modules.values() if len(names) > 1] == []


def test_the_sdist_builds_the_same_wheel(built):
    assert built.wheel_of_sdist == built.wheel


def test_the_sdist_holds_what_its_readers_and_tests_need(built):
    for name in ("LICENSE", "README.md", "setup.cfg", "pyproject.toml", "tox.ini"):
        assert name in built.sdist
    assert "constraints.txt" in built.sdist
    for test in (ROOT / "tests").rglob("test_*.py"):
        assert test.relative_to(ROOT).as_posix() in built.sdist
    assert not [name for name in built.sdist if "__pycache__" in name or name.endswith(".pyc")]


def test_the_licence_is_named_and_inside(built):
    metadata = Parser().parsestr(built.metadata)
    assert metadata["License-Expression"] or metadata["License"] == "Apache-2.0"
    (name,) = [name for name in built.wheel if name.endswith("licenses/LICENSE")]
    assert built.wheel[name] == hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()


def test_the_version_is_the_one_that_is_installed(built):
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg", encoding="utf-8")
    metadata = Parser().parsestr(built.metadata)
    assert metadata["Version"] == declared["metadata"]["version"]
    assert importlib.metadata.version("ftcore") == metadata["Version"]


def test_the_requirements_are_ranges_and_python_is_bounded(built):
    metadata = Parser().parsestr(built.metadata)
    assert metadata["Requires-Python"] == ">=3.11"
    needed = metadata.get_all("Requires-Dist")
    assert needed
    assert not [line for line in needed if "==" in line.partition(";")[0]]


def test_entry_points_name_modules_of_the_wheel(built):
    entries = configparser.ConfigParser(delimiters=("=",))
    entries.optionxform = str  # type: ignore[assignment,method-assign]
    entries.read_string(built.entry_points)
    assert dict(entries["console_scripts"]) == {"ftcore": "ftcore.cli.main:main"}
    modes = dict(entries["ftcore.modes"])
    folders = {p.name for p in (ROOT / "plugins").iterdir() if (p / "__init__.py").exists()}
    assert set(modes.values()) == folders
    for mode, module in modes.items():
        assert module == f"ftcore_{mode}"
        assert f"{module}/__init__.py" in built.wheel


def test_every_package_is_typed_or_part_of_one_that_is(built):
    packages = {name.partition("/")[0] for name in built.wheel if name.endswith("/__init__.py")}
    assert all(f"{package}/py.typed" in built.wheel for package in packages)


def test_the_wheel_works_without_the_tree(built, tmp_path):
    """Unpacked beside nothing else, the installed files find each other."""
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from importlib import resources\nimport ftcore, ftcore.etc, ftcore.schemas\n"
        "for package, name in (('ftcore', 'chat_template.jinja'),\n"
        "        ('ftcore.etc', 'fine-tune-config.json'),\n"
        "        ('ftcore.schemas', 'run-record.schema.json')):\n"
        "    file = resources.files(package) / name\n"
        f"    assert str(file).startswith({str(tmp_path)!r}), file\n"
        "    assert file.is_file()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
