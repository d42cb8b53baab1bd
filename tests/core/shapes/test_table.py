"""Columns of any table become a sample through ``--map``, and the options are checked first."""

from __future__ import annotations

import pytest

from ftcore.errors import InputError
from ftcore.shapes import Imported, Importing, check_importing
from ftcore.values import Problem

TWO = {"ask": "question", "say": "answer"}


def test_the_sample_gets_exactly_the_mapped_columns(verse, imported):
    found = imported({"question": "a", "answer": "b", "template": 3}, verse, columns=TWO)
    assert found.sample.data == {"ask": "a", "say": "b"}
    assert (found.shape, found.ignored) == ("table", ("template",))
    assert verse.problems(found.sample) == ()


@pytest.mark.parametrize(("cell", "text"), [(42, "42"), (4.5, "4.5"), (True, "true"), (0, "0")])
def test_a_number_becomes_text_where_the_mode_wants_text(cell, text, verse, imported):
    found = imported({"question": "a", "answer": cell}, verse, columns=TWO)
    assert found.sample.data["say"] == text


def test_the_modes_other_keys_keep_their_numbers(distribution, mode_code, imported):
    from ftcore.plugins import open_mode

    code = mode_code.replace('"ask": {"type": "string"}', '"ask": {"type": ["string", "integer"]}')
    distribution("ftc-count", code, mode="count")
    found = imported({"question": 7, "answer": 8}, open_mode("count"), columns=TWO)
    assert found.sample.data == {"ask": 7, "say": "8"}


@pytest.mark.parametrize("column", ["meta.items.1.q", "/meta/items/1/q"])
def test_nested_columns_are_named_by_a_path(column, verse, imported):
    record = {"meta": {"items": [{}, {"q": "a"}]}, "answer": "b"}
    found = imported(record, verse, columns={"ask": column, "say": "answer"})
    assert found.sample.data == {"ask": "a", "say": "b"}
    assert found.ignored == ()


def test_a_column_whose_name_has_a_dot_is_found_first(verse, imported):
    record = {"meta.q": "a", "meta": {"q": "no"}, "answer": "b"}
    found = imported(record, verse, columns={"ask": "meta.q", "say": "answer"})
    assert found.sample.data["ask"] == "a"
    assert found.ignored == ("meta",)


def test_a_missing_column_lists_those_that_there_are(verse, imported):
    found = imported({"Question": "a", "answer": "b"}, verse, columns=TWO)
    assert isinstance(found, Problem)
    assert found.message == "there is no column 'question', which --map ask=question names"
    assert found.hint == "the columns of this record: Question, answer"


@pytest.mark.parametrize("empty", ["", " \n", None])
def test_an_empty_cell_of_a_needed_key_is_refused_at_its_place(empty, verse, imported):
    found = imported({"question": empty, "answer": "b", "why": ""}, verse, columns=TWO)
    assert isinstance(found, Problem)
    assert "the column 'question' is empty" in found.message
    assert found.pointer == "/question"
    assert found.hint.endswith("columns that are not empty: answer")


def test_an_empty_cell_of_a_key_that_is_not_needed_is_left_out(chat, imported):
    record = {"talk": [{"role": "user", "content": "hi"}], "how": ""}
    found = imported(record, chat, columns={"messages": "talk", "mood": "how"})
    assert found.sample.data == {"messages": record["talk"]}


@pytest.mark.parametrize(("name", "raw"), [("a.csv", "ask,how,say\na,,b\n"), ("a.parquet", None)])
def test_an_empty_cell_of_a_file_is_no_missing_column(name, raw, tmp_path, verse, imported):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ftcore.sources import find_sources, read_source

    path = tmp_path / name
    if raw is None:
        pq.write_table(
            pa.table({"ask": ["a"], "how": pa.array([None], "string"), "say": ["b"]}), path
        )
    else:
        path.write_text(raw)
    (source,) = find_sources([path])
    (sample,) = read_source(source)
    columns = {"ask": "ask", "say": "say"}
    found = imported(dict(sample.data), verse, columns={**columns, "input": "how"})
    assert found.sample.data == {"ask": "a", "say": "b"}
    found = imported(dict(sample.data), verse, columns={**columns, "ask": "how"})
    assert found.message == "the column 'how' is empty, which --map ask=how names"
    found = imported(dict(sample.data), verse, columns={**columns, "input": "why"})
    assert found.message == "there is no column 'why', which --map input=why names"
    assert found.hint == "the columns of this record: ask, how, say"
    assert imported({"ask": "a", "say": "b", "how": None}, verse).sample.data == {
        "ask": "a",
        "say": "b",
    }


