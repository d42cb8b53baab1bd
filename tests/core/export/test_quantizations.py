"""Which quantizations there are, how several are asked for, and what this machine cannot make."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from gguf import LlamaFileType

from ftcore.config import resolve
from ftcore.errors import InputError, ProblemsError
from ftcore.export.quantizations import QUANTIZATIONS, check_quantization, read_quantizations
from ftcore.export.reader import read_header

MAIN = """
    from ftcore.cli.main import main
    main()
"""


@pytest.fixture
def export_without_runtime(without_runtime):
    return lambda *arguments: without_runtime(MAIN, "export", *arguments)


def test_the_file_types_are_llama_cpps():
    for name, entry in QUANTIZATIONS.items():
        found = LlamaFileType(entry.file_type).name
        assert found in (f"ALL_{name}", f"MOSTLY_{name}")


def test_the_schemas_allow_every_name_and_no_other():
    for schema, key in (
        ("training-config.schema.json", "anyOf"),
        ("certificate.schema.json", "enum"),
    ):
        text = resources.files("ftcore.schemas").joinpath(schema).read_text(encoding="utf-8")
        allowed = json.loads(text)["properties"]["quantization"][key]
        names = list(QUANTIZATIONS)
        if key == "enum":
            assert allowed == names
        else:
            choices = f"({'|'.join(names)})"
            assert allowed[0]["enum"] == names
            assert allowed[1]["pattern"] == f"^{choices}(,{choices})*$"
            assert allowed[2]["items"]["enum"] == names


def test_several_are_read_each_once():
    assert read_quantizations("q8_0, Q4_K_M,Q8_0") == ("Q8_0", "Q4_K_M")


@pytest.mark.parametrize(
    ("name", "meant"), [("Q4_KM", "Q4_K_M"), ("q5k_m", "Q5_K_M"), ("IQ4_SX", "IQ4_XS")]
)
def test_a_near_name_is_guessed(name, meant):
    with pytest.raises(InputError) as caught:
        check_quantization(name)
    assert f"did you mean {meant}?" in caught.value.hint


@pytest.mark.parametrize("written", ["Q8_0,Q4_K_M", '["Q8_0", "Q4_K_M"]', "Q8_0,Q4_K_M,Q8_0"])
def test_the_setting_has_one_spelling_however_it_is_written(tmp_path, written):
    found = resolve(
        mode="x",
        mode_defaults=(),
        workspace=tmp_path,
        overrides=(f"quantization={written}",),
    )
    assert found.settings.quantization == ("Q8_0", "Q4_K_M")
    assert found.values["quantization"].value == "Q8_0,Q4_K_M"


@pytest.mark.parametrize("written", ["Q8_0,Q4_KM", '["Q4_KM"]', "Q8_0,", "[]"])
def test_a_setting_that_names_none_is_refused_before_anything_is_loaded(tmp_path, written):
    with pytest.raises(ProblemsError) as caught:
        resolve(
            mode="x",
            mode_defaults=(),
            workspace=tmp_path,
            overrides=(f"quantization={written}",),
        )
    (problem,) = caught.value.problems
    assert "quantization" in problem.message
    if written == "Q8_0,Q4_KM":
        assert "did you mean 'Q4_K_M'?" in problem.hint


def test_several_files_are_exported_at_once(ftcore, plain, tmp_path):
    done = ftcore(
        *("export", plain, "--quantization", "Q8_0,q4_0", "--output", tmp_path, "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert [file["path"].rsplit("-", 1)[1] for file in made] == ["Q8_0.gguf", "Q4_0.gguf"]
    types = [
        read_header(tmp_path / f"gold-{name}.gguf").metadata["general.file_type"]
        for name in ("Q8_0", "Q4_0")
    ]
    assert types == [7, 2]
    assert [file["bytes"] for file in made] == [
        (tmp_path / file["path"]).stat().st_size for file in made
    ]


def test_several_files_need_a_folder(ftcore, plain, tmp_path):
    done = ftcore(
        *("export", plain, "--quantization", "Q8_0,Q4_0", "--output", tmp_path / "x.gguf"),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "is no folder, and 2 files need one" in done.stderr


def test_without_the_runtime_nothing_is_read_for_a_type_that_ggml_makes(
    plain, tmp_path, export_without_runtime
):
    done = export_without_runtime(plain, "--quantization", "Q8_0,Q4_K_M", "--output", tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Q4_K_M is made by llama.cpp's own code, which is not installed" in done.stderr
    assert "pip install 'ftcore[llamacpp]'" in done.stderr
    assert "Q4_0" in done.stderr  # what can be made without
    assert list(tmp_path.iterdir()) == []


def test_without_the_runtime_types_of_ftcores_own_are_made(plain, tmp_path, export_without_runtime):
    done = export_without_runtime(plain, "--quantization", "Q8_0,Q5_1", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.gguf"))) == 2
