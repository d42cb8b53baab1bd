"""No address is left in a conversation, and nothing else is touched."""

from __future__ import annotations

import time

import pytest
from ftcore.values import Conversation, Message, Part, ToolCall

from ftcore_mask_email import ADDRESS, MASK, masked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann@example.org.", "Write to *."),
        ("ann@example.org, bob@example.com; and you?", "*, *; and you?"),
        ("<ann.b+news@mail.example.co.uk>", "<*>"),
        ("(o'neill_2@ex-ample.org)!", "(*)!"),
        ("to='ann@example.org'", "to='*'"),
        ("mailto:ann@example.org?subject=hi", "mailto:*?subject=hi"),
        ("https://example.org/?to=ann%40b@example.org", "https://example.org/?to=*"),
        ("-ann@example.org…", "-*…"),
        ("JÖRG@BÜCHER.EXAMPLE\n", "*\n"),
        ("иван@почта.рф", "*"),
        ("ann@xn--e1aybc.xn--p1ai-", "*-"),
        ("no @handle, no a@b, no x@y.T, no root@localhost", None),
        ("5 apples @ 1.50", None),
    ],
)
def test_an_address_is_masked_whole_and_what_stands_around_it_stays(
    text: str, expected: str | None
) -> None:
    assert ADDRESS.sub("*", text) == (text if expected is None else expected)


def test_every_place_of_a_conversation_is_masked() -> None:
    address = "ann@example.org"
    arguments = {"to": [address, {"cc": f"{address}, B"}], address: 1, "last": None}
    tool = {"type": "function", "function": {"name": "mail", "description": f"as {address}"}}
    said = Message(
        "assistant",
        (Part("prose", f"I write to {address}."), Part("end", "Done")),
        (Part("thought", f"{address}?"),),
        (ToolCall("mail", arguments, id="c1"),),
        trained=True,
    )
    asked = (Message("system", (Part("rules", address),)), Message("user", (Part("", address),)))
    answered = Message("tool", (Part("result", f"sent to {address}"),), tool_call_id="c1")
    result = masked(Conversation((*asked, said, answered), (tool,)))

    assert [m.text for m in result.messages] == [
        MASK,
        MASK,
        f"I write to {MASK}.Done",
        f"sent to {MASK}",
    ]
    (_, _, told, _) = result.messages
    assert told.reasoning_text == f"{MASK}?"
    expected = {"to": [MASK, {"cc": f"{MASK}, B"}], address: 1, "last": None}
    assert told.tool_calls[0].arguments == expected
    assert list(told.tool_calls[0].arguments) == ["to", address, "last"]
    assert result.tools[0]["function"]["description"] == f"as {MASK}"
    # roles, labels, names, ids and what is trained are as they were
    assert [(m.role, m.trained, m.tool_call_id) for m in result.messages] == [
        (m.role, m.trained, m.tool_call_id) for m in (*asked, said, answered)
    ]
    assert [part.label for part in told.content] == ["prose", "end"]
    assert arguments["to"] == [address, {"cc": f"{address}, B"}], "the mode's own values stay"


def test_a_long_text_takes_no_long_time() -> None:
    began = time.perf_counter()
    for text in ("a" * 100_000, "a." * 50_000, "a@" * 50_000, "a@" + "b." * 50_000):
        assert ADDRESS.sub("*", text) == text
    assert time.perf_counter() - began < 10
