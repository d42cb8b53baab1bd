"""A chat keeps its history as the model was trained on it, and a person can see and stop it."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ftcore.answer_parts import Piece
from ftcore.call_frame import find_call_frame
from ftcore.chat import Answer, Chat
from ftcore.cli.chat import converse
from ftcore.cli.chat_text import AnswerPrinter
from ftcore.export.runtime import Runtime, RuntimeRefusedError, Sampling, open_runtime
from ftcore.gbnf import quoted
from ftcore.served import chat_messages, served_call_frame
from ftcore.testing.predictions import spoken
from ftcore.values import Part, ToolCall

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    },
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {}}},
]
CALLS = [ToolCall("get_weather", {"city": 'Zü"rich'}), ToolCall("now", {})]


@pytest.fixture(scope="module")
def runtime(untrained) -> Iterator[Runtime]:
    with open_runtime(untrained, context=512, threads=1) as loaded:
        yield loaded


def made_to_say(text: str) -> Sampling:
    """A grammar leaves the model nothing else to say."""
    return Sampling(grammar=f"root ::= {quoted(text)}\n")


def silent(piece: Piece) -> None:
    del piece


def test_the_runtime_and_the_trained_template_spell_calls_alike(runtime):
    assert served_call_frame(runtime, TOOLS) == find_call_frame(spoken)


def test_an_answer_comes_in_parts_and_stays_in_the_history_as_it_was_said(runtime):
    text = "<thought>Hm.</thought>\n<world>Yes.</world>"
    markers = ("<thought>", "</thought>", "<world>", "</world>")
    heard: list[Piece] = []
    chat = Chat(runtime, markers=markers, sampling=made_to_say(text))
    answer = chat.ask("Really?", heard.append)
    assert answer == Answer(text, (Part("thought", "Hm."), Part("world", "Yes.")), ended=True)
    assert len(heard) > 2
    assert [message.text for message in chat.messages] == ["Really?", text]
    chat.reset()
    assert chat.messages == ()


def test_calls_wait_for_their_results_and_the_prompt_is_the_trained_one(runtime):
    frame = served_call_frame(runtime, TOOLS)
    words = "I look."
    text = f"{words}\n" + "\n".join(
        f'<tool_call>\n{{"name": "{call.name}", "arguments": '
        f"{json.dumps(dict(call.arguments), ensure_ascii=False)}}}\n</tool_call>"
        for call in CALLS
    )
    chat = Chat(runtime, tools=TOOLS, frame=frame, system="Be kind.", sampling=made_to_say(text))
    answer = chat.ask("Weather?", silent)
    assert answer.text == text
    assert [(c.name, c.arguments) for c in answer.calls] == [(c.name, c.arguments) for c in CALLS]
    assert answer.parts == (Part("prose", words),)
    assert [call.name for call in chat.waiting] == ["get_weather", "now"]
    chat.result("21 °C")
    assert [call.name for call in chat.waiting] == ["now"]
    chat.result("12:00")
    assert chat.waiting == ()
    prompt = runtime.apply_template(chat_messages(chat.messages), TOOLS)
    results = [
        f"<|im_start|>tool\n<tool_response>\n{result}\n</tool_response><|im_end|>\n"
        for result in ("21 °C", "12:00")
    ]
    expected = f"<|im_start|>assistant\n{text}<|im_end|>\n{''.join(results)}"
    assert prompt.endswith(expected + "<|im_start|>assistant\n")


@pytest.mark.parametrize(
    "text", ['<tool_call>\n{"name": "no", "arguments": {}}\n</tool_call>', "<tool_call>\n{", "<a"]
)
def test_what_is_no_call_is_told_and_waits_for_nothing(runtime, text):
    frame = served_call_frame(runtime, TOOLS)
    chat = Chat(runtime, tools=TOOLS, frame=frame, sampling=made_to_say(text))
    answer = chat.ask("Weather?", silent)
    assert answer.broken_call == text.startswith("<tool_call>")
    assert chat.waiting == ()
    assert chat.messages[-1].text == text


def test_a_question_too_long_is_refused_and_forgotten(runtime):
    chat = Chat(runtime, sampling=made_to_say("Yes."))
    with pytest.raises(RuntimeRefusedError, match="exceeds the available context size"):
        chat.ask("word " * 600, silent)
    assert chat.messages == ()
    assert chat.ask("Short?", silent).text == "Yes."


def test_the_same_seed_says_the_same_and_the_limit_cuts_it_off(runtime):
    said = [
        Chat(runtime, sampling=Sampling(1.0, seed), max_tokens=8).ask("Tell me a story.", silent)
        for seed in (7, 7, 8)
    ]
    assert said[0] == said[1] != said[2]
    assert not said[0].ended


def test_an_unsound_grammar_is_refused_with_the_runtimes_reason(runtime):
    with pytest.raises(RuntimeRefusedError, match=r"[Gg]rammar"):
        Chat(runtime, sampling=Sampling(grammar="root ::= nothing")).ask("Hi", silent)


# How it looks


def printed(capsys, answer: Answer, *pieces: Piece, width: int | None = None) -> list[str]:
    printer = AnswerPrinter(width)
    for piece in pieces:
        printer.hear(piece)
    printer.end(answer)
    return capsys.readouterr().out.splitlines()


def test_parts_stand_on_lines_of_their_own_with_their_names(capsys):
    pieces = [Piece("thought", "Hm, "), Piece("thought", "so."), Piece("world", "Yes.")]
    assert printed(capsys, Answer("", (), ended=True), *pieces) == [
        "thought: Hm, so.",
        "world: Yes.",
    ]
    assert printed(capsys, Answer("", (), ended=True), Piece("prose", "Yes.")) == ["Yes."]
    assert printed(capsys, Answer("", (), ended=True)) == [""]  # an answer all the same


def test_a_call_is_shown_as_indented_json(capsys):
    answer = Answer("", (), (CALLS[0],), ended=True)
    lines = printed(capsys, answer, Piece("calls", "<tool_call>"))
    assert lines == ["get_weather {", '  "city": "Zü\\"rich"', "}"]


def test_words_are_not_broken_in_a_terminal(capsys):
    pieces = [Piece("prose", t) for t in ("one tw", "o thr", "ee\n  four", " five", " 六七八")]
    lines = printed(capsys, Answer("", (), ended=True), *pieces, width=10)
    assert lines == ["one two", "three", "  four", "five", "六七八"]


# The command


def test_the_lines_after_a_call_are_its_results(runtime, capsys):
    frame = served_call_frame(runtime, TOOLS)
    text = "\n".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {{}}}}\n</tool_call>'
        for name in ("get_weather", "now")
    )
    talk = Chat(runtime, tools=TOOLS, frame=frame, sampling=made_to_say(text))
    lines = iter(["Weather?", "21 °C", "12:00"])
    asked: list[str] = []

    def read(prompt: str) -> str | None:
        asked.append(prompt)
        return next(lines, None)

    converse(talk, read, as_json=True)
    assert asked == ["> ", "tool result> ", "tool result> ", "tool result> "]
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    called = [[call["name"] for call in answer["tool_calls"]] for answer in answers]
    assert called == [["get_weather", "now"]] * 2
    roles = [message.role for message in talk.messages]
    assert roles == ["user", "assistant", "tool", "tool", "assistant"]


def piped(ftcore: Callable[..., Any], folder: Path, lines: str, *arguments: str | Path) -> Any:
    (folder / "in").write_text(lines, encoding="utf-8")
    return ftcore("chat", *arguments, cwd=folder, prefix=("sh", "-c", 'exec "$@" < in', "sh"))


def test_a_pipe_gives_a_line_and_gets_an_answer(ftcore, untrained, tmp_path):
    options = ("--temperature", "0", "--max-tokens", "12")
    lines = "Hello.\n/reset\n/system Say moo.\nHello.\n/quit\nnever asked\n"
    done = piped(ftcore, tmp_path, lines, untrained, *options, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 2
    assert answers[0] != answers[1]  # the system text is another one
    for answer in answers:
        assert answer["parts"] == [{"label": "prose", "text": answer["text"].strip()}]
        assert answer["tool_calls"] == []
    plain = piped(ftcore, tmp_path, "Hello.\n", untrained.parent, *options)
    assert plain.stdout == answers[0]["text"].strip() + "\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere",), "there is no nowhere"),
        (("empty",), "holds no GGUF\n  hint: write one: ftcore export"),
        (("two",), "holds several GGUFs: a.gguf, b.gguf\n  hint: choose one: --gguf NAME"),
        (("two", "--gguf", "c.gguf"), "holds no GGUF c.gguf"),
        (("two/a.gguf",), "is no whole GGUF file"),
        (("two/a.gguf", "--constrain"), "its mode is not known"),
        (("two/a.gguf", "--tools", "none.json"), "the tools none.json cannot be read"),
        (("two/a.gguf", "--tools", "two/b.gguf"), "cannot be read as JSON"),
        (("mixed",), "the run trained several modes: a, b\n  hint: choose one: --mode NAME"),
    ],
)
def test_what_cannot_be_talked_to_is_said(ftcore, tmp_path, arguments, told):
    (tmp_path / "empty").mkdir()
    for folder in ("two", "mixed"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.gguf").write_text("no")
    (tmp_path / "two/b.gguf").write_text("no")
    (tmp_path / "mixed/record.json").write_text('{"modes": ["a", "b"]}')
    done = piped(ftcore, tmp_path, "", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_without_the_runtime_the_command_that_installs_it_is_named(
    untrained, tmp_path, without_runtime
):
    done = without_runtime(MAIN, "chat", untrained, cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'ftcore[llamacpp]'" in done.stderr


MAIN = """
    from ftcore.cli.main import main
    main()
