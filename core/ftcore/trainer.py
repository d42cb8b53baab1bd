"""Trains a model on prepared rows with TRL, changing nothing that the settings say."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from attrs import field, frozen
from datasets import Dataset  # pyright: ignore[reportMissingTypeStubs]
from peft import LoraConfig
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from ftcore.attention import dense_attention, has_varlen, varlen_attention
from ftcore.errors import FtcoreError
from ftcore.evaluate import Autocast, Loss
from ftcore.progress import Progress
from ftcore.render import IGNORE
from ftcore.rows import Rows
from ftcore.settings import Settings

OVERFLOWING_STEPS = 48
"""Steps of fp16 whose gradients may all overflow: the loss scale begins at 2**16 and is halved by
each, and 2**-24 is the smallest number there is."""

LOGGED = ("loss", "learning_rate", "grad_norm", "eval_loss", "tokens_per_second")


@frozen
class Trained:
    """What training gave."""

    model: PreTrainedModel
    """Of a LoRA run with its adapters beside the weights."""
    steps: int
    tokens: int
    """Tokens that went through the model, prompts included."""
    trained_tokens: int
    """Of those, the ones that carry a label. Both are counted as they are trained on."""
    best_step: int | None
    """The step of the checkpoint that was taken for the best; None: the last step's weights."""
    seconds: float
    log: tuple[Mapping[str, float], ...] = field(repr=False)
    """One entry per logged step: step, epoch, loss, learning_rate, grad_norm, tokens_per_second."""


def total_steps(rows: int, settings: Settings) -> int:
    """Optimizer steps of a run over ``rows`` rows: the last batch of an epoch may be smaller."""
    micro = math.ceil(rows / settings.per_device_train_batch_size)
    per_epoch = max(math.ceil(micro / settings.gradient_accumulation_steps), 1)
    return math.ceil(per_epoch * settings.num_train_epochs)


def device() -> str:
    """The device that models are trained on: the first CUDA card, otherwise the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def autocast(settings: Settings) -> Autocast:
    """The precision that matrix products are computed in; the weights stay as they are."""
    if settings.bf16 or settings.fp16:
        dtype = torch.bfloat16 if settings.bf16 else torch.float16
        return partial(torch.autocast, device(), dtype=dtype)
    return nullcontext


def train_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Rows,
    held_out: Rows,
    part_labels: Sequence[str],
    settings: Settings,
    folder: Path,
    evaluate: Callable[[PreTrainedModel], Loss],
    progress: Progress,
) -> Trained:
    """Trains and returns the model, its adapters not merged, the best checkpoint loaded.

    Writes ``log.jsonl`` and, with ``save_checkpoints``, ``checkpoints/`` into ``folder``.
    ``evaluate`` measures the held-out loss wherever a checkpoint is written, if any is held out.

    :raises FtcoreError: the loss is not finite, or the machine's memory does not suffice.
    """
    watcher = _Watcher(folder / "log.jsonl", progress)
    trainer: Any = _Trainer(
        model=model,
        args=sft_config(settings, folder, evaluates=bool(held_out)),
        train_dataset=_dataset(rows),
        eval_dataset=_dataset(held_out) if held_out else None,
        processing_class=tokenizer,
        callbacks=[watcher],
        peft_config=_lora(settings) if settings.training_mode == "lora" else None,
    )
    # nothing is padded, so it does not matter with what; TRL takes no other collator at once
    trainer.data_collator = PartsCollator(pad_token_id=0, padding_free=True)
    trainer.measure = evaluate
    trainer.remove_callback(PrinterCallback)
    started = time.monotonic()
    with trainer.packed_attention(), trainer.loss_by_part(part_labels):
        trainer.train()
    seconds = time.monotonic() - started
    trained = trainer.model
    refuse_non_finite(trained)
    best = trainer.state.best_global_step if trainer.args.load_best_model_at_end else None
    return Trained(
        cast(PreTrainedModel, trained),
        int(trainer.state.global_step),
        trainer.tokens,
        int(trainer.trained_tokens),
        int(best) if best else None,
        seconds,
        tuple(watcher.log),
    )


def refuse_non_finite(model: torch.nn.Module) -> None:
    """Stops before a model that diverged between two logged steps is measured or saved.

    :raises FtcoreError: naming the first tensor that holds a NaN or an infinity.
    """
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and not bool(torch.isfinite(parameter).all()):
            raise FtcoreError(
                f"the weights {name} hold a NaN or an infinity: the run diverged",
                "halve the learning rate and warm up longer: see --set learning_rate",
            )


def sft_config(settings: Settings, folder: Path, *, evaluates: bool) -> SFTConfig:
    """TRL's configuration. Every hyperparameter is the settings' own, unchanged."""
    saves = "steps" if settings.save_checkpoints else "no"
    return SFTConfig(
        output_dir=str(folder / "checkpoints"),
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.lr_scheduler_type,
        warmup_steps=settings.warmup_steps,
        num_train_epochs=settings.num_train_epochs,
        per_device_train_batch_size=settings.per_device_train_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        optim=settings.optim,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        fp16=settings.fp16,
        bf16=settings.bf16,
        gradient_checkpointing=settings.gradient_checkpointing,
        logging_strategy="steps",
        logging_steps=settings.logging_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would log the last good loss in place of a NaN
        save_strategy=saves,
        save_steps=settings.save_steps,
        save_total_limit=settings.save_total_limit,
        eval_strategy=saves if evaluates else "no",
        eval_steps=settings.save_steps,
        load_best_model_at_end=settings.load_best_model_at_end and evaluates,
        metric_for_best_model=settings.metric_for_best_model,
        greater_is_better=False,
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=device() == "cpu",
        # the rows are finished: TRL neither tokenizes, masks, packs nor cuts them
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        padding_free=True,
        packing=False,
        max_length=None,
        report_to="none",
        disable_tqdm=True,
    )


class PartsCollator(DataCollatorForLanguageModeling):
    """TRL's collator, which lays rows end to end, and the part labels of their tokens beside."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch; ``parts`` is int64 of the shape of ``labels``, -1 where nothing is trained."""
        batch = super().torch_call(examples)
        batch["parts"] = torch.tensor([[p for example in examples for p in example["parts"]]])
        return batch


