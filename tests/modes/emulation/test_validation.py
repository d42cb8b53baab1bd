"""What `ftcore check` says about samples of emulation mode that the schema lets pass."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore_emulation.formatting import MARKERS
from ftcore_emulation.validation import validate


def said(role: str, content: str = "Rain.") -> dict[str, str]:
    return {"role": role, "content": content}


SYSTEM, USER, SAYS = said("system"), said("user"), said("assistant")


def sample(*messages: dict[str, str], **more: str) -> dict[str, Any]:
    return {"messages": list(messages), **more}


def user(content: str) -> dict[str, Any]:
    return sample(said("user", content), SAYS)


def reply(content: str) -> dict[str, Any]:
    return sample(USER, said("assistant", content))


GOOD = {
    "one turn": sample(USER, SAYS),
    "several turns": sample(USER, SAYS, USER, SAYS),
    "a system message": sample(SYSTEM, USER, SAYS),
    "a persona": sample(USER, SAYS, persona="A keeper."),
    "a system text": sample(USER, SAYS, system="You are a keeper."),
    "several messages of a speaker": sample(USER, USER, SAYS, SAYS, USER, SAYS),
    "the persona begins": sample(SAYS, USER, SAYS),
    "the persona begins, described": sample(SYSTEM, SAYS, SAYS, USER, SAYS),
    # words that look like labels, and are none
    "a tag in prose": user("How do I close a <user> tag?"),
    "a quoted tag": reply('"<assistant>" was a tag of ours.'),
    "a tag of another kind": user("<users> is no tag, <b>this</b> is"),
    "a role as a word": reply("User error, most likely: the plug."),
    "a plural": user("Users: how many are there?"),
    "a colon later": reply("The user said: rain."),
    "a label within a text": user("My script:\nUSER: name\nASSISTANT: name"),
    "a label in the description": sample(USER, SAYS, persona="Assistant: never says that word."),
    "a label in the system message": sample(said("system", "User: anybody."), USER, SAYS),
    "only a sign": reply("…"),
    "an emoji": user("🙂"),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_samples_pass(name: str):
    assert validate(GOOD[name]) == []


# what is wrong: (the sample, where, words of the message)
BAD = {
    # who describes the persona
    "a system text and a persona": (
        sample(USER, SAYS, system="A keeper.", persona="A keeper."),
        "/persona",
        "both a 'system' and a 'persona'",
    ),
    "a system text and a system message": (
        sample(SYSTEM, USER, SAYS, system="A keeper."),
        "/messages/0",
        "both a 'system' and a system message",
    ),
    "a persona and a system message": (
        sample(SYSTEM, USER, SAYS, persona="A keeper."),
        "/messages/0",
        "both a 'persona' and a system message",
    ),
    "a blank persona": (sample(USER, SAYS, persona=" \n"), "/persona", "holds no text"),
    "a blank system text": (sample(USER, SAYS, system="\t"), "/system", "holds no text"),
    # texts
    "a blank reply": (reply(" \n "), "/messages/1/content", "this assistant message says nothing"),
    "a blank question": (user(" "), "/messages/0/content", "this user message says nothing"),
    "a blank system message": (
        sample(said("system", " "), USER, SAYS),
        "/messages/0/content",
        "this system message says nothing",
    ),
    "User: in a user message": (user("User: hello"), "/messages/0/content", 'with "User:"'),
    "Assistant: in a reply": (
        reply("Assistant: Rain."),
        "/messages/1/content",
        'with "Assistant:"',
    ),
    "the other's label": (reply("user: hello"), "/messages/1/content", 'with "user:"'),
    "in capitals, after white space": (reply("\n ASSISTANT :x"), "/messages/1/content", "role"),
    "Human:": (user("Human: hello"), "/messages/0/content", 'with "Human:"'),
    "as a heading": (reply("### Assistant:\nRain."), "/messages/1/content", "role"),
    "in bold": (reply("**Assistant:** Rain."), "/messages/1/content", "role"),
    "in bold, the colon after it": (reply("**Assistant**: Rain."), "/messages/1/content", "role"),
    "a tag in capitals": (user("<USER>hello</USER>"), "/messages/0/content", 'with "<USER>"'),
    "several turns in one text": (
        user("<user>hello</user>\n<assistant>Rain.</assistant>"),
        "/messages/0/content",
        'with "<user>"',
    ),
    # order
    "a second system message": (
        sample(SYSTEM, SYSTEM, USER, SAYS),
        "/messages/1/role",
        "first message",
    ),
    "a late system message": (
        sample(USER, SAYS, SYSTEM, USER, SAYS),
        "/messages/2/role",
        "first message",
    ),
    "a system message at the end": (sample(USER, SAYS, SYSTEM), "/messages/2/role", "first"),
    "only the persona": (sample(SAYS), "/messages", "no user message"),
    "only the persona, described": (sample(SYSTEM, SAYS, SAYS), "/messages", "no user message"),
    "only a user": (sample(USER), "/messages", "no assistant message"),
    "only users": (sample(SYSTEM, USER, USER), "/messages", "no assistant message"),
    "the user ends": (sample(USER, SAYS, USER), "/messages/2", "ends with a user message"),
    "the user ends what the persona began": (
        sample(SAYS, USER, USER),
        "/messages/2",
        "ends with a user message",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_fault_is_one_problem_at_its_place_with_a_hint(name: str):
    data, place, words = BAD[name]
    problems = validate(data)
    assert [problem.pointer for problem in problems] == [place]
    assert words in problems[0].message
    assert problems[0].hint
    assert problems[0].severity == "error"


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("place", [0, 1])
def test_every_marker_of_the_mode_is_refused_at_the_head_of_a_text(marker: str, place: int):
    messages = [dict(USER), dict(SAYS)]
    messages[place]["content"] = f"{marker} Rain."
    (problem,) = validate(sample(*messages))
    assert problem.pointer == f"/messages/{place}/content"
    assert json.dumps(marker) in problem.message


def test_all_problems_are_told_at_once():
    data = sample(SYSTEM, said("user", "User: x"), SYSTEM, said("assistant", " "), USER, persona="")
    assert [problem.pointer for problem in validate(data)] == [
        "/persona",
        "/messages/0",
        "/messages/1/content",
        "/messages/3/content",
        "/messages/2/role",
        "/messages/4",
    ]


contents = st.text(min_size=1, max_size=8) | st.sampled_from([*MARKERS, "User:", "**Assistant:**"])
drawn_messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]), "content": contents}
)
drawn_samples = st.fixed_dictionaries(
    {"messages": st.lists(drawn_messages, min_size=1, max_size=6)},
    optional={"persona": contents, "system": contents},
)


@settings(max_examples=300, deadline=None)
@given(drawn_samples)
def test_whatever_the_schema_lets_pass_is_judged_without_a_crash(data: dict[str, Any]):
    before = json.dumps(data)
    problems = validate(data)
    assert json.dumps(data) == before
    for problem in problems:
        assert problem.message
        assert problem.hint
        node: Any = data
        for step in problem.pointer.split("/")[1:]:
            node = node[int(step)] if isinstance(node, list) else node[step]