"""


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "ftcore", "chat", *map(str, arguments)]
        self._pid, self._end = pty.fork()
        if not self._pid:
            os.environ.pop("NO_COLOR", None)
            # in the background of a shell it would be ignored, here and in what is started
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execv(sys.executable, command)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def wait_for(self, text: str) -> str:
        """Everything up to a text that comes after what was seen before."""
        deadline = time.monotonic() + 120
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            try:
                self.seen += os.read(self._end, 4096).decode("utf-8", "replace")
            except OSError:
                raise AssertionError(f"it ended: {self.seen}") from None
        before, _, self.seen = self.seen.partition(text)
        return before

    def code(self) -> int:
        with suppress(OSError):
            while os.read(self._end, 4096):
                pass
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def test_in_a_terminal_an_answer_is_stopped_and_the_chat_goes_on(untrained):
    terminal = Terminal(untrained, "--max-tokens", "4000", "--temperature", "1.5")
    assert "/quit" in terminal.wait_for("> ")
    terminal.type("Tell me a very long story.\n")
    terminal.wait_for("story.\r\n")
    time.sleep(1)  # some of the answer
    terminal.type("\x03")
    terminal.wait_for("(the answer was cut off)")
    terminal.wait_for("> ")
    terminal.type("/nothing\n")
    terminal.wait_for("there is no /nothing")
    terminal.wait_for("> ")
    terminal.type("\x04")
    assert terminal.code() == 0
