"""Chat templates are rendered as transformers renders them, the sandbox included."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jinja2 import Environment

from ftcore.jinja import ChatWriter
from ftcore.stepwise import stepwise

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
    written = ChatWriter(changed).written
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


BODY = "<{{ m.role }}>{{ m.content }}{{ m.tool_calls or '' }}"
END = "{% if add_generation_prompt %}<assistant>{% else %}{{ eos_token }}{% endif %}"


def for_all(body: str = BODY, chat: str = "messages") -> str:
    return "{% for m in " + chat + " %}" + body + "{% endfor %}"


SYSTEM = (
    "{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}{{ messages[0].content }}"
    "{% else %}{% set rest = messages %}{% endif %}"
)
STEPWISE = {
    "plain": for_all() + END,
    "behind": for_all("{{ loop.first }}{{ loop.index }}{{ loop.previtem.role }}" + BODY) + END,
    "without the first": SYSTEM + for_all(chat="rest") + END,
    "loop inside": for_all("{% for t in m.tool_calls %}{{ loop.last }}{% endfor %}" + BODY) + END,
    "counter": "{% set ns = namespace(n=0) %}"
    + for_all("{% set ns.n = ns.n + 1 %}{{ ns.n }}")
    + END,
    "tools": "{{ tools | tojson }}{{ bos_token }}" + for_all() + END,
}
OTHERS = {
    "last": for_all("{{ loop.last }}" + BODY) + END,
    "last in an inner loop's else": for_all(
        BODY + "{% for t in m.tool_calls or [] %}{% else %}{{ loop.last }}{% endfor %}"
    )
    + END,
    "next": for_all("{{ loop.nextitem.role }}" + BODY) + END,
    "length": "{{ messages | length }}" + for_all() + END,
    "last message": for_all("{{ messages[-1].role }}" + BODY) + END,
    "index": for_all("{{ messages[loop.index0 - 1].role }}" + BODY) + END,
    "two loops": for_all() + for_all() + END,
    "other part": for_all(chat="messages[:2]") + END,
    "in a condition": "{% if tools %}" + for_all() + "{% endif %}" + END,
    "filtered": "{% for m in messages if m.role == 'user' %}" + BODY + "{% endfor %}" + END,
    "else": "{% for m in messages %}" + BODY + "{% else %}none{% endfor %}" + END,
    "ends early": for_all("{% if m.role == 'tool' %}{% break %}{% endif %}" + BODY) + END,
    "flag inside": for_all("{% if add_generation_prompt %}!{% endif %}" + BODY) + END,
    "state after": (
        "{% set ns = namespace(r='') %}" + for_all("{% set ns.r = m.role %}" + BODY) + "{{ ns.r }}"
    ),
    "message after": for_all() + "{{ messages[0].role }}" + END,
    "renamed": "{% set messages = messages[1:] %}" + for_all() + END,
    "another name": "{% set all = messages | list %}" + for_all(chat="all") + END,
    "captured": "{% set all %}" + for_all() + "{% endset %}{{ all }}" + END,
    "own flag": "{% set eos_token = messages[0].role %}" + for_all() + END,
    "alone": for_all(chat="messages") + "{{ m }}" + END,
}
TALK = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "1"},
    {"role": "assistant", "content": "2", "tool_calls": [CALL]},
    {"role": "tool", "content": "3"},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "5"},
]


@pytest.mark.parametrize("template", [*STEPWISE.values(), *OTHERS.values()])
@pytest.mark.parametrize("chat", [TALK, TALK[1:]], ids=["system", "no system"])
def test_a_chat_and_all_that_begin_it_are_written_as_each_by_itself(tokenizer, template, chat):
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    writer = ChatWriter(changed)
    for tools in (None, TOOLS):
        places = [place for place in range(1, len(chat)) if chat[place]["role"] != "tool"]

        def each(tools: Any = tools, places: Any = places) -> tuple[list[str], list[str]]:
            def written(messages: list[Any], prompt: bool) -> str:
                return changed.apply_chat_template(
                    messages, tools=tools, add_generation_prompt=prompt, tokenize=False
                )

            return (
                [written(chat[:place], True) for place in places],
                [written(chat[: place + 1], False) for place in places],
            )

        expected = outcome(each)
        assert outcome(lambda t=tools, p=places: writer.turns(chat, t, p)) == expected


@pytest.mark.parametrize("name", [*STEPWISE, *OTHERS])
def test_only_a_template_that_cannot_look_ahead_is_rendered_once_for_all(name):
    text = {**STEPWISE, **OTHERS}[name]
    environment = Environment(extensions=["jinja2.ext.loopcontrols"])
    assert (stepwise(environment, text) is not None) == (name in STEPWISE)


def outcome(render: Any) -> tuple[str, Any]:
    try:
        return "written", render()
    except Exception as error:
        return type(error).__name__, str(error)
