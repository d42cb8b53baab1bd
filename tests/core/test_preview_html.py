"""The page of a preview: every token is on it, nothing in it is alive, and eyes can read it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.errors import InputError
from ftcore.preview import Piece, Preview, Segment, ShownExample, ShownSample
from ftcore.preview_html import COLOURS, LINES, LONG_PROMPT, page, write_html
from ftcore.preview_style import STYLE

VOID = {"meta", "input"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "p", "ul"),
    *("li", "main", "section", "article", "div", "span", "b", "i", "bdi", "input"),
}
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
"""What must not be in a page as it is: controls, and what turns the text around."""


class Page(HTMLParser):
    """Reads a page: its trained tokens in order, and everything else that is in it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str]]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.ids: list[int] = []
        self.tokens: list[tuple[str, str]] = []
        """Part and text of each trained token."""
        self.drawn: list[str] = []
        self.names: list[str] = []
        self.prompt = self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag, attrs):
        found = {key: value or "" for key, value in attrs}
        self.tags.append((tag, found))
        if tag in VOID:
            return
        self.open.append((tag, found))
        if "data-i" in found:
            self.ids += map(int, found["data-i"].split())
            self.tokens.append((self.inside("data-part"), ""))
        if tag == "i" and self.within("t"):
            self.drawn.append(found["data-m"])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.text += data
        if self.within("t"):
            part, text = self.tokens[-1]
            self.tokens[-1] = part, text + data
        elif self.within("tag"):
            self.names.append(data)
        elif self.within("prompt") and self.within("text"):
            self.prompt += data

    def within(self, name: str) -> bool:
        return any(name in found.get("class", "").split() for _, found in self.open)

    def inside(self, key: str) -> str:
        return next((found[key] for _, found in self.open if key in found), "")


def piece(text: str, *ids: int) -> Piece:
    return Piece(text, ids or (len(text),))


def shown(*segments: Segment, file: str = "d.jsonl", mode: str = "m", note: str = "") -> Preview:
    sample = ShownSample(file, 7, mode, note, (ShownExample(segments),))
    return Preview("tiny", False, 2048, (sample,))


PROMPT = Segment((piece("Rome?"),), None)
END = Segment((piece("<|im_end|>", 2),), "end", control=True)

WHATEVER = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
SEGMENTS = st.lists(
    st.builds(
        Segment,
        st.lists(
            st.builds(Piece, WHATEVER, st.lists(st.integers(0, 99999), min_size=1).map(tuple)),
            min_size=1,
            max_size=5,
        ).map(tuple),
        st.sampled_from(["structure", "end", "prose", 'a"<b>&'] + [f"p{i}" for i in range(12)]),
    ),
    min_size=1,
    max_size=6,
)


@given(SEGMENTS)
@settings(max_examples=60)
def test_every_trained_token_appears_in_order_with_its_part(segments):
    parsed = Page(page(shown(PROMPT, *segments)))
    assert parsed.ids == [i for s in segments for p in s.pieces for i in p.ids]
    assert [part for part, _ in parsed.tokens] == [s.label for s in segments for _ in s.pieces]
    assert {tag for tag, _ in parsed.tags} <= ALLOWED
    assert not HIDDEN.search(parsed.text)


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=("C", "Z")) | st.sampled_from(" \n\t<>&\"'")))
def test_the_text_of_a_token_is_the_text_that_is_copied(text):
    parsed = Page(page(shown(PROMPT, Segment((piece(text, 1),), "prose"), END)))
    assert parsed.tokens == [("prose", text), ("end", "<|im_end|>")]
    assert parsed.prompt == "Rome?"


@pytest.mark.parametrize("place", ["text", "prompt", "label", "file", "mode", "note", "model"])
def test_markup_in_data_stays_text(place):
    bad = "<script>alert(\"1\")</script><img src=x onerror='y'>&amp;\x00\u202e"
    said = Segment((piece(bad if place == "text" else "x", 1),), bad if place == "label" else "p")
    prompt = Segment((piece(bad),), None) if place == "prompt" else PROMPT
    names = {place: bad} if place in ("file", "mode", "note") else {}
    preview = shown(prompt, said, **names)
    if place == "model":
        preview = Preview(bad, False, 2048, preview.samples)
    parsed = Page(page(preview))
    assert {tag for tag, _ in parsed.tags} <= ALLOWED
    assert not any(key.startswith("on") for _, found in parsed.tags for key in found)
    assert '<script>alert("1")</script>' in parsed.text
    assert "&amp;" in parsed.text
    assert not HIDDEN.search(parsed.text)


