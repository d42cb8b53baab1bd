"""Rendering: the prompt is the one that is served, the answer is what the model must say.

Golden files lie in ``golden/``: a conversation, a line ``# output``, and every example of it. With
``UPDATE_GOLDEN=1`` in the environment they are written anew, to be read before they are kept.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ftcore.jinja import ChatWriter
from ftcore.render import END, IGNORE, STRUCTURE, Example, Renderer, RenderError, renderer_for
from ftcore.spans import token_ranges
from ftcore.template import special_tokens
from ftcore.values import Conversation, Message, Part, ToolCall

GOLDEN = Path(__file__).parent / "golden"

TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
CHATML = (
    "{% for m in messages %}" + TURN + "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FORGETFUL = (
    "{% set ns = namespace(asked=-1) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set ns.asked = loop.index0 %}{% endif %}{% endfor %}"
) + CHATML.replace(
    "{{ m.content }}",
    "{% if loop.index0 > ns.asked and m.reasoning_content %}"
    "<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}",
)
"""Drops the thinking that came before the last question, as Qwen3's template does."""


def user(text: str) -> Message:
    return Message("user", (Part("", text),))


def says(text: str, *calls: ToolCall, thinks: str = "", trained: bool = True) -> Message:
    reasoning = (Part("reasoning", thinks),) if thinks else ()
    return Message("assistant", (Part("prose", text),), reasoning, calls, trained=trained)


def talk(*messages: Message, tools: tuple[Any, ...] = ()) -> Conversation:
    return Conversation(messages, tools)


def with_template(tokenizer: Any, template: str | None) -> Any:
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    return changed


@pytest.fixture(scope="module")
def plain(tokenizer) -> Renderer:
    """With SmolLM2's own template."""
    return renderer_for(tokenizer, tools=False)


@pytest.fixture(scope="module")
def able(tokenizer) -> Renderer:
    """With ftcore's template."""
    return renderer_for(tokenizer, tools=True)


@pytest.fixture(scope="module")
def forgetful(tokenizer) -> Renderer:
    """With a template that drops earlier thinking."""
    return Renderer(with_template(tokenizer, FORGETFUL))


# The laws


def as_served(message: Message) -> dict[str, Any]:
    """A message as a client of the served model sends it, written down apart from ftcore."""
    served: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.reasoning:
        served["reasoning_content"] = message.reasoning_text
    if message.tool_calls:
        served["tool_calls"] = [
            {
                "id": call.id or f"call_{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": dict(call.arguments)},
            }
            for index, call in enumerate(message.tool_calls)
        ]
    if message.tool_call_id is not None:
        served["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        served["name"] = message.name
    return served


def trained_blocks(example: Example) -> Iterator[tuple[int, int]]:
    """Start and end of each run of trained tokens."""
    trained = [False, *(example.labels != IGNORE).tolist(), False]
    edges = [at for at in range(len(trained) - 1) if trained[at] != trained[at + 1]]
    yield from zip(edges[::2], edges[1::2], strict=True)


def assert_the_laws_hold(renderer: Renderer, conversation: Conversation) -> None:
    tokenizer: Any = renderer.tokenizer
    served = [as_served(message) for message in conversation.messages]
    tools = [dict(tool) for tool in conversation.tools] or None
    examples = renderer.examples(conversation)
    blocks = [(e, start, end) for e in examples for start, end in trained_blocks(e)]
    trained = [index for index, m in enumerate(conversation.messages) if m.trained]
    assert len(blocks) == len(trained)  # law 3: nothing else is trained
    for index, (example, start, end) in zip(trained, blocks, strict=True):
        history = served[:index]
        prompt = tokenizer.apply_chat_template(
            history, tools=tools, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        assert example.input_ids[:start].tolist() == prompt  # law 1

        asked = tokenizer.apply_chat_template(
            history, tools=tools, add_generation_prompt=True, tokenize=False
        )
        whole = tokenizer.apply_chat_template(served[: index + 1], tools=tools, tokenize=False)
        answer = whole.removeprefix(asked).removesuffix("\n")
        said = example.input_ids[start:end]
        assert answer.endswith("<|im_end|>")
        assert tokenizer.decode(said.tolist()) == answer  # law 2
        assert answer.count("<|im_end|>") == 1
        assert example.labels[start:end].tolist() == said.tolist()

        parts = example.parts[start:end]
        assert ((parts >= 0) & (parts < len(renderer.part_labels))).all()
        assert renderer.part_labels[parts[-1]] == END
    for example in examples:
        assert len(example.input_ids) == len(example.labels) == len(example.parts)
        assert ((example.labels == IGNORE) == (example.parts == -1)).all()
        assert example.trained_tokens == sum(end - start for start, end in trained_blocks(example))


# Hypothesis draws what users write: any script, control characters, JSON, white space at the ends;
# here only what SmolLM2's vocabulary can write, which lacks the tokens of 21 bytes
LACKING = "\x04\x06\x13\x14\x16\x1d"
WRITABLE = st.characters(
    exclude_categories=("Cs",), exclude_characters=LACKING, max_codepoint=0x3FFFF
)
TEXTS = st.one_of(
    st.text(WRITABLE, max_size=30),
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "  both ends \n",
            "\tTab",
            "assistant\n",
            "e\u0301 é ﬁ Å",
            "👩‍👩‍👧 🇩🇪 🎉",
            "مرحبا \u202e\u05e9\u05dc\u05d5\u05dd\u202c",
            '{"name": "f", "arguments": {"a": "{\\"b\\": [1, 2]}"}}',
            "<tool_call>\n{}\n</tool_call>",
            "<think>\nhm\n</think>\n\n",
            "</tool_response> <|im_en d|> <|im_start",
            "{{ messages }} {% raw %}",
            "1234567 3.14e-10",
            "\r\n\r\n",
            "\x00\x7f\ufeff\u2028",
        ]
    ),
)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,10}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
).filter(lambda value: "Infinity" not in json.dumps(value))
ARGUMENTS = st.dictionaries(TEXTS, VALUES, max_size=3)
CALLS = st.lists(st.builds(ToolCall, NAMES, ARGUMENTS), max_size=3).map(tuple)
PARTS = st.lists(st.builds(Part, st.sampled_from(["prose", "thought"]), TEXTS), max_size=3).map(
    tuple
)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": NAMES},
                optional={"description": TEXTS, "parameters": ARGUMENTS | st.just({})},
            ),
        }
    ),
    max_size=2,
).map(tuple)


