"""Chat templates: what one can express is found out, and ftcore's says what it promises."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from attrs import evolve

from ftcore.errors import InputError
from ftcore.template import special_tokens, target_of, with_ftcore_template
from ftcore.values import Target

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, as «JSON» & more",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
HI = {"role": "user", "content": "Hi"}
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def with_template(tokenizer: Any, template: str | None) -> Any:
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    return changed


def written(
    tokenizer: Any, messages: list[Any], tools: list[Any] | None = None, **more: Any
) -> str:
    return tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, **more)


@pytest.fixture(scope="module")
def ours(tokenizer) -> Any:
    return with_ftcore_template(tokenizer)


# What a template can express

PLAIN = Target(tools=False, system=True, reasoning=False)


def test_smollm2_can_do_system_messages_and_no_tools(tokenizer):
    assert target_of(tokenizer) == PLAIN


def test_ftcores_template_can_do_everything(ours):
    assert target_of(ours) == Target(tools=True, system=True, reasoning=True)


@pytest.mark.parametrize(
    ("template", "target"),
    [
        (None, Target(tools=False, system=False, reasoning=False)),
        ("{{ raise_exception('no') }}", Target(tools=False, system=False, reasoning=False)),
        ("{% for", Target(tools=False, system=False, reasoning=False)),
        (CHATML, PLAIN),
        # lists tools but cannot write a call
        ("{{ tools | tojson }}" + CHATML, PLAIN),
        # writes calls but does not list tools
        (CHATML.replace("{{ m.content }}", "{{ m.content }}{{ m.tool_calls or '' }}"), PLAIN),
        (
            CHATML.replace("{{ m.content }}", "{{ m.reasoning_content }}{{ m.content }}"),
            evolve(PLAIN, reasoning=True),
        ),
        # writes calls, lists tools and drops what they answer
        (
            "{{ tools | tojson }}"
            + CHATML.replace(
                "{{ m.content }}", "{{ m.content if m.role != 'tool' }}{{ m.tool_calls }}"
            ),
            PLAIN,
        ),
        (
            "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML,
            evolve(PLAIN, system=False),
        ),
    ],
)
def test_what_other_templates_can_do(tokenizer, template, target):
    assert target_of(with_template(tokenizer, template)) == target


def test_the_control_tokens_of_the_vocabulary(tokenizer):
    found = special_tokens(tokenizer)
    assert (found["<|endoftext|>"], found["<|im_start|>"], found["<|im_end|>"]) == (0, 1, 2)
    assert all(tokenizer.decode([index]) == token for token, index in found.items())
    assert "Hello" not in found


# What ftcore's template writes


def test_the_models_own_tokenizer_is_not_changed(tokenizer, ours):
    assert "get_weather" not in written(tokenizer, [HI], [TOOL])
    assert "SmolLM" in written(tokenizer, [HI])
    assert ours is not tokenizer


def test_there_is_no_default_system_text(ours):
    assert written(ours, [HI]) == "<|im_start|>user\nHi<|im_end|>\n"
    assert written(ours, [HI], add_generation_prompt=True).endswith(
        "<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_system_text_stands_before_the_tools(ours):
    system = {"role": "system", "content": "Be brief."}
    assert written(ours, [system, HI]) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    )
    both = written(ours, [system, HI], [TOOL])
    assert both.startswith("<|im_start|>system\nBe brief.\n\nTo use a tool, write <tool_call>")
    assert both.count("<|im_start|>system") == 1


def test_tools_are_listed_as_json_one_on_a_line(ours):
    other = {"type": "function", "function": {"name": "b"}}
    text = written(ours, [HI], [TOOL, other])
    lines = text.partition("<tools>\n")[2].partition("\n</tools>")[0].splitlines()
    assert [json.loads(line) for line in lines] == [TOOL["function"], other["function"]]
    assert "«JSON» & more" in text


def test_calls_results_and_reasoning(ours):
    call = {
        "role": "assistant",
        "content": "I look.",
        "reasoning_content": "Which city?",
        "tool_calls": [
            {
                "type": "function",
                "function": {"name": "get_weather", "arguments": {"city": "Köln"}},
            },
            {"type": "function", "function": {"name": "now", "arguments": {}}},
        ],
    }
    result = {"role": "tool", "content": '{"t": 3}', "tool_call_id": "1", "name": "get_weather"}
    assert written(ours, [HI, call, result]).partition("Hi<|im_end|>\n")[2] == (
        "<|im_start|>assistant\n<think>\nWhich city?\n</think>\n\nI look.\n"
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Köln"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call><|im_end|>\n'
        '<|im_start|>tool\n<tool_response>\n{"t": 3}\n</tool_response><|im_end|>\n'
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"b": 1, "a": 1.0, "c": -0.0, "d": 1e30, "e": 2**70},
        {"q": 'a "quoted" \\ text\n\tand <b>&\'</b>', "é": "日本 🎉 \u2028"},
        {"nested": {"z": [1, {"y": None}], "a": [True, False]}, "empty": {}, "none": []},
        {"json": '{"a": "{\\"b\\": 1}"}'},
        {},
    ],
)
def test_arguments_keep_keys_order_and_types(ours, arguments):
    before = json.dumps(arguments)
    call = {"type": "function", "function": {"name": "f", "arguments": arguments}}
    text = written(ours, [HI, {"role": "assistant", "content": "", "tool_calls": [call]}])
    body = text.partition("<tool_call>\n")[2].partition("\n</tool_call>")[0]
    assert body == f'{{"name": "f", "arguments": {json.dumps(arguments, ensure_ascii=False)}}}'
    assert json.dumps(arguments) == before


def test_a_message_without_content_is_as_good_as_an_empty_one(ours):
    call = {"type": "function", "function": {"name": "f", "arguments": {}}}
    texts = {
        written(ours, [HI, {"role": "assistant", **content, "tool_calls": [call]}])
        for content in ({"content": ""}, {"content": None}, {})
    }
    assert len(texts) == 1


def test_the_template_survives_saving(ours, tmp_path):
    from transformers import AutoTokenizer

    ours.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.chat_template == ours.chat_template
    assert written(again, [HI], [TOOL]) == written(ours, [HI], [TOOL])


def test_a_model_that_begins_texts_with_a_token_keeps_it(tokenizer):
    from tokenizers.processors import TemplateProcessing

    begun = copy.deepcopy(tokenizer)
    begun.bos_token = "<|endoftext|>"
    assert written(with_ftcore_template(begun), [HI]).startswith("<|im_start|>user")
    begun.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    assert written(with_ftcore_template(begun), [HI]).startswith("<|endoftext|><|im_start|>user")


# Vocabularies without ChatML's markers


def small_tokenizer(**special: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: index for index, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def test_without_chatml_the_end_of_sequence_token_ends_a_turn():
    ours = with_ftcore_template(small_tokenizer(eos_token="</s>"))
    assert written(ours, [HI]) == "<|im_start|>user\nHi</s>\n"
    ids = ours.apply_chat_template([HI], tokenize=True, return_dict=False)
    assert ids.count(ours.eos_token_id) == 1


def test_a_vocabulary_that_cannot_end_a_turn_is_refused():
    with pytest.raises(InputError, match="no end-of-sequence token") as caught:
        with_ftcore_template(small_tokenizer())
    assert "eos_token" in caught.value.hint
