"""What of a text is structure, and what only writes about the tags: both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.markers import Tag, blank
from ftcore.markers import structural_tags as structural

NAMES = ("thought", "world")


def structural_tags(text: str) -> tuple[Tag, ...]:
    return structural(text, NAMES)


MENTIONS = {
    "no tag": "I think of the world.",
    "another tag": "<think>hm</think>",
    "a longer name": "<thoughts>hm</thoughts>",
    "inside a sentence": "The <thought> tag holds what is not said.",
    "before punctuation": "I never understood <world>, to be honest. Or </world>.",
    "as the subject of a clause": "I say <thought>, which few know, ends with </thought>, see?",
    "with a hyphen": "Der <thought>-Tag und der </thought>-Tag sind neu.",
    "in a script without spaces": "この<thought>タグは内側、</world>タグは外側です。",
    "both, inside a sentence": "The words between <thought> and </thought> stay inside.",
    "in another language": "Alles zwischen <thought> und </thought> bleibt innen.",
    "a pair around dots": "It is written <thought>…</thought> or <thought> ... </thought> there.",
    "an empty pair": "You may not write <thought></thought> there.",
    "in backticks at the start": "`<thought>` comes first.",
    "in backticks at the end": "It ends with `</world>`",
    "a pair in backticks": "Write `<thought>I am cold.</thought>` first.",
    "in double backticks": "Write ``<world>`Hi`</world>`` then.",
    "in a fence": "So:\n```xml\n<thought>\nI am cold.\n</thought>\n```\nThat is all.",
    "in quotation marks at the end": 'The tag is called "<thought>"',
    "in quotation marks at the start": "“<world>” follows.",
    "two in quotation marks": "Between »<thought>« and the later »</thought>« I am alone.",
    "in brackets": "the opening tag (<thought>) and later the closing tag (</thought>) of it",
    "in bold type": "**<thought>** opens, and then **</thought>** closes.",
    "closed before it is opened": "The tags </world> and then <world> are out of order.",
}

# text: the tags that count
STRUCTURE = {
    "<thought>I am cold.</thought>": ["<thought>", "</thought>"],
    "  <world>\nHi.\n</world>\n": ["<world>", "</world>"],
    "I am cold.</thought>": ["</thought>"],
    "<thought>I am cold.": ["<thought>"],
    "<thought> I am cold.": ["<thought>"],
    "I am cold. <world>": ["<world>"],
    "One line.\n</thought> And one more.": ["</thought>"],
    "One line.\r\n<world>\r\nAnd one more.": ["<world>"],
    "One line.\u2028<world> And one more.": ["<world>"],
    "\ufeff<thought> after a byte order mark": ["<thought>"],
    "I am cold. </thought> <world> ": ["</thought>", "<world>"],
    "Well, <thought>\n<world> you see.": ["<thought>", "<world>"],
    "</thought><world>Hi.": ["</thought>", "<world>"],
    "Well, <thought>I am cold</thought> you see.": ["<thought>", "</thought>"],
    "Well, <thought> I am cold </thought> you see.": ["<thought>", "</thought>"],
    "Well, <thought>cold</thought> you see.": ["<thought>", "</thought>"],
    "Well, <thought>I am cold, you see.": ["<thought>"],
    "Well, I am cold.</thought> You see?": ["</thought>"],
    "Well, I am “cold”…</thought> You see?": ["</thought>"],
    "It is cold.</thought> Then <thought>it is warm.": ["</thought>", "<thought>"],
    "It is cold. </thought> <world> It is warm.": ["</thought>", "<world>"],
    "Well,<THOUGHT>cold</Thought >you see.": ["<thought>", "</thought>"],
    "Well, <thought>寒い</thought> you see.": ["<thought>", "</thought>"],
    'He wrote "<thought>I am cold</thought>" there.': ["<thought>", "</thought>"],
    "The <world> is a stage <world>all of it</world> for us.": ["<world>", "</world>"],
    "`code` <thought>I am cold</thought> `code` end": ["<thought>", "</thought>"],
    "a ` stray\n<world>\nbacktick ` here": ["<world>"],
    "<thought> and </thought> mark it.": ["<thought>", "</thought>"],
}


@pytest.mark.parametrize("name", MENTIONS)
def test_who_writes_about_a_tag_writes_no_structure(name: str):
    assert structural_tags(MENTIONS[name]) == ()


@pytest.mark.parametrize("text", STRUCTURE)
def test_tags_that_act_as_structure_are_found(text: str):
    assert [tag.written for tag in structural_tags(text)] == STRUCTURE[text]


prose = st.text(st.characters(exclude_characters="<>`"), max_size=20)
tags = st.sampled_from(["<thought>", "</thought>", "<world>", "</world>"])


@given(prose, prose, st.sampled_from(["thought", "world"]))
def test_a_text_in_tags_is_always_structure(before: str, inside: str, name: str):
    text = f"{before}<{name}>a{inside}</{name}>"
    assert [tag.written for tag in structural_tags(text)] == [f"<{name}>", f"</{name}>"]


@given(prose, tags, prose)
def test_a_tag_in_backticks_is_never_structure(before: str, tag: str, after: str):
    assert structural_tags(f"{before}`{tag}`{after}") == ()


@given(st.lists(prose | tags | st.sampled_from(["`", "\n", '"'])))
def test_what_is_found_stands_there_in_order(pieces: list[str]):
    text = "".join(pieces)
    found = structural_tags(text)
    assert [text[tag.start : tag.end] for tag in found] == [tag.written for tag in found]
    assert [tag.start for tag in found] == sorted({tag.start for tag in found})


@pytest.mark.parametrize("text", ["", " \n\t", "\u00a0\u3000", "\u200b", "\ufeff\u2060", "\x00"])
def test_what_shows_nothing_is_blank(text: str):
    assert blank(text)


@pytest.mark.parametrize("text", [".", "a", " 0 ", "🙂", "\u200bé"])
def test_what_shows_something_is_not_blank(text: str):
    assert not blank(text)
