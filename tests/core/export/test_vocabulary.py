"""The tokenizer that a GGUF carries is the one that the model was trained with."""

from __future__ import annotations

import copy

import pytest
from gguf import TokenType
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ftcore.errors import InputError
from ftcore.export.pretokenizers import CHECK_TEXT, pretokenizer_name
from ftcore.export.sentencepiece import piece_scores
from ftcore.export.vocabulary import read_vocabulary


def test_smollm2_is_recognised_with_its_special_tokens(tokenizer, tiny):
    vocabulary = read_vocabulary(tokenizer, tiny.PLAIN)
    assert vocabulary.pre == "smollm"
    assert vocabulary.tokens[2] == "<|im_end|>"
    assert vocabulary.types[2] == TokenType.CONTROL
    assert dict(vocabulary.special_ids) == {"bos": 1, "eos": 2, "unk": 0, "pad": 2}
    assert (vocabulary.add_bos, vocabulary.add_eos) == (False, False)
    assert vocabulary.chat_template == tokenizer.chat_template
    assert len(vocabulary.merges) == 48900


def test_spare_embeddings_get_unused_tokens(tokenizer, tiny):
    vocabulary = read_vocabulary(tokenizer, tiny.ODD)
    assert vocabulary.tokens[49152:] == tuple(f"[PAD{index}]" for index in range(49152, 49160))
    assert set(vocabulary.types[49152:]) == {TokenType.UNUSED}


def test_added_tokens_are_control_tokens_or_the_users(tokenizer, tiny):
    changed = copy.deepcopy(tokenizer)
    changed.add_tokens(["<tool_x>", "<|looks_special|>"])
    changed.add_special_tokens({"additional_special_tokens": ["[X]"]})
    vocabulary = read_vocabulary(changed, tiny.ODD)
    types = dict(zip(vocabulary.tokens, vocabulary.types, strict=True))
    assert types["<tool_x>"] == TokenType.USER_DEFINED
    assert types["<|looks_special|>"] == TokenType.CONTROL
    assert types["[X]"] == TokenType.CONTROL


def test_a_tokenizer_larger_than_the_embedding_is_refused(tokenizer, tiny):
    changed = copy.deepcopy(tokenizer)
    changed.add_tokens(["<one_more>"])
    with pytest.raises(
        InputError, match=r"model\.embed_tokens\.weight.* only 49152 rows"
    ) as caught:
        read_vocabulary(changed, tiny.PLAIN)
    assert "resize_token_embeddings" in caught.value.hint


def test_bos_and_eos_are_added_where_the_tokenizer_adds_them(tokenizer, tiny):
    changed = copy.deepcopy(tokenizer)
    changed.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A <|im_end|>",
        special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)],
    )
    vocabulary = read_vocabulary(changed, tiny.PLAIN)
    assert (vocabulary.add_bos, vocabulary.add_eos) == (True, True)
    assert vocabulary.pre == "smollm"


def test_a_post_processor_that_llama_cpp_does_not_know_is_refused(tokenizer, tiny):
    changed = copy.deepcopy(tokenizer)
    changed.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<repo_name> $A", special_tokens=[("<repo_name>", 3)]
    )
    with pytest.raises(InputError, match="adds more than"):
        read_vocabulary(changed, tiny.PLAIN)


def test_an_unknown_way_of_splitting_is_refused_and_never_guessed(tokenizer, tiny):
    changed = copy.deepcopy(tokenizer)
    changed.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    with pytest.raises(InputError, match="no pre-tokenizer"):
        read_vocabulary(changed, tiny.PLAIN)


def test_a_template_that_ends_turns_with_another_token_writes_it_as_eot(tokenizer, tiny):
    changed = copy.deepcopy(tokenizer)
    changed.eos_token = "<|endoftext|>"
    assert dict(read_vocabulary(changed, tiny.PLAIN).special_ids)["eos"] == 0
    assert dict(read_vocabulary(changed, tiny.PLAIN).special_ids)["eot"] == 2


def test_other_kinds_are_refused_plainly(tiny):
    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.Unigram([("a", 0.0)])))
    with pytest.raises(InputError, match="cannot be exported to GGUF yet"):
        read_vocabulary(other, tiny.PLAIN)


BLANK = "\u2581"


@pytest.mark.parametrize(
    "merges",
    [
        (f"{BLANK} a", "b c", f"{BLANK}a bc"),  # in the order of the ids, as SentencePiece has it
        ("b c", f"{BLANK} a", f"{BLANK}a bc"),
    ],
)
def test_scores_follow_from_the_merges(merges):
    names = (BLANK, "a", "b", "c", f"{BLANK}a", "bc", f"{BLANK}abc")
    description = {
        "model": {
            "vocab": {"<s>": 0, "<0x0A>": 1, **{name: at for at, name in enumerate(names, 2)}},
            "merges": list(merges),
        },
        "added_tokens": [{"id": 0, "content": "<s>"}],
    }
    found = piece_scores(description, 10)
    assert found[0] == -1000 and found[1] == 0 and found[9] == -10000
    ranked = sorted(merges, key=lambda merge: -found[2 + names.index(merge.replace(" ", ""))])
    assert ranked == list(merges), "llama.cpp merges in the order of the scores"
    if merges[0].startswith(BLANK):
        assert found[2:9] == (0, -1, -2, -3, -4, -5, -6)


def test_runs_of_blanks_are_merged_last():
    names = (BLANK, "a", f"{BLANK}{BLANK}", "aa")
    description = {
        "model": {
            "vocab": {name: at for at, name in enumerate(names)},
            "merges": ["a a", f"{BLANK} {BLANK}"],
        },
        "added_tokens": [],
    }
    assert piece_scores(description, 4) == (-1e9, -1, -1e9, -3)


def test_the_check_text_is_hashed_as_llama_cpp_hashes_it(tokenizer):
    ids = tokenizer(CHECK_TEXT, add_special_tokens=False)["input_ids"]
    assert pretokenizer_name([[1, 2, 3], ids]) == "smollm"
    assert pretokenizer_name([ids[:-1]]) is None