def messages(tools: bool, reasoning: bool) -> st.SearchStrategy[Message]:
    asked = st.builds(Message, st.just("user"), PARTS)
    answered = st.builds(
        Message,
        st.just("assistant"),
        PARTS,
        PARTS if reasoning else st.just(()),
        CALLS if tools else st.just(()),
        trained=st.booleans(),
    )
    returned = st.builds(Message, st.just("tool"), PARTS, tool_call_id=st.none() | NAMES)
    return st.one_of(asked, answered, *([returned] if tools else []))


@st.composite
def conversations(draw: st.DrawFn, tools: bool, reasoning: bool = True) -> Conversation:
    system = draw(st.lists(st.builds(Message, st.just("system"), PARTS), max_size=1))
    opening = draw(st.builds(Message, st.just("user"), PARTS))
    rest = draw(st.lists(messages(tools, reasoning), max_size=5))
    last = Message("assistant", draw(PARTS), trained=True)
    return Conversation((*system, opening, *rest, last), draw(TOOLS) if tools else ())


def clean(renderer: Renderer, conversation: Conversation) -> bool:
    """Whether no control token stands in it; others are refused, see below."""
    written = repr(conversation)
    return not any(token in written for token in special_tokens(renderer.tokenizer))


relaxed = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@given(conversations(tools=False, reasoning=False))
@relaxed
def test_the_laws_hold_with_the_models_own_template(plain, conversation):
    assume(clean(plain, conversation))
    assert_the_laws_hold(plain, conversation)


@given(conversations(tools=True))
@relaxed
def test_the_laws_hold_with_ftcores_template(able, conversation):
    assume(clean(able, conversation))
    assert_the_laws_hold(able, conversation)


@given(conversations(tools=False))
@relaxed
def test_the_laws_hold_where_a_template_rewrites_history(forgetful, conversation):
    assume(clean(forgetful, conversation))
    assert_the_laws_hold(forgetful, conversation)


@given(conversations(tools=True))
@relaxed
def test_rendering_changes_nothing_and_gives_the_same_each_time(able, conversation):
    assume(clean(able, conversation))
    before = repr(conversation)
    first, second = able.examples(conversation), able.examples(conversation)
    assert [e.input_ids.tolist() for e in first] == [e.input_ids.tolist() for e in second]
    assert [e.parts.tolist() for e in first] == [e.parts.tolist() for e in second]
    assert repr(conversation) == before


# Which template is taken


