"""A loaded mode: what it promises the core, and that a plugin's fault is called one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve

from ftcore.errors import InputError, PluginError
from ftcore.mode import Mode
from ftcore.plugins import open_mode
from ftcore.values import Conversation, Message, Part, Problem, Sample, Target

SAMPLE = Sample({"ask": "hi", "say": "ho"}, "data.jsonl", 7)
TARGET = Target(tools=False, system=True, reasoning=False)


@pytest.fixture
def mode_of(distribution, mode_code):
    """Opens the mode ``haiku`` whose code ends with the given lines."""

    def install(code: str = "") -> Mode:
        distribution("ftc-haiku", f"{mode_code}\n{code}", mode="haiku", version="0.9")
        return open_mode("haiku")

    return install


def hook(name: str, parameters: str, body: str) -> str:
    return f"@hookimpl\ndef {name}({parameters}):\n    {body}\n"


def formats(body: str) -> str:
    return hook("ftcore_format_sample", "sample", body)


def assert_a_fault_of(error: PluginError, plugin: str = "haiku (ftc-haiku 0.9)") -> None:
    assert plugin in error.message
    assert "--no-plugin" in error.hint
    assert "--debug" in error.hint


# The schema


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("return {'type': 'strnig'}", "/type"),
        ("return []", "no JSON Schema"),
        ("return None", "ftcore_sample_schema"),
        ("return 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_schema_that_is_none_is_refused_when_the_mode_is_opened(mode_of, body, cause):
    with pytest.raises(PluginError) as caught:
        mode_of(hook("ftcore_sample_schema", "", body))
    assert_a_fault_of(caught.value)
    assert cause in caught.value.message


def test_a_schema_that_fails_on_a_sample_is_the_plugins_fault(mode_of):
    mode = mode_of(hook("ftcore_sample_schema", "", "return {'$ref': '#/$defs/nothing'}"))
    with pytest.raises(PluginError, match=r"data\.jsonl:7.*nothing") as caught:
        mode.problems(SAMPLE)
    assert_a_fault_of(caught.value)


def test_a_problem_has_file_line_and_pointer(mode_of):
    (problem,) = mode_of().problems(evolve(SAMPLE, data={"ask": "hi", "say": 5}))
    assert (problem.file, problem.line, problem.pointer) == ("data.jsonl", 7, "/say")
    assert str(problem) == "data.jsonl:7: /say: must be string, is 5"


def test_the_cores_own_keys_never_reach_the_plugin(mode_of):
    mode = mode_of(
        hook("ftcore_validate_sample", "sample", "assert sorted(sample) == ['ask', 'say']")
        + formats(
            "return Conversation((Message('assistant', (Part('', repr(sample)),), trained=True),))"
        )
    )
    core = {"cognitive_mode": "haiku", "comment": "c", "notes": ["n"]}
    sample = evolve(SAMPLE, data={**core, **SAMPLE.data})
    assert mode.problems(sample) == ()
    assert mode.format(sample, TARGET).messages[0].text == "{'ask': 'hi', 'say': 'ho'}"
    assert list(sample.data) == ["cognitive_mode", "comment", "notes", "ask", "say"]


# Validation


def test_plugins_validate_only_what_the_schema_accepts(mode_of):
    mode = mode_of(hook("ftcore_validate_sample", "sample", "return [Problem('too dull')]"))
    wrong = evolve(SAMPLE, data={"ask": "hi"})
    assert [p.message for p in mode.problems(wrong)] == ["the key 'say' is missing"]


def test_problems_of_mode_and_extensions_all_count(distribution, mode_code):
    find = "from ftcore import hookimpl\nfrom ftcore.values import Problem\n" + hook(
        "ftcore_validate_sample", "sample", "return [Problem('{}', '/say', 'h')]"
    )
    distribution("ftc-haiku", mode_code + find.format("dull"), mode="haiku")
    distribution("ftc-strict", find.format("rude"), extension="strict")
    problems = open_mode("haiku").problems(SAMPLE)
    assert {p.message for p in problems} == {"dull", "rude"}
    assert {(p.file, p.line) for p in problems} == {("data.jsonl", 7)}


def test_a_generator_of_problems_is_as_good_as_a_list(mode_of):
    code = "from ftcore.values import Problem\n"
    mode = mode_of(code + hook("ftcore_validate_sample", "sample", "yield Problem('dull')"))
    assert [p.message for p in mode.problems(SAMPLE)] == ["dull"]


@pytest.mark.parametrize(
    "body", ["return 1 / 0", "yield 1 / 0", "return ['dull']", "return 5", "return 'dull'"]
)
def test_a_validator_that_fails_is_the_plugins_fault_at_a_line(mode_of, body):
    mode = mode_of(hook("ftcore_validate_sample", "sample", body))
    with pytest.raises(PluginError, match=r"data\.jsonl:7.*ftcore_validate_sample") as caught:
        mode.problems(SAMPLE)
    assert_a_fault_of(caught.value)


@pytest.mark.parametrize("body", ["sample['more'] = 1", "sample['say'] = {1}", "del sample['ask']"])
@pytest.mark.parametrize("name", ["ftcore_validate_sample", "ftcore_format_sample"])
def test_a_plugin_that_changes_the_sample_is_caught(mode_of, name, body):
    rest = (
        "return []"
        if name == "ftcore_validate_sample"
        else ("return Conversation((Message('assistant', trained=True),))")
    )
    mode = mode_of(hook(name, "sample", f"{body}; {rest}"))
    with pytest.raises(PluginError, match="changed the sample") as caught:
        mode.problems(SAMPLE)
        mode.format(SAMPLE, TARGET)
    assert_a_fault_of(caught.value)
    assert dict(SAMPLE.data) == {"ask": "hi", "say": "ho"}


# Formatting


def test_the_mode_sees_what_the_template_can_do(mode_of):
    mode = mode_of(
        hook(
            "ftcore_format_sample",
            "sample, target",
            "said = Part('', str(target.tools))\n    "
            "return Conversation((Message('assistant', (said,), trained=True),))",
        )
    )
    assert mode.format(SAMPLE, evolve(TARGET, tools=True)).messages[0].text == "True"


def test_a_conversation_is_given_as_the_mode_made_it(mode_of):
    assert mode_of().format(SAMPLE, TARGET) == Conversation(
        (
            Message("user", (Part("", "hi"),)),
            Message("assistant", (Part("said", "ho"),), trained=True),
        )
    )


SAID = "(Part('', 'ho'),)"
NO_CONVERSATIONS = {
    "raises": ("return sample['answer']", "KeyError: 'answer'"),
    "gives nothing": ("return None", "no Conversation"),
    "gives a list": ("return [Message('assistant', trained=True)]", "a list"),
    "trains nothing": (f"return Conversation((Message('assistant', {SAID}),))", "no message"),
    "has no messages": ("return Conversation(())", "no message"),
    "trains the user": (
        f"return Conversation((Message('user', {SAID}, trained=True),))",
        "marks a user message as trained",
    ),
    "has an unknown role": (
        f"return Conversation((Message('asistant', {SAID}), "
        f"Message('assistant', {SAID}, trained=True)))",
        "'asistant'",
    ),
    "forgot a tuple": (
        f"return Conversation(Message('assistant', {SAID}, trained=True))",
        "messages",
    ),
    "has a message of another type": (
        "return Conversation(({'role': 'assistant'},))",
        "message 0",
    ),
    "has text for parts": (
        "return Conversation((Message('assistant', 'ho', trained=True),))",
        "message 0",
    ),
    "forgot a comma": (
        "return Conversation((Message('assistant', (Part('', 'ho')), trained=True),))",
        "message 0",
    ),
    "has a part without text": (
        "return Conversation((Message('assistant', (Part('', None),), trained=True),))",
        "message 0",
    ),
    "has a call of another type": (
        f"return Conversation((Message('assistant', {SAID}, tool_calls=({{}},), trained=True),))",
        "message 0",
    ),
}


@pytest.mark.parametrize(("body", "cause"), NO_CONVERSATIONS.values(), ids=NO_CONVERSATIONS)
def test_a_mode_that_gives_no_usable_conversation_is_named_with_the_sample(mode_of, body, cause):
    mode = mode_of(formats(body))
    with pytest.raises(PluginError, match=r"data\.jsonl:7") as caught:
        mode.format(SAMPLE, TARGET)
    assert_a_fault_of(caught.value)
    assert cause in caught.value.message


def test_a_failing_extension_is_named_and_can_be_turned_off(distribution):
    distribution("ftc-haiku", mode="haiku")
    code = "from ftcore import hookimpl\n@hookimpl(wrapper=True)\ndef ftcore_format_sample():\n"
    distribution("ftc-bad", f"{code}    1 / (yield 0 or 0)", extension="bad", version="3")
    with pytest.raises(PluginError) as caught:
        open_mode("haiku").format(SAMPLE, TARGET)
    assert_a_fault_of(caught.value, "bad (ftc-bad 3)")
    assert "--no-plugin bad" in caught.value.hint


# Settings


def test_defaults_come_with_their_plugin_the_mode_first(distribution, mode_code):
    give = "from ftcore import hookimpl\n" + hook("ftcore_config_defaults", "", "return {}")
    distribution("ftc-a", give.format('{"learning_rate": 1e-5}'), extension="a", version="1")
    give_path = f"from pathlib import Path\n{give}".format("Path('x.json')")
    distribution("ftc-haiku", mode_code + give_path, mode="haiku", version="2")
    assert open_mode("haiku").config_defaults() == (
        ("plugin haiku (ftc-haiku 2)", Path("x.json")),
        ("plugin a (ftc-a 1)", {"learning_rate": 1e-5}),
    )


@pytest.mark.parametrize("body", ["return 1 / 0", "return [1]", "return 'file.json'"])
def test_defaults_that_are_none_are_the_plugins_fault(mode_of, body):
    with pytest.raises(PluginError, match="ftcore_config_defaults") as caught:
        mode_of(hook("ftcore_config_defaults", "", body)).config_defaults()
    assert_a_fault_of(caught.value)


# Metrics


def test_metrics_of_all_plugins_are_put_together(distribution, mode_code):
    give = "from ftcore import hookimpl\n" + hook("ftcore_metrics", "predictions", "return {}")
    distribution("ftc-haiku", mode_code + give.format("{'a': 1}"), mode="haiku")
    distribution("ftc-more", give.format("{'b': len(predictions)}"), extension="more")
    figures = open_mode("haiku").metrics(())
    assert figures == {"a": 1.0, "b": 0.0}
    assert all(type(figure) is float for figure in figures.values())


def test_a_mode_without_metrics_has_none(mode_of):
    assert mode_of().metrics(()) == {}


@pytest.mark.parametrize(
    ("figures", "cause"),
    [
        ("{'a': float('nan')}", "'a' is nan"),
        ("{'a': float('inf')}", "'a' is inf"),
        ("{'a': 'high'}", "'a'"),
        ("{'a': None}", "'a'"),
        ("{'Exact Match': 1.0}", "'Exact Match'"),
        ("{5: 1.0}", "5"),
        ("[1.0]", "list"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_figure_that_is_no_finite_number_with_a_name_is_refused(mode_of, figures, cause):
    mode = mode_of(hook("ftcore_metrics", "predictions", f"return {figures}"))
    with pytest.raises(PluginError) as caught:
        mode.metrics(())
    assert_a_fault_of(caught.value)
    assert cause in caught.value.message


def test_one_figure_given_by_two_plugins_is_refused(distribution, mode_code):
    give = "from ftcore import hookimpl\n" + hook(
        "ftcore_metrics", "predictions", "return {'exact': 1}"
    )
    distribution("ftc-haiku", mode_code + give, mode="haiku")
    distribution("ftc-more", give, extension="more")
    with pytest.raises(PluginError, match="two plugins give the metric 'exact'"):
        open_mode("haiku").metrics(())


# Examples


def test_a_modes_own_examples_lie_in_its_folder(distribution):
    package = distribution("ftc-haiku", mode="haiku")
    with pytest.raises(InputError, match=r"haiku .ftc-haiku 1.0. has no examples"):
        open_mode("haiku").examples()
    (package / "examples.jsonl").write_text(json.dumps(dict(SAMPLE.data)), encoding="utf-8")
    assert open_mode("haiku").examples() == package / "examples.jsonl"


def test_a_mode_of_a_single_file_has_no_examples_of_its_own(distribution, mode_code):
    package = distribution("ftc-haiku", "", mode="haiku")
    (package / "__init__.py").unlink()
    package.rmdir()
    package.with_name("ftc_haiku.py").write_text(mode_code, encoding="utf-8")
    package.with_name("examples.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="has no examples"):
        open_mode("haiku").examples()


def test_a_warning_stays_a_warning(mode_of):
    code = "from ftcore.values import Problem\n"
    mode = mode_of(
        code + hook("ftcore_validate_sample", "sample", "return [Problem('x', severity='warning')]")
    )
    assert mode.problems(SAMPLE) == (Problem("x", file="data.jsonl", line=7, severity="warning"),)


def test_a_mode_that_imports_no_chats_does_so_under_an_extension_too(distribution):
    distribution("ftc-haiku", mode="haiku")
    watch = """
    from ftcore import hookimpl

    @hookimpl(wrapper=True)
    def ftcore_import_chat(chat):
        return (yield)
    """
    distribution("ftc-watch", watch, extension="watch")
    sample = Sample({}, "data.jsonl", 1)
    assert open_mode("haiku").import_chat({"messages": []}, sample) is None


CHATTING = """
@hookimpl
def ftcore_sample_schema():
    sample = {"type": "object", "properties": {"messages": {"type": "array"}}}
    return {"$ref": "#/$defs/sample", "$defs": {"sample": sample}}