class _Trainer(SFTTrainer):
    """TRL's trainer with ftcore's own evaluation loss (by token, not by batch) and loss by part."""

    measure: Callable[[PreTrainedModel], Loss] | None = None
    uses_varlen = False
    tokens = 0
    trained_tokens: int | torch.Tensor = 0

    @contextmanager
    def loss_by_part(self, labels: Sequence[str]) -> Generator[None]:
        """Adds the loss of each part to the log, out of what TRL computes anyway."""
        trainer: Any = self
        self._labels = tuple(labels)
        self._sums = torch.zeros(2, len(labels), dtype=torch.float64, device=trainer.model.device)
        self._seen: Any = None

        def keep(_: object, __: object, output: Any) -> None:
            self._seen = output

        with trainer.model.register_forward_hook(keep):
            yield

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # of a token and the label that it predicts, the label's part counts
        parts = inputs.pop("parts")[:, 1:]
        compute: Any = super().compute_loss
        loss = compute(model, inputs, *args, **kwargs)
        nll, trained = -self._seen.log_probs.detach().double(), parts >= 0
        self._seen = None
        places = parts.clamp(min=0).flatten()
        for sums, values in zip(self._sums, (nll * trained, trained.double()), strict=True):
            sums.index_add_(0, places, values.flatten())
        return loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            sums, counts = cast("list[list[float]]", self._sums.tolist())  # pyright: ignore
            self._sums.zero_()
            logs |= {
                f"loss_{label}": total / count
                for label, total, count in zip(self._labels, sums, counts, strict=True)
                if count
            }
        write: Any = super().log
        write(logs, *args, **kwargs)

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.tokens += inputs["input_ids"].numel()  # rows lie end to end, without padding
        # summed on the device, which is never waited for
        self.trained_tokens = self.trained_tokens + (inputs["labels"] != IGNORE).sum()
        step: Any = super().training_step  # pyright: ignore
        return step(model, inputs, *args, **kwargs)

    def packed_attention(self) -> AbstractContextManager[None]:
        """Attention by the varlen kernel where there is one; evaluation goes without."""
        trainer: Any = self
        dtype = (
            torch.bfloat16 if trainer.args.bf16 else torch.float16 if trainer.args.fp16 else None
        )
        self.uses_varlen = has_varlen(trainer.model, dtype)
        return varlen_attention(trainer.model) if self.uses_varlen else nullcontext()

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        assert self.measure is not None
        trainer: Any = self
        with dense_attention(trainer.model) if self.uses_varlen else nullcontext():
            loss = self.measure(trainer.model)
        metrics = {"eval_loss": loss.total}
        metrics |= {f"eval_loss_{name}": value for name, value in loss.by_part.items()}
        self.log(dict(metrics))
        trainer.control = trainer.callback_handler.on_evaluate(
            trainer.args, trainer.state, trainer.control, metrics
        )
        return metrics

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Writes none: ftcore's record says what was done."""


