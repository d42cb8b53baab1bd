"""How a preview looks in a terminal or a pipe: each part on lines of its own, its name before it.

Nothing is told by colour alone: names, bars and brackets say the same without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen
from rich.console import Console
from rich.text import Text

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

STYLES = ("cyan", "green", "yellow", "magenta", "blue", "bright_red")
QUIET = {"structure": "", "end": "bold"}
"""Parts of every example, which have looks of their own."""
PROMPT = "prompt"
MARK = "dim"
MOST_OF_A_NAME = 16
HEAD, TAIL, SPARED = 6, 5, 3
"""Lines of a long prompt that are shown; so few more are shown too."""
NARROW = 24
"""Columns that a text has at least, however narrow the terminal is."""
PLAIN_RULE = 80
KEY = (
    "┃ is trained, │ is prompt; ⟦…⟧ is a control token, ↵ a line break, · a space.\n"
    "Before each: its part, and how many tokens it has."
)


@frozen
class _Page:
    """What all lines have in common."""

    console: Console
    styles: dict[str, str]
    names: int
    """Columns of the names of parts."""
    figures: int
    """Columns of the counts of tokens."""
    full: bool

    @property
    def wrapped(self) -> bool:
        """Whether lines are broken: not in a pipe, where others read them."""
        return not self.console.soft_wrap

    @property
    def columns(self) -> int:
        """Columns of the text."""
        return max(self.console.width - self.names - self.figures - 4, NARROW)


def print_preview(preview: Preview, console: Console, *, full: bool) -> None:
    """Prints all of a preview.

    :param full: long prompts too, from which lines are left out otherwise.
    """
    parts = list(count_parts(preview.examples))
    coloured = [label for label in parts if label not in QUIET]
    styles = {label: STYLES[i % len(STYLES)] for i, label in enumerate(coloured)}
    names = min(max(map(len, [PROMPT, *parts])), MOST_OF_A_NAME)
    most = max((s.tokens for e in preview.examples for s in e.segments), default=0)
    prompts = max((example.tokens for example in preview.examples), default=0)
    figures = len(f"{max(most, prompts):,}")
    page = _Page(console, styles | QUIET, names, figures, full)
    template = "ftcore's chat template" if preview.own_template else "its own chat template"
    page_text = f"{preview.base_model} with {template}, max_seq_length {preview.max_seq_length:,}"
    _say(page, Text(_seen(page_text), "bold"))
    _say(page, Text(KEY, MARK))
    for sample in preview.samples:
        _print_sample(page, sample)
    if len(preview.examples) > 1:
        samples = f"{len(preview.samples)} samples" if len(preview.samples) > 1 else "1 sample"
        _say(page, Text(f"\n{samples}: {counted(preview.examples)}", "bold"))


def _print_sample(page: _Page, sample: ShownSample) -> None:
    for number, example in enumerate(sample.examples, start=1):
        which = f", example {number} of {len(sample.examples)}" if len(sample.examples) > 1 else ""
        title = f"── {_seen(sample.file)}:{sample.line}  {sample.mode}{which} "
        width = page.console.width if page.wrapped else PLAIN_RULE
        page.console.print()
        _say(page, Text(title + "─" * (width - len(title)), "bold"))
        if sample.note and number == 1:
            _say(page, Text(_seen(sample.note)))
        _print_example(page, example)


def _print_example(page: _Page, example: ShownExample) -> None:
    for trained, segments in example.blocks:
        if trained:
            for segment in segments:
                _print_answer(page, segment)
        else:
            _print_prompt(page, segments)
    _say(page, Text(_seen(counted([example])), "bold"))


def _print_answer(page: _Page, segment: Segment) -> None:
    style = page.styles.get(segment.label or "", "")
    lines = list(_lines(page, _text(segment, style, spaces=True)))
    for at, line in enumerate(lines):
        _print_line(page, segment.label or "", segment.tokens, line, style, "┃", first=at == 0)


def _print_prompt(page: _Page, segments: Sequence[Segment]) -> None:
    tokens = sum(segment.tokens for segment in segments)
    whole = Text.assemble(*(_text(segment, MARK, spaces=False) for segment in segments))
    if whole.plain.startswith("\n"):  # what a template writes after a turn is not trained
        whole = Text.assemble((NEWLINE, MARK), whole)
    if whole.plain.endswith("\n"):  # the answer stands on a line of its own anyway
        whole.right_crop(1)
    lines = list(_lines(page, whole))
    hidden = len(lines) - HEAD - TAIL
    if hidden > SPARED and not page.full:
        left_out = Text(f"… {hidden} lines of the prompt are left out; --full prints them", MARK)
        lines = [*lines[:HEAD], left_out, *lines[-TAIL:]]
    for at, line in enumerate(lines):
        _print_line(page, PROMPT, tokens, line, MARK, "│", first=at == 0)


def _print_line(
    page: _Page, name: str, tokens: int, line: Text, style: str, bar: str, *, first: bool
) -> None:
    short = name if len(name) <= page.names else f"{name[: page.names - 1]}…"
    before = f"{short:<{page.names}} {tokens:>{page.figures},} " if first else ""
    start = f"{before:<{page.names + page.figures + 2}}{bar} "
    _say(page, Text.assemble((start, style), line))


def _text(segment: Segment, style: str, *, spaces: bool) -> Text:
    """A segment's text with what stands for the characters that nobody sees."""
    said = Text.assemble(("⟦", MARK)) if segment.control else Text()
    found = marks(segment.text, spaces=spaces and not segment.control)
    for at, character in enumerate(segment.text):
        mark = found.get(at)
        if mark is None:
            said.append("⇥" if character == "\t" else character, style)
        else:
            said.append(mark + ("\n" if mark == NEWLINE else ""), f"{style} {MARK}".strip())
    return said.append("⟧", MARK) if segment.control else said


def _lines(page: _Page, text: Text) -> Iterator[Text]:
    for line in text.split("\n", allow_blank=not text.plain.endswith("\n")):
        if page.wrapped:
            yield from line.wrap(page.console, page.columns, overflow="fold")
        else:
            yield line


def _say(page: _Page, text: Text) -> None:
    page.console.print(text)  # a soft wrapping console leaves lines as long as they are


def _seen(text: str) -> str:
    found = marks(text, spaces=False)
    return "".join(found.get(at, character) for at, character in enumerate(text))
