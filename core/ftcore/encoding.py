"""Encodes rendered text: token ids, and the characters that each token stands for."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ftcore.controls import ControlTokens
from ftcore.errors import InputError


@frozen
class Encoded:
    """A text in tokens. The lists have the same length."""

    ids: list[int]
    starts: list[int] = field(repr=False)
    """The character at which each token begins. Bytes of one character share it."""
    ends: list[int] = field(repr=False)
    """One beyond the character at which each token ends."""
    whole: bool
    """Whether the tokens are known to say the text, byte for byte."""


class Encoder:
    """Encodes with one tokenizer. Special tokens in a text are recognised, none is added."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, controls: ControlTokens) -> None:
        self._tokenizer = tokenizer
        self._controls = controls
        backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise InputError(
                "the base model's tokenizer has no fast version (tokenizer.json), which tells "
                "which characters a token stands for",
                "convert it: AutoTokenizer.from_pretrained(…).save_pretrained(…)",
            )
        self._backend = backend

    def encode(self, text: str, escaped: Sequence[int] = ()) -> Encoded:
        """A text in tokens.

        :param escaped: where in it control tokens stand that are only text.
        """
        self._reset()
        if escaped:
            return self._encode_escaped(text, escaped)
        return _with_offsets(self._backend.encode(text, add_special_tokens=False))

    def encode_many(self, texts: Sequence[str]) -> Iterator[Encoded]:
        """Each text in tokens, faster than one by one."""
        self._reset()
        widths = self._widths
        if widths is None:
            found = self._backend.encode_batch(texts, add_special_tokens=False)
            yield from map(_with_offsets, found)
            return
        for text, encoding in zip(
            texts, self._backend.encode_batch_fast(texts, add_special_tokens=False), strict=True
        ):
            yield _by_widths(text, encoding.ids, widths, nfc=self._nfc) or self.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens included."""
        return str(
            self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)  # pyright: ignore[reportUnknownMemberType]
        )

    def _reset(self) -> None:
        """Undoes what other users of the tokenizer may have set."""
        self._backend.encode_special_tokens = False
        self._backend.no_truncation()
        self._backend.no_padding()

    @cached_property
    def _widths(self) -> NDArray[np.int32] | None:
        """How many bytes of text each token id stands for; None where that depends on its place.

        The places of tokens then follow from their ids alone, several times as fast as the
        tokenizer tells them, wherever the sum is right.
        """
        normalizer = _state(self._backend.normalizer)
        steps = cast("list[Any]", normalizer.get("normalizers", [normalizer] if normalizer else []))
        space = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
        if any(step != space and step != {"type": "NFC"} for step in steps):
            return None
        decoder = _state(self._backend.decoder)
        bytewise = decoder.get("type") == "ByteLevel"
        if not bytewise and {"type": "ByteFallback"} not in decoder.get("decoders", []):
            return None
        vocabulary = cast("dict[str, int]", self._backend.get_vocab(with_added_tokens=True))
        added = cast("dict[int, Any]", self._backend.get_added_tokens_decoder())
        unknown = None if bytewise else getattr(self._backend.model, "unk_token", None)
        widths = [0] * (max(vocabulary.values(), default=0) + 1)
        for token, index in vocabulary.items():
            if token == unknown:
                widths[index] = 0
            elif index in added:
                widths[index] = len(token.encode())
            elif bytewise:
                widths[index] = len(token)
            elif len(token) == 6 and token.startswith("<0x"):
                widths[index] = 1
            else:
                widths[index] = len(token.replace("\u2581", " ").encode())
        return np.array(widths, np.int32)

    @cached_property
    def _nfc(self) -> bool:
        return "NFC" in json.dumps(_state(self._backend.normalizer))

    def _encode_escaped(self, text: str, escaped: Sequence[int]) -> Encoded:
        """Between two real control tokens, none is recognised where one is only text."""
        real = [f.span() for f in self._controls.pattern.finditer(text) if f.start() not in escaped]
        begins = [0, *(end for _, end in real)]
        ends = [*(start for start, _ in real), len(text)]
        pieces: list[Encoded] = []
        done = 0
        for start, end in zip(begins, ends, strict=True):
            if any(start <= place < end for place in escaped):
                pieces.append(self._encode_piece(text, done, start))
                inner = self._without_taken_space(text, start, end)
                pieces.append(self._encode_piece(text, *inner, special=False))
                done = end
        pieces.append(self._encode_piece(text, done, len(text)))
        return Encoded(
            [index for piece in pieces for index in piece.ids],
            [place for piece in pieces for place in piece.starts],
            [place for piece in pieces for place in piece.ends],
            whole=False,
        )

    def _encode_piece(self, text: str, start: int, end: int, *, special: bool = True) -> Encoded:
        self._backend.encode_special_tokens = not special
        found = _with_offsets(self._backend.encode(text[start:end], add_special_tokens=False))
        self._backend.encode_special_tokens = False
        starts = [place + start for place in found.starts]
        return Encoded(found.ids, starts, [place + start for place in found.ends], whole=False)

    def _without_taken_space(self, text: str, start: int, end: int) -> tuple[int, int]:
        """The piece without the white space that the control tokens around it take away."""
        flags = {str(t.content): t for t in self._backend.get_added_tokens_decoder().values()}
        before = next((t for t in self._controls.ids if text.endswith(t, 0, start)), None)
        after = self._controls.pattern.match(text, end)
        if before and flags[before].rstrip:
            start = end - len(text[start:end].lstrip())
        if after and flags[after.group()].lstrip:
            end = start + len(text[start:end].rstrip())
        return start, end


def _with_offsets(encoding: Any) -> Encoded:
    places: list[tuple[int, int]] = encoding.offsets
    starts, ends = [start for start, _ in places], [end for _, end in places]
    return Encoded(encoding.ids, starts, ends, whole=False)


def _by_widths(
    text: str, ids: list[int], widths: NDArray[np.int32], *, nfc: bool
) -> Encoded | None:
    """None where the tokens do not stand for the very bytes of the text, one after the other.

    :param widths: how many bytes each id of the vocabulary stands for.
    """
    lengths = widths.take(ids)
    ends = lengths.cumsum()
    starts = ends - lengths
    data = b"" if text.isascii() else text.encode()
    if not ids or ends[-1] != (len(data) or len(text)):
        return None
    if data:
        if nfc and not unicodedata.is_normalized("NFC", text):
            return None
        begun = ((np.frombuffer(data, np.uint8) & 0xC0) != 0x80).cumsum()  # characters, by byte
        starts, ends = begun.take(starts) - 1, begun.take(ends - 1)
    return Encoded(ids, starts.tolist(), ends.tolist(), whole=True)


def _state(part: Any) -> dict[str, Any]:
    """A part of the tokenizer as ``tokenizer.json`` writes it."""
    return json.loads(part.__getstate__()) if part is not None else {}
