"""The page for plugin authors names every hook as it is, and its examples work."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from ftcore import hookspecs
from ftcore.gbnf import parse_gbnf
from ftcore.plugins import installed_plugins, open_mode
from ftcore.values import Prediction, Sample, Target

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text(encoding="utf-8")
SECTIONS = {
    part.partition("\n")[0].strip(): part.partition("\n")[2] for part in PAGE.split("\n## ")
}
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("ftcore_")}


def code(text: str) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def test_hooks_and_sections_are_the_same_in_the_same_order():
    assert [name for name in SECTIONS if name.startswith("ftcore_")] == list(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_the_page_has_the_signature_kind_and_purpose_of(name):
    signature = str(inspect.signature(HOOKS[name])).replace("'", "")
    assert f"```\n{name}{signature}\n```" in SECTIONS[name]
    kind, purpose = re.match(r"(\w+)\. ([^.]+\.)", inspect.getdoc(HOOKS[name]) or "").groups()
    assert f"\n{kind}. {purpose}\n" in SECTIONS[name]
    assert re.search(rf"^\| `{name}` \| {kind.lower()} \|", PAGE, re.MULTILINE)
    for parameter in inspect.signature(HOOKS[name]).parameters:
        assert f"\n| `{parameter}` |" in SECTIONS[name]


@pytest.mark.parametrize("name", HOOKS)
def test_the_page_has_an_example_of(name):
    assert f"@hookimpl\ndef {name}(" in code(SECTIONS[name])


def test_the_page_names_every_field_of_what_metrics_are_given():
    for field in Prediction.__attrs_attrs__:
        assert f"`{field.name}`" in SECTIONS["ftcore_metrics"]


@pytest.fixture
def installed(distribution: Any) -> None:
    """The examples of the page, installed as a mode and an extension."""
    head, *_ = PAGE.split("\n## ")
    mode = "\n".join([code(head), *(code(SECTIONS[name]) for name in HOOKS)])
    distribution("ftc-haiku", mode, mode="haiku")
    distribution("ftc-redact", code(SECTIONS["Wrapping a hook"]), extension="redact")


def test_the_examples_are_a_mode_and_an_extension_that_work(installed):
    assert [plugin.name for plugin in installed_plugins()] == ["haiku", "redact"]
    mode = open_mode("haiku")
    core = {"cognitive_mode": "haiku"}
    sample = Sample({**core, "topic": "mail to a@b.de", "lines": ["one", "two", "three"]}, "f", 1)
    assert mode.problems(sample) == ()
    ask, verse = mode.format(sample, Target(False, False, False)).messages
    assert ask.text == "A haiku about mail to (address), please."
    assert (verse.text, verse.content[0].label) == ("one\ntwo\nthree", "verse")

    dotted = Sample({"topic": "rain", "lines": ["one", "two.", "three"]}, "f", 1)
    assert [problem.pointer for problem in mode.problems(dotted)] == ["/lines/1"]
    assert mode.config_defaults()[0][1] == {"learning_rate": 5e-6, "max_seq_length": 512}

    def said(text: str) -> Prediction:
        return Prediction(sample.data, verse, (ask,), (), text, True)

    assert mode.metrics([said("1\n2\n3"), said("1")]) == {"three_lines": 0.5}
    assert mode.metrics([]) == {}
    assert mode.markers() == ("<verse>", "</verse>")
    grammar = parse_gbnf(mode.grammar() or "")
    assert grammar.accepts(verse.text)
    assert not grammar.accepts("one\ntwo")
    chat = {
        "messages": [
            {"role": "user", "content": "rain"},
            {"role": "assistant", "content": "1\n2\n3"},
        ]
    }
    assert mode.import_chat(chat, sample) == {"topic": "rain", "lines": ["1", "2", "3"]}