class _Watcher(TrainerCallback):
    """Writes the log, tells of progress, and stops a run whose loss is no number."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.log: list[dict[str, float]] = []
        self._path = path
        self._progress = progress
        self._time = time.monotonic()
        self._tokens = 0.0
        self._latest = ""
        self._overflowing_since: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._time = time.monotonic()
        self._progress.advance(0, state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        control.should_log |= state.global_step >= state.max_steps  # the last step too
        self._progress.advance(state.global_step, state.max_steps, self._latest)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        given = dict(logs or {})
        if not {"loss", "eval_loss"} & given.keys():
            return
        if "loss" in given:
            self._add_rate(given)
        entry = {"step": float(state.global_step), "epoch": float(state.epoch or 0)}
        entry |= {
            name: value
            for name, value in given.items()
            if name in LOGGED or name.startswith(("loss_", "eval_loss_"))
        }
        self.log.append(entry)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        for name in ("loss", "eval_loss", "grad_norm"):
            if math.isfinite(entry.get(name, 0.0)):
                continue
            if name != "grad_norm" or not args.fp16 or self._overflows_for_long(state):
                raise FtcoreError(
                    f"the {name} became {entry[name]} at step {state.global_step}: "
                    "the run diverged",
                    "halve the learning rate and warm up longer: "
                    f"--set learning_rate={args.learning_rate / 2:g} --set warmup_steps=200",
                )
        if math.isfinite(entry.get("grad_norm", math.nan)):
            self._overflowing_since = None
        self._latest = _summary(entry)
        self._progress.advance(state.global_step, state.max_steps, self._latest)

    def _overflows_for_long(self, state: TrainerState) -> bool:
        """With fp16 a step whose gradient overflows is skipped and the loss scale halved.

        That is no divergence, unless it goes on when the scale has nothing left to halve.
        """
        if self._overflowing_since is None:
            self._overflowing_since = state.global_step
        return state.global_step - self._overflowing_since >= OVERFLOWING_STEPS

    def _add_rate(self, given: dict[str, float]) -> None:
        now, tokens = time.monotonic(), given.get("num_tokens", 0.0)
        given["tokens_per_second"] = (tokens - self._tokens) / max(now - self._time, 1e-9)
        self._time, self._tokens = now, tokens


def _summary(entry: Mapping[str, float]) -> str:
    shown = {
        "loss": "loss {:.3f}",
        "eval_loss": "held-out loss {:.3f}",
        "learning_rate": "lr {:.2g}",
        "grad_norm": "grad {:.2f}",
        "tokens_per_second": "{:.0f} tok/s",
    }
    return " · ".join(form.format(entry[name]) for name, form in shown.items() if name in entry)


def _dataset(rows: Rows) -> Any:
    """The rows' numbers, each row being read when it is asked for."""
    from_dict = cast(Any, Dataset.from_dict)  # pyright: ignore[reportUnknownMemberType]
    return from_dict({"row": np.arange(len(rows))}).with_transform(rows.columns)


def _lora(settings: Settings) -> LoraConfig:
    targets = settings.lora_target_modules
    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=settings.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )
