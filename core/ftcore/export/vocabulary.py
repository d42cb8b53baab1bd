"""What a tokenizer becomes in GGUF: tokens, types, merges, special ids and the chat template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from attrs import frozen
from gguf import GGUFWriter, TokenType
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase

from ftcore.errors import InputError
from ftcore.export.pretokenizers import CHECK_TEXT, pretokenizer_name
from ftcore.export.sentencepiece import BYTE, piece_scores
from ftcore.render import Renderer, RenderError

SPECIAL_KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
"""In the order in which llama.cpp's converter writes their ids."""

ChatTemplate = str | tuple[tuple[str, str], ...]
"""One template, or several as (name, template)."""


@frozen
class Vocabulary:
    """The tokenizer part of a GGUF."""

    model: Literal["gpt2", "llama"]
    """llama.cpp's names of byte-level BPE and of SentencePiece BPE."""
    pre: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    """``gguf.TokenType`` of every token."""
    merges: tuple[str, ...]
    """Of byte-level BPE."""
    scores: tuple[float, ...]
    """Of SentencePiece BPE, one for each token."""
    special_ids: tuple[tuple[str, int], ...]
    """Kind (``bos``, …, ``eot``) and id."""
    add_bos: bool
    add_eos: bool
    add_space_prefix: bool | None
    """None: as llama.cpp does by itself."""
    chat_template: ChatTemplate | None


def load_tokenizer(model: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder.

    :raises InputError: the folder has none that transformers can load.
    """
    from transformers import AutoTokenizer

    try:
        return cast(
            "PreTrainedTokenizerBase",
            AutoTokenizer.from_pretrained(str(model), local_files_only=True),  # pyright: ignore[reportUnknownMemberType]
        )
    except Exception as error:  # transformers raises OSError, ValueError, ImportError and more
        raise InputError(
            f"{model}: the tokenizer cannot be loaded: {error}",
            "save the tokenizer into the model's folder with save_pretrained",
        ) from error


def read_vocabulary(
    tokenizer: PreTrainedTokenizerBase, config: Mapping[str, Any], model: Path | None = None
) -> Vocabulary:
    """The vocabulary that a model's GGUF needs. Cheap: call it before training too.

    :param config: the model's ``config.json``; its ``vocab_size`` is the embedding's length.
    :param model: the folder, for what only ``tokenizer_config.json`` says.
    :raises InputError: the tokenizer is no BPE, is not known to llama.cpp, is larger than the
        embedding, or adds tokens to a text that llama.cpp cannot add.
    """
    size = int(config["vocab_size"])
    description = _description(tokenizer)
    ids = tokenizer.get_vocab()
    largest = max(ids.values())
    if largest >= size:
        raise InputError(
            f"the tokenizer has ids up to {largest}, the embedding (model.embed_tokens.weight) "
            f"only {size} rows",
            "after adding tokens call resize_token_embeddings, then train and save again",
        )
    add_bos, add_eos = added_tokens(tokenizer)
    spm = is_sentencepiece(tokenizer)
    tokens, types = _tokens_and_types(tokenizer, ids, size, spm)
    return Vocabulary(
        model="llama" if spm else "gpt2",
        pre="default" if spm else pretokenizer(tokenizer),
        tokens=tokens,
        types=types,
        merges=() if spm else _merges(description),
        scores=piece_scores(description, size) if spm else (),
        special_ids=_special_ids(tokenizer, config),
        add_bos=add_bos,
        add_eos=add_eos,
        add_space_prefix=_add_space_prefix(tokenizer, model, spm),
        chat_template=chat_template(tokenizer),
    )


def write_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    """Adds the keys in the order of llama.cpp's converter."""
    if vocabulary.add_space_prefix is not None:
        writer.add_add_space_prefix(vocabulary.add_space_prefix)
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    for kind, index in vocabulary.special_ids:
        add = getattr(writer, f"add_{kind}_token_id", None)
        if add is not None:  # llama.cpp has no use for cls
            add(index)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    template = vocabulary.chat_template
    if isinstance(template, str):
        writer.add_chat_template(template)
    elif template is not None:
        writer.add_chat_template([{"name": name, "template": text} for name, text in template])


def added_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[bool, bool]:
    """Whether the tokenizer begins a text with bos, and ends it with eos, by trying it.

    :raises InputError: it adds something else, which llama.cpp cannot do.
    """
    plain, whole = _encode(tokenizer, "a", special=False), _encode(tokenizer, "a", special=True)
    for bos in (False, True):
        for eos in (False, True):
            before = [tokenizer.bos_token_id] if bos else []
            after = [tokenizer.eos_token_id] if eos else []
            if whole == [*before, *plain, *after]:
                return bos, eos
    raise InputError(
        f"the tokenizer writes the text 'a' as {whole}: it adds more than the tokens that begin "
        "and end a text, and llama.cpp cannot be told to",
        "change the post-processor in tokenizer.json",
    )


def chat_template(tokenizer: PreTrainedTokenizerBase) -> ChatTemplate | None:
    """The tokenizer's chat template, or all of them, the default one first."""
    template = cast("object", tokenizer.chat_template)  # pyright: ignore[reportUnknownMemberType]
    if isinstance(template, dict):
        named = cast("dict[str, str]", template)
        return tuple(sorted(named.items(), key=lambda item: (item[0] != "default", item[0])))
    return str(template) if template else None


def pretokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """llama.cpp's name of the way in which the tokenizer splits a text.

    :raises InputError: llama.cpp has no such way.
    """
    plain = _encode(tokenizer, CHECK_TEXT, special=False)
    candidates = [_encode(tokenizer, CHECK_TEXT, special=True), plain]
    if isinstance(tokenizer.bos_token_id, int):
        candidates.append([tokenizer.bos_token_id, *plain])
    name = pretokenizer_name(candidates)
    if name is None:
        raise InputError(
            "llama.cpp knows no pre-tokenizer that splits text as this tokenizer does",
            "if the base model is a usual one, its tokenizer.json has been changed: take the "
            "original one",
        )
    return name


def looks_special(token: str) -> bool:
    """Whether llama.cpp's converter takes an added token for a control token by its looks.

    Some models mark control tokens as not special; source: ``does_token_look_special`` there.
    """
    return (
        token in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
        or (token.startswith("<|") and token.endswith("|>"))
        or (token.startswith("<\uff5c") and token.endswith("\uff5c>"))
        or (token.startswith("<unused") and token.endswith(">"))
    )


def is_sentencepiece(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the vocabulary is SentencePiece's BPE (with bytes as a last resort)."""
    model: object = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    return isinstance(model, BPE) and model.byte_fallback


def _description(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The tokenizer as ``tokenizer.json`` has it; refuses kinds that cannot be written yet."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(
            f"the tokenizer ({type(tokenizer).__name__}) has no tokenizer.json",
            "save it as a fast tokenizer",
        )
    description: dict[str, Any] = json.loads(backend.to_str())
    model: dict[str, Any] = description["model"]
    kind = str(model.get("type"))
    if kind != "BPE":
        raise InputError(
            f"a tokenizer of the kind {kind} cannot be exported to GGUF yet",
            "supported: byte-level BPE (SmolLM2, Llama 3, Qwen) and SentencePiece's (Llama 2, "
            "Mistral, Gemma)",
        )
    return description


def _tokens_and_types(
    tokenizer: PreTrainedTokenizerBase, ids: Mapping[str, int], size: int, spm: bool
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    tokens = [f"[PAD{index}]" for index in range(size)]
    types = [int(TokenType.UNUSED)] * size
    for token, index in ids.items():
        byte = spm and BYTE.fullmatch(token)
        tokens[index], types[index] = token, int(TokenType.BYTE if byte else TokenType.NORMAL)
    for index, added in tokenizer.added_tokens_decoder.items():
        token = str(added.content)
        control = added.special or looks_special(token)
        # llama.cpp looks for these in the text as it stands, where a space is a space
        tokens[index] = token if control else token.replace("\u2581", " ")
        types[index] = int(TokenType.CONTROL if control else TokenType.USER_DEFINED)
    return tuple(tokens), tuple(types)


def _merges(description: Mapping[str, Any]) -> tuple[str, ...]:
    """``"left right"``; a space within a part is written as Ġ, as the byte alphabet has it."""
    merges: list[str | list[str]] = description["model"]["merges"]
    return tuple(
        merge if isinstance(merge, str) else " ".join(part.replace(" ", "\u0120") for part in merge)
        for merge in merges
    )


def _special_ids(
    tokenizer: PreTrainedTokenizerBase, config: Mapping[str, Any]
) -> tuple[tuple[str, int], ...]:
    """The ids that the tokenizer names, else ``config.json``; last the end-of-turn token.

    The latter is written where the chat template ends a turn with another token than eos:
    without it a runtime would never stop.
    """
    found: list[tuple[str, int]] = []
    for kind in SPECIAL_KINDS:
        index = getattr(tokenizer, f"{kind}_token_id", None)
        if index is None:
            index = config.get(f"{kind}_token_id")
        if isinstance(index, int):
            found.append((kind, index))
    try:
        end = Renderer(tokenizer).end_ids()[0]
    except RenderError:  # no template, or one that ends turns with no token
        return tuple(found)
    if ("eos", end) not in found:
        found.append(("eot", end))
    return tuple(found)


def _add_space_prefix(
    tokenizer: PreTrainedTokenizerBase, model: Path | None, spm: bool
) -> bool | None:
    """What ``tokenizer_config.json`` says; of SentencePiece what the tokenizer does.

    llama.cpp puts a blank before a text, and after every control token, for SentencePiece unless
    it is told not to. What counts is what follows the token that begins a text, as every chat has
    one.
    """
    if spm:
        bos = tokenizer.bos_token or ""
        last = tokenizer.convert_ids_to_tokens(_encode(tokenizer, f"{bos}a", special=False)[-1])
        return None if str(last).startswith("\u2581") else False
    path = None if model is None else model / "tokenizer_config.json"
    if path is None or not path.is_file():
        return None
    value = json.loads(path.read_text(encoding="utf-8")).get("add_prefix_space")
    return value if isinstance(value, bool) else None


def _encode(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool) -> list[int]:
    return list(tokenizer(text, add_special_tokens=special)["input_ids"])  # pyright: ignore