def test_without_tools_the_model_keeps_its_own_template(tokenizer, plain):
    assert plain.tokenizer is tokenizer
    assert "SmolLM" in plain.turns(talk(user("Hi"), says("Ho")))[0].prompt


def test_for_tools_a_template_that_lacks_them_gives_way_to_ftcores(tokenizer, able):
    assert able.tokenizer is not tokenizer
    assert able.target.tools


def test_a_template_that_can_do_tools_is_kept(tokenizer, able):
    assert renderer_for(able.tokenizer, tools=True).tokenizer is able.tokenizer


@pytest.mark.parametrize(
    "template",
    [None, "{{ raise_exception('no') }}", "{% for m in messages %}{{ m.content }}{% endfor %}"],
    ids=["none", "one that fails", "one that ends no turn"],
)
def test_a_model_without_a_usable_template_gets_ftcores(tokenizer, template):
    renderer = renderer_for(with_template(tokenizer, template), tools=False)
    assert renderer.turns(talk(user("Hi"), says("Ho")))[0].answer == "Ho<|im_end|>"
    assert_the_laws_hold(renderer, talk(user("Hi"), says("Ho")))


def test_the_ids_that_end_a_turn_the_usual_one_first(plain, able, tokenizer):
    assert plain.end_ids() == able.end_ids() == (tokenizer.convert_tokens_to_ids("<|im_end|>"),)
    changed = copy.deepcopy(tokenizer)
    changed.eos_token = "<|endoftext|>"
    assert Renderer(changed).end_ids() == (2, 0)


# Templates that cannot be trained truthfully


def test_a_template_whose_rendering_does_not_begin_with_the_prompt_is_refused(tokenizer):
    odd = CHATML.replace("{{ m.content }}", "{{ 'FINAL: ' if loop.last }}{{ m.content }}")
    odd = odd.replace("<|im_start|>{{", "{{ '!' if loop.last }}<|im_start|>{{")
    with pytest.raises(RenderError, match="message 1 differently from the prompt"):
        Renderer(with_template(tokenizer, odd)).examples(talk(user("Hi"), says("Ho")))


def test_a_template_that_refuses_a_conversation_says_why(tokenizer):
    strict = "{% if messages | length > 2 %}{{ raise_exception('one turn only') }}{% endif %}"
    renderer = Renderer(with_template(tokenizer, strict + CHATML))
    assert renderer.examples(talk(user("Hi"), says("Ho")))
    with pytest.raises(RenderError, match="refuses the conversation: one turn only"):
        renderer.examples(talk(user("Hi"), says("Ho"), user("Hi"), says("Ho")))


def test_a_turn_without_an_end_is_refused(tokenizer):
    endless = CHATML.replace("<|im_end|>", "")
    with pytest.raises(RenderError, match="message 1 with no end-of-turn token"):
        Renderer(with_template(tokenizer, endless)).examples(talk(user("Hi"), says("Ho")))


def test_a_trained_message_with_nothing_before_it_is_refused_in_plain_words(able):
    with pytest.raises(RenderError, match="message 0 is trained, but no message stands before it"):
        able.examples(talk(says("Ho")))


def test_a_conversation_without_a_trained_message_is_refused(able):
    with pytest.raises(RenderError, match="no message is trained"):
        able.examples(talk(user("Hi"), says("Ho", trained=False)))


def test_what_a_template_leaves_out_is_refused_in_plain_words(tokenizer):
    wordless = CHATML.replace("{{ m.content }}", "{{ m.content if not m.tool_calls }}")
    renderer = Renderer(with_template(tokenizer, wordless))
    with pytest.raises(RenderError, match="leaves out the text of message 1"):
        renderer.examples(talk(user("Hi"), says("Ho", ToolCall("f", {}))))
    with pytest.raises(RenderError, match="leaves out the call of the tool 'f' of message 1"):
        renderer.examples(talk(user("Hi"), says("", ToolCall("f", {}))))
    with pytest.raises(RenderError, match="leaves out the reasoning of message 1"):
        renderer.examples(talk(user("Hi"), says("Ho", thinks="Hm.")))


def test_the_first_of_several_closing_tokens_ends_the_turn(tokenizer):
    closed = CHATML.removesuffix("{% endif %}") + "{% else %}<|endoftext|>{% endif %}"
    renderer = Renderer(with_template(tokenizer, closed))
    (example,) = renderer.examples(talk(user("1?"), says("one"), user("2?"), says("two")))
    said = tokenizer.decode(example.labels[example.labels != IGNORE].tolist())
    assert said == "one<|im_end|>two<|im_end|>"


