"""Shows examples as text: which tokens are prompt, which are trained and as what part.

Everything is read off the finished example (ids, labels and parts), so that what is shown is what
is trained, and not what somebody meant to train.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ftcore.prepare import Prepared
    from ftcore.render import Example

MOST_TOKENS_OF_A_CHARACTER = 8
"""After so many tokens that are no whole character together, the text is shown as it is."""

NEWLINE = "↵"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_JOINERS = frozenset("\u200c\u200d\u200e\u200f\u061c")
"""Format characters of everyday spelling, emoji among it: joiners and marks of direction."""


@frozen
class Piece:
    """The fewest tokens that are whole characters together, nearly always one."""

    text: str
    ids: tuple[int, ...]


@frozen
class Segment:
    """Neighbouring tokens of one kind."""

    pieces: tuple[Piece, ...]
    label: str | None
    """The part that the tokens are trained as; None if they are prompt."""
    control: bool = False
    """Whether this is one control token."""

    @property
    def trained(self) -> bool:
        """Whether the model learns to say this."""
        return self.label is not None

    @property
    def text(self) -> str:
        """What the tokens say."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def tokens(self) -> int:
        """How many tokens the segment holds."""
        return sum(len(piece.ids) for piece in self.pieces)


@frozen
class ShownExample:
    """One example, all of it."""

    segments: tuple[Segment, ...]

    @property
    def tokens(self) -> int:
        """How many tokens the example holds."""
        return sum(segment.tokens for segment in self.segments)

    @property
    def trained_tokens(self) -> int:
        """How many of them are trained."""
        return sum(self.by_part.values())

    @property
    def by_part(self) -> Mapping[str, int]:
        """Trained tokens of each part, in the order in which the parts occur."""
        return count_parts([self])

    @property
    def blocks(self) -> Iterator[tuple[bool, tuple[Segment, ...]]]:
        """Prompts and answers in turn: whether it is trained, and its segments."""
        for trained, segments in groupby(self.segments, lambda segment: segment.trained):
            yield trained, tuple(segments)


@frozen
class ShownSample:
    """One sample with all examples that it became."""

    file: str
    line: int
    mode: str
    note: str
    """What was left out of it and why; empty if nothing was."""
    examples: tuple[ShownExample, ...]


@frozen
class Preview:
    """What a run with the same settings trains on."""

    base_model: str
    own_template: bool
    """Whether ftcore's chat template takes the place of the model's."""
    max_seq_length: int
    samples: tuple[ShownSample, ...]

    @property
    def examples(self) -> tuple[ShownExample, ...]:
        """The examples of all samples."""
        return tuple(example for sample in self.samples for example in sample.examples)


def count_parts(examples: Sequence[ShownExample]) -> dict[str, int]:
    """Trained tokens of each part, in the order in which the parts first occur."""
    counts: Counter[str] = Counter()
    for example in examples:
        for segment in example.segments:
            if segment.label is not None:
                counts[segment.label] += segment.tokens
    return dict(counts)


def counted(examples: Sequence[ShownExample]) -> str:
    """``9 of 36 tokens are trained (25%): prose 8, end 1``."""
    parts = count_parts(examples)
    tokens, trained = sum(example.tokens for example in examples), sum(parts.values())
    share = trained / max(tokens, 1)
    listed = ", ".join(f"{label} {count:,}" for label, count in parts.items())
    return f"{trained:,} of {tokens:,} tokens are trained ({share:.0%}): {listed or 'none'}"


def to_json(preview: Preview) -> dict[str, Any]:
    """The preview for scripts, down to the ids of the tokens."""
    return {
        "base_model": preview.base_model,
        "own_chat_template": preview.own_template,
        "max_seq_length": preview.max_seq_length,
        "samples": [
            {
                "file": sample.file,
                "line": sample.line,
                "mode": sample.mode,
                "note": sample.note,
                "examples": [_example_json(example) for example in sample.examples],
            }
            for sample in preview.samples
        ],
    }


def _example_json(example: ShownExample) -> dict[str, Any]:
    return {
        "tokens": example.tokens,
        "trained_tokens": example.trained_tokens,
        "by_part": example.by_part,
        "segments": [
            {
                "text": segment.text,
                "trained": segment.trained,
                "part": segment.label,
                "control": segment.control,
                "ids": [token for piece in segment.pieces for token in piece.ids],
            }
            for segment in example.segments
        ],
    }


def show_sample(
    prepared: Prepared, tokenizer: PreTrainedTokenizerBase, part_labels: Sequence[str]
) -> ShownSample:
    """A prepared sample as text."""
    return ShownSample(
        prepared.sample.file,
        prepared.sample.line,
        prepared.mode.name,
        prepared.note,
        tuple(show_example(example, tokenizer, part_labels) for example in prepared.examples),
    )


def show_example(
    example: Example, tokenizer: PreTrainedTokenizerBase, part_labels: Sequence[str]
) -> ShownExample:
    """An example as text."""
    from ftcore.template import special_tokens

    control = frozenset(special_tokens(tokenizer).values())
    ids: list[int] = example.input_ids.tolist()
    parts: list[int] = example.parts.tolist()

    def kind(at: int) -> tuple[str | None, int]:
        # each control token is a segment of its own
        label = part_labels[parts[at]] if parts[at] >= 0 else None
        return label, at if ids[at] in control else -1

    segments: list[Segment] = []
    before: tuple[int, ...] = ()
    for (label, at), places in groupby(range(len(ids)), kind):
        pieces = tuple(_pieces(tokenizer, [ids[place] for place in places], before))
        segments.append(Segment(pieces, label, control=at >= 0))
        before = pieces[-1].ids
    return ShownExample(tuple(segments))


def marks(text: str, *, spaces: bool) -> dict[int, str]:
    """What stands for the characters of a text that cannot be seen, by their place.

    The mark of a line feed stands before it; every other one takes the character's place.

    :param spaces: also mark line feeds, tabs, and spaces at the ends or beside another space.
    """
    found: dict[int, str] = {}
    for at, character in enumerate(text):
        if character == " ":
            around = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
            if spaces and not all(other and not other.isspace() for other in around):
                found[at] = "·"
        elif character in "\n\t":
            if spaces:
                found[at] = NEWLINE if character == "\n" else "⇥"
        elif mark := _mark(character):
            found[at] = mark
    return found


def _mark(character: str) -> str:
    """What stands for a character wherever it is, for it would be unseen or do something."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp", "Cs")
    return f"⟨U+{code:04X}⟩" if hidden and character not in _JOINERS and character != " " else ""


def _pieces(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], before: tuple[int, ...]
) -> Iterator[Piece]:
    """Each token with what it adds to the text of those before it.

    A character may take several tokens, and a token's text may depend on the one before it
    (SentencePiece drops a space at the beginning), so a token is decoded together with ``before``.
    """
    decode = partial(cast(Any, tokenizer).decode, clean_up_tokenization_spaces=False)
    said = str(decode([*before])) if before else ""
    pending: list[int] = []
    for at, token in enumerate(ids, start=1):
        pending.append(token)
        text = str(decode([*before, *pending]))[len(said) :]
        whole = text and not text.endswith(_REPLACEMENT)
        if whole or at == len(ids) or len(pending) >= MOST_TOKENS_OF_A_CHARACTER:
            yield Piece(text, tuple(pending))
            before, pending = tuple(pending), []
            said = str(decode([*before]))
