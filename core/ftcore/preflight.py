"""Judges resolved settings before anything is loaded, and against the data once they are counted.

Every function returns problems; those of severity ``error`` stop the run.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Collection, Iterator, Mapping

import attrs

from ftcore.balance import shares_short
from ftcore.config import MIXED, ResolvedConfig
from ftcore.jsontext import did_you_mean
from ftcore.settings import Settings
from ftcore.values import Problem

BEST_METRICS = ("loss", "eval_loss")
"""Names of the held-out loss, ftcore's and transformers'."""


def check_settings(resolved: ResolvedConfig) -> tuple[Problem, ...]:
    """What settings say together that cannot work (errors) or reaches nothing (warnings)."""
    checks = (_eight_bit, _precision, _best_model, _data, _unread)
    return tuple(problem for check in checks for problem in check(resolved))


def check_machine(resolved: ResolvedConfig) -> tuple[Problem, ...]:
    """What settings ask for that the GPU or the transformers of this machine does not have.

    Imports torch and transformers, which takes seconds.
    """
    return (*_computing(resolved), *_optimizer(resolved))


def _eight_bit(resolved: ResolvedConfig) -> Iterator[Problem]:
    if not resolved.settings.load_in_8bit:
        return
    if resolved.settings.training_mode == "full_finetune":
        yield Problem(
            f"{_named(resolved, 'load_in_8bit', 'training_mode')}: weights in 8 bits cannot be "
            "trained themselves",
            hint="two settings work: --set training_mode=lora (8-bit weights stay frozen, "
            "adapters are trained), or --set load_in_8bit=false (all weights, in full)",
        )
    elif importlib.util.find_spec("bitsandbytes") is None:
        yield Problem(
            f"{_named(resolved, 'load_in_8bit')}: the package bitsandbytes is not installed",
            hint="pip install 'ftcore[8bit]', or --set load_in_8bit=false",
        )


def _precision(resolved: ResolvedConfig) -> Iterator[Problem]:
    if resolved.settings.bf16 and resolved.settings.fp16:
        yield Problem(
            f"{_named(resolved, 'bf16', 'fp16')}: only one of the two can be computed in",
            hint="--set fp16=false, or --set bf16=false on a GPU without bfloat16",
        )


def _computing(resolved: ResolvedConfig) -> Iterator[Problem]:
    import torch

    settings = resolved.settings
    gpu = torch.cuda.is_available()
    if settings.fp16 and not gpu:
        yield Problem(
            f"{_named(resolved, 'fp16')}: float16 with loss scaling needs a CUDA GPU, and there "
            "is none here",
            hint="--set fp16=false",
        )
    if settings.bf16 and gpu and not torch.cuda.is_bf16_supported():
        yield Problem(
            f"{_named(resolved, 'bf16')}: this GPU ({torch.cuda.get_device_name()}) does not "
            "compute in bfloat16",
            hint="--set bf16=false --set fp16=true",
        )


def _best_model(resolved: ResolvedConfig) -> Iterator[Problem]:
    settings = resolved.settings
    if not settings.load_best_model_at_end:
        return
    for key, missing in (
        ("eval_split", not settings.eval_split),
        ("save_checkpoints", not settings.save_checkpoints),
    ):
        if missing:
            need = "held-out samples" if key == "eval_split" else "checkpoints"
            yield Problem(
                f"{_named(resolved, 'load_best_model_at_end', key)}: the best model is found "
                f"with {need}, and there are none",
                hint=f"--set load_best_model_at_end=false, or set {key} to "
                + ("0.05" if key == "eval_split" else "true"),
            )

    if settings.metric_for_best_model not in BEST_METRICS:
        yield Problem(
            f"{_named(resolved, 'metric_for_best_model')}: no such figure is measured at a "
            "checkpoint",
            hint="--set metric_for_best_model=loss is the held-out loss per trained token",
        )


def _optimizer(resolved: ResolvedConfig) -> Iterator[Problem]:
    from transformers.training_args import OptimizerNames

    known = [name.value for name in OptimizerNames]
    if resolved.settings.optim not in known:
        meant = did_you_mean(resolved.settings.optim, known)
        yield Problem(
            f"{_named(resolved, 'optim')}: transformers has no such optimizer",
            hint=f"{meant} known: {', '.join(known)}".strip(),
        )


def _data(resolved: ResolvedConfig) -> Iterator[Problem]:
    settings = resolved.settings
    needs = settings.dataset_requirements
    filter_key = "dataset_requirements.mode_filter"
    mode = settings.cognitive_mode
    if needs.mode_filter not in (None, mode) and mode != MIXED:
        yield Problem(
            f"{_named(resolved, filter_key, 'cognitive_mode')}: no sample would be left",
            hint=f"--set {filter_key}={mode}",
        )
    total = math.fsum(needs.mode_distribution.values())
    if total > 1 + 1e-9:
        prefix = "dataset_requirements.mode_distribution."
        named = [key for key in resolved.values if key.startswith(prefix)]
        yield Problem(
            f"{_named(resolved, *named)}: the shares add up to {total:g}, more than 1",
            hint="lower them, or set those that you do not want to 0",
        )
    if needs.recommended_samples < needs.min_samples:
        keys = ("dataset_requirements.recommended_samples", "dataset_requirements.min_samples")
        yield _warning(
            f"{_named(resolved, *keys)}: fewer samples are recommended than are required",
        )


def _unread(resolved: ResolvedConfig) -> Iterator[Problem]:
    """Settings that somebody wrote down and that reach nothing beside the others."""
    settings = resolved.settings
    if settings.training_mode != "lora":
        written = [
            key
            for key, value in resolved.values.items()
            if key.startswith("lora_") and not value.origin.text.startswith("default ")
        ]
        if written:
            yield _warning(
                f"{_named(resolved, *written, 'training_mode')}: nothing reads the adapters' "
                "settings",
                "--set training_mode=lora trains adapters",
            )
    if settings.balance and settings.cognitive_mode != MIXED:
        yield _warning(
            f"{_named(resolved, 'balance', 'cognitive_mode')}: one mode alone needs no balance",
            "--set balance=false, or leave out --mode for mixed training",
        )
    if settings.lr_scheduler_type == "constant" and settings.warmup_steps:
        yield _warning(
            f"{_named(resolved, 'warmup_steps', 'lr_scheduler_type')}: this scheduler has no "
            "warm-up",
            "--set lr_scheduler_type=constant_with_warmup",
        )
    if settings.eval_samples and not settings.eval_split:
        yield _warning(
            f"{_named(resolved, 'eval_samples', 'eval_split')}: nothing is held out, so there "
            "are no metrics before and after training",
        )


def schedule_warnings(settings: Settings, samples_trained: int, steps: int) -> tuple[Problem, ...]:
    """What is odd about the schedule of a run.

    :param samples_trained: samples that one epoch goes through (held-out ones are not).
    :param steps: optimizer steps of the whole run.
    """
    run = (
        f"the run has {_count(steps, 'step')} ({_count(samples_trained, 'sample')}, "
        f"{settings.num_train_epochs:g} epochs, batch {settings.per_device_train_batch_size} x "
        f"accumulation {settings.gradient_accumulation_steps})"
    )
    return tuple(_schedule(settings, steps, run))


def _schedule(settings: Settings, steps: int, run: str) -> Iterator[Problem]:
    warmup = settings.warmup_steps if settings.lr_scheduler_type != "constant" else 0
    rate = settings.learning_rate
    if steps < 1:
        yield _warning(f"nothing will be trained: {run}", "give more data or more epochs")
        return
    if warmup and warmup >= steps:
        # the first step is taken at rate 0, the last one at (steps - 1) / warmup of the full rate
        highest = rate * (steps - 1) / warmup
        yield _warning(
            f"warmup_steps={warmup} is {'as long as' if warmup == steps else 'longer than'} the "
            f"run: {run}, so it ends before the learning rate has risen to {rate:g}; the highest "
            f"it reaches is {highest:.3g}",
            _shorter_warmup(steps),
        )
    elif warmup * 2 > steps:
        yield _warning(
            f"warmup_steps={warmup} is more than half of the run: {run}",
            _shorter_warmup(steps),
        )
    if settings.save_checkpoints and settings.save_steps >= steps:
        every = max(steps // 4, 1)
        best = (
            ", and load_best_model_at_end has nothing to choose from"
            if settings.load_best_model_at_end
            else ""
        )
        yield _warning(
            f"save_steps={settings.save_steps} is not before the end: {run}, so there is no "
            f"checkpoint on the way{best}",
            f"--set save_steps={every} would give {_count(math.ceil(steps / every), 'checkpoint')}",
        )
    if settings.logging_steps > steps:
        yield _warning(
            f"logging_steps={settings.logging_steps} is beyond the end: {run}, so only the "
            "first step is logged",
            f"--set logging_steps={max(steps // 10, 1)}",
        )


def _shorter_warmup(steps: int) -> str:
    if steps < 10:
        return "--set warmup_steps=0 begins at the full rate"
    return f"--set warmup_steps={steps // 10} would be a tenth of the run"


def requirement_problems(
    settings: Settings, samples: int, allow_small: bool, limited: bool
) -> tuple[Problem, ...]:
    """Whether there are enough samples.

    :param samples: valid samples that the data hold after ``--max``.
    :param allow_small: ``--allow-small`` was given.
    :param limited: ``--max`` was given.
    """
    needs = settings.dataset_requirements
    note = f" ({needs.note.rstrip('.')})" if needs.note else ""
    have = _count(samples, "sample")
    if samples < needs.min_samples:
        small = Problem(
            f"the data hold {have}; dataset_requirements.min_samples is {needs.min_samples}, "
            f"{needs.recommended_samples} are recommended{note}",
            hint="give more data, or train on these all the same with --allow-small",
        )
        if allow_small or limited:
            why = "--allow-small" if allow_small else "--max"
            small = attrs.evolve(
                small,
                severity="warning",
                hint=f"trained all the same because of {why}; expect little of it",
            )
        return (small,)
    if samples < needs.recommended_samples:
        return (
            _warning(
                f"the data hold {have}; dataset_requirements.recommended_samples is "
                f"{needs.recommended_samples}{note}"
            ),
        )
    return ()


def share_problems(
    settings: Settings, counts: Mapping[str, int], modes: Collection[str], small_ok: bool
) -> tuple[Problem, ...]:
    """Modes that have less than their share of ``mode_distribution``, and names of none.

    :param counts: valid samples by mode.
    :param modes: the modes of the run.
    :param small_ok: say it as a warning.
    """
    key = "dataset_requirements.mode_distribution"
    wanted = settings.dataset_requirements.mode_distribution
    unknown = tuple(
        Problem(
            f"{key} names {name!r}, which is no mode of this run",
            hint=f"{did_you_mean(name, modes)} modes of this run: {', '.join(modes)}; without a "
            f"share for it: --set {key}.{name}=0".strip(),
        )
        for name, least in wanted.items()
        if name not in modes and least
    )
    return unknown or tuple(
        Problem(
            f"{_count(counts.get(mode, 0), 'sample')} ({share:.1%}) are of {mode} mode; {key} asks "
            f"for at least {least:.0%}",
            hint=(
                f"give more of them, or --set {key}.{mode}=0"
                if not counts.get(mode)
                else "give more of them, or leave out some of the others with --balance, or "
                f"--set {key}.{mode}=0"
            ),
            severity="warning" if small_ok else "error",
        )
        for mode, (share, least) in shares_short(counts, wanted).items()
    )


def _named(resolved: ResolvedConfig, *keys: str) -> str:
    return " with ".join(resolved.described(key) for key in keys)


def _warning(message: str, hint: str = "") -> Problem:
    return Problem(message, hint=hint, severity="warning")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