def test_an_answer_that_the_tokenizer_joins_with_the_prompt_is_trained_apart(plain, tokenizer):
    (turn,) = plain.turns(talk(user("Hi"), says("\n\nHo")))
    prompt, answer = plain.encode_turn(turn)
    assert prompt == plain.encode(turn.prompt)
    assert tokenizer.decode(answer) == "\n\nHo<|im_end|>"
    assert prompt + answer != plain.encode(turn.prompt + turn.answer)


# Many at once


def test_many_are_as_they_would_be_one_by_one_and_come_as_they_go(able):
    def endless() -> Iterator[Conversation]:
        for number in range(10**9):
            yield talk(user(f"{number}?"), says("" if number % 7 else "<|im_end|>", thinks="Hm"))

    found = list(islice(able.examples_many(endless()), 150))
    for number, (conversation, examples) in enumerate(zip(endless(), found, strict=False)):
        if number % 7 == 0:
            assert isinstance(examples, RenderError)
            continue
        assert not isinstance(examples, RenderError)
        (one,), (other,) = examples, able.examples(conversation)
        assert one.input_ids.tolist() == other.input_ids.tolist()
        assert one.parts.tolist() == other.parts.tolist()


def test_a_tokenizer_that_something_else_set_up_gives_the_same(tokenizer, plain):
    conversation = talk(user("Hi"), says("Hold your horses, please."))
    expected = plain.examples(conversation)[0].input_ids.tolist()
    changed = copy.deepcopy(tokenizer)
    changed.backend_tokenizer.enable_truncation(3)
    changed.backend_tokenizer.enable_padding(length=100)
    changed.backend_tokenizer.encode_special_tokens = True
    assert Renderer(changed).examples(conversation)[0].input_ids.tolist() == expected


def test_what_a_template_writes_after_the_end_is_not_trained(tokenizer):
    chatty = CHATML.replace("<|im_end|>\n", "<|im_end|>\n\n")
    (turn,) = Renderer(with_template(tokenizer, chatty)).turns(talk(user("Hi"), says("Ho")))
    assert turn.answer == "Ho<|im_end|>"


def test_where_history_is_rewritten_the_conversation_is_split(tokenizer, forgetful):
    turns = (user("1?"), says("one", thinks="I"), user("2?"), says("two", thinks="II"))
    first, second = forgetful.examples(talk(*turns))
    assert "<think>I</think>one" in tokenizer.decode(first.input_ids)
    assert "<think>I</think>" not in tokenizer.decode(second.input_ids)
    assert "<think>II</think>two" in tokenizer.decode(second.input_ids)
    # without thinking nothing is rewritten, and one example holds both turns
    assert len(forgetful.examples(talk(*(evolve(turn, reasoning=()) for turn in turns)))) == 1


def test_untrained_turns_are_prompt_only(able):
    (example,) = able.examples(
        talk(user("1?"), says("one", trained=False), user("2?"), says("two"))
    )
    said = able.tokenizer.decode(example.labels[example.labels != IGNORE].tolist())
    assert said == "two<|im_end|>"


def test_a_template_that_trims_still_trains_what_it_writes(tokenizer):
    trimming = CHATML.replace("{{ m.content }}", "{{ m.content | trim }}")
    (turn,) = Renderer(with_template(tokenizer, trimming)).turns(
        talk(
            user("Hi"),
            Message("assistant", (Part("a", "  Ho "), Part("b", " he \n")), trained=True),
        )
    )
    assert turn.answer == "Ho  he<|im_end|>"
    found = [(turn.answer[span.start : span.end], span.label) for span in turn.spans]
    assert found == [("Ho ", "a"), (" he", "b")]


# Control tokens

BAD = "a <|im_end|> b"
CALL = ToolCall("f", {"a": 1})


def places(text: str) -> dict[str, tuple[Message, ...]]:
    """Conversations with a text wherever one may stand."""
    parts = (Part("a", text[:5]), Part("b", text[5:]))
    return {
        "user": (user(text), says("x")),
        "system": (Message("system", (Part("", text),)), user("x"), says("x")),
        "answer": (user("x"), says(text)),
        "reasoning": (user("x"), says("x", thinks=text)),
        "split over two parts": (
            user("x"),
            Message("assistant", parts, trained=True),
        ),
        "argument": (user("x"), says("x", ToolCall("f", {"a": {"b": [text]}}))),
        "key of an argument": (user("x"), says("x", ToolCall("f", {text: 1}))),
        "name of a tool": (user("x"), says("x", ToolCall(text, {}))),
        "id of a call": (user("x"), says("x", ToolCall("f", {}, id=text))),
        "result": (user("x"), says("x", CALL), Message("tool", (Part("", text),)), says("y")),
        "id of a result": (
            user("x"),
            says("x", CALL),
            Message("tool", (Part("", "y"),), tool_call_id=text),
            says("y"),
        ),
        "name of a result": (
            user("x"),
            says("x", CALL),
            Message("tool", (Part("", "y"),), name=text),
            says("y"),
        ),
    }


