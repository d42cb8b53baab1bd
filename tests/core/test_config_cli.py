"""``ftcore config``: what a person reads, and what a script does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ftcore.cli.common import Context
from ftcore.cli.config import config, table_lines
from ftcore.config import resolve
from ftcore.errors import InputError, PluginError
from ftcore.settings import setting_schemas, shipped_folder


def run(workspace: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(config, arguments, obj=Context(workspace=workspace))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def haiku(distribution, mode_code):
    defaults = "\n@hookimpl\ndef ftcore_config_defaults():\n    return {'seed': 17}\n"
    distribution("ftc-haiku", mode_code + defaults, mode="haiku")


def test_show_prints_every_setting_with_its_value_and_origin(tmp_path, haiku):
    lines = run(tmp_path, "show", "--mode", "haiku", "--set", "packing=true").output.splitlines()
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines[1:]}
    assert set(rows) == set(setting_schemas()) - {"dataset_requirements.mode_distribution"}
    assert rows["seed"] == ["17", "plugin haiku (ftc-haiku 1.0)"]
    assert rows["packing"] == ["true", "--set"]
    assert rows["optim"][1].startswith("default (training-config.schema.json:")


def test_show_on_a_terminal_of_80_columns_breaks_no_word(tmp_path):
    resolved = resolve(mode=None, mode_defaults=(), workspace=tmp_path, demo=True)
    lines = list(table_lines(list(resolved.values.values()), 80))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "\ndataset_requirements\n  min_samples" in text
    assert "demo etc/demo-config.json:" in text
    assert any(line.split() == ["precision", "fp32", "default"] for line in lines)
    assert "shipped etc/fine-tune-config.json:" in text


def test_a_configuration_file_chooses_the_mode(tmp_path, haiku):
    file = tmp_path / "a.json"
    file.write_text('{"cognitive_mode": "haiku"}')
    assert "plugin haiku" in run(tmp_path, "show", "--config", str(file)).output


def test_explain_says_what_a_setting_reaches_and_what_its_value_won_over(tmp_path, haiku):
    output = run(tmp_path, "explain", "seed", "--mode", "haiku", "--set", "seed=3").output
    lines = [line.strip() for line in output.splitlines()]
    assert lines[0] == "seed = 3"
    assert setting_schemas()["seed"]["description"] in lines
    assert lines.index("from --set") < lines.index("over 17 from plugin haiku (ftc-haiku 1.0)")
    assert any(line.startswith("over 0 from default (training-config") for line in lines)


def test_explain_takes_an_object_of_settings(tmp_path):
    output = run(tmp_path, "explain", "dataset_requirements").output
    assert "dataset_requirements.min_samples = 5000" in output
    assert "dataset_requirements.mode_distribution." in output


def test_an_unknown_setting_is_guessed(tmp_path):
    with pytest.raises(InputError, match="did you mean 'learning_rate'") as caught:
        run(tmp_path, "explain", "lerning_rate")
    assert caught.value.exit_code == 2


def test_an_unknown_mode_is_refused(tmp_path, haiku):
    with pytest.raises(PluginError, match="did you mean 'haiku'"):
        run(tmp_path, "show", "--mode", "haikku")


def test_json_is_for_scripts(tmp_path):
    content = json.loads(run(tmp_path, "show", "--json").output)
    assert content["seed"]["value"] == 0
    assert content["seed"]["origin"]["line"] > 0
    one = json.loads(run(tmp_path, "explain", "seed", "--json").output)
    assert one == {"seed": content["seed"]}


def test_schema_prints_the_shipped_schema(tmp_path):
    shipped = shipped_folder("ftcore.schemas") / "training-config.schema.json"
    assert run(tmp_path, "schema").output == shipped.read_text(encoding="utf-8")
