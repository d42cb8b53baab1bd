"""Whatever a record holds, it is read or refused with a reason, and never changed."""

from __future__ import annotations

import copy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftcore.shapes import SHAPES, Imported, Importing, import_record
from ftcore.values import Problem, Sample

CALL = '{"name": "weather", "arguments": {"city": "Oslo"}}'
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        *("hi", "", "<think>a</think>b", "a\n</think>\nb", "[", "{'a", "[1]", '{"name": 3}'),
        *(CALL, f"[{CALL}]", f"<tool_call>{CALL}</tool_call>", "<tool_response>7</tool_response>"),
    ]
)
PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "reasoning", "tool_call", "tool_result", "image"])},
    optional={"text": WORDS, "value": WORDS | JSON, "content": WORDS, "result": WORDS},
)
CONTENT = WORDS | st.lists(PART | JSON, max_size=3) | JSON
NAMES = st.sampled_from(
    ["user", "gpt", "assistant", "system", "function_call", "observation", "tool", "persona", "Bot"]
)
TURN = st.fixed_dictionaries({"role": NAMES}, optional={"content": CONTENT}) | (
    st.fixed_dictionaries(
        {},
        optional={
            **{"role": NAMES, "from": NAMES | JSON, "content": CONTENT, "value": CONTENT},
            **{"name": JSON, "reasoning_content": CONTENT, "tool_calls": JSON | CONTENT},
            **{"function_call": JSON | WORDS, "weight": JSON, "text": CONTENT},
            **{"images": JSON, "tool_call_id": WORDS | JSON, "accent": JSON},
        },
    )
)
TURNS = st.lists(TURN, max_size=5)
SPOKEN = st.lists(
    st.fixed_dictionaries(
        {"speaker": NAMES}, optional={"text": WORDS, "texts": JSON, "image": JSON}
    )
    | JSON
)
TOOL = {"name": "weather", "parameters": {"city": {"type": "str, optional"}}}
RECORD = st.fixed_dictionaries(
    {},
    optional={
        **{"messages": TURNS | JSON, "conversations": TURNS | WORDS, "turns": SPOKEN},
        **{"instruction": WORDS | JSON, "output": WORDS | JSON, "history": JSON},
        **{"prompt": TURNS | WORDS, "response": TURNS | WORDS, "more": JSON},
        **{"tools": JSON | WORDS | st.lists(st.just(TOOL) | JSON, max_size=2)},
        **{"system": WORDS | JSON, "system_prompt": WORDS, "functions": JSON, "mood": WORDS},
        **{"cognitive_mode": JSON, "completion": WORDS, "input": JSON},
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(RECORD, st.sampled_from([None, *SHAPES[:-1]]))
def test_any_record_is_read_or_refused_and_what_was_read_needs_no_more_reading(chat, record, shape):
    before = copy.deepcopy(record)
    found = import_record(Sample(record, "f", 1), chat, Importing(shape=shape))
    assert record == before
    if isinstance(found, Problem):
        assert found.message
        assert found.hint
        return
    chat.problems(found.sample)
    if found.shape != "native":
        again = import_record(found.sample, chat, Importing())
        assert isinstance(again, Imported), again
        assert again.sample.data == found.sample.data