"""


def test_an_extension_wraps_what_a_mode_without_the_hook_does_with_chats(distribution, mode_code):
    distribution("ftc-chat", mode_code + CHATTING, mode="chat")
    shorten = """
    from ftcore import hookimpl

    @hookimpl(wrapper=True)
    def ftcore_import_chat(chat):
        taken = yield
        return {"messages": taken["messages"][:1]}
    """
    distribution("ftc-shorten", shorten, extension="shorten")
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}
    taken = open_mode("chat").import_chat(chat, Sample({}, "data.jsonl", 1))
    assert taken == {"messages": chat["messages"][:1]}


@pytest.mark.parametrize("given", ["{1, 2}", "{5: 1}", "[1]", "None", "{'a': {1}}"])
def test_an_imported_sample_that_is_no_json_is_the_plugins_fault(distribution, mode_code, given):
    code = f"\n@hookimpl\ndef ftcore_import_chat(chat):\n    return {given}\n"
    distribution("ftc-haiku", mode_code + code, mode="haiku")
    with pytest.raises(PluginError, match="no JSON object"):
        open_mode("haiku").import_chat({"messages": []}, Sample({}, "data.jsonl", 7))


@pytest.mark.parametrize(
    "given", ["Problem(5)", "Problem('a', 3)", "Problem('a', severity='fatal')"]
)
def test_a_problem_of_wrong_types_is_the_plugins_fault(distribution, mode_code, given):
    code = (
        "\nfrom ftcore.values import Problem\n"
        f"\n@hookimpl\ndef ftcore_validate_sample(sample):\n    return [{given}]\n"
    )
    distribution("ftc-haiku", mode_code + code, mode="haiku")
    with pytest.raises(PluginError, match="no Problem as documented"):
        open_mode("haiku").problems(Sample({"ask": "a", "say": "b"}, "data.jsonl", 7))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return 7", "gave a int, no text and not None"),
        ("return 'root ::= line'", "names line, and there is no such rule"),
        ("return 'root ::= tool-calls'", "names tool-calls, and there is no such rule"),
        ("return 'root ::= prose\\nprose ::= .'", "the rule prose has a name that is the core's"),
        ("1 / 0", "ftcore_grammar raised ZeroDivisionError"),
    ],
)
def test_a_grammar_that_cannot_be_used_is_the_plugins_fault(distribution, mode_code, body, why):
    code = f"{mode_code}\n@hookimpl\ndef ftcore_grammar():\n    {body}\n"
    distribution("ftc-haiku", code.replace("\nprose", "\\nprose"), mode="haiku")
    with pytest.raises(PluginError, match=why):
        open_mode("haiku").grammar()


def test_a_mode_may_do_without_a_grammar_and_an_extension_wrap_it(distribution, mode_code):
    distribution("ftc-haiku", mode_code, mode="haiku")
    assert open_mode("haiku").grammar() is None
    wrap = "from ftcore import hookimpl\n@hookimpl(wrapper=True)\ndef ftcore_grammar(tools):\n"
    distribution(
        "ftc-form", f"{wrap}    text = yield\n    return text or 'root ::= .+'", extension="form"
    )
    assert open_mode("haiku").grammar() == "root ::= .+"


def test_with_tools_a_grammar_may_name_the_rules_of_calls(distribution, mode_code):
    hook = "@hookimpl\ndef ftcore_grammar(tools):\n    return 'root ::= prose tool-calls'\n"
    distribution("ftc-haiku", f"{mode_code}\n{hook}", mode="haiku")
    tool = {"type": "function", "function": {"name": "now"}}
    assert open_mode("haiku").grammar([tool]) == "root ::= prose tool-calls"
