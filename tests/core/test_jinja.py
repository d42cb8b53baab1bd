"""Chat templates are rendered as transformers renders them, the sandbox included."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ftcore.jinja import template_function

CALL = {"type": "function", "id": "c", "function": {"name": "f", "arguments": {"é": [1.0, None]}}}
CHAT = [
    {"role": "user", "content": " <x> & 'y' "},
    {"role": "assistant", "content": "z", "reasoning_content": "hm", "tool_calls": [CALL]},
]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"a": "<b>"}}}]


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].items() | list }}{{ messages[0].get('x', 'no') }}{{ messages[0].keys() }}",
        "{{ messages[0].content.upper().split('X') }}{{ messages | length }}",
        "{% set ns = namespace(a=1) %}{% set ns.b = ns.a %}{{ ns.b, ns.c }}{{ ns.c is defined }}",
        "{{ '{:>9}|{0.upper}'.format(messages[0].content, 1) }}",
        "{{ '{0.__class__}'.format(messages[0].content) }}",
        "{% for m in messages %}{{ m.content.format(1) }}{{ '{}'.format(m) }}{% endfor %}",
        "{{ messages[0].missing is defined }}{{ messages[0].missing or 'none' }}",
        "{{ messages[0].missing.more }}",
        "{{ messages[0].__class__ }}{{ messages[0].content.__len__ }}{{ messages.__class__ }}",
        "{{ messages[0].content.__class__.__mro__ }}",
        "{% if messages.append(1) %}{% endif %}",
        "{% if messages[0].update(a=1) %}{% endif %}",
        "{% for m in messages %}{{ loop.last }}{{ loop.index0 }}{{ loop.nextitem }}{% endfor %}",
        "{% for t in tools or [] %}{{ t | tojson(indent=2) }}{{ t.function | tojson }}{% endfor %}",
        "{{ dict(a=1) }}{{ bos_token }}{{ eos_token }}{{ documents }}{{ strftime_now('%%') }}",
        "{{ raise_exception('no, ' + messages[0].role) }}",
        "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m }}{% endfor %}",
        "{% for m in messages %}{{ m.thinking or m.reasoning_content }}{% endfor %}",
        "{% generation %}{{ messages[1].content }}{% endgeneration %}{{ add_generation_prompt }}",
        "{{ 1 / 0 }}",
        "{% for",
        None,
        {"default": "{{ messages[0].content }}", "tool_use": "{{ tools }}"},
    ],
)
def test_a_template_writes_and_refuses_what_it_does_in_transformers(tokenizer, template):
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    written = template_function(changed)
    for tools in (None, TOOLS):
        for prompt in (False, True):

            def slow(tools: Any = tools, prompt: bool = prompt) -> str:
                return changed.apply_chat_template(
                    CHAT, tools=tools, add_generation_prompt=prompt, tokenize=False
                )

            expected = outcome(slow)
            # twice, for what was asked once is remembered
            for _ in range(2):
                assert outcome(lambda t=tools, p=prompt: written(CHAT, t, prompt=p)) == expected


def outcome(render: Any) -> tuple[str, str]:
    try:
        return "written", render()
    except Exception as error:
        return type(error).__name__, str(error)