def test_the_page_needs_nothing_else_and_runs_nothing():
    parsed = Page(page(shown(PROMPT, END)))
    addresses = [found for _, found in parsed.tags if {"src", "href", "action"} & set(found)]
    assert addresses == []
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    policy = [f["content"] for _, f in parsed.tags if "Content-Security" in f.get("http-equiv", "")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_white_space_that_is_trained_is_drawn_and_that_of_a_prompt_is_not():
    prompt = Segment((piece("  a\n\tb"),), None)
    parsed = Page(page(shown(prompt, Segment((piece(" a", 1), piece("  b\n\t", 2)), "prose"))))
    assert parsed.drawn == ["·", "·", "·", "↵", "⇥"]
    assert parsed.prompt == "  a\n\tb"


def test_each_part_has_its_name_in_words_beside_it_and_in_the_legend():
    segments = [Segment((piece(name, 1),), name) for name in ("thought", "world", "thought")]
    parsed = Page(page(shown(PROMPT, *segments, END)))
    assert parsed.names == ["thought", "world", "thought", "end"]
    legend = page(shown(PROMPT, *segments, END)).partition('class="legend"')[2].partition("</ul>")
    assert [name for name in ("thought", "world", "end") if f">{name}</span>" in legend[0]] == [
        *("thought", "world", "end")
    ]


def test_many_parts_look_different():
    labels = [f"p{number}" for number in range(COLOURS * LINES)]
    text = page(shown(PROMPT, *(Segment((piece("x", 1),), label) for label in labels)))
    looks = re.findall(r'class="s (c\d l\d)"', text)
    assert len(looks) == len(set(looks)) == COLOURS * LINES
    for name in {name for look in looks for name in look.split()}:
        assert f".{name} " in STYLE


def test_control_tokens_are_chips():
    opened = Segment((piece("<|im_start|>"),), None, control=True)
    looks_like = Segment((piece("<|im_end|>", 5, 6),), "prose")
    parsed = Page(page(shown(opened, looks_like, END)))
    chips = [f for tag, f in parsed.tags if tag == "bdi" and "chip" in f.get("class", "").split()]
    assert len(chips) == 2


def test_text_from_right_to_left_is_kept_apart_from_its_surroundings():
    parsed = Page(page(shown(PROMPT, Segment((piece("مرحبا", 1),), "prose"), END)))
    segments = [f for tag, f in parsed.tags if tag == "bdi" and "data-part" in f]
    assert [found["dir"] for found in segments] == ["auto", "auto"]
    texts = [f for _, f in parsed.tags if "text" in f.get("class", "").split()]
    assert texts and all(found["dir"] == "auto" for found in texts)


def test_long_text_wraps_and_a_long_prompt_is_folded():
    wide = Segment((piece("x" * 5000, 1),), "prose")
    assert re.search(r"\.text \{[^}]*overflow-wrap: anywhere", STYLE)
    short, long = (Segment((piece("y" * n),), None) for n in (LONG_PROMPT, LONG_PROMPT + 1))
    assert 'type="checkbox"' not in page(shown(short, wide))
    parsed = Page(page(shown(long, wide)))
    (box,) = [found for tag, found in parsed.tags if tag == "input"]
    assert box["aria-label"]
    assert parsed.prompt == "y" * (LONG_PROMPT + 1)
    assert parsed.tokens == [("prose", "x" * 5000)]


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance of #rrggbb."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_every_colour(theme):
    """WCAG 2.2, level AA: 4.5 to 1 for text."""
    blocks = re.findall(r":root \{([^}]*)\}", STYLE)
    assert len(blocks) == 2
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[theme == "dark"]))
    parts = [f"c{number}" for number in range(COLOURS)]
    for ground in ("page", "panel", "chip", "structure", *parts):
        assert contrast(colours["ink"], colours[ground]) >= 4.5, ground
    for ground in ("page", "panel", "chip"):
        assert contrast(colours["dim"], colours[ground]) >= 4.5, ground
    assert contrast(colours["accent"], colours["panel"]) >= 4.5


def test_a_page_is_written_over_a_page_and_over_nothing_else(tmp_path):
    path = tmp_path / "p.html"
    write_html(shown(PROMPT, END), path)
    write_html(shown(PROMPT, END, note="again"), path)
    assert "again" in path.read_text(encoding="utf-8")
    (tmp_path / "thesis.html").write_text("<p>years of work</p>")
    for place in ("thesis.html", ".", "nowhere/p.html"):
        with pytest.raises(InputError, match=re.escape(str((tmp_path / place).parent))):
            write_html(shown(PROMPT, END), tmp_path / place)
    assert (tmp_path / "thesis.html").read_text() == "<p>years of work</p>"
