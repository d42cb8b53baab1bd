"""Encodes rendered text: token ids, and the characters that each token stands for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate, chain, repeat
from typing import Any, cast

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ftcore.controls import ControlTokens
from ftcore.errors import InputError


@frozen(eq=False)
class Encoded:
    """Texts in tokens, end to end. ``ids``, ``starts`` and ``ends`` have one element a token."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int64] = field(repr=False)
    """The character, of all texts, at which each token begins. Bytes of one share it."""
    ends: NDArray[np.int64] = field(repr=False)
    """One beyond the character at which each token ends."""
    bounds: NDArray[np.int64]
    """The first token of each text, and one beyond the last of all."""
    origins: NDArray[np.int64] = field(repr=False)
    """The first character of each text, and one beyond the last of all."""
    exact: NDArray[np.bool_]
    """For each text whether its tokens are known to say it, byte for byte."""


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
        return self._encode_escaped(text, escaped) if escaped else self._encode((text,))

    def encode_many(self, texts: Sequence[str]) -> Encoded:
        """Texts in tokens, faster than one by one."""
        self._reset()
        return self._encode(texts)

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

    def _encode(self, texts: Sequence[str]) -> Encoded:
        quick = self._words is not None
        encode = self._backend.encode_batch_fast if quick else self._backend.encode_batch
        found: list[Any] = encode(texts, add_special_tokens=False)
        every: list[list[int]] = [encoding.ids for encoding in found]
        bounds, origins = _places(map(len, every)), _places(map(len, texts))
        ids = np.fromiter(chain.from_iterable(every), np.int32, int(bounds[-1]))
        starts, ends, exact = self._by_words(texts, ids, bounds)
        others: list[int] = np.flatnonzero(~exact).tolist()
        if quick and others:  # which tells no places
            again = [texts[place] for place in others]
            told: list[Any] = self._backend.encode_batch(again, add_special_tokens=False)
        else:
            told = [found[place] for place in others]
        for place, one in zip(others, told, strict=True):
            tokens = slice(bounds[place], bounds[place + 1])
            places = np.array(one.offsets, np.int64).reshape(-1, 2) + origins[place]
            starts[tokens], ends[tokens] = places.T
        return Encoded(ids, starts, ends, bounds, origins, exact)

    def _by_words(
        self, texts: Sequence[str], ids: NDArray[np.int32], bounds: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Where each token begins and ends, and for which texts that is known: those for whose
        very bytes the tokens stand, one after the other.
        """
        if self._words is None:
            return np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64), _none(len(texts))
        widths = self._widths.take(ids)
        ends = widths.cumsum()
        text = "".join(texts)
        written, said = text.encode(), b"".join(self._words.take(ids).tolist())
        plain = len(written) == len(text)
        sizes = _places(map(len, texts) if plain else (len(text.encode()) for text in texts))
        reached = np.concatenate([[0], ends])[bounds]
        exact = np.diff(reached) == np.diff(sizes)
        if not exact.all():  # the texts after one that is not are where they are all the same
            ends += np.repeat((sizes - reached)[:-1], np.diff(bounds))
        if said != written:  # as many bytes need not be the same
            for at in np.flatnonzero(exact).tolist():
                here = said[reached[at] : reached[at + 1]]
                exact[at] = here == written[sizes[at] : sizes[at + 1]]
        starts: NDArray[np.int64] = ends - widths
        if not plain:
            data = np.frombuffer(written, np.uint8)
            begun = ((data & 0xC0) != 0x80).cumsum(dtype=np.int64)  # characters, by byte
            starts = begun.take(starts, mode="clip") - 1
            ends = begun.take(ends - 1, mode="clip")
        return starts, ends, exact

    @cached_property
    def _words(self) -> NDArray[np.object_] | None:
        """The bytes of text that each token id stands for; None where that depends on its place.

        The places of tokens then follow from their ids alone, several times as fast as the
        tokenizer tells them, wherever these bytes are the text's.
        """
        if _prepends(_state(self._backend.pre_tokenizer)):
            return None
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
        words = [b""] * (max(vocabulary.values(), default=0) + 1)
        for token, index in vocabulary.items():
            if token == unknown:
                continue
            if bytewise and index not in added:
                words[index] = bytes(map(_BYTES.get, token, repeat(0)))
            elif bytewise:
                words[index] = token.encode()
            elif index not in added and len(token) == 6 and token.startswith("<0x"):
                words[index] = bytes.fromhex(token[3:5])
            else:
                words[index] = token.replace("\u2581", " ").encode()
        return np.array(words, np.object_)

    @cached_property
    def _widths(self) -> NDArray[np.int64]:
        """How many bytes of text each token id stands for."""
        return np.array(list(map(len, [] if self._words is None else self._words)), np.int64)

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
        return one_text(text, pieces)

    def _encode_piece(self, text: str, start: int, end: int, *, special: bool = True) -> Encoded:
        self._backend.encode_special_tokens = not special
        found = self._encode((text[start:end],))
        self._backend.encode_special_tokens = False
        return moved(found, start)

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


def moved(encoded: Encoded, characters: int) -> Encoded:
    """The same tokens, each standing so many characters later."""
    return evolve(encoded, starts=encoded.starts + characters, ends=encoded.ends + characters)


def one_text(text: str, pieces: Sequence[Encoded]) -> Encoded:
    """A text of which the pieces are encoded, whose tokens stand where they do in the text."""
    ids = np.concatenate([piece.ids for piece in pieces])
    starts = np.concatenate([piece.starts for piece in pieces])
    ends = np.concatenate([piece.ends for piece in pieces])
    return Encoded(ids, starts, ends, _places([len(ids)]), _places([len(text)]), _none(1))


def _none(count: int) -> NDArray[np.bool_]:
    return np.zeros(count, np.bool_)


def _places(lengths: Iterable[int]) -> NDArray[np.int64]:
    """Where each of some things begins that lie end to end, and where the last ends."""
    return np.array([0, *accumulate(lengths)], np.int64)


def _byte_alphabet() -> dict[str, int]:
    """The bytes for which the characters of a byte-level vocabulary stand (GPT-2's alphabet)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    return {chr(b): b for b in shown} | {chr(0x100 + n): b for n, b in enumerate(hidden)}


_BYTES = _byte_alphabet()


def _prepends(pre_tokenizer: dict[str, Any]) -> bool:
    """Whether a space is put before a text, so that hardly one is said as it is."""
    steps: list[dict[str, Any]] = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return any(
        step.get("prepend_scheme", "never") != "never" or step.get("add_prefix_space", False)
        for step in steps
    )


def _state(part: Any) -> dict[str, Any]:
    """A part of the tokenizer as ``tokenizer.json`` writes it."""
    return json.loads(part.__getstate__()) if part is not None else {}
