"""The Modelfile where a chat template, a text or a licence is none that Ollama can take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.export.ollama import write_modelfiles
from ftcore.export.read_chat_shape import chat_shape
from ftcore.system_text import common_system_text
from ftcore.template import with_ftcore_template
from ftcore.values import Conversation, Message, Part, Target, with_system

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + "
    "'<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)
COUNTS = CHATML.replace("message.role +", "message.role + ' ' + (messages | length) | string +")
BACKWARDS = CHATML.replace("in messages", "in messages | reverse")


@pytest.fixture
def model(tokenizer: Any, tmp_path: Path):
    """Saves the tokenizer with a chat template into a model's folder."""

    def save(template: str | None, **config: Any) -> Path:
        folder = tmp_path / "model"
        tokenizer_with = with_ftcore_template(tokenizer)
        if template is not None:
            tokenizer_with.chat_template = template
        tokenizer_with.save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 2048}))
        (folder / "generation_config.json").write_text(json.dumps(config))
        return folder

    return save


def modelfile(folder: Path, **options: Any) -> tuple[str, tuple[str, ...]]:
    (path,), notes = write_modelfiles(folder, {"Q8_0": folder.parent / "model.gguf"}, **options)
    assert path == folder.parent / "Modelfile"
    return path.read_text("utf-8"), notes


def test_each_of_several_files_has_a_modelfile_of_its_own(model):
    folder = model(CHATML)
    ggufs = {name: folder.parent / f"m-{name}.gguf" for name in ("Q8_0", "Q4_K_M")}
    paths, _ = write_modelfiles(folder, ggufs, context=512)
    assert [path.name for path in paths] == ["Modelfile-Q8_0", "Modelfile-Q4_K_M"]
    texts = [path.read_text("utf-8").partition("\n") for path in paths]
    assert [first for first, _, _ in texts] == ["FROM ./m-Q8_0.gguf", "FROM ./m-Q4_K_M.gguf"]
    assert texts[0][2] == texts[1][2]


@pytest.mark.parametrize("template", [COUNTS, BACKWARDS], ids=["counts", "backwards"])
def test_a_template_that_is_no_frame_is_left_to_ollama(model, template):
    text, notes = modelfile(model(template), context=512)
    assert "TEMPLATE" not in text
    assert 'PARAMETER stop """<|im_end|>"""' in text
    (note,) = notes
    assert "needs Ollama 0.30" in note


def test_a_template_of_ones_own_is_taken(model):
    text, notes = modelfile(model(CHATML.replace("<|im_start|>", "### ")))
    assert 'TEMPLATE """' in text
    assert "### assistant\n" in text
    assert notes == ()


def test_quotes_that_would_end_the_template_are_none_of_it(model):
    text, notes = modelfile(model(CHATML.replace("'\n'", '\'"""\n\'')))
    assert "TEMPLATE" not in text
    assert notes


def test_a_brace_before_a_text_is_no_action(tokenizer):
    from ftcore.export.go_template import go_template

    tokenizer = with_ftcore_template(tokenizer)
    tokenizer.chat_template = CHATML.replace("'\n'", "'\n{{'")
    shape = chat_shape(tokenizer, add_bos=False)
    assert shape
    assert '{{ "{{" }}{{ .Content }}' in go_template(shape)


@pytest.mark.parametrize("system", ['Say """.', "A zero-width\u200bspace", "No\u00a0break"])
def test_a_system_text_that_a_modelfile_cannot_hold(model, system):
    text, notes = modelfile(model(None), system=system)
    assert "SYSTEM" not in text
    (note,) = notes
    assert "clients must send the text" in note


@pytest.mark.parametrize("trained, expected", [(512, 512), (4096, 2048)])
def test_the_context_is_the_trained_one_within_the_models(model, trained, expected):
    text, _ = modelfile(model(None), context=trained)
    assert f"PARAMETER num_ctx {expected}\n" in text


def test_without_a_run_ollama_chooses_the_context(model):
    text, _ = modelfile(model(None))
    assert "num_ctx" not in text


def test_sampling_is_what_the_base_model_recommends(model):
    text, _ = modelfile(model(None, temperature=0.7, top_k=20, repetition_penalty=1.1))
    recommended = "PARAMETER temperature 0.7\nPARAMETER top_k 20\nPARAMETER repeat_penalty 1.1\n"
    assert recommended in text
    text, _ = modelfile(model(None, do_sample=False, temperature=0.7))
    assert "temperature" not in text


def talk(system: str | None, target: Target) -> Conversation:
    messages = (Message("user", (Part("prose", "Hello"),)),)
    return Conversation(messages if system is None else with_system(messages, system, target))


@pytest.mark.parametrize("has_role", [True, False])
def test_the_system_text_of_all_samples(has_role):
    target = Target(tools=False, system=has_role, reasoning=False)
    one, other, none = (talk(text, target) for text in ("Rules.\n", "Others.", None))
    assert common_system_text([one, one]) == "Rules.\n"
    assert common_system_text([one, other]) is None
    assert common_system_text([one, none]) is None
    assert common_system_text([none, one]) is None
    assert common_system_text([]) is None
