"""Writes the model card: what was trained from what, how well, under which licence, how to run it.

It is the ``README.md`` of the model's folder, with the front matter of the Hub. The exporter takes
licence, base model, tags and description of the GGUF from there. No path of the machine and no
name of a folder is in it.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftcore.base_card import CARD
from ftcore.files import whole_file, write_whole
from ftcore.report import figures
from ftcore.serving import llama_server_command

if TYPE_CHECKING:
    from ftcore.base_card import BaseCard
    from ftcore.base_models import BaseModel
    from ftcore.export.certificate import Certificate
    from ftcore.record import RunRecord

SETTINGS = (
    "training_mode",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "max_seq_length",
    "packing",
    "optim",
    "weight_decay",
    "bf16",
    "fp16",
    "load_in_8bit",
    "seed",
)
"""Those that a reader needs to judge or repeat the training."""

LORA = ("lora_rank", "lora_alpha", "lora_dropout")


def write_model_card(
    model: Path,
    name: str,
    record: RunRecord,
    base: BaseModel,
    carried: BaseCard,
    *,
    hub_data: Collection[str] = (),
    certificates: Sequence[Certificate] = (),
) -> None:
    """Writes ``README.md`` and the base model's licence into the model's folder.

    :param name: of the trained model.
    :param carried: see :func:`ftcore.base_card.base_card`.
    :param hub_data: those of the run's data that are data sets of the Hub, as ``owner/name`` or
        ``owner/name:split``.
    :param certificates: of the GGUFs, once there are any.
    """
    for file, content in carried.files.items():
        with whole_file(model / file) as temporary:
            temporary.write_bytes(content)
    sections = (
        _introduction(name, record, base),
        _licence(base, carried),
        _training(record, hub_data),
        _evaluation(record),
        *map(_certificate, certificates),
        _usage(name, record),
    )
    write_whole(
        model / CARD, _front_matter(name, record, base, carried, hub_data) + "\n".join(sections)
    )


def _front_matter(
    name: str,
    record: RunRecord,
    base: BaseModel,
    carried: BaseCard,
    hub_data: Collection[str],
) -> str:
    from huggingface_hub import ModelCardData

    values = ModelCardData(
        base_model=base.hub_id,
        license=carried.licence.id,
        license_name=carried.licence.name,
        license_link=carried.licence.link,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["ftcore", *(f"{mode}-mode" for mode in record.modes)],
        datasets=sorted({name.partition(":")[0] for name in hub_data}) or None,
        model_name=name,
        model_description=_sentence(record, base),
        model_finetune="-".join(record.modes),
    )
    written: str = values.to_yaml()  # pyright: ignore[reportUnknownMemberType]
    return f"---\n{written}\n---\n\n"


def _sentence(record: RunRecord, base: BaseModel) -> str:
    modes = " and ".join(record.modes)
    return f"{_shown(base)} fine-tuned in {modes} mode with ftcore {record.versions['ftcore']}"


def _shown(base: BaseModel) -> str:
    return base.hub_id or (Path(base.name).name if base.kind == "local" else base.name)


def _introduction(name: str, record: RunRecord, base: BaseModel) -> str:
    template = (
        "The chat template is ftcore's, since the base model's does not support what was trained."
        if record.own_chat_template
        else "The chat template is the base model's."
    )
    return f"# {name}\n\n{_sentence(record, base)}.\n{template}\n"


def _licence(base: BaseModel, carried: BaseCard) -> str:
    licence = carried.licence
    if licence.shown is None:
        said = (
            f"The licence of the base model, {_shown(base)}, is unknown here: look it up before "
            "you pass this model on."
        )
    else:
        link = f" ({licence.link})" if licence.link else ""
        said = f"The base model, {_shown(base)}, is under this licence: {licence.shown}{link}."
    files = ", ".join(f"`{name}`" for name in carried.files)
    more = f"\nIts own texts are in this folder: {files}." if files else ""
    return f"## Licence\n\n{said}{more}\n"


def _training(record: RunRecord, hub_data: Collection[str]) -> str:
    ledger = record.ledger
    rows = [("samples", f"{ledger.trained:,} trained, {ledger.held_out:,} held out")]
    left = ledger.lines - ledger.trained - ledger.held_out
    if left:
        rows.append(("records left out", f"{left:,} of {ledger.lines:,}"))
    if record.training:
        done = record.training
        rows.append(("tokens", f"{done.trained_tokens:,} trained of {done.tokens:,} read"))
        rows.append(("optimizer steps", f"{done.steps:,}"))
        if done.best_step is not None:
            rows.append(("weights", f"of step {done.best_step:,}, the best on held-out samples"))
    keys = SETTINGS
    if record.settings["training_mode"].value == "lora" or record.settings["load_in_8bit"].value:
        keys = (*keys, *LORA)
    rows += [(f"`{key}`", str(record.settings[key].value)) for key in keys]
    for file in record.data:
        shown = file.path if file.path in hub_data else Path(file.path).name
        rows.append(("data", f"{_cell(shown)}, {file.bytes:,} bytes, SHA-256 `{file.sha256}`"))
    return "## Training\n\n" + _table(("", ""), rows)


def _evaluation(record: RunRecord) -> str:
    rows = figures(record)
    if not rows:
        return "## Evaluation\n\nNot measured: no samples were held out.\n"
    text = _table(("on the held-out samples", "base model", "this model"), rows)
    return f"## Evaluation\n\n{text}\nLosses are in nats for each trained token.\n"


def _certificate(certificate: Certificate) -> str:
    said = "agrees" if certificate.passed else "does **not** agree"
    rows = [
        (c.name, "passed" if c.passed else "FAILED", _cell(c.detail)) for c in certificate.checks
    ]
    return (
        f"## Certificate of {certificate.quantization}\n\n"
        f"`{certificate.gguf}` {said} with this model in "
        f"{certificate.runtime} {certificate.runtime_version}.\n\n"
        + _table(("check", "", ""), rows)
    )


def _usage(name: str, record: RunRecord) -> str:
    context = record.settings["max_seq_length"].value
    gguf = record.artifact("gguf")
    text = "## How to run it\n\n"
    modelfile = record.artifact("modelfile")
    if gguf and modelfile:
        served = llama_server_command(Path(gguf.path), context)
        quoted = shlex.quote(name)
        made = f"ollama create {quoted} -f {shlex.quote(modelfile.path)} && ollama run {quoted}"
        text += (
            f"With llama.cpp, in the folder of the GGUF:\n\n```sh\n{served}\n```\n\n"
            f"With Ollama, in the same folder:\n\n```sh\n{made}\n```\n\n"
        )
    return (
        f"{text}With transformers, in this folder:\n\n```python\n"
        "from transformers import pipeline\n\n"
        'chat = pipeline("text-generation", model=".")\n'
        'print(chat([{"role": "user", "content": "Hello"}])[0]["generated_text"][-1])\n```\n'
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
