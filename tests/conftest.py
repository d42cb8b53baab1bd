"""What all tests share: the real tokenizer and command line, and plugins of a few lines."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# a machine that is busy is not a fault
settings.register_profile("ftcore", deadline=None)
settings.load_profile("ftcore")

MODE = """
from ftcore import hookimpl
from ftcore.values import Conversation, Message, Part

@hookimpl
def ftcore_sample_schema():
    return {
        "type": "object",
        "properties": {"ask": {"type": "string"}, "say": {"type": "string", "minLength": 1}},
        "required": ["ask", "say"],
        "additionalProperties": False,
    }

@hookimpl
def ftcore_format_sample(sample, target):
    return Conversation((
        Message("user", (Part("", sample["ask"]),)),
        Message("assistant", (Part("said", sample["say"]),), trained=True),
    ))
"""

Distribution = Callable[..., Path]
Runner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    """SmolLM2's tokenizer with its own chat template, as ``--base-model smollm2:135m`` loads it."""
    from ftcore.base_models import load_tokenizer

    return load_tokenizer("smollm2:135m")


@pytest.fixture(scope="session")
def ftcore() -> Runner:
    """``ftcore(*arguments, cwd=…, env=…, prefix=…)`` in a process of its own."""

    def run(
        *arguments: str | Path,
        cwd: Path,
        env: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        command = [*prefix, sys.executable, "-m", "ftcore", *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    return run


WITHOUT_RUNTIME = """
import importlib.metadata, sys

class Hidden(importlib.metadata.DistributionFinder):
    def find_distributions(self, context=importlib.metadata.DistributionFinder.Context()):
        if context.name == "xllamacpp":
            return []
        return finder.find_distributions(context)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "xllamacpp":
            return None
        return finder.find_spec(name, path, target)

finder = next(f for f in sys.meta_path if getattr(f, "__name__", "") == "PathFinder")
sys.meta_path[sys.meta_path.index(finder)] = Hidden()
"""


@pytest.fixture(scope="session")
def without_runtime() -> Runner:
    """``without_runtime(code, *arguments, cwd=…)``: Python code where xllamacpp is not installed.

    It is: its distribution is hidden from the path.
    """

    def run(
        code: str, *arguments: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_RUNTIME + textwrap.dedent(code)]
        return subprocess.run(
            [*command, *map(str, arguments)],
            cwd=cwd,
            input="",
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with SmolLM2's tokenizer, its weights from a fixed seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ftcore.base_models import load_tokenizer

    tokenizer = load_tokenizer("smollm2:135m")
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M as it comes, as a model folder and a GGUF, with ftcore's chat template."""
    from ftcore.base_models import load_model, load_tokenizer, resolve_base_model
    from ftcore.export.writer import export_gguf
    from ftcore.model_folder import save_model
    from ftcore.render import renderer_for

    folder = tmp_path_factory.mktemp("untrained")
    base = resolve_base_model("smollm2:135m", folder)
    save_model(load_model(base), renderer_for(load_tokenizer(base), tools=True), folder / "model")
    return export_gguf(folder / "model", folder / "smollm2-Q8_0.gguf", "Q8_0").path


@pytest.fixture(scope="session")
def mode_code() -> str:
    """The source of a complete mode of one question and one answer, to be spoiled by tests."""
    return MODE


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distribution]:
    """Installs a plugin: its module and metadata, as pip lays them out, in a folder on the path.

    ``distribution("ftc-haiku", code, mode="haiku")``; ``mode`` and ``extension`` are names of
    entry points. Gives the folder. ``FTCORE_PLUGINS`` allows only what was installed this way.
    """
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("FTCORE_PLUGINS", "")
    allowed: list[str] = []

    def install(
        name: str,
        code: str = MODE,
        *,
        mode: str | None = None,
        extension: str | None = None,
        version: str = "1.0",
        module: str | None = None,
    ) -> Path:
        module = module or name.replace("-", "_")
        package = site / module
        package.mkdir()
        (package / "__init__.py").write_text(textwrap.dedent(code), encoding="utf-8")
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        groups = {"ftcore.modes": mode, "ftcore.extensions": extension}
        entries = [
            f"[{group}]\n{plugin} = {module}\n" for group, plugin in groups.items() if plugin
        ]
        (info / "entry_points.txt").write_text("".join(entries), encoding="utf-8")
        files = [package / "__init__.py", info / "METADATA", info / "entry_points.txt"]
        record = "".join(f"{file.relative_to(site).as_posix()},,\n" for file in files)
        (info / "RECORD").write_text(record + f"{info.name}/RECORD,,\n", encoding="utf-8")
        allowed.extend(plugin for plugin in (mode, extension) if plugin)
        monkeypatch.setenv("FTCORE_PLUGINS", ",".join(allowed))
        importlib.invalidate_caches()
        return package

    yield install
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(site)):
            del sys.modules[name]
