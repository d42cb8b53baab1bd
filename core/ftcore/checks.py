"""Stops a run before a model is loaded, where it could not end well; passes warnings on."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from ftcore.base_models import BaseModel, load_config
from ftcore.collect import Collected
from ftcore.config import MIXED, ResolvedConfig
from ftcore.errors import FtcoreError, InputError, ProblemsError
from ftcore.preflight import (
    check_machine,
    check_settings,
    requirement_problems,
    share_problems,
)
from ftcore.progress import Progress
from ftcore.settings import Settings
from ftcore.values import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ftcore.prepare import DataSet

BYTES_FP32 = 4
COPIES_IN_CHECKPOINT = 3
"""A full checkpoint holds the weights and AdamW's two moments."""
MANY_LONG = 0.05
"""Share of samples beyond ``max_seq_length`` that is worth a warning."""


@frozen
class Size:
    """How big a model is."""

    parameters: int


def check_config(resolved: ResolvedConfig, progress: Progress) -> None:
    """Refuses settings that contradict each other.

    :raises ProblemsError: naming each setting and where its value came from.
    """
    stop_on_errors("these settings cannot work together", check_settings(resolved), progress)


def check_computing(resolved: ResolvedConfig, progress: Progress) -> None:
    """Refuses what this machine's GPU and libraries cannot do.

    :raises ProblemsError: naming each setting and where its value came from.
    """
    stop_on_errors("this machine cannot train so", check_machine(resolved), progress)


def check_samples(
    collected: Collected,
    modes: Collection[str],
    settings: Settings,
    *,
    small_ok: bool,
    progress: Progress,
) -> None:
    """Refuses data with problems, unless they are to be skipped, or with too few samples.

    The samples are counted again by :func:`check_count` when those that cannot be rendered or
    are too long have been dropped.

    :raises ProblemsError: the problems, each with its file and line.
    """
    stop_or_skip("the data", collected.problems, settings, progress)
    for problem in collected.warnings:
        progress.warn(problem)
    counts = Counter(collected.samples.kinds())
    check_shares(counts, modes, settings, small_ok=small_ok, progress=progress)
    check_count(len(collected.samples), settings, small_ok=small_ok, progress=progress)


def check_count(samples: int, settings: Settings, *, small_ok: bool, progress: Progress) -> None:
    """Refuses too few samples, unless ``--allow-small`` or a smaller ``--max`` asks for so few.

    :raises ProblemsError: with the number there is and the number that the mode needs.
    """
    found = requirement_problems(settings, samples, small_ok, _limited(settings))
    stop_on_errors("the data do not suffice", found, progress)


def check_shares(
    counts: Mapping[str, int],
    modes: Collection[str],
    settings: Settings,
    *,
    small_ok: bool,
    progress: Progress,
) -> None:
    """Refuses mixed data in which a mode has less than its share of ``mode_distribution``.

    ``--allow-small`` or a smaller ``--max`` makes a warning of it, as of too few samples.

    :param counts: samples by the name of their mode; ``modes`` are those of the run.
    :raises ProblemsError: with each mode's share and the share that is asked for.
    """
    if settings.cognitive_mode != MIXED or settings.dataset_requirements.mode_filter:
        return
    found = share_problems(settings, counts, modes, small_ok or _limited(settings))
    stop_on_errors("the mix of modes does not suffice", found, progress)


def _limited(settings: Settings) -> bool:
    """Whether ``--max`` asks for fewer samples than are required."""
    most = settings.max_samples
    return most is not None and most < settings.dataset_requirements.min_samples


def stop_or_skip(
    what: str, problems: Sequence[Problem], settings: Settings, progress: Progress
) -> None:
    """Stops on samples with problems, or says that they are left out, as the settings want it.

    :raises ProblemsError: there are problems and ``invalid_samples`` is ``stop``.
    """
    if not problems:
        return
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    if settings.invalid_samples == "stop":
        raise ProblemsError(
            f"{what}: {count}",
            problems,
            "mend them, or leave those samples out: --set invalid_samples=skip",
        )
    progress.note(f"{what}: {count}; those samples are left out, the ledger names them")


