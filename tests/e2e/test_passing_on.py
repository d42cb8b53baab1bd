"""What a run makes for those who run its model: Modelfile, model card, licence, GGUF metadata."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from gguf import GGUFReader
from huggingface_hub import metadata_load

from .conftest import sample, write_jsonl

RULES = "Use the tools.\n\nAnswer “briefly”."
LICENCE = "Permission is granted to everyone.\n"
FAST = (
    *("--allow-small", "--set", "bf16=false", "--set", "num_train_epochs=1"),
    *("--set", "gradient_accumulation_steps=2", "--set", "eval_samples=2"),
    *("--set", "max_new_tokens=8", "--set", "save_checkpoints=false"),
    *("--set", "load_best_model_at_end=false", "--set", "max_seq_length=768"),
)


@pytest.fixture(scope="module")
def finished(ftcore, tiny_model, tmp_path_factory) -> Path:
    """A run from a base model with a licence, on samples with one system text."""
    workspace = tmp_path_factory.mktemp("passing-on")
    shutil.copytree(tiny_model, workspace / "base")
    (workspace / "base/README.md").write_text(
        "---\nlicense: other\nlicense_name: tiny-licence\nlicense_link: https://example.org/l\n"
        "language: [en]\n---\n# Tiny\n"
    )
    (workspace / "base/LICENSE.txt").write_text(LICENCE)
    (workspace / "base/generation_config.json").write_text(
        json.dumps({"do_sample": True, "temperature": 0.2, "top_p": 0.9, "eos_token_id": 2})
    )
    samples = [sample(index) for index in range(12)]
    for record in samples:
        record["messages"].insert(0, {"role": "system", "content": RULES})
    write_jsonl(workspace / "data.jsonl", samples)
    done = ftcore(
        *("train", "--mode", "agent", "--data", "data.jsonl", "--base-model", "base"),
        *(*FAST, "--output", "run"),
        cwd=workspace,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"llama-server -m \S*run/base-agent-Q8_0\.gguf --jinja -c 768", done.stdout)
    return workspace / "run"


def general(gguf: Path) -> dict[str, object]:
    fields = GGUFReader(gguf).fields
    return {key: f.contents() for key, f in fields.items() if key.startswith("general.")}


def test_the_modelfile_says_what_was_trained(finished):
    text = (finished / "Modelfile").read_text("utf-8")
    assert text.startswith('FROM ./base-agent-Q8_0.gguf\nTEMPLATE """')
    assert f'\nSYSTEM """{RULES}"""\n' in text
    assert '\nPARAMETER stop """<|im_end|>"""\n' in text
    assert "\nPARAMETER num_ctx 768\n" in text
    assert "\nPARAMETER temperature 0.2\nPARAMETER top_p 0.9\n" in text
    assert f'\nLICENSE """{LICENCE.strip()}"""\n' in text
    assert "<tool_call>" in text
    record = json.loads((finished / "record.json").read_text("utf-8"))
    assert {"modelfile", "model_card"} <= {a["kind"] for a in record["artifacts"]}


def test_the_card_tells_everything_and_no_path(finished):
    card = (finished / "model/README.md").read_text("utf-8")
    front = metadata_load(finished / "model/README.md")
    assert front["license"] == "other"
    assert front["license_name"] == "tiny-licence"
    assert front["library_name"] == "transformers"
    assert set(front["tags"]) == {"ftcore", "agent-mode"}
    assert not {"base_model", "datasets", "language"} & set(front)  # not known, or not on the Hub
    assert (finished / "model/LICENSE.txt").read_text() == LICENCE
    record = json.loads((finished / "record.json").read_text("utf-8"))
    for stage in ("before", "after"):
        assert f"{record[stage]['loss']:.3f}" in card
    assert record["data"][0]["sha256"] in card
    certificate = json.loads((finished / "certificate.json").read_text("utf-8"))
    for check in certificate["checks"]:
        assert f"| {check['name']} | passed |" in card
    assert "llama-server -m base-agent-Q8_0.gguf --jinja -c 768" in card
    assert str(finished.parent) not in card
    assert "/" not in front["model_description"]


def test_the_gguf_carries_licence_and_description(finished):
    values = general(finished / "base-agent-Q8_0.gguf")
    assert values["general.license"] == "other"
    assert values["general.license.name"] == "tiny-licence"
    assert values["general.license.link"] == "https://example.org/l"
    assert values["general.name"] == "base-agent"
    assert values["general.finetune"] == "agent"
    assert "fine-tuned in agent mode with ftcore" in str(values["general.description"])
    assert set(values["general.tags"]) >= {"ftcore", "agent-mode", "text-generation"}


def test_an_export_of_the_run_has_a_modelfile_too(ftcore, finished, tmp_path):
    more = ("--quantization", "F16", "--output", tmp_path / "m.gguf")
    done = ftcore("export", finished, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first = (finished / "Modelfile").read_text("utf-8").splitlines()
    second = (tmp_path / "Modelfile").read_text("utf-8").splitlines()
    assert second[0] == "FROM ./m.gguf"
    assert second[1:] == first[1:]


def test_a_base_model_without_a_licence(ftcore, tiny_model, workspace):
    done = ftcore(
        *("train", "--mode", "agent", "--data", "data.jsonl", "--base-model", tiny_model),
        *(*FAST, "--output", "run", "--set", "output_format=safetensors"),
        cwd=workspace,
    )
    assert done.returncode == 0, done.stderr
    card = (workspace / "run/model/README.md").read_text("utf-8")
    assert "is unknown here" in card
    assert "license" not in metadata_load(workspace / "run/model/README.md")
    assert "llama-server" not in card
    assert not (workspace / "run/Modelfile").exists()
