"""Settings: which layer wins, where a value came from, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from ftcore.config import ResolvedConfig, as_json, mode_named_by, resolve, resolved_json
from ftcore.errors import ProblemsError
from ftcore.settings import (
    DatasetRequirements,
    Settings,
    schema_document,
    setting_schemas,
    shipped_folder,
)

PLUGIN = "plugin haiku (ftc-haiku 1.0)"


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content, indent=2)
    path.write_text(text, encoding="utf-8")
    return path


def resolve_haiku(workspace: Path, *defaults: Any, **options: Any) -> ResolvedConfig:
    given = tuple((PLUGIN, default) for default in defaults)
    return resolve(mode="haiku", mode_defaults=given, workspace=workspace, **options)


def problems_of(workspace: Path, *defaults: Any, **options: Any) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        resolve_haiku(workspace, *defaults, **options)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def test_every_layer_wins_over_the_ones_below_it_and_remembers_them(tmp_path):
    write(tmp_path / "etc/modes/haiku-config.json", '{\n\n  "seed": 2\n}')
    file = write(tmp_path / "mine.json", {"seed": 4})
    resolved = resolve_haiku(
        tmp_path,
        {"seed": 1},
        config_file=file,
        overrides=("seed=5", "seed=6"),
        flags={"seed": ("--seed", 7)},
    )
    value = resolved.values["seed"]
    assert resolved.settings.seed == value.value == 7
    assert value.origin.text == "--seed"
    below = [(lost.value, lost.origin.text) for lost in value.won_over]
    assert below[:-1] == [
        (6, "--set"),
        (5, "--set"),
        (4, "mine.json:2"),
        (2, "etc/modes/haiku-config.json:3"),
        (1, PLUGIN),
    ]
    default, origin = below[-1]
    assert default == 0
    name, line = origin.removeprefix("default (").removesuffix(")").split(":")
    text = (shipped_folder("ftcore.schemas") / name).read_text().splitlines()
    assert text[int(line) - 1].strip() == '"default": 0'


def test_the_demo_is_a_layer_above_the_mode_and_below_what_the_person_gives(tmp_path):
    write(tmp_path / "etc/modes/haiku-config.json", {"learning_rate": 1e-6})
    resolved = resolve_haiku(tmp_path, demo=True, overrides=("max_seq_length=256",))
    learning_rate, longest = resolved.values["learning_rate"], resolved.values["max_seq_length"]
    assert learning_rate.origin.text.startswith("demo etc/demo-config.json:")
    assert learning_rate.won_over[0].value == 1e-6
    assert (longest.value, longest.origin.text) == (256, "--set")
    assert longest.won_over[0].origin.text.startswith("demo ")


def test_the_general_file_is_read_without_a_mode_and_only_then(tmp_path):
    write(tmp_path / "etc/fine-tune-config.json", {"seed": 3})
    mixed = resolve(mode=None, mode_defaults=(), workspace=tmp_path)
    assert mixed.settings.seed == 3
    assert mixed.settings.cognitive_mode == "mixed"
    origins = [c.origin.text for c in mixed.values["warmup_steps"].won_over]
    assert mixed.values["warmup_steps"].origin.text.startswith("shipped etc/fine-tune-config.json:")
    assert len(origins) == 1
    assert resolve_haiku(tmp_path).settings.seed == 0


def test_a_file_of_a_plugin_gives_the_line_of_each_value(tmp_path):
    file = write(tmp_path / "site" / "haiku.json", {"seed": 1, "packing": True})
    resolved = resolve_haiku(tmp_path / "work", file)
    origin = resolved.values["packing"].origin
    assert (origin.text, origin.file, origin.line) == (f"{PLUGIN}, haiku.json:3", str(file), 3)


def test_the_same_file_is_not_two_layers(tmp_path):
    file = write(tmp_path / "etc/modes/haiku-config.json", {"seed": 1})
    resolved = resolve_haiku(tmp_path, file)
    assert [lost.value for lost in resolved.values["seed"].won_over] == [0]


def test_nested_settings_merge_key_by_key(tmp_path):
    file = write(tmp_path / "a.json", {"dataset_requirements": {"min_samples": 5}})
    resolved = resolve_haiku(
        tmp_path,
        {"dataset_requirements": {"min_samples": 9, "mode_distribution": {"a.b": 0.5, "c": 0.1}}},
        config_file=file,
        overrides=(
            "dataset_requirements.recommended_samples=7",
            "dataset_requirements.mode_distribution.a.b=0.25",
        ),
    )
    requirements = resolved.settings.dataset_requirements
    assert (requirements.min_samples, requirements.recommended_samples) == (5, 7)
    assert requirements.mode_distribution == {"a.b": 0.25, "c": 0.1}
    key = "dataset_requirements.mode_distribution.a.b"
    assert [lost.value for lost in resolved.values[key].won_over] == [0.5]


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("learning_rate=6e-6", "learning_rate", 6e-6),
        ("bf16=false", "bf16", False),
        ("warmup_steps=20.0", "warmup_steps", 20),
        ("base_model=smollm2:135m", "base_model", "smollm2:135m"),
        ('base_model="quoted"', "base_model", "quoted"),
        ("base_model=123", "base_model", "123"),
        ("optim = adamw_torch", "optim", "adamw_torch"),
        ('lora_target_modules=["q_proj"]', "lora_target_modules", ("q_proj",)),
        ('dataset_requirements.note=a "b" = c', "dataset_requirements.note", 'a "b" = c'),
    ],
)
def test_set_takes_json_and_plain_text(tmp_path, override, key, value):
    settings: Any = resolve_haiku(tmp_path, overrides=(override,)).settings
    for step in key.split("."):
        settings = getattr(settings, step)
    assert settings == value
    assert type(settings) is type(value)


def test_all_problems_of_all_layers_are_told_at_once(tmp_path):
    write(tmp_path / "etc/modes/haiku-config.json", '{"seed": 1,\n"seed": 2, "bf16": "True"}')
    file = write(tmp_path / "mine.json", '{\n"learning_rat": 1,\n"min_samples": 2,\n"seed": -1}')
    found = "\n".join(
        problems_of(
            tmp_path,
            {"optim": 5, "eval_split": float("nan")},
            config_file=file,
            overrides=("quantization=q8_0", "lerning_rate=1", "seed", "save_steps=1.5"),
            flags={"warmup_steps": ("--warmup", "x")},
        )
    )
    for expected in (
        f"{PLUGIN}: optim must be string, is 5",
        f"{PLUGIN}: eval_split must be a finite number",
        "etc/modes/haiku-config.json:2: /seed: the key stands twice in its object, first on line 1",
        'etc/modes/haiku-config.json:2: /bf16: must be boolean, is "True"\n  hint: write true',
        "mine.json:2: /learning_rat: unknown key 'learning_rat'\n"
        "  hint: did you mean 'learning_rate'?",
        "mine.json:3: /min_samples: unknown key 'min_samples'\n"
        "  hint: did you mean 'dataset_requirements.min_samples'?",
        "mine.json:4: /seed: -1 is less than the minimum of 0",
        '--set quantization=q8_0: quantization must be one of "F32", "F16", "BF16", "Q8_0"',
        "did you mean 'Q8_0'?",
        "--set lerning_rate=1: unknown key 'lerning_rate'\n  hint: did you mean 'learning_rate'?",
        "--set seed: has no equals sign",
        "--set save_steps=1.5: save_steps must be integer, is 1.5",
        '--warmup: warmup_steps must be integer, is "x"',
    ):
        assert expected in found


def test_a_broken_file_does_not_hide_the_problems_of_others(tmp_path):
    write(tmp_path / "etc/modes/haiku-config.json", '{"seed": 1,}')
    found = problems_of(tmp_path, config_file=tmp_path / "none.json", overrides=("x=1",))
    assert len(found) == 3
    assert found[0].startswith("etc/modes/haiku-config.json:1: column 11: no comma may stand")
    assert "there is no file none.json" in found[1]


def test_a_dotted_key_in_a_file_is_shown_as_it_is_written_there(tmp_path):
    file = write(tmp_path / "a.json", {"dataset_requirements.min_samples": 5})
    (problem,) = problems_of(tmp_path, config_file=file)
    assert 'written nested: {"dataset_requirements": {"min_samples"' in problem


def test_comments_stand_anywhere_and_reach_nothing(tmp_path):
    content = {
        "$schema": "x.json",
        "comment": "a",
        "notes": ["b", "c"],
        "dataset_requirements": {
            "comment": "d",
            "notes": [],
            "mode_distribution": {"comment": "e", "haiku": 0.5},
        },
    }
    resolved = resolve_haiku(tmp_path, config_file=write(tmp_path / "a.json", content))
    assert resolved.settings.dataset_requirements.mode_distribution == {"haiku": 0.5}
    assert not [key for key in resolved.values if "comment" in key or "notes" in key]


@pytest.mark.parametrize(
    ("mode", "named", "words"),
    [
        ("haiku", "sonnet", ("'sonnet'", "is 'haiku'", "--mode sonnet")),
        ("haiku", "mixed", ("'mixed'", "is 'haiku'", "leave out --mode")),
        (None, "sonnet", ("'sonnet'", "mixed", "--mode sonnet")),
    ],
)
def test_a_configuration_for_another_mode_is_refused(tmp_path, mode, named, words):
    file = write(tmp_path / "a.json", {"cognitive_mode": named})
    with pytest.raises(ProblemsError) as caught:
        resolve(mode=mode, mode_defaults=(), workspace=tmp_path, config_file=file)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.pointer) == ("a.json", 2, "/cognitive_mode")
    assert all(word in str(problem) for word in words)


def test_a_configuration_names_the_mode_where_no_flag_does(tmp_path):
    file = tmp_path / "a.json"
    assert mode_named_by(write(file, {"cognitive_mode": "haiku"})) == "haiku"
    assert mode_named_by(write(file, {"cognitive_mode": "mixed"})) is None
    assert mode_named_by(write(file, {"cognitive_mode": 5})) is None
    assert mode_named_by(write(file, {})) is None


def test_the_mode_of_the_flag_has_the_flag_as_its_origin(tmp_path):
    value = resolve_haiku(tmp_path).values["cognitive_mode"]
    assert (value.value, value.origin.text) == ("haiku", "--mode")


def test_schema_and_typed_settings_have_the_same_keys():
    fields = {
        *(field.name for field in attrs.fields(Settings)),
        *(f"dataset_requirements.{field.name}" for field in attrs.fields(DatasetRequirements)),
    } - {"dataset_requirements"}
    assert fields == set(setting_schemas())


def test_every_default_satisfies_its_schema_and_every_setting_says_what_it_reaches(tmp_path):
    resolved = resolve(mode=None, mode_defaults=(), workspace=tmp_path)
    schema = schema_document().value
    defaults = {
        key: part["default"] for key, part in schema["properties"].items() if "default" in part
    }
    write(tmp_path / "all.json", defaults)
    again = resolve(
        mode=None, mode_defaults=(), workspace=tmp_path, config_file=tmp_path / "all.json"
    )
    assert again.settings.optim == resolved.settings.optim
    for key, part in setting_schemas().items():
        assert part["description"].endswith("."), key


def test_values_survive_being_written_down_and_set_again(tmp_path):
    first = resolve_haiku(tmp_path, overrides=("learning_rate=0.00000123", "lora_alpha=1e5"))
    written = [f"{key}={as_json(value.value)}" for key, value in first.values.items()]
    assert resolve_haiku(tmp_path, overrides=written).settings == first.settings


def test_the_json_for_scripts_holds_value_origin_and_what_it_won_over(tmp_path):
    resolved = resolve_haiku(tmp_path, {"seed": 1})
    content = json.loads(json.dumps(resolved_json(resolved.values.values())))
    assert content["seed"]["value"] == 1
    assert content["seed"]["origin"] == {"text": PLUGIN, "file": "", "line": 0}
    assert content["seed"]["won_over"][0]["value"] == 0
