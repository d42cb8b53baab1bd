"""What cannot be exported is said before anything is trained, and what can is not refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from ftcore.errors import InputError
from ftcore.export.architectures import check_exportable, read_hyperparameters


@pytest.fixture
def config(tiny) -> dict[str, Any]:
    return dict(tiny.PLAIN)


def test_a_llama_of_every_quantization_is_exportable(config):
    for quantization in ("F32", "F16", "BF16", "Q8_0", "q8_0"):
        check_exportable(config, quantization)


def test_another_architecture_names_the_supported_ones(config):
    config["architectures"] = ["MambaForCausalLM"]
    with pytest.raises(InputError) as caught:
        check_exportable(config, "Q8_0")
    assert "MambaForCausalLM" in caught.value.message
    assert "LlamaForCausalLM" in caught.value.hint
    assert caught.value.exit_code == 2


def test_an_unknown_quantization_is_answered_with_the_near_one(config):
    with pytest.raises(InputError) as caught:
        check_exportable(config, "Q8")
    assert "did you mean Q8_0?" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 4.0}}, "dynamic"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
        ({"hidden_size": None}, "hidden_size"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused_by_name(config, change, named):
    with pytest.raises(InputError, match=named):
        check_exportable({**config, **change}, "F16")


def test_rope_is_read_from_configs_of_both_generations(config):
    now = read_hyperparameters(config).rope
    del config["rope_parameters"]
    before = {**config, "rope_theta": 100000.0, "rope_scaling": None}
    assert read_hyperparameters(before).rope == now
    scaling = {"type": "linear", "factor": 2.0}
    linear = read_hyperparameters({**before, "rope_scaling": scaling}).rope
    assert (linear.theta, linear.type, linear.factor) == (100000.0, "linear", 2.0)


def test_defaults_are_those_of_transformers(config):
    from transformers import LlamaConfig

    for key in ("rope_parameters", "num_key_value_heads", "head_dim", "rms_norm_eps"):
        del config[key]
    read = read_hyperparameters(config)
    theirs = LlamaConfig(**config)
    assert read.kv_heads == theirs.num_key_value_heads
    assert read.head_dim == theirs.head_dim
    assert read.rms_eps == theirs.rms_norm_eps
    assert theirs.rope_parameters is not None
    assert read.rope.theta == theirs.rope_parameters["rope_theta"]


def test_the_check_before_training_needs_no_torch():
    code = (
        "import sys; from ftcore.export.architectures import check_exportable; "
        "sys.exit(bool({'torch', 'transformers', 'gguf'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
