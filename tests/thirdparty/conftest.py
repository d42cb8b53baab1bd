"""A stranger's machine: a fresh virtual environment into which wheels are installed for real."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen

TESTS = Path(__file__).parents[1]
PROGRAMS = ("ftcore", "pip", "pytest")


@frozen
class Shell:
    """A shell in a virtual environment; what is installed outside it can be used inside."""

    folder: Path
    """Of the environment."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin/python"

    def __call__(
        self, *command: str | Path, cwd: Path, expect: int = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command without a network; it must end with the exit code ``expect``."""
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "FTCORE_PLUGINS")}
        changed = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.folder),
            "HF_HUB_OFFLINE": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say that it is off
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        done = subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env={**kept, **changed, **env},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == expect, (command, done.stdout, done.stderr)
        return done


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A fresh environment beside the one that the tests run in."""
    folder = tmp_path_factory.mktemp("venv")
    venv.EnvBuilder(symlinks=True).create(folder)
    outside = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site,) = folder.glob("lib/python*/site-packages")
    # unlike PYTHONPATH, this reads the .pth files there, of which an editable install is one
    line = f"import site; list(map(site.addsitedir, {outside!r}))\n"
    (site / "outside.pth").write_text(line, encoding="utf-8")
    found = Shell(folder)
    for program in PROGRAMS:
        script = folder / "bin" / program
        python = shlex.quote(str(found.python))
        script.write_text(f'#!/bin/sh\nexec {python} -P -m {program} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return found


@pytest.fixture(scope="module")
def install(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Builds the wheel of a distribution's folder, installs it, and gives the wheel's path."""

    def build_and_install(distribution: Path) -> Path:
        out = tmp_path_factory.mktemp("wheel")
        shell("pip", "wheel", "--no-deps", "--wheel-dir", out, distribution, cwd=out)
        (wheel,) = out.glob("*.whl")
        shell("pip", "install", wheel, cwd=out)
        return wheel

    return build_and_install


@pytest.fixture(scope="session")
def tiny_model(tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with SmolLM2's tokenizer, which can be trained and exported."""
    path = TESTS / "core/export/tiny.py"
    spec = importlib.util.spec_from_file_location("tiny", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(tmp_path_factory.mktemp("model") / "tiny", "plain", tokenizer)
