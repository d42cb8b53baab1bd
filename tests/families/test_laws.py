"""The laws of rendering for every family of models, on token ids.

Law 1, the prompt: before a trained message stand the tokens of the served prompt. Law 2, the
answer: its tokens are those that the chat template puts there, up to the end of the turn. Law 3:
no other token is trained.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ftcore.plugins import open_mode
from ftcore.render import END, IGNORE, Example, Renderer, RenderError, renderer_for
from ftcore.template import special_tokens
from ftcore.values import Conversation, Message, Part, Sample, ToolCall

# The laws, written down apart from ftcore


def as_served(message: Message) -> dict[str, Any]:
    """A message as a client of the served model sends it."""
    served: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.reasoning:
        served["reasoning_content"] = message.reasoning_text
    if message.tool_calls:
        served["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": dict(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        served["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        served["name"] = message.name
    return served


def blocks(example: Example) -> Iterator[tuple[int, int]]:
    """Start and end of each run of trained tokens."""
    trained = np.flatnonzero(np.diff(np.r_[False, example.labels != IGNORE, False]))
    yield from zip(trained[::2].tolist(), trained[1::2].tolist(), strict=True)


def answer_of(asked: str, whole: str, end: str) -> str:
    """What the template writes for the last message after the prompt."""
    if not whole.startswith(asked):  # where the system's text moves
        asked = re.split(r"(?<=\[/INST\])|(?<=\[/TOOL_RESULTS\])", whole)
        asked = whole.removesuffix(asked[-1])
    answer = whole.removeprefix(asked)
    return answer[: answer.rindex(end) + len(end)]


def assert_the_laws_hold(
    renderer: Renderer, end: str, conversation: Conversation
) -> tuple[Example, ...]:
    tokenizer: Any = renderer.tokenizer
    served = [as_served(message) for message in conversation.messages]
    tools = [dict(tool) for tool in conversation.tools] or None
    examples = renderer.examples(conversation)
    found = [(e, start, stop) for e in examples for start, stop in blocks(e)]
    trained = [index for index, m in enumerate(conversation.messages) if m.trained]
    assert len(found) == len(trained)  # law 3
    for index, (example, start, stop) in zip(trained, found, strict=True):
        asked = {"tools": tools, "add_generation_prompt": True}
        prompt = tokenizer.apply_chat_template(served[:index], **asked, return_dict=False)
        assert example.input_ids[:start].tolist() == prompt  # law 1

        text = tokenizer.apply_chat_template(served[:index], **asked, tokenize=False)
        whole = tokenizer.apply_chat_template(served[: index + 1], tools=tools, tokenize=False)
        answer = answer_of(text, whole, end)
        ids = tokenizer(text + answer, add_special_tokens=False)["input_ids"]
        expected = ids[len(prompt) :]
        if ids[: len(prompt)] != prompt:  # a token across the border cannot be generated
            expected = tokenizer(answer, add_special_tokens=False)["input_ids"]
        said = example.labels[start:stop].tolist()
        assert said == expected == example.input_ids[start:stop].tolist()  # law 2
        assert tokenizer.convert_ids_to_tokens(said[-1]) == end
        assert said.count(said[-1]) == 1
        assert alike(tokenizer.decode(said, clean_up_tokenization_spaces=False), answer)

        parts = example.parts[start:stop]
        assert ((parts >= 0) & (parts < len(renderer.part_labels))).all()
        assert renderer.part_labels[parts[-1]] == END
    for example in examples:
        assert len(example.input_ids) == len(example.labels) == len(example.parts)
        assert ((example.labels == IGNORE) == (example.parts == -1)).all()
    return examples


def alike(said: str, answer: str) -> bool:
    """Equal but for what tokenizers do to texts: normal forms, white space at control tokens."""
    return re.sub(r"\s", "", unicodedata.normalize("NFC", said)) == re.sub(
        r"\s", "", unicodedata.normalize("NFC", answer)
    )


# What users write

EDGES = [
    "",
    " ",
    "\n",
    "  both ends \n",
    "\n\n\nlines first",
    "\tTab",
    " \n x",
    "assistant\n",
    "e\u0301\u0323 é \ufb01 \u212b \u0958",
    "\u0301 begins with an accent",
    "👩‍👩‍👧 🇩🇪 🎉",
    "مرحبا \u202e\u05e9\u05dc\u05d5\u05dd\u202c",
    '{"name": "f", "arguments": {"a": "{\\"b\\": [1, 2]}"}}',
    "def f(x):\n\treturn {'a': x[0]}  # \\n\r\n",
    "<tool_call>\n{}\n</tool_call>",
    "x <tool_response>x</tool_response>",
    "<thought>Hm.</thought>\n<world>Da.</world>",
    "{{ messages }} {% raw %} [INST x [/INST ]",
    "1234567 3.14e-10 …  \u00a0\u3000x",
    "\u2581 and \u2581",
    "\x00\x7f\ufeff\u2028",
]
CHARACTERS = st.characters(exclude_categories=("Cs",))
TEXTS = st.text(CHARACTERS, max_size=20) | st.sampled_from(EDGES)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,10}", fullmatch=True)
IDS = st.from_regex(r"[a-zA-Z0-9]{9}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)
TOOL = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {
                "name": NAMES,
                "description": TEXTS,
                "parameters": st.fixed_dictionaries(
                    {
                        "type": st.just("object"),
                        "properties": st.dictionaries(
                            NAMES,
                            st.fixed_dictionaries(
                                {"type": st.sampled_from(["string", "number"])},
                                optional={"description": TEXTS},
                            ),
                            max_size=2,
                        ),
                    }
                ),
            }
        ),
    }
)


def parts(label: str, text: str) -> tuple[Part, ...]:
    """A text in one part, or in two."""
    at = len(text) // 2
    pieces = (Part(label, text[:at]), Part(f"{label} 2", text[at:]))
    return tuple(piece for piece in pieces if piece.text)


@st.composite
def turn(draw: st.DrawFn, family: Any) -> list[Message]:
    """A question, perhaps calls and results, and an answer."""
    said = TEXTS.map(lambda text: text.translate(dict.fromkeys(map(ord, family.unwritable))))
    messages = [Message("user", parts("prose", draw(TEXTS)))]
    trained = st.booleans()

    def thought() -> tuple[Part, ...]:
        wanted = family.reasoning and draw(st.booleans())
        return parts("reasoning", draw(said.filter(str.strip))) if wanted else ()

    for _ in range(draw(st.integers(0, 2)) if family.tools else 0):
        calls = draw(
            st.lists(
                st.builds(ToolCall, NAMES, ARGUMENTS, IDS),
                min_size=1,
                max_size=2 if family.parallel else 1,
                unique_by=lambda call: call.id,
            )
        )
        words = parts("prose", draw(said) if family.words_and_calls else "")
        messages.append(Message("assistant", words, thought(), tuple(calls), trained=draw(trained)))
        messages += [
            Message("tool", parts("result", draw(TEXTS)), tool_call_id=call.id, name=call.name)
            for call in calls
        ]
    answer = parts("reply", draw(said))
    return [*messages, Message("assistant", answer, thought(), trained=draw(trained))]


@st.composite
def conversations(draw: st.DrawFn, family: Any) -> Conversation:
    system = [Message("system", parts("prose", draw(TEXTS)))] if family.system else []
    turns = draw(st.lists(turn(family), min_size=1, max_size=3))
    messages = [*(draw(st.sampled_from([system, []]))), *(m for each in turns for m in each)]
    messages[-1] = evolve(messages[-1], trained=True)
    tools = draw(st.lists(TOOL, max_size=2)) if family.tools else []
    return Conversation(tuple(messages), tuple(tools))


@pytest.fixture(scope="session")
def renderer(tokenizer) -> Renderer:
    return Renderer(tokenizer)


@pytest.fixture(scope="session")
def base(base_tokenizer) -> Renderer:
    return renderer_for(base_tokenizer, tools=False)


few = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
fewer = settings(few, max_examples=25)


def harmless(renderer: Renderer, conversation: Conversation) -> bool:
    """Whether no control token stands in it; others are refused or escaped."""
    written = json.dumps([list(map(as_served, conversation.messages)), conversation.tools])
    return not any(token in written for token in special_tokens(renderer.tokenizer))


@few
@given(st.data())
def test_the_laws_hold(family, renderer, data):
    conversation = data.draw(conversations(family))
    assume(harmless(renderer, conversation))
    assert_the_laws_hold(renderer, family.end, conversation)


@fewer
@given(st.data())
def test_the_laws_hold_for_a_base_model_with_ftcores_template(base_family, base, data):
    conversation = data.draw(conversations(base_family))
    assume(harmless(base, conversation))
    assert_the_laws_hold(base, base_family.end, conversation)


@fewer
@given(st.data())
def test_many_conversations_at_once_give_what_each_gives_by_itself(family, renderer, data):
    drawn = [
        conversation
        for conversation in data.draw(st.lists(conversations(family), min_size=1, max_size=4))
        if harmless(renderer, conversation)
    ]
    refused = Conversation((Message("user", parts("prose", f"a {family.end} b")), *ANSWER))
    together = list(renderer.examples_many(iter([refused, *drawn, refused])))
    assert isinstance(together[0], RenderError)
    assert isinstance(together[-1], RenderError)
    for conversation, found in zip(drawn, together[1:-1], strict=True):
        assert not isinstance(found, RenderError)
        alone = renderer.examples(conversation)
        for one, other in zip(found, alone, strict=True):
            assert one.input_ids.tolist() == other.input_ids.tolist()
            assert one.labels.tolist() == other.labels.tolist()
            assert one.parts.tolist() == other.parts.tolist()
        # and a turn by itself has the tokens that it has in its example
        placed = [(e, start, stop) for e in found for start, stop in blocks(e)]
        for turn, (example, start, stop) in zip(renderer.turns(conversation), placed, strict=True):
            prompt, answer = renderer.encode_turn(turn)
            assert prompt == example.input_ids[:start].tolist()
            assert answer == example.input_ids[start:stop].tolist()


ANSWER = (Message("assistant", parts("reply", "Hm."), trained=True),)


@pytest.mark.parametrize("mode", ["agent", "dual", "emulation"])
def test_the_laws_hold_for_the_samples_of_every_mode(family, tokenizer, mode):
    samples = resources.files(f"ftcore_{mode}").joinpath("examples.jsonl").read_text("utf-8")
    opened = open_mode(mode)
    renderer = renderer_for(tokenizer, tools=mode == "agent")
    ends = renderer.tokenizer.convert_ids_to_tokens(renderer.end_ids()[0])
    held = 0
    for line in samples.splitlines()[::15]:
        conversation = opened.format(Sample(json.loads(line), mode, 1), renderer.target)
        try:
            assert_the_laws_hold(renderer, ends, with_ids(conversation))
            held += 1
        except RenderError as error:
            # an agent that says something beside a call, or calls twice at once
            assert not (family.parallel and family.words_and_calls)
            assert re.search(r"leaves out the text|single tool-calls", str(error))
    assert held >= 10


def with_ids(conversation: Conversation) -> Conversation:
    """With ids of calls and results as a server gives them, which some templates write."""
    count = 0
    waiting: list[str] = []
    messages: list[Message] = []
    for message in conversation.messages:
        if message.tool_calls:
            waiting = [f"{count + number:09}" for number in range(len(message.tool_calls))]
            count += len(waiting)
            calls = zip(message.tool_calls, waiting, strict=True)
            message = evolve(message, tool_calls=tuple(evolve(c, id=i) for c, i in calls))
        elif message.role == "tool":
            message = evolve(message, tool_call_id=waiting.pop(0))
        messages.append(message)
    return evolve(conversation, messages=tuple(messages))
