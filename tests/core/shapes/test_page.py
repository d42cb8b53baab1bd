"""The page on data shows every shape, and its records are what it says they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ftcore.shapes import SHAPES, Imported

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
RECORDS = [
    (shape, json.loads(block))
    for shape, text in SECTIONS.items()
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)
]


def test_every_shape_has_its_section():
    assert tuple(SECTIONS) == SHAPES
    assert {shape for shape, _ in RECORDS} == {*SHAPES} - {"native", "table"}


@pytest.mark.parametrize(("shape", "record"), RECORDS, ids=[shape for shape, _ in RECORDS])
def test_the_records_of_the_page_are_of_the_shape_that_it_says(shape, record, chat, imported):
    found = imported(record, chat)
    assert isinstance(found, Imported), found
    assert found.shape == shape
    assert found.ignored == (("id",) if "id" in record else ())
    assert [m["role"] for m in found.sample.data["messages"]][-1] == "assistant"
    assert chat.problems(found.sample) == ()
