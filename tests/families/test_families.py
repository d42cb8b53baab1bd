"""What is particular to a family of models: what its template can do, and where it cannot."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from ftcore.render import END, IGNORE, Example, Renderer, RenderError, renderer_for
from ftcore.template import special_tokens, target_of
from ftcore.values import Conversation, Message, Part, Target, ToolCall

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = ToolCall("get_weather", {"city": "Rome", "days": 2}, "call00001")
NOON = ToolCall("get_time", {"at": "noon"}, "call00002")
QUESTION = Message("user", (Part("prose", "What is the weather in Rome?"),))


def says(text: str, *calls: ToolCall, thinks: str = "", trained: bool = True) -> Message:
    content = (Part("prose", text),) if text else ()
    reasoning = (Part("reasoning", thinks),) if thinks else ()
    return Message("assistant", content, reasoning, calls, trained=trained)


def result(text: str, call: ToolCall = CALL) -> Message:
    return Message("tool", (Part("result", text),), tool_call_id=call.id, name=call.name)


def talk(*messages: Message, tools: tuple[Any, ...] = ()) -> Conversation:
    return Conversation(messages, tools)


def said(renderer: Renderer, example: Example) -> str:
    tokenizer: Any = renderer.tokenizer
    return tokenizer.decode(example.labels[example.labels != IGNORE].tolist())


def labelled(renderer: Renderer, example: Example) -> dict[str, str]:
    """The text of the tokens of each part."""
    tokenizer: Any = renderer.tokenizer
    ids = {
        label: example.input_ids[example.parts == part].tolist()
        for part, label in enumerate(renderer.part_labels)
    }
    return {label: tokenizer.decode(found).strip() for label, found in ids.items() if found}


@pytest.fixture(scope="session")
def renderer(tokenizer) -> Renderer:
    return Renderer(tokenizer)


@pytest.fixture(scope="session")
def rendering(families) -> Callable[[str], Renderer]:
    made: dict[str, Renderer] = {}
    return lambda name: made.setdefault(name, Renderer(families(name)))


def test_what_a_template_can_do_is_found_out(family, tokenizer):
    expected = Target(tools=family.tools, system=family.system, reasoning=family.reasoning)
    assert target_of(tokenizer) == expected


def test_the_end_of_a_turn_is_found_out(family, renderer):
    ends = [renderer.tokenizer.convert_ids_to_tokens(index) for index in renderer.end_ids()]
    assert ends[0] == family.end
    (example,) = renderer.examples(talk(QUESTION, says("Sunny.")))
    assert (
        said(renderer, example).strip().endswith(f"Sunny.{family.end}") or family.name == "llama2"
    )


def test_the_served_prompt_has_the_models_beginning_once(family, renderer):
    (example,) = renderer.examples(talk(QUESTION, says("Sunny.")))
    if family.name.startswith(("llama", "gemma", "mistral")):
        begins = renderer.tokenizer.bos_token_id
        assert example.input_ids.tolist().index(begins) == 0
        assert example.input_ids.tolist().count(begins) == 1


def test_every_part_is_labelled(family, renderer):
    thinks = "Which city?" if family.reasoning else ""
    if family.tools:
        words = "I look." if family.words_and_calls else ""
        message = says(words, CALL, thinks=thinks)
    else:
        words, message = "I look.", says("I look.")
    (example,) = renderer.examples(talk(QUESTION, message))
    found = labelled(renderer, example)
    assert found[END] == family.end
    assert words in found.get("prose", "")
    assert thinks in found.get("reasoning", "")
    if family.tools:
        assert "get_weather" in found["tool_name"]
        assert "Rome" in found["arguments"]
        assert "2" in found["arguments"]


def test_two_calls_at_once_keep_their_own_arguments(family, renderer):
    if not family.tools:
        pytest.skip("a template without tools")
    conversation = talk(QUESTION, says("", CALL, NOON))
    if not family.parallel:
        with pytest.raises(RenderError, match=r"refuses the conversation.*single tool-calls"):
            renderer.examples(conversation)
        return
    (turn,) = renderer.turns(conversation)
    found = [(turn.answer[s.start : s.end], s.label) for s in turn.spans]
    names = [text for text, label in found if label == "tool_name"]
    assert names == ["get_weather", "get_time"]
    at = next(i for i, (text, _) in enumerate(found) if text == "get_time")
    assert "Rome" in "".join(text for text, _ in found[:at])
    assert "noon" in "".join(text for text, _ in found[at:])


def test_what_a_template_would_leave_out_is_refused(family, renderer):
    if not family.tools or family.words_and_calls:
        pytest.skip("a template that writes both")
    with pytest.raises(RenderError, match="leaves out the text of message 1"):
        renderer.examples(talk(QUESTION, says("I look.", CALL)))


def test_reasoning_that_a_template_has_no_place_for_is_refused(family, renderer):
    if family.reasoning:
        pytest.skip("a template that writes it")
    with pytest.raises(RenderError, match="leaves out the reasoning of message 1"):
        renderer.examples(talk(QUESTION, says("Sunny.", thinks="Which city?")))


def test_roles_in_an_order_that_a_template_refuses(family, renderer):
    strict = family.name.startswith(("llama2", "gemma", "mistral"))
    conversation = talk(QUESTION, QUESTION, says("Sunny."))
    if strict:
        with pytest.raises(RenderError, match="must alternate"):
            renderer.examples(conversation)
    else:
        assert renderer.examples(conversation)


def test_a_character_that_the_vocabulary_lacks_is_refused(family, renderer):
    for character in family.unwritable:
        with pytest.raises(RenderError, match=rf"U\+{ord(character):04X}.*no token"):
            renderer.examples(talk(QUESTION, says(f"a{character}b")))


def test_one_that_is_lost_where_as_much_is_added_is_refused(family, renderer):
    """A tokenizer may put a blank before each text, or have one token for several blanks."""
    for character in family.unwritable:
        for said, then in (
            (f"x{character}y{character}z", "two  spaces"),
            (f"x{character}y", "three   spaces"),
            (f"{character}x {character}", "b"),
        ):
            with pytest.raises(RenderError, match=rf"U\+{ord(character):04X}.*no token"):
                renderer.examples(
                    talk(QUESTION, says(said), Message("user", (Part("", then),)), says("ok"))
                )


def test_runs_of_blanks_are_labelled_in_place(family, renderer):
    parts = (Part("one", "a  b    c"), Part("two", " d\n\n   e"), Part("three", " f"))
    (example,) = renderer.examples(talk(QUESTION, Message("assistant", parts, trained=True)))
    found = labelled(renderer, example)
    for part, letters in zip(parts, ("abc", "de", "f"), strict=True):
        assert found[part.label].split() == list(letters), family.name


@pytest.mark.parametrize("name", ["qwen2.5", "qwen3", "qwen3-coder"])
def test_labels_stay_in_place_where_normal_forms_take_as_many_bytes(rendering, name):
    # in NFC the first is three bytes longer, and the others are three bytes shorter
    parts = (Part("longer", "\u0958"), Part("shorter", " " + "e\u0301" * 3))
    renderer = rendering(name)
    (example,) = renderer.examples(talk(QUESTION, Message("assistant", parts, trained=True)))
    found = labelled(renderer, example)
    assert found["longer"] == "\u0915\u093c"
    assert found["shorter"] == "\u00e9" * 3


def test_half_a_surrogate_pair_is_refused(renderer):
    with pytest.raises(RenderError, match=r"U\+D83D, half of a surrogate pair"):
        renderer.examples(talk(QUESTION, says("a\ud83d")))


def test_a_very_long_conversation(family, renderer):
    long = "Rain, and wind from the sea. 雨と海からの風。 " * 1500
    turns = [
        message
        for number in range(3)
        for message in (evolve(QUESTION, content=(Part("", long),)), says(f"{long}{number}"))
    ]
    examples = renderer.examples(talk(*turns))
    trained = "".join(said(renderer, example) for example in examples)
    assert trained.count("海からの風") == 3 * 1500
    assert trained.count(family.end) == 3


# Families


def test_qwen3_keeps_the_thinking_of_the_last_turn_alone(rendering):
    qwen3 = rendering("qwen3")
    first, second = qwen3.examples(
        talk(QUESTION, says("Rome.", thinks="First"), QUESTION, says("Sunny.", thinks="Second"))
    )
    assert said(qwen3, first) == "<think>\nFirst\n</think>\n\nRome.<|im_end|>"
    assert said(qwen3, second) == "<think>\nSecond\n</think>\n\nSunny.<|im_end|>"
    prompt = qwen3.tokenizer.decode(second.input_ids)
    assert "First" not in prompt
    assert "<|im_start|>assistant\nRome.<|im_end|>" in prompt


def test_qwen3_keeps_the_thinking_between_a_call_and_its_result(rendering):
    qwen3 = rendering("qwen3")
    (example,) = qwen3.examples(
        talk(
            QUESTION,
            says("", CALL, thinks="First"),
            result("20 °C"),
            says("Warm.", thinks="Second"),
            tools=(TOOL,),
        )
    )
    trained = said(qwen3, example)
    assert trained.index("First") < trained.index("get_weather") < trained.index("Second")


def test_qwen3_without_thinking_learns_the_empty_thought_that_it_will_be_served(rendering):
    qwen3 = rendering("qwen3")
    (example,) = qwen3.examples(talk(QUESTION, says("Sunny.")))
    assert said(qwen3, example) == "<think>\n\n</think>\n\nSunny.<|im_end|>"


def test_qwen3_refuses_an_answer_whose_text_it_would_move_into_the_thinking(rendering):
    with pytest.raises(RenderError, match="leaves out the text of message 1"):
        rendering("qwen3").examples(talk(QUESTION, says("a</think>b")))


def test_qwen3_coder_writes_calls_as_xml(rendering):
    coder = rendering("qwen3-coder")
    (turn,) = coder.turns(talk(QUESTION, says("I look.", CALL), tools=(TOOL,)))
    assert "<function=get_weather>\n<parameter=city>\nRome\n</parameter>" in turn.answer
    found = [(turn.answer[s.start : s.end], s.label) for s in turn.spans]
    assert found == [
        ("I look.", "prose"),
        ("get_weather", "tool_name"),
        ("Rome", "arguments"),
        ("2", "arguments"),
    ]


def test_mistral_gets_the_system_text_that_moves_with_the_last_question(rendering):
    mistral = rendering("mistral")
    system = Message("system", (Part("", "Be brief."),))
    first, second = mistral.examples(
        talk(system, QUESTION, says("Sunny."), QUESTION, says("Still sunny."))
    )
    decode = mistral.tokenizer.decode
    text = "What is the weather in Rome?"
    assert decode(first.input_ids) == f"<s>[INST]Be brief.\n\n{text}[/INST]Sunny.</s>"
    assert decode(second.input_ids) == (
        f"<s>[INST]{text}[/INST]Sunny.</s>[INST]Be brief.\n\n{text}[/INST]Still sunny.</s>"
    )
    assert said(mistral, second) == "Still sunny.</s>"


@pytest.mark.parametrize("given", [None, "call_1", "0123456789"])
def test_mistral_gets_ids_of_nine_characters_for_calls_and_their_results(rendering, given):
    mistral = rendering("mistral")
    call, other = evolve(CALL, id=given), evolve(NOON, id=given and f"{given}-b")
    conversation = talk(
        QUESTION, says("", call, other), result("noon", other), result("20 °C", call), says("Warm.")
    )
    (example,) = mistral.examples(conversation)
    ids = re.findall(r'"(?:call_)?id": "([^"]*)"', mistral.tokenizer.decode(example.input_ids))
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", found) for found in ids)
    first, second, *results = ids
    assert first != second
    assert results == ([second, first] if given else [first, second])
    again = mistral.examples(conversation)[0]
    assert again.input_ids.tolist() == example.input_ids.tolist()


def test_mistral_keeps_ids_that_it_takes(rendering):
    mistral = rendering("mistral")
    (example,) = mistral.examples(talk(QUESTION, says("", CALL), result("1"), says("Warm.")))
    assert mistral.tokenizer.decode(example.input_ids).count('"call00001"') == 2


def test_one_example_holds_all_turns_where_nothing_is_rewritten(family, renderer):
    turns = talk(QUESTION, says("Sunny."), QUESTION, says("Rain."), QUESTION, says("Snow."))
    assert len(renderer.examples(turns)) == (3 if family.name == "qwen3" else 1)


# ftcore's template in place of one without tools


@pytest.mark.parametrize("name", ["gemma3", "llama2", "phi3.5", "phi4"])
def test_for_tools_a_family_without_them_gets_ftcores_template(families, name):
    own = families(name)
    renderer = renderer_for(own, tools=True)
    assert renderer.target == Target(tools=True, system=True, reasoning=True)
    conversation = talk(
        QUESTION, says("I look.", CALL, NOON), result("20 °C"), says("Warm."), tools=(TOOL,)
    )
    (example,) = renderer.examples(conversation)
    ids = example.input_ids.tolist()
    begins = own("a")["input_ids"][0] == own.bos_token_id
    assert ids.count(own.bos_token_id) == begins
    assert (ids[0] == own.bos_token_id) == begins
    trained = said(renderer, example)
    assert "I look." in trained
    assert '"city": "Rome"' in trained
    assert "Warm." in trained
    assert "20 °C" not in trained


def test_a_base_model_without_a_template_gets_ftcores(base_tokenizer, tmp_path):
    from transformers import AutoTokenizer

    assert base_tokenizer.chat_template is None
    renderer = renderer_for(base_tokenizer, tools=False)
    renderer.tokenizer.save_pretrained(tmp_path)
    again = Renderer(AutoTokenizer.from_pretrained(tmp_path))
    conversation = talk(QUESTION, says("Sunny."), QUESTION, says("Rain."))
    (example,) = again.examples(conversation)
    assert said(again, example) == "Sunny.<|endoftext|>Rain.<|endoftext|>"
    assert example.input_ids.tolist() == renderer.examples(conversation)[0].input_ids.tolist()


# Control tokens in the user's text


def test_a_control_token_of_any_family_is_refused(family, renderer):
    with pytest.raises(RenderError, match=r"message 1 holds .*control token"):
        renderer.examples(talk(QUESTION, says(f"a {family.end} b")))


def test_escaped_control_tokens_are_text(family, tokenizer):
    escaping = Renderer(tokenizer, control_tokens="escape")
    controls = special_tokens(tokenizer)
    tokens = [family.end, *list(controls)[:3], list(controls)[-1]]
    text = "".join(f"say {token}, {token}" for token in tokens) + family.end
    conversation = talk(
        evolve(QUESTION, content=(Part("", text),)), says(text), QUESTION, says(f"{text}!")
    )
    harmless = talk(QUESTION, says("Sunny."), QUESTION, says("Rain."))
    found, expected = escaping.examples(conversation), escaping.examples(harmless)
    count = sum(e.input_ids.tolist().count(c) for e in found for c in controls.values())
    assert count == sum(e.input_ids.tolist().count(c) for e in expected for c in controls.values())
    said_whole = "".join(said(escaping, example) for example in found)
    assert said_whole.count(text) == 2
    for example in found:
        prompt = tokenizer.decode(example.input_ids)
        assert text in prompt
        assert labelled(escaping, example)["prose"].count(family.end) >= text.count(family.end)


def test_escaped_control_tokens_in_tools_calls_and_results(family, tokenizer):
    if not family.tools:
        pytest.skip("a template without tools")
    escaping = Renderer(tokenizer, control_tokens="escape")
    controls = special_tokens(tokenizer)

    def rendered(text: str) -> tuple[str, int]:
        tool = {**TOOL, "function": {**TOOL["function"], "description": f"It {text}"}}
        call = evolve(CALL, arguments={"city": f"R {text}", f"k{text}": [text]})
        conversation = talk(
            QUESTION, says("", call), result(f"r {text}"), says(f"w {text}"), tools=(tool,)
        )
        ids = [i for e in escaping.examples(conversation) for i in e.input_ids.tolist()]
        return tokenizer.decode(ids), sum(index in set(controls.values()) for index in ids)

    text, count = rendered(f"<{family.end}>")
    plain, expected = rendered("<plain>")
    assert count == expected
    assert text == plain.replace("<plain>", f"<{family.end}>")


def test_an_escaped_token_keeps_the_white_space_beside_it_that_any_text_keeps(family, tokenizer):
    escaping = Renderer(tokenizer, control_tokens="escape")

    def rendered(text: str) -> list[str]:
        told = (evolve(QUESTION, content=(Part("", f"  {text}\n"),)), says(f" \n{text}  "))
        examples = escaping.examples(talk(*told, *told))
        return [tokenizer.decode(example.input_ids) for example in examples]

    for token in (family.end, next(iter(special_tokens(tokenizer)))):
        expected = [text.replace("<plain>", token) for text in rendered("<plain>")]
        assert rendered(token) == expected


def test_escaping_changes_nothing_else(family, tokenizer, renderer):
    escaping = Renderer(tokenizer, control_tokens="escape")
    conversation = talk(QUESTION, says("Sunny."), QUESTION, says("Rain."))
    found = [example.input_ids.tolist() for example in escaping.examples(conversation)]
    assert found == [example.input_ids.tolist() for example in renderer.examples(conversation)]
