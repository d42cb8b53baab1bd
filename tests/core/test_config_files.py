"""The shipped configuration files hold the guide's numbers, and the documentation every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ftcore.base_models import aliases
from ftcore.config import resolve
from ftcore.jsontext import read_json_object
from ftcore.preflight import check_settings
from ftcore.settings import flatten, setting_schemas, shipped_folder

ETC = shipped_folder("ftcore.etc")
PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"

COLUMNS = (
    "learning_rate",
    "warmup_steps",
    "weight_decay",
    "max_grad_norm",
    "save_total_limit",
    "dataset_requirements.min_samples",
    "dataset_requirements.recommended_samples",
)
TABLE = {
    "modes/dual-config.json": (6e-6, 150, 0.01, 1.0, 3, 3000, 8000),
    "modes/emulation-config.json": (5e-6, 100, 0.01, 1.0, 2, 5000, 12000),
    "modes/agent-config.json": (4e-6, 120, 0.015, 0.8, 2, 2000, 6000),
    "fine-tune-config.json": (5e-6, 100, 0.01, 1.0, 2, 5000, 10000),
}
COMMON = {
    "base_model": "unsloth/Qwen3-Coder-30B-A3B-Instruct",
    "training_mode": "full_finetune",
    "num_train_epochs": 3,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 32,
    "max_seq_length": 2048,
    "logging_steps": 10,
    "save_steps": 500,
    "bf16": True,
    "fp16": False,
    "load_in_8bit": False,
    "optim": "adamw_torch",
    "load_best_model_at_end": True,
    "metric_for_best_model": "loss",
    "output_format": "gguf",
    "quantization": "Q8_0",
}


@pytest.mark.parametrize("name", TABLE)
def test_shipped_files_hold_the_numbers_of_the_guide(name):
    content = dict(flatten(read_json_object(ETC / name, name).value))
    assert tuple(content[key] for key in COLUMNS) == TABLE[name]
    assert {key: content[key] for key in COMMON} == COMMON


@pytest.mark.parametrize("demo", [False, True])
@pytest.mark.parametrize("path", sorted(ETC.glob("modes/*.json")), ids=lambda path: path.stem)
def test_shipped_files_are_for_the_mode_they_are_named_after_and_can_be_run(path, demo, tmp_path):
    mode = path.name.removesuffix("-config.json")
    resolved = resolve(mode=mode, mode_defaults=[("p", path)], workspace=tmp_path, demo=demo)
    assert resolved.settings.cognitive_mode == mode
    assert resolved.values["cognitive_mode"].origin.line
    assert resolved.settings.dataset_requirements.mode_filter == mode
    assert not [p for p in check_settings(resolved) if p.severity == "error"]


def test_mixed_training_has_the_shares_of_the_guide(tmp_path):
    resolved = resolve(mode=None, mode_defaults=(), workspace=tmp_path)
    assert resolved.settings.dataset_requirements.mode_distribution == {
        "dual": 0.2,
        "emulation": 0.2,
        "agent": 0.1,
    }
    assert not [p for p in check_settings(resolved) if p.severity == "error"]


@pytest.mark.parametrize("path", sorted(ETC.rglob("*-config.json")), ids=lambda path: path.stem)
def test_an_editor_finds_the_schema_of_every_shipped_file(path):
    content = read_json_object(path, path.name).value
    schema = path.parent / content["$schema"]
    assert schema.resolve() == shipped_folder("ftcore.schemas") / "training-config.schema.json"
    assert content["comment"]


def rows(heading: str) -> dict[str, list[str]]:
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.MULTILINE)
    return {key: rest.split(" | ") for key, rest in cells}


def test_the_page_on_configuration_documents_every_key_with_its_default_and_what_it_reaches():
    from ftcore.config import as_json

    documented = rows("Keys")
    assert list(documented) == list(setting_schemas())
    for key, part in setting_schemas().items():
        default = f"`{as_json(part['default'])}`" if "default" in part else "none"
        assert documented[key] == [default, part["description"]], key


def test_the_page_on_configuration_lists_every_alias(tmp_path):
    documented = rows("Base models")
    known = aliases(tmp_path)
    assert set(documented) == set(known)
    for alias, entry in known.items():
        name = entry.get("hub") or entry["requirement"]
        assert documented[alias] == [f"`{name}`", entry["licence"]]
