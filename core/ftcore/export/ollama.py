"""Writes a Modelfile, with which ``ollama create`` makes a model of a GGUF.

TEMPLATE says in Ollama's language what the chat template writes
(:mod:`ftcore.export.read_chat_shape` finds out what that is). A chat template that this language
cannot follow gets no TEMPLATE: Ollama 0.30 and newer then renders chats with the template in the
GGUF, as llama.cpp does; older ones do not know it and would send the bare question, so a note says
which is needed.

``num_ctx`` is the length that was trained, where that is known: beyond it the model's behaviour
was not trained, and Ollama would fill the memory of a longer one. SYSTEM is the system text that
every trained sample had. Sampling is what the base model's generation_config.json recommends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from ftcore.errors import InputError
from ftcore.export.go_template import go_template
from ftcore.export.read_chat_shape import chat_shape
from ftcore.export.vocabulary import added_tokens, load_tokenizer
from ftcore.files import write_whole
from ftcore.record import read_record
from ftcore.render import Renderer, RenderError

MODELFILE = "Modelfile"
"""The file's name, which ``ollama create`` looks for."""

SAMPLING = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
"""Ollama's names for what generation_config.json recommends."""

_QUOTES = '"""'


def write_modelfiles(
    model: Path,
    ggufs: Mapping[str, Path],
    *,
    context: int | None = None,
    system: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Writes a Modelfile beside each GGUF, whole or not at all.

    :param model: the folder of the model that the GGUFs were made from.
    :param ggufs: the files by their quantizations. Of several, each Modelfile is named after one.
    :param context: tokens of the longest conversation that was trained.
    :param system: the system text of every trained sample, if they had the same.
    :param tokenizer: the model's, where it is loaded already.
    :returns: the Modelfiles, and what Ollama cannot do with the model as it was trained; the
        latter for a person to read.
    :raises InputError: the folder has no tokenizer.
    """
    lines, notes = _lines(model, tokenizer or load_tokenizer(model), context, system)
    written: list[Path] = []
    for quantization, gguf in ggufs.items():
        name = f"{MODELFILE}-{quantization}" if len(ggufs) > 1 else MODELFILE
        written.append(gguf.with_name(name))
        write_whole(written[-1], "\n".join([f"FROM ./{gguf.name}", *lines]) + "\n")
    return tuple(written), notes


def modelfiles_of(
    source: Path,
    model: Path,
    ggufs: Mapping[str, Path],
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> tuple[str, ...]:
    """The same for GGUFs of ``source``: a run, whose record knows more, or a model's folder."""
    try:
        record = read_record(source)
    except InputError:
        return write_modelfiles(model, ggufs, tokenizer=tokenizer)[1]
    context = record["settings"]["max_seq_length"]["value"]
    _, notes = write_modelfiles(
        model, ggufs, context=context, system=record.get("system"), tokenizer=tokenizer
    )
    return notes


def _lines(
    model: Path, tokenizer: PreTrainedTokenizerBase, context: int | None, system: str | None
) -> tuple[list[str], tuple[str, ...]]:
    """A Modelfile's lines but for the GGUF's name, and what is to be said about them."""
    template, notes = _template(tokenizer)
    lines: list[str] = []
    if template:
        lines.append(f"TEMPLATE {_quoted(template)}")
    if system:
        if _can_be_quoted(system):
            lines.append(f"SYSTEM {_quoted(system)}")
        else:
            notes.append(
                "the trained system text holds characters that a Modelfile cannot; it has no "
                "SYSTEM, so clients must send the text"
            )
    lines += [f"PARAMETER stop {_quoted(token)}" for token in _stop_tokens(tokenizer)]
    if context is not None:
        lines.append(f"PARAMETER num_ctx {_context(model, context)}")
    lines += [f"PARAMETER {name} {value}" for name, value in _sampling(model).items()]
    lines += [f"LICENSE {_quoted(text)}" for text in _licences(model)]
    return lines, tuple(notes)


def _template(tokenizer: PreTrainedTokenizerBase) -> tuple[str | None, list[str]]:
    shape = chat_shape(tokenizer, add_bos=added_tokens(tokenizer)[0])
    template = go_template(shape) if shape else ""
    if shape is None or not _can_be_quoted(template):
        return None, [
            "Ollama's template language cannot say what the chat template writes: the Modelfile "
            "has no TEMPLATE, and needs Ollama 0.30 or newer, which takes the GGUF's"
        ]
    if shape.tools is None and Renderer(tokenizer).target.tools:
        return template, [
            "Ollama's template language cannot say how the chat template writes tools: for them "
            "Ollama 0.30 or newer is needed, which takes the GGUF's template"
        ]
    return template, []


def _stop_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    try:
        ids = Renderer(tokenizer).end_ids()
    except RenderError:
        ids = (tokenizer.eos_token_id,) if isinstance(tokenizer.eos_token_id, int) else ()
    return [str(tokenizer.convert_ids_to_tokens(index)) for index in ids]


def _context(model: Path, trained: int) -> int:
    limit = _json(model / "config.json").get("max_position_embeddings")
    return min(trained, limit) if isinstance(limit, int) else trained


def _sampling(model: Path) -> dict[str, float]:
    config = _json(model / "generation_config.json")
    if config.get("do_sample") is False:
        return {}
    values = {name: config.get(key) for key, name in SAMPLING.items()}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def _licences(model: Path) -> list[str]:
    """The texts of the base model's licence, else what the model card calls it."""
    from ftcore.base_card import licence_files, licence_of

    texts = [path.read_text("utf-8", errors="replace") for path in licence_files(model)]
    texts = [text.strip() for text in texts if _QUOTES not in text]
    name = licence_of(model / "README.md").shown
    return texts or ([name] if name else [])


def _json(path: Path) -> Mapping[str, Any]:
    try:
        value: object = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _can_be_quoted(text: str) -> bool:
    """Whether Ollama reads the text as it is: it drops what is not printable, as Go names it."""
    return _QUOTES not in text and all(c.isprintable() or c in "\n\r\t" for c in text)


def _quoted(text: str) -> str:
    return f"{_QUOTES}{text}{_QUOTES}"
