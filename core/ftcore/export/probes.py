"""The texts and conversations that a certificate is tried on when nobody gives others."""

from __future__ import annotations

from ftcore.values import Conversation, Message, Part, Role

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "1 22 333 4444 55555 3.14159 1e-7 0x1F 2024-02-29 12:30",
    "a  1, b   22\n  3\t 4",
    "  leading, trailing  \n\n\n\ttabs\t\t and   runs   of blanks \r\n",
    "don't we'll I'VE they're 'quoted' \"doubly\" `ticks` --- === ...",
    'def f(x: int) -> str:\n    return f"{x!r:>10}"  # TODO\n\n\nclass A(B): ...\n',
    '{"name": "tool", "arguments": {"path": "C:\\\\x", "n": [1, -2.5, null, true]}}',
    "Grüße, naïve café, Ωμέγα, Привет, ğüşiöç, łódź",
    "e\u0301 and \u00e9; n\u0303 and \u00f1; ﬁ ligature; Å and Å",
    "日本語のテキスト、中文字符，한국어 텍스트 ภาษาไทย हिन्दी",  # noqa: RUF001
    "مرحبا بالعالم שלום עולם \u200fRTL\u200e",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽 🏴󠁧󠁢󠁳󠁣󠁴󠁿 ☃️ 🤖",
    "zero\u200bwidth\u00a0hard\u2028line\u3000wide\ufeffbom",
    "https://example.org/a?b=c&d=%20#e user@example.org <b>&amp;</b>",
    "",
)
"""Digits, white space, quotes, code, JSON, composed and decomposed letters, scripts, emoji."""


def _conversation(*turns: tuple[Role, str]) -> Conversation:
    return Conversation(
        tuple(
            Message(role, (Part("text", text),), trained=role == "assistant")
            for role, text in turns
        )
    )


_LONG = (
    "Read this log and tell me what happened: at 08:00 the first train left the station with "
    "forty passengers, at 08:20 it stopped on the bridge because a signal had failed, and at "
    "08:45 a technician replaced a fuse. The passengers were given tea. At 09:10 the train went "
    "on, and it reached the terminus at 09:50, seventy minutes late. The report says that the "
    "signal had been inspected in March, that the fuse was of the wrong kind, and that the "
    "supplier has been told. Nobody was hurt, two people missed a flight, and one dog was sick."
)

CONVERSATIONS = (
    _conversation(
        ("user", "What is the capital of France?"),
        ("assistant", "The capital of France is Paris."),
    ),
    _conversation(
        ("system", "You are a patient teacher. Answer in one sentence."),
        ("user", "Why is the sky blue?"),
        ("assistant", "Because air scatters short wavelengths more than long ones."),
        ("user", "And at sunset?"),
        ("assistant", "Then the light's longer way through the air leaves mostly red."),
    ),
    _conversation(
        ("user", "Übersetze „Guten Morgen“ ins Japanische, bitte. ☀️"),
        ("assistant", "おはようございます (ohayō gozaimasu) 🌅"),
    ),
    _conversation(
        ("user", _LONG),
        (
            "assistant",
            "A signal failed on the bridge because a fuse of the wrong kind had been fitted. The "
            "train waited from 08:20 to 09:10 and arrived seventy minutes late; nobody was hurt.",
        ),
    ),
    _conversation(
        ("user", "Write a Python function that adds two numbers."),
        ("assistant", "def add(a: float, b: float) -> float:\n    return a + b\n"),
    ),
)
"""A plain question, a system message with two turns, Unicode, a long text, code."""
