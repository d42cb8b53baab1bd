"""What the settings say reaches the optimizer, and packed examples do not see each other."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ftcore.config import resolve
from ftcore.errors import FtcoreError
from ftcore.evaluate import (
    Loss,
    _reference_nll,  # pyright: ignore[reportPrivateUsage]
    evaluation_loss,
)
from ftcore.examples import store_examples
from ftcore.progress import Silent
from ftcore.render import IGNORE, Example
from ftcore.rows import Rows
from ftcore.trainer import (
    PartsCollator,
    _dataset,  # pyright: ignore[reportPrivateUsage]
    _Watcher,  # pyright: ignore[reportPrivateUsage]
    autocast,
    refuse_non_finite,
    sft_config,
    total_steps,
    train_model,
)

LABELS = ("structure", "end", "said")


def settings(tmp_path, *overrides: str):
    return resolve(
        mode=None, mode_defaults=(), workspace=tmp_path, overrides=("bf16=false", *overrides)
    ).settings


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        eos_token_id=2,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def example(seed: int, length: int, trained: int) -> Example:
    ids = np.random.default_rng(seed).integers(3, 97, length).astype(np.int32)
    parts = np.where(np.arange(length) >= length - trained, 2, -1).astype(np.int16)
    parts[-1] = 1
    return Example(ids, parts)


def rows_of(*rows: tuple[Example, ...]) -> Rows:
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    return Rows(
        store_examples(e for row in rows for e in row), np.arange(sum(map(len, rows))), ends
    )


EXAMPLES = (example(0, 9, 3), example(1, 21, 8), example(2, 5, 1), example(3, 14, 13))


def summed_loss(model, rows) -> torch.Tensor:
    """The loss of rows, summed over their trained tokens, through TRL's own collator."""
    columns = rows.columns({"row": range(len(rows))})
    collate = PartsCollator(pad_token_id=2, padding_free=True)
    batch = collate(
        [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    )
    labels = batch.pop("labels")
    assert ((batch.pop("parts") >= 0) == (labels != IGNORE)).all()
    logits = model(**batch, use_cache=False).logits  # as TRL does: a cache knows no packing
    return torch.nn.functional.cross_entropy(
        logits[0, :-1], labels[0, 1:], ignore_index=IGNORE, reduction="sum"
    )


def test_packed_examples_give_the_loss_and_gradients_that_they_give_alone(model):
    model = model.double()
    summed_loss(model, rows_of(EXAMPLES)).backward()
    packed = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    alone = sum(summed_loss(model, rows_of((one,))) for one in EXAMPLES)
    alone.backward()
    together = summed_loss(model, rows_of(EXAMPLES))
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(packed[name], parameter.grad, rtol=1e-9, atol=1e-12)


def test_every_trained_token_counts_the_same_and_by_its_part(model, tmp_path):
    loss = evaluation_loss(model, EXAMPLES, LABELS, autocast(settings(tmp_path)))
    with torch.no_grad():
        expected = summed_loss(model, rows_of(EXAMPLES)) / 25
    assert loss.tokens == 25
    assert loss.total == pytest.approx(float(expected), rel=1e-5)
    assert set(loss.by_part) == {"said", "end"}
    mean = (21 * loss.by_part["said"] + 4 * loss.by_part["end"]) / 25
    assert loss.total == pytest.approx(mean, rel=1e-9)


def test_a_references_likelihood_is_that_of_its_tokens_after_the_prompt(model):
    one = EXAMPLES[1]
    prompt, answer = one.input_ids[:13].tolist(), one.input_ids[13:].tolist()
    nll, tokens = _reference_nll(model, prompt, answer)
    with torch.no_grad():
        expected = summed_loss(model, rows_of((one,)))
    assert tokens == one.trained_tokens == len(answer)
    assert nll == pytest.approx(float(expected), rel=1e-5)


def test_a_model_with_a_nan_is_refused_by_the_name_of_its_weights(model):
    refuse_non_finite(model)
    with torch.no_grad():
        model.model.norm.weight[3] = float("nan")
    with pytest.raises(FtcoreError, match=r"model\.norm\.weight .*diverged"):
        refuse_non_finite(model)


KEYS = {
    "learning_rate": 3.7e-6,
    "num_train_epochs": 2.5,
    "per_device_train_batch_size": 3,
    "gradient_accumulation_steps": 7,
    "warmup_steps": 11,
    "logging_steps": 13,
    "save_steps": 17,
    "optim": "adafactor",
    "weight_decay": 0.021,
    "max_grad_norm": 0.7,
    "save_total_limit": 4,
    "lr_scheduler_type": "linear",
    "seed": 9,
}


@pytest.mark.parametrize("key", KEYS)
def test_each_hyperparameter_reaches_trl_unchanged(tmp_path, key):
    given = settings(tmp_path, f"{key}={KEYS[key]}")
    args = sft_config(given, tmp_path, evaluates=True)
    assert getattr(args, key) == KEYS[key]


def test_a_step_is_the_mean_over_the_trained_tokens_of_the_whole_batch(model, tmp_path):
    """One SGD step over accumulated rows equals one step on the token-normalised loss."""
    rows = rows_of(*((one,) for one in EXAMPLES))
    (summed_loss(model, rows_of(EXAMPLES)) / 25).backward()
    expected = {name: (p - 0.5 * p.grad).detach() for name, p in model.named_parameters()}
    model.zero_grad()
    given = settings(
        *(tmp_path, "optim=sgd", "learning_rate=0.5", "lr_scheduler_type=constant"),
        *("max_grad_norm=0", "weight_decay=0", "gradient_accumulation_steps=4", "warmup_steps=0"),
        *("num_train_epochs=1", "save_checkpoints=false", "load_best_model_at_end=false"),
    )
    trained = train_model(
        model, _tokenizer(), rows, rows_of(), LABELS, given, tmp_path, lambda _: None, Silent()
    )
    assert trained.steps == total_steps(4, given) == 1
    assert trained.trained_tokens == 25
    for name, parameter in trained.model.named_parameters():
        torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=1e-5)


