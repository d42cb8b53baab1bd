"""Certifies that a GGUF says what a model says: in a real llama.cpp, against transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from ftcore.errors import InputError
from ftcore.export.architectures import read_hyperparameters
from ftcore.export.certificate import Certificate, Check
from ftcore.export.check_file import check_metadata, check_tensors
from ftcore.export.check_model import CONTEXT, Answers, ask_runtime, check_model
from ftcore.export.check_runtime import (
    RenderedTurn,
    check_chat_template,
    check_end_token,
    check_rendering,
    check_token_ids,
    rendered_turns,
)
from ftcore.export.checkpoint import open_weights, plan_tensors, read_config
from ftcore.export.probes import CONVERSATIONS, TEXTS
from ftcore.export.quantizations import BY_FILE_TYPE, QUANTIZATIONS
from ftcore.export.reader import read_header
from ftcore.export.runtime import (
    RUNTIME,
    Runtime,
    RuntimeMissingError,
    RuntimeRefusedError,
    open_runtime,
    runtime_available,
)
from ftcore.export.threads import half_the_cores
from ftcore.export.vocabulary import load_tokenizer
from ftcore.files import hashing
from ftcore.render import Renderer
from ftcore.values import Conversation

TURNS = 16
"""Turns of the given conversations that are looked at."""

Progress = Callable[[str, int, int], None]
"""Called with what is being checked, steps done and steps in all."""


def certify(
    gguf: Path,
    model: Path,
    conversations: Sequence[Conversation] = (),
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """Compares a GGUF with the model that it was written from.

    :param model: the folder of the model, with its tokenizer.
    :param conversations: what the model was trained on or is for; a few of ftcore's own when
        there are none, or none that the chat template can render.
    :param tokenizer: the model's, where it is loaded already.
    :raises InputError: the file is no GGUF of a kind that ftcore writes, or the folder no model.
    :raises FtcoreError: no llama.cpp runtime is installed.
    """
    version = runtime_available()
    if version is None:
        raise RuntimeMissingError(
            "the llama.cpp runtime that checks a GGUF is not installed",
            "pip install 'ftcore[llamacpp]'",
        )
    tell = progress or _silent
    config = read_config(model)
    hyperparameters = read_hyperparameters(config)
    tokenizer = tokenizer or load_tokenizer(model)
    renderer = Renderer(tokenizer)
    turns = rendered_turns(renderer, conversations, TURNS) or rendered_turns(
        renderer, CONVERSATIONS, TURNS
    )
    tell("file", 0, 1)
    header = read_header(gguf)
    metadata = header.metadata
    quantization = _quantization(gguf, metadata)
    with hashing(gguf) as digest:
        checks = [
            check_metadata(metadata, _model_config(model), tokenizer),
            check_tensors(
                header.tensors, plan_tensors(hyperparameters, open_weights(model), quantization)
            ),
        ]
        tell("file", 1, 1)
        try:
            with open_runtime(gguf, context=CONTEXT, threads=half_the_cores()) as runtime:
                checks += [
                    check_token_ids(runtime, renderer, turns),
                    check_chat_template(runtime, metadata, tokenizer),
                    check_rendering(runtime, renderer, turns),
                    check_end_token(runtime, metadata, renderer, turns),
                ]
                answers = _ask(runtime, renderer, turns, partial(tell, "runtime"))
            checks += check_model(model, answers, quantization, partial(tell, "model"))
        except RuntimeRefusedError as error:
            checks.append(Check("runtime", False, None, None, error.message))
        return Certificate(
            gguf=gguf.name,
            size=gguf.stat().st_size,
            sha256=digest(),
            model=str(model),
            quantization=quantization,
            runtime=RUNTIME,
            runtime_version=version,
            checks=tuple(checks),
        )


def _ask(
    runtime: Runtime,
    renderer: Renderer,
    turns: Sequence[RenderedTurn],
    step: Callable[[int, int], None],
) -> Answers:
    prompts = [renderer.encode(turn.turn.prompt) for turn in turns]
    answers = [renderer.encode(turn.turn.answer) for turn in turns]
    texts = [
        (prompt + answer, len(answer)) for prompt, answer in zip(prompts, answers, strict=True)
    ]
    plain = [renderer.encode(text) for text in TEXTS if text]
    return ask_runtime(runtime, texts or [(ids, len(ids)) for ids in plain], prompts or plain, step)


def _quantization(gguf: Path, metadata: dict[str, Any]) -> str:
    kind: Any = metadata.get("general.file_type")
    entry = BY_FILE_TYPE.get(kind)
    if entry is None:
        raise InputError(
            f"{gguf}: its general.file_type {kind!r} cannot be certified yet",
            f"supported: {', '.join(QUANTIZATIONS)}",
        )
    return entry.name


def _model_config(model: Path) -> Any:
    from transformers import AutoConfig

    return cast("Any", AutoConfig).from_pretrained(str(model), local_files_only=True)


def _silent(name: str, done: int, total: int) -> None:
    del name, done, total
