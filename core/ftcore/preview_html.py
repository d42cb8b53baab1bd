"""Writes a preview as one HTML page that needs nothing else and runs no script.

The text of an answer, without the names of its parts, is what its tokens say, so that it can be
copied: what stands for white space and for other characters that nobody sees is drawn by the style
sheet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from ftcore.errors import InputError
from ftcore.files import write_whole
from ftcore.preview import (
    NEWLINE,
    Preview,
    Segment,
    ShownExample,
    ShownSample,
    count_parts,
    counted,
    marks,
)
from ftcore.preview_style import STYLE

GENERATOR = '<meta name="generator" content="ftcore preview">'
COLOURS = 8
"""Of parts, in the style sheet; a ninth part has the colour of the first with another line."""
LINES = 5
QUIET = ("structure", "end")
"""Parts of every example, which have looks of their own."""
LONG_PROMPT = 1500
"""Of a prompt of more characters, only the end is shown until somebody asks for all."""


def write_html(preview: Preview, path: Path) -> None:
    """Writes the page, whole or not at all.

    :raises InputError: the place holds something other than a preview.
    """
    if path.is_dir() or (path.exists() and GENERATOR not in _head(path)):
        raise InputError(
            f"{path} exists and is no preview",
            "name another file with --html, such as --html p.html",
        )
    if not path.parent.is_dir():
        raise InputError(
            f"there is no folder {path.parent}", "make it, or name another with --html"
        )
    write_whole(path, page(preview))


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(1000).decode("utf-8", errors="replace")


def page(preview: Preview) -> str:
    """The page."""
    parts = count_parts(preview.examples)
    named = [label for label in parts if label not in QUIET]
    looks = {label: f"c{i % COLOURS} l{i % LINES}" for i, label in enumerate(named)}
    looks |= {label: label for label in QUIET}
    template = "ftcore's chat template" if preview.own_template else "its own chat template"
    samples = "".join(_sample(sample, looks) for sample in preview.samples)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"{GENERATOR}\n"
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>What is trained: {_plain(_files(preview))}</title>\n"
        f"<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>What is trained</h1>\n"
        f"<p><bdi>{_plain(preview.base_model)}</bdi> with {template}, "
        f"max_seq_length {preview.max_seq_length:,}. {_plain(counted(preview.examples))}.</p>\n"
        f"{_legend(parts, looks)}</header>\n<main>\n{samples}</main>\n</body>\n</html>\n"
    )


def _files(preview: Preview) -> str:
    return ", ".join(dict.fromkeys(sample.file for sample in preview.samples))


def _legend(parts: Mapping[str, int], looks: Mapping[str, str]) -> str:
    items = "".join(
        f'<li><span class="sample {looks[label]}">{_plain(label)}</span></li>' for label in parts
    )
    return (
        f'<ul class="legend" aria-label="Trained parts">{items}'
        '<li><span class="dim">prompt, not trained</span></li>'
        '<li><span class="chip">control token</span></li>'
        f"<li>{_drawn(NEWLINE)} line break</li><li>{_drawn('·')} space</li></ul>\n"
    )


def _sample(sample: ShownSample, looks: Mapping[str, str]) -> str:
    note = f'<p class="note">{_plain(sample.note)}</p>\n' if sample.note else ""
    examples = "".join(
        _example(example, number, len(sample.examples), looks)
        for number, example in enumerate(sample.examples, start=1)
    )
    return (
        f"<section>\n<h2><bdi>{_plain(sample.file)}</bdi>:{sample.line} "
        f'<span class="mode">{_plain(sample.mode)}</span></h2>\n{note}{examples}</section>\n'
    )


def _example(example: ShownExample, number: int, count: int, looks: Mapping[str, str]) -> str:
    title = f"<h3>Example {number} of {count}</h3>\n" if count > 1 else ""
    blocks = "".join(
        _answer(segments, looks) if trained else _prompt(segments)
        for trained, segments in example.blocks
    )
    bar = "".join(
        f'<span class="{looks[label]}" style="flex-grow:{tokens}"></span>'
        for label, tokens in example.by_part.items()
    )
    rest = example.tokens - example.trained_tokens
    return (
        f'<article>\n{title}{blocks}<div class="bar" aria-hidden="true">{bar}'
        f'<span style="flex-grow:{rest}"></span></div>\n'
        f'<p class="counts">{_plain(counted([example]))}</p>\n</article>\n'
    )


def _prompt(segments: Sequence[Segment]) -> str:
    tokens = sum(segment.tokens for segment in segments)
    text = "".join(_text(segment) for segment in segments)
    if segments[0].text.startswith("\n"):  # what a template writes after a turn is not trained
        text = _drawn(NEWLINE) + text
    head = f'<span class="kind">prompt <b>{tokens:,}</b></span>'
    body = f'<div class="text" dir="auto">{text}</div>'
    if sum(len(segment.text) for segment in segments) > LONG_PROMPT:
        body = (
            '<input type="checkbox" class="more" aria-label="Show the whole prompt">'
            f'<div class="text long"><div dir="auto">{text}</div></div>'
        )
    return f'<div class="block prompt">{head}{body}</div>\n'


def _answer(segments: Sequence[Segment], looks: Mapping[str, str]) -> str:
    tokens = sum(segment.tokens for segment in segments)
    text = "".join(_trained(segment, looks) for segment in segments)
    return (
        f'<div class="block answer"><span class="kind">trained <b>{tokens:,}</b></span>'
        f'<div class="text" dir="auto">{text}</div></div>\n'
    )


def _trained(segment: Segment, looks: Mapping[str, str]) -> str:
    label = segment.label or ""
    found = marks(segment.text, spaces=not segment.control)
    tokens: list[str] = []
    start = 0
    for piece in segment.pieces:
        end = start + len(piece.text)
        ids = " ".join(map(str, piece.ids))
        text = "".join(_characters(segment.text, start, end, found))
        tokens.append(f'<span class="t" data-i="{ids}" title="token {ids}">{text}</span>')
        start = end
    chip = " chip" if segment.control else ""
    name = "" if label == QUIET[0] else f'<b class="tag">{_plain(label)}</b>'
    said = f'<bdi class="s {looks[label]}{chip}" dir="auto" data-part="{_plain(label)}">'
    return f"{name}{said}{''.join(tokens)}</bdi>"


def _text(segment: Segment) -> str:
    found = marks(segment.text, spaces=False)
    text = "".join(_characters(segment.text, 0, len(segment.text), found))
    return f'<bdi class="{"chip" if segment.control else "s"}" dir="auto">{text}</bdi>'


def _characters(text: str, start: int, end: int, found: Mapping[int, str]) -> Iterator[str]:
    """The characters from ``start`` to ``end`` as HTML, with what stands for the unseen ones."""
    for at in range(start, end):
        mark = found.get(at)
        if mark is None:
            yield escape(text[at])
        elif mark == NEWLINE:
            yield f"{_drawn(mark)}\n"
        elif text[at] in " \t":
            yield _drawn(mark, escape(text[at]))
        else:  # what a page cannot hold, or must not: it would be unseen, or turn the text around
            yield _drawn(mark)


def _drawn(mark: str, instead_of: str = "") -> str:
    return f'<i data-m="{mark}">{instead_of}</i>'


def _plain(text: str) -> str:
    """A text without anything that a page would read as markup or not show."""
    found = marks(text, spaces=False)
    return escape("".join(found.get(at, character) for at, character in enumerate(text)))