def test_tokens_are_counted_as_they_are_trained_on(model, tmp_path):
    """A run that ends within an epoch has seen part of the rows, and says how many tokens."""
    rows = rows_of(*((one,) for one in EXAMPLES))
    given = settings(
        *(tmp_path, "learning_rate=1e-9", "num_train_epochs=1.5", "gradient_accumulation_steps=1"),
        *("save_checkpoints=false", "load_best_model_at_end=false", "logging_steps=1"),
    )
    seen: list[int] = []
    model.register_forward_hook(
        lambda _, args, kwargs, __: seen.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    trained = train_model(
        model, _tokenizer(), rows, rows_of(), LABELS, given, tmp_path, lambda _: None, Silent()
    )
    assert trained.steps == 6
    assert trained.tokens == sum(seen)
    lengths = {len(one.input_ids): one.trained_tokens for one in EXAMPLES}
    assert trained.trained_tokens == sum(lengths[length] for length in seen)


def test_the_checkpoint_that_is_taken_for_the_best_is_named(model, tmp_path):
    rows = rows_of(*((one,) for one in EXAMPLES))
    given = settings(
        *(tmp_path, "learning_rate=0.01", "num_train_epochs=1", "gradient_accumulation_steps=1"),
        *("save_steps=1", "logging_steps=1", "save_total_limit=4", "warmup_steps=0"),
    )
    losses = iter([3.0, 1.0, 2.0, 4.0])
    weights: list[torch.Tensor] = []

    def measure(of):
        weights.append(of.lm_head.weight.detach().clone())
        return Loss(next(losses), {}, 1)

    trained = train_model(
        model, _tokenizer(), rows, rows_of(EXAMPLES[:1]), LABELS, given, tmp_path, measure, Silent()
    )
    assert trained.best_step == 2
    assert torch.equal(trained.model.lm_head.weight, weights[1])
    assert not torch.equal(trained.model.lm_head.weight, weights[3])


@pytest.mark.parametrize("fp16", [False, True])
def test_gradients_that_keep_overflowing_stop_the_run(tmp_path, fp16):
    """With fp16 a few are normal: the loss scale is halved. With anything else one is too many."""
    watcher = _Watcher(tmp_path / "log.jsonl", Silent())
    args = SimpleNamespace(fp16=fp16, learning_rate=1.0)

    def log(step: int, norm: float) -> None:
        state = SimpleNamespace(global_step=step, epoch=0.0, max_steps=100)
        watcher.on_log(args, state, None, {"loss": 1.0, "grad_norm": norm})

    if not fp16:
        with pytest.raises(FtcoreError, match=r"grad_norm became inf at step 1\b"):
            log(1, math.inf)
        return
    for step in (*range(1, 41), 41):
        log(step, 1.0 if step == 41 else math.inf)
    for step in range(50, 98):
        log(step, math.inf)
    with pytest.raises(FtcoreError, match="grad_norm became inf at step 98"):
        log(98, math.inf)


@pytest.mark.parametrize("mode", ["full_finetune", "lora"])
def test_the_log_has_the_loss_of_every_part(model, tmp_path, mode):
    """At a learning rate of next to nothing it is the evaluation loss, part by part."""
    expected = evaluation_loss(model, EXAMPLES, LABELS, autocast(settings(tmp_path)))
    given = settings(
        *(tmp_path, "learning_rate=1e-12", "num_train_epochs=1", "gradient_accumulation_steps=2"),
        *("per_device_train_batch_size=2", "save_checkpoints=false", "logging_steps=1"),
        *("load_best_model_at_end=false", f"training_mode={mode}"),
    )
    rows = rows_of(*((one,) for one in EXAMPLES))
    model.train()
    trained = train_model(
        *(model, _tokenizer(), rows, rows_of(), LABELS, given, tmp_path, lambda _: None, Silent())
    )
    (entry,) = trained.log
    parts = {name: value for name, value in entry.items() if name.startswith("loss_")}
    assert parts == {
        f"loss_{name}": pytest.approx(value, rel=1e-4) for name, value in expected.by_part.items()
    }
    assert entry["loss"] == pytest.approx(expected.total, rel=1e-4)


def test_trl_is_given_the_rows_as_they_are():
    rows = rows_of(EXAMPLES[:2], EXAMPLES[2:])
    table = _dataset(rows)
    columns = rows.columns({"row": [1, 0]})
    assert table.__getitems__([1, 0]) == [
        {name: values[place] for name, values in columns.items()} for place in (0, 1)
    ]
    first = table[0]
    assert first["input_ids"] == [*EXAMPLES[0].input_ids, *EXAMPLES[1].input_ids]
    assert first["labels"] == [*EXAMPLES[0].labels, *EXAMPLES[1].labels]
    assert first["parts"] == [*EXAMPLES[0].parts, *EXAMPLES[1].parts]
    assert first["seq_lengths"] == [9, 21]


@pytest.mark.parametrize(("rows", "steps"), [(3000, 282), (2000, 189), (100, 12), (1, 3)])
def test_the_guides_arithmetic(tmp_path, rows, steps):
    assert total_steps(rows, settings(tmp_path)) == steps


def _tokenizer():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {str(index): index for index in range(97)}
    made = Tokenizer(models.WordLevel(words, unk_token="0"))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="2", eos_token="2")
