"""What agent mode makes of a sample: golden cases in ``cases/``, and properties.

A case is a file: a line ``# target:`` with what the chat template can express, the sample, a line
``# output``, and the conversation as :func:`written` prints it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.values import Conversation, Target
from ftcore_agent.formatting import format_sample

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))
ALL = Target(tools=True, system=True, reasoning=True)


def written(conversation: Conversation) -> str:
    lines: list[str] = []
    for message in conversation.messages:
        extra = [f"name={message.name}"] if message.name else []
        extra += [f"answers={message.tool_call_id}"] if message.tool_call_id else []
        extra += ["trained"] if message.trained else []
        lines.append(" ".join([message.role, *extra]))
        for kind, parts in (("apart", message.reasoning), ("content", message.content)):
            for part in parts:
                lines.append(f"  {kind} {part.label}: {json.dumps(part.text, ensure_ascii=False)}")
        for call in message.tool_calls:
            arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
            lines.append(
                f"  call {call.name_label}: {call.name}" + (f" id={call.id}" * bool(call.id))
            )
            lines.append(f"       {call.arguments_label}: {arguments}")
    tools = ", ".join(tool["function"]["name"] for tool in conversation.tools)
    return "\n".join([*lines, f"tools: {tools or 'none'}"]) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_sample_becomes_this_conversation(case: Path):
    head, rest = case.read_text(encoding="utf-8").split("\n", 1)
    source, expected = rest.split("# output\n")
    able = head.removeprefix("# target:").split()
    target = Target(tools=True, system="system" in able, reasoning="reasoning" in able)
    assert written(format_sample(json.loads(source), target)) == expected


def test_there_are_cases():
    assert len(CASES) >= 5


arguments = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=6,
    ),
)


@given(arguments, st.booleans(), st.booleans())
def test_both_forms_of_arguments_are_the_same_to_the_last_type(
    given_arguments: dict[str, Any], system: bool, reasoning: bool
):
    def of(form: object) -> Conversation:
        call = {"type": "function", "function": {"name": "f", "arguments": form}}
        messages = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "reasoning": "Hm.", "tool_calls": [call]},
        ]
        sample = {"messages": messages}
        before = json.dumps(sample)
        made = format_sample(sample, Target(tools=True, system=system, reasoning=reasoning))
        assert json.dumps(sample) == before
        return made

    as_object, as_string = of(given_arguments), of(json.dumps(given_arguments))
    assert as_object == as_string
    # == takes 1 for 1.0 and True, and any order of keys; the written form does not.
    assert written(as_object) == written(as_string)


def test_only_what_the_assistant_says_is_trained():
    case = next(case for case in CASES if case.stem == "parallel_calls")
    source = case.read_text(encoding="utf-8").split("\n", 1)[1].split("# output\n")[0]
    conversation = format_sample(json.loads(source), ALL)
    assert [m.role for m in conversation.messages if m.trained] == ["assistant", "assistant"]
    assert {m.role for m in conversation.messages if not m.trained} == {"system", "user", "tool"}


def test_an_empty_system_text_is_one_all_the_same():
    """Some templates write a default of their own where there is no system message at all."""
    able = Target(tools=True, system=True, reasoning=True)
    asked = [{"role": "system", "content": ""}, {"role": "user", "content": "a"}]
    made = format_sample({"messages": [*asked, {"role": "assistant", "content": "b"}]}, able)
    assert [message.role for message in made.messages] == ["system", "user", "assistant"]
