"""Settings that cannot work are refused before anything is loaded, and odd runs are announced."""

from __future__ import annotations

import re

import attrs
import pytest
import torch
from transformers import get_scheduler

from ftcore.config import ResolvedConfig, resolve
from ftcore.preflight import (
    check_machine,
    check_settings,
    requirement_problems,
    schedule_warnings,
    share_problems,
)
from ftcore.settings import Settings, setting_schemas


def resolved(tmp_path, *overrides: str) -> ResolvedConfig:
    return resolve(mode="haiku", mode_defaults=(), workspace=tmp_path, overrides=overrides)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return resolved(tmp_path).settings


def test_the_defaults_work_together(tmp_path):
    assert check_settings(resolved(tmp_path)) == check_machine(resolved(tmp_path)) == ()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ("load_in_8bit=true",),
            (
                'load_in_8bit=true (--set) with training_mode="full_finetune" (default',
                "--set training_mode=lora",
                "--set load_in_8bit=false",
            ),
        ),
        (("bf16=true", "fp16=true"), ("bf16=true (--set) with fp16=true (--set)", "--set fp16=")),
        (("eval_split=0", "eval_samples=0"), ("load_best_model_at_end=true", "eval_split=0")),
        (("save_checkpoints=false",), ("load_best_model_at_end=true", "save_checkpoints=false")),
        (("metric_for_best_model=accuracy",), ('metric_for_best_model="accuracy"', "=loss")),
        (("optim=adamw_toch",), ('optim="adamw_toch"', "did you mean 'adamw_torch'?", "adafactor")),
        (("dataset_requirements.mode_filter=sonnet",), ("mode_filter=haiku", "no sample")),
        (
            (
                "dataset_requirements.mode_distribution.a=0.6",
                "dataset_requirements.mode_distribution.b=0.5",
            ),
            ("mode_distribution.a=0.6", "mode_distribution.b=0.5", "1.1"),
        ),
    ],
)
def test_what_cannot_work_is_refused_with_values_origins_and_a_way_out(tmp_path, overrides, words):
    config = resolved(tmp_path, *overrides)
    (problem,) = check_settings(config) or check_machine(config)
    assert problem.severity == "error"
    assert problem.hint
    for word in words:
        assert word in str(problem)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_loss_scaling_needs_a_gpu(tmp_path):
    (problem,) = check_machine(resolved(tmp_path, "fp16=true", "bf16=false"))
    assert problem.severity == "error"
    assert "fp16=true (--set)" in problem.message


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("lora_rank=8",), ("lora_rank=8", "training_mode", "nothing reads")),
        (("lr_scheduler_type=constant",), ("warmup_steps=100", "constant_with_warmup")),
        (
            ("eval_split=0", "load_best_model_at_end=false"),
            ("eval_samples=32", "nothing is held out"),
        ),
        (
            ("dataset_requirements.min_samples=9",),
            ("recommended_samples=1", "min_samples=9"),
        ),
    ],
)
def test_what_reaches_nothing_is_said(tmp_path, overrides, words):
    (problem,) = check_settings(resolved(tmp_path, *overrides))
    assert problem.severity == "warning"
    for word in words:
        assert word in str(problem)


def test_adapters_settings_are_no_odd_thing_when_adapters_are_trained(tmp_path):
    assert check_settings(resolved(tmp_path, "training_mode=lora", "lora_rank=8")) == ()


def test_a_schedule_that_fits_is_not_remarked_on(settings):
    assert schedule_warnings(settings, 20_000, 1875) == ()


def test_a_warm_up_beyond_the_run_is_said_with_the_rate_that_training_really_reaches(settings):
    settings = attrs.evolve(settings, warmup_steps=100, learning_rate=5e-6, save_checkpoints=False)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=5e-6)
    scheduler = get_scheduler("cosine", optimizer, num_warmup_steps=100, num_training_steps=40)
    rates: list[float] = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    (warning,) = schedule_warnings(settings, 427, 40)
    assert warning.severity == "warning"
    for part in ("warmup_steps=100", "longer than the run", "40 steps", "427 samples", "3 epochs"):
        assert part in warning.message
    assert f"the highest it reaches is {max(rates):.3g}" in warning.message
    (warning,) = schedule_warnings(attrs.evolve(settings, warmup_steps=40), 427, 40)
    assert "as long as the run" in warning.message
    (warning,) = schedule_warnings(attrs.evolve(settings, warmup_steps=21), 427, 40)
    assert "more than half of the run" in warning.message
    assert schedule_warnings(attrs.evolve(settings, warmup_steps=20), 427, 40) == ()
    constant = attrs.evolve(settings, lr_scheduler_type="constant")
    assert schedule_warnings(constant, 427, 40) == ()