def check_lengths(data: DataSet, settings: Settings, progress: Progress) -> None:
    """Says how many samples are longer than ``max_seq_length`` and what becomes of them.

    :raises InputError: they are more than ``long_samples_limit``.
    """
    if not data.long or settings.long_samples == "refuse":  # then each was a problem
        return
    dropped = sum(entry.state == "dropped" for entry in data.entries)
    samples = len(data.train) + len(data.held_out) + dropped
    share = data.long / samples
    split = data.long - dropped
    said = (
        f"{data.long} of {samples} samples ({share:.1%}) are longer than "
        f"max_seq_length={settings.max_seq_length}: {split} are trained without their oldest "
        f"turns, {dropped} are left out; the ledger names them"
    )
    longer = f"--set max_seq_length={2 * settings.max_seq_length} holds more of them"
    if share > settings.long_samples_limit:
        raise InputError(
            f"{said}. long_samples_limit={settings.long_samples_limit:g} allows fewer",
            f"{longer}, at the cost of memory; or go on all the same with "
            f"--set long_samples_limit={math.ceil(share * 100) / 100:g}",
        )
    if share > MANY_LONG:
        progress.warn(Problem(said, hint=longer, severity="warning"))
    else:
        progress.note(said)


def check_base_model(base: BaseModel, settings: Settings) -> Size:
    """Refuses a base model that could be trained but not exported or proven.

    :raises InputError: the architecture or a quantization cannot be exported.
    :raises FtcoreError: the runtime that proves the export is not installed.
    """
    config = load_config(base)
    if settings.output_format == "gguf":
        from ftcore.export.architectures import check_exportable
        from ftcore.export.runtime import runtime_available

        for quantization in settings.quantization:
            check_exportable(config, quantization)
        if settings.certify and runtime_available() is None:
            raise FtcoreError(
                "the llama.cpp runtime that proves an export is not installed",
                "pip install 'ftcore[llamacpp]', or do without proof: --set certify=false",
            )
    return _size(config)


def check_tokenizer(
    tokenizer: PreTrainedTokenizerBase, base: BaseModel, settings: Settings
) -> None:
    """Refuses a tokenizer that could be trained with but not exported.

    :raises InputError: it is of a kind that the export cannot write.
    """
    if settings.output_format == "gguf":
        from ftcore.export.vocabulary import read_vocabulary

        read_vocabulary(tokenizer, load_config(base))


def check_disk(folder: Path, size: Size, settings: Settings) -> None:
    """Refuses a run whose model, checkpoints and GGUF would not fit on the disk of ``folder``.

    :raises FtcoreError: with the bytes needed and free.
    """
    model = size.parameters * BYTES_FP32
    needed = model
    if settings.save_checkpoints and settings.training_mode == "full_finetune":
        # one more than are kept: the new one is whole before the oldest goes
        needed += model * COPIES_IN_CHECKPOINT * (settings.save_total_limit + 1)
    if settings.output_format == "gguf":
        from ftcore.export.quantizations import QUANTIZATIONS

        bits = sum(QUANTIZATIONS[name].bits for name in settings.quantization)
        needed += math.ceil(size.parameters * bits / 8)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise FtcoreError(
            f"the disk of {folder} has {free / 1e9:,.2f} GB free, this run needs about "
            f"{needed / 1e9:,.2f} GB",
            "free some space, choose another place with --output, keep fewer checkpoints "
            "(--set save_total_limit=1) or none (--set save_checkpoints=false)",
        )


def stop_on_errors(message: str, problems: Sequence[Problem], progress: Progress) -> None:
    """Raises the errors among ``problems``; without any, passes the warnings on.

    :raises ProblemsError: there is an error.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise ProblemsError(message, errors)
    for problem in problems:
        progress.warn(problem)


def _size(config: dict[str, Any]) -> Size:
    """Counted on a model without storage, so that any architecture is counted right."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    parse, build = cast(Any, AutoConfig).for_model, cast(Any, AutoModelForCausalLM).from_config
    try:
        with torch.device("meta"):
            model = build(parse(**config))
    except (KeyError, ValueError) as error:
        raise InputError(f"the base model's config.json cannot be used: {error}") from error
    return Size(sum(p.numel() for p in model.parameters()))
