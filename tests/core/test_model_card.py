"""The model card: what is known of the base model is carried along, what is not is not made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import Metadata

from ftcore.base_card import BaseCard, Licence, base_card
from ftcore.base_models import BaseModel, resolve_base_model
from ftcore.ledger import Totals
from ftcore.model_card import write_model_card
from ftcore.record import DataFile, RunRecord, Setting
from ftcore.settings import setting_schemas

RECORD = RunRecord(
    id="run",
    modes=("haiku",),
    state="running",
    started="2026-01-01T00:00:00+00:00",
    base_model="/home/someone/models/base",
    settings={key: Setting(1, "") for key in setting_schemas()},
    versions={"ftcore": "1.0"},
    plugins=(),
    data=(
        DataFile("/home/someone/my|data.jsonl", 10, "0" * 64),
        DataFile("owner/collection:test", 10, "1" * 64),
    ),
    ledger=Totals(10, 8, 1, 1, 0, 0, 0, 0, 8, 80, 40),
    own_chat_template=False,
)


def written(folder: Path, base: BaseModel, carried: BaseCard) -> str:
    write_model_card(folder, "m", RECORD, base, carried, hub_data=["owner/collection:test"])
    return (folder / "README.md").read_text("utf-8")


def test_the_hubs_ids_reach_the_gguf(tmp_path):
    base = resolve_base_model("smollm2:135m", tmp_path)
    card = written(tmp_path, base, base_card(base))
    metadata = Metadata.load(None, tmp_path)
    assert metadata.license == "apache-2.0"
    assert metadata.base_models == [
        {
            "name": "SmolLM2 135M Instruct",
            "organization": "HuggingFaceTB",
            "repo_url": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        }
    ]
    assert metadata.datasets
    assert metadata.datasets[0]["repo_url"].endswith("owner/collection")
    assert metadata.finetune == "haiku"
    assert "1 of 10" in card
    assert "my\\|data.jsonl" in card


def test_no_path_of_the_machine_is_told(tmp_path):
    (tmp_path / "base").mkdir()
    base = BaseModel("/home/someone/models/base", "local", str(tmp_path / "base"))
    assert "someone" not in written(tmp_path, base, base_card(base))


@pytest.mark.parametrize(
    "front", ["", "---\n: [\n---\n", "---\n- a\n---\n", "---\nlicense:\n---\n"]
)
def test_a_base_model_that_says_nothing_has_an_unknown_licence(tmp_path, front):
    (tmp_path / "README.md").write_text(front)
    base = BaseModel("base", "local", str(tmp_path))
    assert base_card(base) == BaseCard(Licence(), {})


def test_the_folder_goes_before_the_alias(tmp_path):
    base = BaseModel("base", "local", str(tmp_path), licence="Gemma Terms of Use")
    assert base_card(base).licence == Licence("gemma")
    (tmp_path / "README.md").write_text("---\nlicense: [mit, apache-2.0]\n---\n")
    assert base_card(base).licence.shown == "mit, apache-2.0"


def test_licence_files_are_found_by_name(tmp_path):
    for name in ("LICENSE", "Licence.md", "NOTICE.txt", "USE_POLICY.md", "licenses.py", "a.txt"):
        (tmp_path / name).write_text(name)
    found = base_card(BaseModel("base", "local", str(tmp_path))).files
    assert set(found) == {"LICENSE", "Licence.md", "NOTICE.txt", "USE_POLICY.md"}
    model = tmp_path / "model"
    model.mkdir()
    written(model, BaseModel("base", "local", str(tmp_path)), BaseCard(Licence(), found))
    assert (model / "NOTICE.txt").read_text() == "NOTICE.txt"


def test_a_hub_that_cannot_be_asked_is_no_failure():
    base = BaseModel("owner/none", "hub", "owner/none", licence="MIT")
    assert base_card(base) == BaseCard(Licence("mit"), {})
