"""Examples and samples on disk are what was given, and go when nobody needs them any more."""

from __future__ import annotations

import gc
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import FtcoreError
from ftcore.examples import ExampleWriter, open_examples, store_examples
from ftcore.plugins import open_mode
from ftcore.render import Example
from ftcore.rows import make_rows
from ftcore.spool import store_samples
from ftcore.values import Sample

TOKENS = st.lists(
    st.tuples(st.integers(0, 2**31 - 1), st.integers(-1, 2**15 - 1)), min_size=1, max_size=20
).filter(lambda tokens: any(part >= 0 for _, part in tokens))


def example_of(tokens: list[tuple[int, int]]) -> Example:
    ids, parts = (np.array(column) for column in zip(*tokens, strict=True))
    return Example(ids.astype(np.int32), parts.astype(np.int16))


def plain(example: Example) -> tuple[list[int], list[int]]:
    return example.input_ids.tolist(), example.parts.tolist()


@given(st.lists(TOKENS, max_size=6), st.randoms(use_true_random=False))
def test_examples_come_back_as_they_were(given_tokens, random):
    examples = [example_of(tokens) for tokens in given_tokens]
    stored = store_examples(examples)
    assert list(map(plain, stored)) == list(map(plain, examples))
    assert stored.lengths.tolist() == [len(example.input_ids) for example in examples]
    assert stored.trained.tolist() == [example.trained_tokens for example in examples]
    order = list(range(len(examples)))
    random.shuffle(order)
    taken = stored.take(np.array(order, np.int64))
    assert list(map(plain, taken)) == [plain(examples[index]) for index in order]
    assert list(map(plain, stored[1:3])) == list(map(plain, examples[1:3]))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_example_with_nothing_to_train_on_is_an_error(place):
    tokens = [[(7, 1), (8, -1)]] * 3
    tokens[place] = [(7, -1), (8, -1)]
    with pytest.raises(FtcoreError, match="no token to train on"):
        store_examples(map(example_of, tokens))


@pytest.mark.parametrize("name", ["ids.int32", "parts.int16"])
def test_files_that_were_cut_are_not_read(name, tmp_path):
    writer = ExampleWriter(tmp_path)
    one = example_of([(7, 1)] * 100)
    writer.add(one.input_ids, one.parts, np.array([100]))
    writer.finish()
    assert plain(open_examples(tmp_path)[0]) == plain(one)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
    with pytest.raises(FtcoreError, match="damaged"):
        open_examples(tmp_path)


def test_a_copy_for_another_process_holds_no_tokens():
    """TRL and datasets pickle what they are given, be it only to hash it."""
    stored = store_examples([example_of([(7, 1)] * 100_000)])
    rows = make_rows(stored, packing=False, max_seq_length=1)
    assert len(pickle.dumps(rows)) < 5_000
    assert plain(pickle.loads(pickle.dumps(rows)).examples[0]) == plain(stored[0])


def test_the_files_go_with_the_last_that_reads_them(distribution):
    distribution("ftc-haiku", mode="haiku")
    examples = store_examples([example_of([(1, 0)])])
    samples = store_samples([(Sample({"ask": "a"}, "f", 1), open_mode("haiku"))])
    folders = [examples.folder, samples.path.parent]
    kept = examples.take(np.array([0])), samples[:1]
    del examples, samples
    gc.collect()
    assert [folder.exists() for folder in folders] == [True, True]
    assert plain(kept[0][0])[0] == [1]
    assert kept[1][0][0].data == {"ask": "a"}
    del kept
    gc.collect()
    assert [folder.exists() for folder in folders] == [False, False]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4))
def test_samples_keep_their_keys_their_order_and_the_types_of_numbers(records):
    given_samples = [(Sample(r, f"{n % 2}.jsonl", n), _Mode()) for n, r in enumerate(records)]
    stored = store_samples(given_samples)
    assert len(stored) == len(records)
    for (sample, mode), (original, _) in zip(stored, given_samples, strict=True):
        assert json.dumps(sample.data) == json.dumps(original.data)
        assert (sample.file, sample.line) == (original.file, original.line)
        assert mode.name == "any"
    indices = np.arange(len(records))[::-1]
    backwards = [sample.line for sample, _ in stored.take(indices)]
    assert backwards == indices.tolist()


class _Mode:
    name = "any"


def test_a_number_is_not_made_another(distribution):
    distribution("ftc-haiku", mode="haiku")
    data = {"b": 1, "a": 1.0, "c": [0.1, 1e300, -0.0, 12345678901234567890], "\ud800": None}
    ((sample, _),) = store_samples([(Sample(data, "f", 1), open_mode("haiku"))])
    assert repr(sample.data) == repr(data)
