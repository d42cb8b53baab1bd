"""Chat templates: what a model's own can express, and ftcore's for those that lack tools.

ftcore's template writes turns as ChatML does and tools as the Hermes convention does
(``<tools>``, ``<tool_call>``, ``<tool_response>``), which llama.cpp, Ollama and vLLM parse.
"""

from __future__ import annotations

import copy
from importlib import resources
from typing import Any

from transformers import PreTrainedTokenizerBase

from ftcore.errors import InputError
from ftcore.values import Target

_PROBE_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "probe_tool",
        "description": "d",
        "parameters": {"type": "object", "properties": {"key": {"type": "string"}}},
    },
}
_USER: dict[str, Any] = {"role": "user", "content": "probe_user"}


def _called(call_id: str) -> list[dict[str, Any]]:
    function = {"name": "probe_tool", "arguments": {"key": "probe_value"}}
    call = {"id": call_id, "type": "function", "function": function}
    return [
        _USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "probe_result", "tool_call_id": call_id, "name": "probe_tool"},
    ]


def with_ftcore_template(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A copy of the tokenizer that carries ftcore's template.

    The turn markers are ChatML's where the vocabulary has them as special tokens; otherwise the
    opening marker is plain text and the tokenizer's end-of-sequence token ends a turn.

    :raises InputError: the tokenizer has neither ChatML's markers nor an end-of-sequence token.
    """
    end = "<|im_end|>" if "<|im_end|>" in special_tokens(tokenizer) else tokenizer.eos_token
    if not isinstance(end, str):
        raise InputError(
            "the base model's tokenizer names no end-of-sequence token, so no turn could end",
            "set eos_token in its tokenizer_config.json",
        )
    changed = copy.deepcopy(tokenizer)
    template = resources.files("ftcore").joinpath("chat_template.jinja").read_text("utf-8")
    begin = "{{- bos_token -}}\n" if _begins_texts(tokenizer) else ""
    changed.chat_template = begin + template.replace("<|im_end|>", end)
    return changed


def _begins_texts(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model expects a beginning-of-sequence token: its tokenizer writes one."""
    ids: list[int] = tokenizer("a")["input_ids"]  # pyright: ignore
    return tokenizer.bos_token is not None and ids[0] == tokenizer.bos_token_id


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The control tokens of a vocabulary with their ids."""
    return {
        str(token.content): int(index)
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special
    }


def target_of(tokenizer: PreTrainedTokenizerBase) -> Target:
    """What the tokenizer's chat template can express, found out by rendering probes."""
    called = _render(tokenizer, _called("call00001"), [_PROBE_TOOL])
    reasoned = {"role": "assistant", "content": "a", "reasoning_content": "probe_reasoning"}
    return Target(
        tools="probe_tool" in _render(tokenizer, [_USER], [_PROBE_TOOL])
        and all(probe in called for probe in ("probe_value", "probe_result")),
        system="probe_system"
        in _render(tokenizer, [{"role": "system", "content": "probe_system"}, _USER]),
        reasoning="probe_reasoning" in _render(tokenizer, [_USER, reasoned]),
    )


def demands_nine_characters(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the template takes only ids of nine characters for calls, as Mistral's do."""
    return bool(_render(tokenizer, _called("call00001"), [_PROBE_TOOL])) and not _render(
        tokenizer, _called("call_1"), [_PROBE_TOOL]
    )


def _render(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None = None,
) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tools=tools, tokenize=False))  # pyright: ignore[reportArgumentType, reportUnknownMemberType]
    except Exception:  # a template raises whatever it likes on what it does not support
        return ""
