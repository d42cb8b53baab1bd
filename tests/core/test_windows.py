"""A conversation that is too long loses whole old turns, and no answer is trained twice or cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.values import Conversation, Message, Part, Target, with_system
from ftcore.windows import windows

TOOLS = ({"type": "function", "function": {"name": "f"}},)


def message(role: str, length: int, *, trained: bool = False) -> Message:
    return Message(role, (Part("", "x" * length),), trained=trained)  # pyright: ignore


def chat(*lengths: tuple[int, int], system: int = 0) -> Conversation:
    """Turns of a user and a trained assistant with texts of these lengths."""
    head = [message("system", system)] if system else []
    for ask, say in lengths:
        head += [message("user", ask), message("assistant", say, trained=True)]
    return Conversation(tuple(head), TOOLS)


def length(conversation: Conversation) -> int:
    return sum(len(m.text) for m in conversation.messages)


def fitting(limit: int):
    return lambda conversation: conversation if length(conversation) <= limit else None


def shape(conversation: Conversation) -> list[tuple[int, bool]]:
    return [(len(m.text), m.trained) for m in conversation.messages]


def test_what_fits_stays_whole():
    given = chat((1, 2), (3, 4))
    assert windows(given, fitting(10)) == ((given,), 0)


def test_old_turns_go_and_system_and_tools_stay():
    made, lost = windows(chat((10, 20), (30, 40), (50, 60), system=5), fitting(190))
    assert lost == 0
    first, second = made
    assert shape(first) == [(5, False), (10, False), (20, True), (30, False), (40, True)]
    assert shape(second) == [(5, False), (30, False), (40, False), (50, False), (60, True)]
    assert first.tools == second.tools == TOOLS


def test_the_system_text_stays_where_it_is_the_head_of_the_users_first_message():
    without = Target(tools=True, system=False, reasoning=True)
    asked = chat((10, 20), (30, 40), (50, 60)).messages
    made, lost = windows(Conversation(with_system(asked, "rules", without)), fitting(190))
    assert lost == 0
    assert [window.messages[0].text for window in made] == [f"rules\n\n{'x' * n}" for n in (10, 30)]
    assert all(window.messages[1].text.count("rules") == 0 for window in made)


def test_a_turn_with_tool_results_goes_whole():
    calls = (
        message("user", 10),
        message("assistant", 10, trained=True),
        message("tool", 10),
        message("assistant", 10, trained=True),
    )
    made, lost = windows(Conversation((*calls, *calls)), fitting(70))
    assert lost == 0
    assert [w.messages[0].role for w in made] == ["user", "user"]
    assert [shape(w)[-1] for w in made] == [(10, True), (10, True)]


def test_an_answer_that_fits_nowhere_is_lost_and_the_others_are_kept():
    made, lost = windows(chat((1, 1), (1, 500), (1, 1)), fitting(100))
    assert lost == 1
    assert [shape(w) for w in made] == [[(1, False), (1, True)], [(1, False), (1, True)]]


def test_the_search_is_quick_for_long_chats():
    calls = 0

    def render(conversation: Conversation) -> Conversation | None:
        nonlocal calls
        calls += 1
        return fitting(200)(conversation)

    made, lost = windows(chat(*[(5, 5)] * 300), render)
    assert lost == 0
    assert len(made) == 281
    assert calls < 300 * 25


turns = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=12)


@given(turns, st.integers(0, 20), st.integers(1, 200))
def test_every_answer_is_trained_once_or_lost(
    lengths: list[tuple[int, int]], system: int, limit: int
):
    given = chat(*lengths, system=system)
    made, lost = windows(given, fitting(limit))
    assert all(length(window) <= limit for window in made)
    answers = [m.text for w in made for m in w.messages if m.trained]
    alone = [(ask, say) for ask, say in lengths if system + ask + say <= limit]
    assert [len(text) for text in answers] == [say for _, say in alone]
    assert lost == len(lengths) - len(alone)
    for window in made:
        roles = [m.role for m in window.messages]
        assert roles[: bool(system)] == ["system"] * bool(system)
        assert roles[bool(system)] == "user"
        assert window.messages[-1].trained


@pytest.mark.parametrize("limit", [0, 1])
def test_nothing_fits(limit: int):
    assert windows(chat((2, 2), (2, 2)), fitting(limit)) == ((), 2)