def test_saving_and_logging_beyond_the_end_are_said_with_the_numbers(settings):
    settings = attrs.evolve(settings, warmup_steps=1)
    warnings = [str(warning) for warning in schedule_warnings(settings, 64, 6)]
    assert len(warnings) == 2
    assert "save_steps=500" in warnings[0]
    assert "6 steps" in warnings[0]
    assert "load_best_model_at_end has nothing to choose from" in warnings[0]
    assert "logging_steps=10" in warnings[1]
    settings = attrs.evolve(settings, save_steps=5, logging_steps=6)
    assert schedule_warnings(settings, 64, 6) == ()
    (only_at_the_end,) = schedule_warnings(attrs.evolve(settings, save_steps=6), 64, 6)
    assert "no checkpoint on the way" in only_at_the_end.message


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 9, 10, 103])
def test_the_numbers_in_the_hints_of_short_runs_are_true(settings, steps):
    settings = attrs.evolve(settings, warmup_steps=200)
    warmup, save, *_ = (warning.hint for warning in schedule_warnings(settings, 64, steps))
    every, count = (int(number) for number in re.findall(r"\d+", save))
    assert count == len({*range(every, steps + 1, every), steps})  # one is written at the end too
    number = int(re.findall(r"\d+", warmup)[0])
    assert ("a tenth" in warmup) == (number > 0)
    assert number == steps // 10


MIX = ("dataset_requirements.mode_distribution", {"haiku": 0.2, "ode": 0.1})


@pytest.mark.parametrize("small_ok", [False, True])
def test_a_mode_below_its_share_is_named_with_both_figures(settings, small_ok):
    key, shares = MIX
    needs = attrs.evolve(settings.dataset_requirements, mode_distribution=shares)
    mixed = attrs.evolve(settings, dataset_requirements=needs)
    modes = ("haiku", "ode", "other")
    assert share_problems(mixed, {"haiku": 20, "ode": 10, "other": 70}, modes, small_ok) == ()
    (few,) = share_problems(mixed, {"haiku": 19, "ode": 10, "other": 71}, modes, small_ok)
    assert few.severity == ("warning" if small_ok else "error")
    assert few.message == f"19 samples (19.0%) are of haiku mode; {key} asks for at least 20%"
    assert "--balance" in few.hint
    (none,) = share_problems(mixed, {"haiku": 50, "other": 50}, modes, small_ok)
    assert "0 samples" in none.message
    assert "--balance" not in none.hint  # it would leave nothing
    assert f"--set {key}.ode=0" in none.hint
    (typo,) = share_problems(mixed, {"haiku": 50, "odes": 50}, ("haiku", "odes"), small_ok)
    assert typo.severity == "error"
    assert "names 'ode', which is no mode of this run" in typo.message
    assert "'odes'" in typo.hint


def test_a_run_without_a_step_is_said_at_once(settings):
    (warning,) = schedule_warnings(settings, 0, 0)
    assert "nothing will be trained" in warning.message


@pytest.mark.parametrize(
    ("samples", "allow_small", "limited", "severity"),
    [
        (1999, False, False, "error"),
        (1999, True, False, "warning"),
        (1999, False, True, "warning"),
        (2000, False, False, "warning"),
        (5999, False, False, "warning"),
        (6000, False, False, None),
    ],
)
def test_too_few_samples(tmp_path, samples, allow_small, limited, severity):
    settings = resolved(
        tmp_path,
        "dataset_requirements.min_samples=2000",
        "dataset_requirements.recommended_samples=6000",
        "dataset_requirements.note=Vary them.",
    ).settings
    problems = requirement_problems(settings, samples, allow_small=allow_small, limited=limited)
    assert [problem.severity for problem in problems] == ([severity] if severity else [])
    for problem in problems:
        assert f"{samples} samples" in problem.message
        assert "Vary them" in problem.message
        assert ("2000" if samples < 2000 else "6000") in problem.message


@pytest.mark.parametrize("name", setting_schemas()["lr_scheduler_type"]["enum"])
def test_every_scheduler_that_may_be_named_runs_without_further_settings(name):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=2, num_training_steps=10)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert max(rates) == 1.0
    assert (rates[0] == 0.0) == (name != "constant")
