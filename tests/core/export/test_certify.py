"""A true export is certified, and every planted fault is seen by the check that should see it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from ftcore.errors import InputError
from ftcore.export.architectures import read_hyperparameters
from ftcore.export.certificate import Certificate
from ftcore.export.certify import certify
from ftcore.export.check_file import check_tensors
from ftcore.export.checkpoint import open_weights, plan_tensors, read_config
from ftcore.export.reader import read_header
from ftcore.export.writer import export_gguf
from ftcore.render import renderer_for
from ftcore.values import Conversation, Message, Part, ToolCall

CHECKS = (
    "metadata",
    "tensors",
    "token_ids",
    "chat_template",
    "rendering",
    "end_token",
    "logits",
    "top1",
    "greedy",
)


def failed(certificate: Certificate) -> set[str]:
    return {check.name for check in certificate.checks if not check.passed}


@pytest.mark.parametrize("quantization", ["F32", "F16", "BF16", "Q8_0", "Q5_K_M"])
def test_a_true_export_passes_and_its_certificate_survives_json(exported, plain, quantization):
    steps: list[str] = []
    gguf = exported("plain", quantization)
    certificate = certify(gguf, plain, progress=lambda name, done, total: steps.append(name))
    assert [check for check in certificate.checks if not check.passed] == []
    assert tuple(check.name for check in certificate.checks) == CHECKS
    assert (certificate.gguf, certificate.quantization) == (gguf.name, quantization)
    assert certificate.sha256 == hashlib.sha256(gguf.read_bytes()).hexdigest()
    assert list(dict.fromkeys(steps)) == ["file", "runtime", "model"]
    text = certificate.to_json()
    schema = json.loads(
        resources.files("ftcore.schemas").joinpath("certificate.schema.json").read_text()
    )
    Draft202012Validator.check_schema(schema)
    assert list(Draft202012Validator(schema).iter_errors(json.loads(text))) == []
    assert json.loads(text)["passed"] is True
    assert Certificate.from_json(text) == certificate


@pytest.mark.parametrize("quantization", ["Q4_0", "Q4_K_M", "IQ4_XS", "Q2_K"])
def test_one_other_code_of_few_bits_is_seen(mixed, tmp_path, quantization):
    """What random weights this large say at few bits is no model's, so it is not asked for."""
    gguf = export_gguf(mixed, tmp_path / "x.gguf", quantization).path
    planned = plan_tensors(
        read_hyperparameters(read_config(mixed)), open_weights(mixed), quantization
    )
    assert check_tensors(read_header(gguf).tensors, planned).passed
    tensor = next(t for t in read_header(gguf).tensors if t.name == "blk.4.ffn_up.weight")
    assert tensor.type == quantization.removesuffix("_M")
    with gguf.open("r+b") as file:
        at = tensor.offset + (tensor.row_bytes - 1 if quantization != "Q2_K" else 79)
        file.seek(at)  # a byte of codes, the last of the row or of its first block
        last = file.read(1)[0]
        file.seek(at)
        file.write(bytes([last ^ 0xAA]))
    found = check_tensors(read_header(gguf).tensors, planned)
    assert not found.passed
    assert "blk.4.ffn_up.weight holds weights that are not the model's" in found.detail


def test_llama_3s_rope_biases_and_an_untied_output_pass(exported, odd):
    assert failed(certify(exported("odd", "F16"), odd)) == set()


def _lose_permutation(keys: dict[str, Any], tensors: dict[str, Any]) -> None:
    for name, heads in (("attn_q", 4), ("attn_k", 2)):
        for layer in range(2):
            rows = tensors[f"blk.{layer}.{name}.weight"]
            pairs = rows.reshape(heads, 8, 2, -1)
            tensors[f"blk.{layer}.{name}.weight"] = np.ascontiguousarray(
                pairs.swapaxes(1, 2).reshape(rows.shape)
            )


def _turn_a_weight(keys: dict[str, Any], tensors: dict[str, Any]) -> None:
    data = tensors["blk.1.ffn_up.weight"]
    data[3, 5] = data[3, 5] * np.float16(1.002) + np.float16(1e-3)