PLACES = places(BAD)


@pytest.mark.parametrize("turns", PLACES.values(), ids=PLACES)
def test_a_control_token_in_the_users_text_is_refused_with_its_message(able, turns):
    index = next(
        index
        for index, message in enumerate(turns)
        if BAD in repr(message) or len(message.content) == 2
    )
    with pytest.raises(RenderError, match=rf"message {index} holds '<\|im_end\|>'"):
        able.examples(talk(*turns))


def test_a_control_token_in_a_tool_is_refused(able):
    tool = {"type": "function", "function": {"name": "f", "description": BAD}}
    with pytest.raises(RenderError, match=r"the tools hold '<\|im_end\|>'"):
        able.examples(talk(user("x"), says("y"), tools=(tool,)))


def test_every_control_token_of_the_vocabulary_is_refused(able):
    for token in special_tokens(able.tokenizer):
        with pytest.raises(RenderError, match="control token"):
            able.examples(talk(user(f"x{token}y"), says("z")))


@pytest.mark.parametrize("token", ['<|"|>', "<|\\|>", "<|\n|>"])
@pytest.mark.parametrize("place", PLACES)
def test_a_control_token_that_json_writes_otherwise_is_found_too(able, place, token):
    tokenizer = copy.deepcopy(able.tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": [token]})
    index = tokenizer.convert_tokens_to_ids(token)
    given = talk(*places(token)[place])
    with pytest.raises(RenderError, match=r"holds '<\|.*a control token") as caught:
        Renderer(tokenizer).examples(given)
    assert "--control-tokens=escape" in caught.value.hint
    (found,) = Renderer(tokenizer, control_tokens="escape").examples_many([given])
    if place == "name of a tool":  # written as JSON it is no name that is called
        assert isinstance(found, RenderError)
    else:
        assert not isinstance(found, RenderError)
        assert not any(index in example.input_ids for example in found)


@pytest.mark.parametrize("place", PLACES)
def test_an_escaped_control_token_is_text_wherever_it_stands(able, place):
    escaping = Renderer(able.tokenizer, control_tokens="escape")
    control = set(special_tokens(able.tokenizer).values())

    def rendered(renderer: Renderer, turns: Any) -> tuple[str, int]:
        ids = [i for e in renderer.examples(talk(*turns)) for i in e.input_ids.tolist()]
        return able.tokenizer.decode(ids), sum(index in control for index in ids)

    expected, count = rendered(able, places("plain")[place])
    found, controls = rendered(escaping, places(BAD)[place])
    assert found == expected.replace("plain", BAD)
    assert controls == count


def test_an_escaped_control_token_carries_the_label_of_its_part(able):
    escaping = Renderer(able.tokenizer, control_tokens="escape")
    (example,) = escaping.examples(talk(user("x"), says(BAD, thinks=BAD)))
    assert labelled(escaping, example) == [
        ("<think>\n", STRUCTURE),
        (BAD, "reasoning"),
        ("\n</think>\n\n", STRUCTURE),
        (BAD, "prose"),
        ("<|im_end|>", END),
    ]


def test_a_text_that_holds_what_marks_escaped_tokens_inside_is_escaped_too(able):
    escaping = Renderer(able.tokenizer, control_tokens="escape")
    every = " ".join(f"zq{letter}qz" for letter in "abcdefghijklmnopqrstuvwxyz")
    text = f"{every} zqa {BAD} zqaqz<|im_end|>"
    (turn,) = escaping.turns(talk(user(text), says(text)))
    assert turn.answer == f"{text}<|im_end|>"
    assert turn.prompt.count(text) == 1


def joining(tokenizer: Any, written: str, **options: Any) -> Renderer:
    """With a template that writes the text of a message so."""
    return Renderer(with_template(tokenizer, CHATML.replace("{{ m.content }}", written)), **options)


JOINTS = {
    "the template goes on": ("{{ m.content }}end|>", (user("a <|im_"), says("b")), 0),
    "the template goes on after it trims": (
        "{{ m.content | trim }}end|>",
        (user("a"), says("b <|im_\n", trained=False), user("c"), says("d")),
        1,
    ),
    "the template has begun": ("<|im_{{ m.content }}", (user("a"), says(" end|>".strip())), 1),
    "two fields meet": (
        "{{ m.reasoning_content }}{{ m.content }}",
        (user("a"), says("end|> b", thinks="c <|im_"), user("d"), says("e", thinks="f")),
        1,
    ),
    "a name and the text meet": (
        "{{ m.name }}{{ m.content }}",
        (user("a"), Message("tool", (Part("", "art|>"),), name="<|im_st"), says("b")),
        1,
    ),
}


@pytest.mark.parametrize("joint", JOINTS)
def test_a_control_token_that_only_the_template_makes_whole_is_refused(tokenizer, joint):
    written, turns, index = JOINTS[joint]
    with pytest.raises(RenderError, match=rf"message {index} holds a piece of '<\|im_") as caught:
        joining(tokenizer, written).examples(talk(*turns))
    assert caught.value.index == index
    spoiled = turns[index]
    assert caught.value.text in (spoiled.text, spoiled.reasoning_text, spoiled.name)
    assert "--control-tokens=escape" in caught.value.hint


def test_a_control_token_that_is_made_whole_between_two_texts_of_a_tool_is_refused(tokenizer):
    tools = (
        "{% for t in tools or [] %}{{ t.function.name }}{{ t.function.description }}{% endfor %}"
    )
    renderer = Renderer(with_template(tokenizer, tools + CHATML))
    tool = {"type": "function", "function": {"name": "f<|im_", "description": "end|>"}}
    with pytest.raises(RenderError, match="the tools hold a piece of"):
        renderer.examples(talk(user("a"), says("b"), tools=(tool,)))


@pytest.mark.parametrize("joint", JOINTS)
def test_a_control_token_that_the_template_makes_whole_may_be_escaped(tokenizer, joint):
    written, turns, _ = JOINTS[joint]
    control = list(special_tokens(tokenizer).values())

    def ids(control_tokens: Any, turns: Any) -> list[int]:
        renderer = joining(tokenizer, written, control_tokens=control_tokens)
        return [i for e in renderer.examples(talk(*turns)) for i in e.input_ids.tolist()]

    found = ids("escape", turns)
    harmless = [
        evolve(
            turn,
            content=(Part("", "x"),),
            reasoning=turn.reasoning and (Part("", "y"),),
            name=turn.name and "z",
        )
        for turn in turns
    ]
    assert tokenizer.decode(found).count("<|im_") > sum(np.isin(found, control))
    assert sum(np.isin(found, control)) == sum(np.isin(ids("refuse", harmless), control))


def test_many_pieces_that_nothing_joins_cost_one_rendering_more(able, monkeypatch):
    rendered: list[int] = []
    turns = ChatWriter.turns

    def counted(self: ChatWriter, *given: Any) -> Any:
        rendered.append(1)
        return turns(self, *given)

    monkeypatch.setattr(ChatWriter, "turns", counted)
    counts: list[int] = []
    for quoted in ("", "> quoted: "):
        rendered.clear()
        able.examples(
            talk(*(m for _ in range(9) for m in (user(quoted + "a"), says(quoted + "b"))))
        )
        counts.append(len(rendered))
    assert counts[1] == counts[0] + 1


def test_pieces_of_control_tokens_that_nothing_joins_are_text(able):
    pieces = [user("<|im_"), says("end|> <|im_st"), user("<"), says("a < b >", thinks="<|")]
    assert_the_laws_hold(able, talk(*pieces))
    call = ToolCall("f", {"<|im_": "end|>", ">": ["<"]})
    assert_the_laws_hold(able, talk(user("|>"), says("<|im_end|", call), user("a"), says("b")))


# Characters that the base model cannot write


@pytest.mark.parametrize("lost", ["\x16", "\x1d", "\U00040000"])
def test_a_character_without_a_token_is_refused_instead_of_lost(plain, lost):
    with pytest.raises(RenderError, match=f"message 1 .*U\\+{ord(lost):04X}.*no token"):
        plain.examples(talk(user("x"), says(f"a{lost}b")))


def test_a_character_that_json_escapes_is_not_lost(able):
    assert able.examples(talk(user("x"), says("", ToolCall("f", {"a": "\x16"}))))


def test_a_tokenizer_that_normalizes_is_accepted(tokenizer):
    from tokenizers import normalizers

    changed = copy.deepcopy(tokenizer)
    changed.backend_tokenizer.normalizer = normalizers.NFC()
    (example,) = Renderer(changed).examples(talk(user("x"), says("e\u0301")))
    said = changed.decode(example.labels[example.labels != IGNORE].tolist())
    assert said == "\u00e9<|im_end|>"


@given(st.text(st.characters(exclude_categories=("Cs",))))
@relaxed
def test_whatever_a_message_holds_it_is_said_whole_or_refused(plain, text):
    try:
        (example,) = plain.examples(talk(user("x"), says(text)))
    except RenderError:
        return
    said = plain.tokenizer.decode(example.labels[example.labels != IGNORE].tolist())
    assert said == f"{text}<|im_end|>"


# Part labels


def labelled(renderer: Renderer, example: Example) -> list[tuple[str, str]]:
    """Text and label of each run of equally labelled trained tokens."""
    runs: list[tuple[str, list[int]]] = []
    for token, part in zip(example.input_ids.tolist(), example.parts.tolist(), strict=True):
        if part < 0:
            continue
        label = renderer.part_labels[part]
        if runs and runs[-1][0] == label:
            runs[-1][1].append(token)
        else:
            runs.append((label, [token]))
    return [(renderer.tokenizer.decode(ids), label) for label, ids in runs]


def test_every_trained_token_knows_its_part(able):
    call = ToolCall("get_weather", {"city": "Rome"})
    (example,) = able.examples(talk(user("?"), says("Let me look.", call, thinks="Which city?")))
    found = labelled(able, example)
    assert [label for _, label in found] == [
        STRUCTURE, "reasoning", STRUCTURE, "prose", STRUCTURE, "tool_name", STRUCTURE, "arguments",
        STRUCTURE, END,
    ]  # fmt: skip
    texts = {label: text for text, label in found}
    assert texts["reasoning"] == "Which city?"
    assert texts["prose"] == "Let me look."
    assert texts["tool_name"] == "get_weather"
    # the last bracket shares a token with one of the structure
    assert texts["arguments"].strip() == '{"city": "Rome"}}'
    assert texts[END] == "<|im_end|>"


@pytest.mark.parametrize("name", ["name", "tool", "call", "tool_call", "e", "arguments"])
def test_a_tool_named_like_the_structure_around_it_is_still_found(able, name):
    (turn,) = able.turns(talk(user("?"), says("", ToolCall(name, {"name": name}))))
    first = next(span for span in turn.spans if span.label == "tool_name")
    assert turn.answer[: first.start] == '<tool_call>\n{"name": "'
    assert turn.answer[first.start : first.end] == name


def test_equal_texts_in_several_parts_keep_their_order(plain):
    parts = tuple(Part(label, "the same ") for label in ("thought", "world", "thought"))
    (turn,) = plain.turns(talk(user("?"), Message("assistant", parts, trained=True)))
    assert [(span.start, span.end, span.label) for span in turn.spans] == [
        (0, 9, "thought"),
        (9, 18, "world"),
        (18, 27, "thought"),
    ]


@pytest.mark.parametrize(
    ("spans", "labels"),
    [
        ([(0, 3, "a"), (3, 6, "b")], "abb"),
        ([(0, 4, "a"), (4, 6, "b")], "aab"),
        ([(0, 1, "a"), (1, 2, "b")], "a  "),  # as much of both: the earlier one
        ([(0, 2, "a"), (2, 3, "b"), (3, 4, "c"), (4, 6, "d")], "abd"),
        ([(1, 1, "a"), (5, 9, "b")], "  b"),
        ([], "   "),
    ],
)
def test_a_token_belongs_to_the_part_that_it_holds_most_of(spans, labels):
    tokens = np.array([(0, 2), (2, 5), (5, 6)])
    places = np.array([(start, end) for start, end, _ in spans], np.int64).reshape(-1, 2)
    ranges = token_ranges(places, np.full((len(spans), 2), (0, 3)), tokens[:, 0], tokens[:, 1])
    found = [" "] * 3
    for (first, beyond), (_, _, label) in zip(ranges.tolist(), spans, strict=True):
        found[first:beyond] = label * (beyond - first)
    assert "".join(found) == labels


def test_the_arguments_of_a_call_are_not_looked_for_beyond_the_next_call(tokenizer):
    renderer = Renderer(with_template(tokenizer, XML))
    calls = ToolCall("first", {}), ToolCall("second", {"a": {}})
    (turn,) = renderer.turns(talk(user("?"), says("", *calls)))
    found = [(turn.answer[span.start : span.end], span.label) for span in turn.spans]
    assert found == [("first", "tool_name"), ("second", "tool_name"), ("{}", "arguments")]


XML = CHATML.replace(
    "{{ m.content }}",
    "{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>\n<function={{ c.function.name }}>"
    "{% for k, v in c.function.arguments.items() %}\n<parameter={{ k }}>\n"
    "{{ v if v is string else v | tojson }}\n</parameter>{% endfor %}\n</function>\n</tool_call>"
    "{% endfor %}",
)


def test_arguments_written_one_by_one_are_found(tokenizer):
    renderer = Renderer(with_template(tokenizer, XML))
    call = ToolCall("set", {"city": "Rome, Italy", "days": 12, "list": ["ä", None]})
    (turn,) = renderer.turns(talk(user("?"), says("Now.", call)))
    found = [(turn.answer[span.start : span.end], span.label) for span in turn.spans]
    assert found == [
        ("Now.", "prose"),
        ("set", "tool_name"),
        ("Rome, Italy", "arguments"),
        ("12", "arguments"),
        ('["ä", null]', "arguments"),
    ]


def pieces(message: Message) -> Iterator[tuple[str, str]]:
    """Text and label of all that ftcore's template writes for a message, written down apart."""
    if message.reasoning:
        yield "<think>\n", STRUCTURE
        yield from ((part.text, part.label) for part in message.reasoning)
        yield "\n</think>\n\n", STRUCTURE
    yield from ((part.text, part.label) for part in message.content)
    for index, call in enumerate(message.tool_calls):
        yield "\n" if message.text or index else "", STRUCTURE
        yield '<tool_call>\n{"name": "', STRUCTURE
        yield call.name, "tool_name"
        yield '", "arguments": ', STRUCTURE
        yield json.dumps(call.arguments, ensure_ascii=False), "arguments"
        yield "}\n</tool_call>", STRUCTURE


@given(conversations(tools=True))
@relaxed
def test_every_character_of_an_answer_has_the_label_of_its_part(able, conversation):
    assume(clean(able, conversation))
    for turn in able.turns(conversation):
        message = conversation.messages[turn.index]
        expected = [label for text, label in pieces(message) for _ in text]
        if message.reasoning_text.strip() == "" or message.reasoning_text in "<think>\n":
            continue  # cannot be told from the structure
        if message.text in "\n</think>\n\n":
            continue
        found = [STRUCTURE] * (len(turn.answer) - len("<|im_end|>"))
        for span in turn.spans:
            found[span.start : span.end] = [span.label] * (span.end - span.start)
        assert found == expected


# Golden files


@pytest.fixture(scope="module")
def golden_templates(tokenizer, able, forgetful) -> dict[str, Renderer]:
    return {"own": Renderer(tokenizer), "ftcore": able, "forgetful": forgetful}


def read_conversation(document: dict[str, Any]) -> Conversation:
    def parts(items: list[list[str]]) -> tuple[Part, ...]:
        return tuple(Part(label, text) for label, text in items)

    return Conversation(
        tuple(
            Message(
                message["role"],
                parts(message.get("content", [])),
                parts(message.get("reasoning", [])),
                tuple(ToolCall(**call) for call in message.get("tool_calls", ())),
                trained=message.get("trained", False),
            )
            for message in document["messages"]
        ),
        tuple(document.get("tools", ())),
    )


def shown(renderer: Renderer, examples: tuple[Example, ...]) -> str:
    """Each token on a line: its part label, or nothing where it is not trained, and its text."""
    lines: list[str] = []
    for number, example in enumerate(examples, start=1):
        lines.append(f"## example {number}: {example.trained_tokens} trained tokens")
        for token, part in zip(example.input_ids.tolist(), example.parts.tolist(), strict=True):
            label = renderer.part_labels[part] if part >= 0 else ""
            text = renderer.tokenizer.convert_ids_to_tokens(token)
            lines.append(f"{label:<10} {text}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_golden(path, golden_templates):
    given_text, _, expected = path.read_text(encoding="utf-8").partition("\n# output\n")
    document = json.loads(given_text)
    renderer = golden_templates[document["template"]]
    found = shown(renderer, renderer.examples(read_conversation(document)))
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(f"{given_text}\n# output\n{found}", encoding="utf-8")
    assert found == expected


def test_there_are_golden_files_for_every_template(golden_templates):
    texts = [path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.txt")]
    named = {json.loads(text.partition("\n# output\n")[0])["template"] for text in texts}
    assert named == set(golden_templates)
