"""One training run, read from top to bottom: JSONL → examples → model → GGUF → certificate."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from ftcore.base_card import CARD, base_card
from ftcore.base_models import load_model, load_tokenizer, resolve_base_model
from ftcore.cache import FOLDER as CACHE
from ftcore.checks import (
    check_base_model,
    check_computing,
    check_config,
    check_count,
    check_disk,
    check_lengths,
    check_samples,
    check_shares,
    check_tokenizer,
    stop_or_skip,
)
from ftcore.collect import Collected, balance_samples, collect_samples
from ftcore.config import ResolvedConfig
from ftcore.errors import FtcoreError
from ftcore.ledger import Ledger, totals, write_ledger
from ftcore.mode import Mode
from ftcore.model_folder import MODEL, check_lora, save_merged, save_model
from ftcore.plugins import installed_plugins
from ftcore.preflight import schedule_warnings
from ftcore.progress import Progress, Remembering
from ftcore.record import (
    DataFile,
    Measured,
    Plugin,
    RunRecord,
    Setting,
    Training,
    library_versions,
)
from ftcore.recorder import now, recorded
from ftcore.request import Request, filtered_modes, find_data, open_modes, resolve_settings
from ftcore.settings import Settings
from ftcore.shapes import check_importing
from ftcore.shapes.importing import NATIVE
from ftcore.sources import Source
from ftcore.system_text import common_system_text
from ftcore.workspace import check_output, new_run_folder, profile

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftcore.evaluate import HeldOutTurn, Loss
    from ftcore.prepare import DataSet
    from ftcore.values import Prediction


@frozen
class Run:
    """A finished run."""

    folder: Path
    record: RunRecord


def train(request: Request, watcher: Progress) -> Run:
    """Trains, exports and proves; the whole line.

    :raises FtcoreError: anything that a person can mend; a run that has begun says so in its
        record.
    """
    progress = Remembering(watcher)
    progress.stage("Checking settings and data")
    modes = open_modes(request)
    resolved = resolve_settings(request, modes)
    settings = resolved.settings
    check_config(resolved, progress)
    modes = filtered_modes(modes, settings.dataset_requirements.mode_filter)
    runs = profile(request.workspace, request.username).runs
    check_output(request.output or runs, new=request.output is not None)
    check_importing(request.importing, modes.values())
    sources = find_data(request, modes)
    known = [info.name for info in installed_plugins(request.disabled) if info.kind == "mode"]
    collected = collect_samples(
        modes,
        sources,
        known_modes=known,
        importing=request.importing,
        limit=None if settings.balance else settings.max_samples,
        in_turn=request.demo,
        workers=settings.workers,
        disabled=request.disabled,
    )
    _say_shapes(collected, progress)
    if settings.balance:
        collected = _balanced(collected, settings, progress)
    check_samples(collected, modes, settings, small_ok=request.allow_small, progress=progress)
    base = resolve_base_model(settings.base_model, request.workspace)
    # torch and transformers are imported from here on: what is refused above is refused at once
    check_computing(resolved, progress)
    size = check_base_model(base, settings)

    progress.stage("Rendering samples")
    from ftcore.evaluate import choose_turns, evaluation_loss, write_predictions
    from ftcore.model_card import write_model_card
    from ftcore.prepare import prepare
    from ftcore.quiet import quieten
    from ftcore.rows import make_rows
    from ftcore.trainer import autocast, device, total_steps, train_model

    quieten()

    tokenizer = load_tokenizer(base)
    check_tokenizer(tokenizer, base, settings)
    data = prepare(
        collected.samples,
        tokenizer,
        max_seq_length=settings.max_seq_length,
        long_samples=settings.long_samples,
        control_tokens=settings.control_tokens,
        eval_split=settings.eval_split,
        seed=settings.seed,
        workers=settings.workers,
        disabled=request.disabled,
        cache=request.workspace / CACHE if settings.cache else None,
        advance=progress.advance,
    )
    _say_what_rendering_did(data, settings, progress)
    usable = len(data.train) + len(data.held_out)
    if usable < len(collected.samples):
        check_count(usable, settings, small_ok=request.allow_small, progress=progress)
        left = Counter(chain(data.train.kinds, data.held_out.kinds))
        check_shares(left, modes, settings, small_ok=request.allow_small, progress=progress)
    ledger = Ledger(chain(collected.entries, data.entries))
    lay = partial(make_rows, max_seq_length=settings.max_seq_length)
    rows = lay(data.train.examples, packing=settings.packing)
    held_out_rows = lay(data.held_out.examples, packing=False)
    steps = total_steps(len(rows), settings)
    for problem in schedule_warnings(settings, len(data.train), steps):
        progress.warn(problem)

    check_disk(request.output or runs, size, settings)
    folder = new_run_folder(runs, tuple(modes), request.output)
    record = _new_record(folder, modes, resolved, base.reference, sources, ledger, data, progress)
    with recorded(folder, record) as recorder:
        write_ledger(folder / "ledger.jsonl", ledger.by_place())
        recorder.add("ledger", folder / "ledger.jsonl")

        progress.stage("Loading the base model")
        model = load_model(base, load_in_8bit=settings.load_in_8bit)
        if settings.training_mode == "lora":
            check_lora(model, base, settings)
        if not settings.load_in_8bit:
            model.to(device())  # pyright: ignore

        progress.stage("Measuring the base model")
        loss_of = partial(
            evaluation_loss,
            examples=data.held_out.examples,
            part_labels=data.part_labels,
            autocast=autocast(settings),
        )
        turns = choose_turns(
            data.held_out,
            data.renderer,
            count=settings.eval_samples,
            max_tokens=settings.max_seq_length,
            seed=settings.seed,
        )
        measure = partial(_measure, loss_of, data, modes, turns, settings, progress)
        before, said_before = measure(model)

        progress.stage(f"Training: {len(data.train)} samples, {steps} steps")
        trained = train_model(
            model,
            data.renderer.tokenizer,
            rows,
            held_out_rows,
            data.part_labels,
            settings,
            folder,
            loss_of,
            progress,
        )
        recorder.add("log", folder / "log.jsonl")

        progress.stage("Measuring the trained model")
        after, said_after = measure(trained.model)
        write_predictions(folder / "predictions.jsonl", turns, said_before, said_after)
        recorder.add("predictions", folder / "predictions.jsonl")
        recorder.keep(
            before=before,
            after=after,
            training=Training(
                steps=trained.steps,
                tokens=trained.tokens,
                trained_tokens=trained.trained_tokens,
                seconds=round(trained.seconds, 3),
                device=device(),
                best_step=trained.best_step,
            ),
        )

        progress.stage("Saving the model")
        if settings.training_mode == "lora":
            save_merged(trained.model, base, data.renderer, folder)
        else:
            save_model(trained.model, data.renderer, folder / MODEL)
        name = _model_name(settings, modes)
        card = partial(
            write_model_card,
            folder / MODEL,
            name,
            base=base,
            carried=base_card(base),
            hub_data=[source.name for source in sources if source.kind == "hub"],
        )
        card(recorder.record)  # the exporter reads it
        recorder.add("model", *sorted((folder / MODEL).glob("*.safetensors")))
        del model, trained

        if settings.output_format == "gguf":
            from ftcore.shipping import export_and_prove

            certificates = export_and_prove(recorder, name, modes, data, settings, progress)
            card(recorder.record, certificates=certificates)
        recorder.add("model_card", folder / MODEL / CARD)
        failed = recorder.record.certificate_passed is False
        recorder.end("certificate_failed" if failed else "complete")
    return Run(folder, recorder.record)


def _say_shapes(collected: Collected, progress: Progress) -> None:
    """Says which foreign shapes the data have and which of their keys nothing reads."""
    if set(collected.shapes) - {NATIVE}:
        counts = ", ".join(f"{count:,} {shape}" for shape, count in collected.shapes.items())
        progress.note(f"shapes of the records: {counts}")
    for note, count in collected.notes.items():
        progress.note(f"{count:,} records: {note}")
    if collected.ignored:
        keys = ", ".join(f"{key} ({count:,})" for key, count in collected.ignored.items())
        progress.note(f"keys that nothing reads, and in how many records: {keys}")


def _balanced(collected: Collected, settings: Settings, progress: Progress) -> Collected:
    minimums = settings.dataset_requirements.mode_distribution
    balanced = balance_samples(collected, minimums, settings.seed, settings.max_samples)
    if not balanced.samples and collected.samples:
        progress.note("--balance leaves nothing out: a mode that needs a share has no sample")
        return collected
    out = len(collected.samples) - len(balanced.samples)
    progress.note(f"--balance leaves out {out:,} of {len(collected.samples):,} samples")
    return balanced


def _say_what_rendering_did(data: DataSet, settings: Settings, progress: Progress) -> None:
    stop_or_skip("the base model's chat template", data.problems, settings, progress)
    if data.from_cache:
        progress.note("the samples are rendered as in an earlier run, and were taken from there")
    if data.own_template:
        progress.note(
            "the base model's chat template does not support what the samples need; ftcore's "
            "takes its place and is saved with the tokenizer and in the GGUF"
        )
    check_lengths(data, settings, progress)


def _new_record(
    folder: Path,
    modes: Mapping[str, Mode],
    resolved: ResolvedConfig,
    base_model: str,
    sources: Sequence[Source],
    ledger: Ledger,
    data: DataSet,
    said: Remembering,
) -> RunRecord:
    plugins = {i.name: i for mode in modes.values() for i in (mode.info, *mode.extensions)}
    return RunRecord(
        id=folder.name,
        modes=tuple(modes),
        state="running",
        started=now(),
        base_model=base_model,
        settings={k: Setting(v.value, str(v.origin)) for k, v in resolved.values.items()},
        versions=library_versions(),
        plugins=tuple(Plugin(i.name, i.kind, i.distribution, i.version) for i in plugins.values()),
        data=tuple(DataFile(s.name, s.digest.bytes, s.digest.hexdigest()) for s in sources),
        ledger=totals(ledger),
        own_chat_template=data.own_template,
        warnings=tuple(str(problem) for problem in said.warnings),
        system=common_system_text(item.conversation for item in data.train),
    )


def _measure(
    loss_of: Callable[[PreTrainedModel], Loss],
    data: DataSet,
    modes: Mapping[str, Mode],
    turns: Sequence[HeldOutTurn],
    settings: Settings,
    progress: Progress,
    model: PreTrainedModel,
) -> tuple[Measured, tuple[Prediction, ...]]:
    """Held-out loss and, on what the model says by itself, each mode's metrics.

    Where there are several modes, a figure is named ``mode/figure``.
    """
    from ftcore.evaluate import generate
    from ftcore.trainer import autocast

    loss = loss_of(model) if data.held_out else None
    if loss and not math.isfinite(loss.total):
        raise FtcoreError(
            f"the held-out loss is {loss.total}: the model computes no numbers",
            "halve the learning rate; with fp16, --set fp16=false --set bf16=true has more range",
        )
    said = generate(
        model,
        data.renderer,
        turns,
        max_new_tokens=settings.max_new_tokens,
        autocast=autocast(settings),
        advance=progress.advance,
    )
    figures: dict[str, float] = {}
    for name, mode in modes.items():
        own = [p for turn, p in zip(turns, said, strict=True) if turn.item.mode is mode]
        prefix = f"{name}/" if len(modes) > 1 else ""
        figures |= {f"{prefix}{key}": value for key, value in mode.metrics(own).items()}
    measured = Measured(loss.total if loss else None, loss.by_part if loss else {}, figures)
    return measured, said


def _model_name(settings: Settings, modes: Iterable[str]) -> str:
    base = re.sub(r"[^a-z0-9._-]+", "-", Path(settings.base_model).name.lower())
    return f"{base}-{'-'.join(modes)}"