def _key(name: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(keys: dict[str, Any], tensors: dict[str, Any]) -> None:
        keys[name] = value

    return change


def _lose_key(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(keys: dict[str, Any], tensors: dict[str, Any]) -> None:
        del keys[name]

    return change


def _change_template(keys: dict[str, Any], tensors: dict[str, Any]) -> None:
    keys["tokenizer.chat_template"] = keys["tokenizer.chat_template"].replace("assistant", "bot")


FAULTS = {
    "no rope permutation": (_lose_permutation, {"tensors", "logits", "top1", "greedy"}),
    "rope base lost": (_lose_key("llama.rope.freq_base"), {"metadata", "logits"}),
    "rms epsilon wrong": (_key("llama.attention.layer_norm_rms_epsilon", 1e-6), {"metadata"}),
    "wrong pre-tokenizer": (_key("tokenizer.ggml.pre", "falcon"), {"metadata", "token_ids"}),
    "bos added": (_key("tokenizer.ggml.add_bos_token", True), {"metadata", "token_ids"}),
    "wrong eos": (_key("tokenizer.ggml.eos_token_id", 0), {"metadata", "end_token"}),
    "all tokens normal": (_key("tokenizer.ggml.token_type", [1] * 49152), {"metadata"}),
    "template changed": (_change_template, {"chat_template", "rendering"}),
    "template lost": (_lose_key("tokenizer.chat_template"), {"chat_template", "rendering"}),
    "one weight off": (_turn_a_weight, {"tensors"}),
    "wrong context": (_key("llama.context_length", 512), {"metadata"}),
    "a layer's norm lost": (
        lambda _, tensors: tensors.pop("output_norm.weight"),
        {"runtime", "tensors"},
    ),
}


EXACT = ("rms epsilon wrong", "one weight off", "wrong eos", "wrong context")
"""Faults that no other check may be blamed for."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(damaged, plain, name):
    change, seen_by = FAULTS[name]
    certificate = certify(damaged(change), plain)
    assert not certificate.passed
    assert seen_by <= failed(certificate)
    if name in EXACT:
        assert seen_by == failed(certificate)


def test_the_file_written_again_without_a_fault_passes(damaged, plain):
    assert failed(certify(damaged(lambda keys, tensors: None), plain)) == set()


def test_the_export_of_another_model_fails(exported, plain, respell, tiny):
    def train(tensors: dict[str, Any]) -> None:
        tensors["model.layers.0.mlp.down_proj.weight"] *= 1.5

    certificate = certify(exported("plain", "F32"), respell(train))
    assert {"tensors", "logits"} <= failed(certificate)


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def tool_conversation(tool: dict[str, Any], **arguments: Any) -> Conversation:
    call = ToolCall("weather", arguments, id="call00001")
    return Conversation(
        (
            Message("system", (Part("", "Be brief."),)),
            Message("user", (Part("", "How is it in Łódź?"),)),
            Message("assistant", tool_calls=(call,), trained=True),
            Message("tool", (Part("", "7 °C"),), tool_call_id="call00001", name="weather"),
            Message("assistant", (Part("", "Seven degrees."),), trained=True),
        ),
        (tool,),
    )


@pytest.fixture(scope="module")
def with_tools(tiny, tokenizer, tmp_path_factory) -> tuple[Path, Path]:
    """Model and GGUF with ftcore's own chat template."""
    from ftcore.export.writer import export_gguf

    folder = tmp_path_factory.mktemp("tools")
    model = tiny.save(folder / "model", tiny.PLAIN, renderer_for(tokenizer, tools=True).tokenizer)
    return model, export_gguf(model, folder / "model.gguf", "Q8_0").path


def test_tool_calls_are_rendered_as_they_were_trained(with_tools):
    model, gguf = with_tools
    certificate = certify(gguf, model, [tool_conversation(TOOL, city="Łódź", days=3)])
    assert failed(certificate) == set()
    details = {check.name: check.detail for check in certificate.checks}
    assert details["rendering"] == "2 prompts are the same"


def test_what_the_runtime_rewrites_by_itself_is_told_and_not_blamed_on_the_file(with_tools):
    model, gguf = with_tools
    bare = {"type": "function", "function": {"name": "weather"}}
    certificate = certify(gguf, model, [tool_conversation(bare, days=3.0)])
    assert failed(certificate) == set()
    details = {check.name: check.detail for check in certificate.checks}
    assert "in 2 of them llama.cpp rewrites" in details["rendering"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read|no whole GGUF"),
        (b"something else entirely", "does not begin with GGUF"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 64, "no whole GGUF"),
    ],
)
def test_what_is_no_gguf_is_refused_plainly(plain, tmp_path, content, message):
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        certify(path, plain)
    with pytest.raises(InputError, match="cannot be read"):
        certify(tmp_path / "missing.gguf", plain)


def test_a_gguf_cut_short_is_refused_with_the_tensor(exported, plain, tmp_path):
    whole = exported("plain", "F16").read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole[:-5000])
    with pytest.raises(InputError, match="ends before its tensor"):
        certify(path, plain)


def test_the_header_reader_agrees_with_the_gguf_package(parsed, exported):
    from ftcore.export.reader import read_header

    fields, stored = parsed()
    header = read_header(exported("plain", "F16"))
    assert header.metadata == {name: value for name, _, _, value in fields}
    assert [tensor.name for tensor in header.tensors] == [tensor.name for tensor in stored]
    for ours, theirs in zip(header.tensors, stored, strict=True):
        assert ours.type == theirs.tensor_type.name
        assert ours.offset == theirs.data_offset
        assert ours.shape == tuple(reversed([int(length) for length in theirs.shape]))


def _spoil_a_weight(keys: dict[str, Any], tensors: dict[str, Any]) -> None:
    name = "output_norm.weight"
    tensors[name] = tensors[name].copy()
    tensors[name].reshape(-1)[5] = float("nan")


def test_a_weight_that_is_no_number_fails_the_tensors(damaged, plain):
    assert "tensors" in failed(certify(damaged(_spoil_a_weight), plain))


def test_a_prompt_longer_than_the_context_is_compared_all_the_same(exported, plain):
    """Its end is kept, so that the greedy answer and the answer's logits are really looked at."""
    words = " ".join(f"word{number}" for number in range(400))
    long = Conversation(
        (
            Message("user", (Part("text", words),)),
            Message("assistant", (Part("text", "A short answer."),), trained=True),
        )
    )
    certificate = certify(exported("plain", "F32"), plain, [long])
    assert certificate.passed
    greedy = next(check for check in certificate.checks if check.name == "greedy")
    assert not greedy.detail.startswith("0 of 0")