@pytest.mark.parametrize("meta", [None, {}])
def test_what_lies_in_an_empty_cell_is_empty(meta, chat, imported):
    record = {"talk": [{"role": "user", "content": "hi"}], "meta": meta}
    found = imported(record, chat, columns={"messages": "talk", "mood": "meta.mood"})
    assert found.sample.data == {"messages": record["talk"]}
    found = imported(
        record | {"meta": {"moods": "x"}}, chat, columns={"messages": "talk", "mood": "meta.mood"}
    )
    assert found.message == "there is no column 'meta.mood', which --map mood=meta.mood names"


def test_a_misspelt_mode_beside_mapped_columns_is_a_problem(verse, imported):
    found = imported({"question": "a", "answer": "b", "cognitiv_mode": "x"}, verse, columns=TWO)
    assert isinstance(found, Problem)
    assert (found.pointer, found.message) == ("/cognitiv_mode", "unknown key 'cognitiv_mode'")


def test_columns_can_make_a_record_of_another_shape(chat, haiku, imported):
    columns = {"prompt": "question", "response": "answer"}
    found = imported({"question": "hi", "answer": 3, "id": 1}, chat, columns=columns)
    assert found.sample.data["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "3"},
    ]
    assert (found.shape, found.ignored) == ("table", ("id",))
    talk = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]
    found = imported({"talk": talk}, haiku, columns={"conversations": "talk"})
    assert found.sample.data == {"ask": "hi", "say": "ho"}


def test_a_problem_in_a_mapped_column_points_to_the_column(chat, verse, imported):
    found = imported({"question": "a", "answer": ["b"]}, verse, columns=TWO)
    assert [problem.pointer for problem in verse.problems(found.sample)] == ["/answer"]
    found = imported(
        {"q": {"x": "a"}, "a": {"y": {"role": 1}}},
        chat,
        columns={"prompt": "q.x", "response": "a.y"},
    )
    assert isinstance(found, Problem)
    assert found.pointer == "/a/y"


@pytest.mark.parametrize(
    ("importing", "message", "hint"),
    [
        (Importing("sharegtp"), "no shape 'sharegtp'", "did you mean 'sharegpt'?"),
        (Importing("table"), "which column is what", "--map KEY=COLUMN"),
        (Importing("alpaca", {"ask": "q"}), "does not go together", "leave --shape out"),
        (Importing("turns", {"user": "Ann"}), "only the speaker", "--map assistant=SPEAKER"),
        (Importing(None, {"aks": "q"}), "no sample has a key 'aks'", "did you mean 'ask'?"),
        (Importing(None, {"cognitiv_mode": "q"}), "no sample has a key", "keys: ask, say"),
    ],
)
def test_wrong_options_are_told_before_anything_is_read(importing, message, hint, verse):
    with pytest.raises(InputError) as caught:
        check_importing(importing, [verse])
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "importing",
    [
        Importing(),
        Importing("messages"),
        Importing("table", TWO),
        Importing(None, {"prompt": "q", "response": "a"}),
        Importing("turns", {"assistant": "Ann"}),
        Importing(None, {"assistant": "Ann"}),
        Importing("alpaca", {"cognitive_mode": "mode", "notes": "why"}),
        Importing("turns", {"assistant": "Ann", "cognitive_mode": "mode"}),
    ],
)
def test_right_options_pass(importing, verse):
    check_importing(importing, [verse])
    check_importing(importing)


def test_both_forms_of_forcing_a_table_are_the_same(verse, imported):
    record = {"question": "a", "answer": "b"}
    forced = imported(record, verse, columns=TWO, shape="table")
    assert isinstance(forced, Imported)
    assert forced == imported(record, verse, columns=TWO)
