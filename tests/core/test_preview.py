"""A preview shows what is trained, from the tokens themselves, and as a run would make them."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from ftcore.cli.preview_text import print_preview
from ftcore.errors import InputError, ProblemsError
from ftcore.preview import (
    Preview,
    Segment,
    ShownSample,
    count_parts,
    counted,
    marks,
    show_example,
    to_json,
)
from ftcore.preview_choice import Choice, preview
from ftcore.progress import Silent
from ftcore.render import Example, renderer_for
from ftcore.request import Request
from ftcore.values import Conversation, Message, Part, ToolCall

WRITABLE = st.characters(exclude_categories=("Cs",), max_codepoint=0x3FFFF)
TEXTS = st.text(WRITABLE, max_size=20) | st.sampled_from(
    [
        "👩‍👩‍👧🎉🎉",
        "  two  spaces ",
        "a\n\n\tb\r\n",
        "é e\u0301 ﬁ",
        "\ufffd\ufffd",
        "مرحبا \u202eabc",
    ]
)


def example_of(*blocks: tuple[list[int], list[int]]) -> Example:
    """Each block is ids, and for each id its part, or -1 for prompt."""
    ids = np.asarray([token for block, _ in blocks for token in block], np.int32)
    parts = np.asarray([part for _, block in blocks for part in block], np.int16)
    return Example(ids, parts)


def said(segments: tuple[Segment, ...]) -> list[tuple[str | None, str]]:
    return [(segment.label, segment.text) for segment in segments]


@given(st.lists(st.tuples(TEXTS, st.integers(-1, 2)), min_size=1, max_size=5))
@settings(max_examples=80)
def test_every_token_is_shown_once_with_its_part_and_text(tokenizer, texts):
    encoded = [(tokenizer(text)["input_ids"], part) for text, part in texts]
    example = example_of(*((ids, [part] * len(ids)) for ids, part in encoded))
    shown = show_example(example, tokenizer, ["x", "y", "z"])
    tokens = [
        (token, segment.label)
        for segment in shown.segments
        for piece in segment.pieces
        for token in piece.ids
    ]
    assert tokens == [
        (token, "xyz"[part] if part >= 0 else None) for ids, part in encoded for token in ids
    ]
    assert shown.tokens == len(example.input_ids)
    assert shown.trained_tokens == example.trained_tokens
    whole = "".join(segment.text for segment in shown.segments)
    assert whole == "".join(tokenizer.decode(ids) for ids, _ in encoded if ids)


def test_a_control_token_is_told_from_a_text_that_only_looks_like_one(tokenizer):
    look = [token for part in ("<|im_", "end|>") for token in tokenizer(part)["input_ids"]]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    shown = show_example(example_of(([*look, end, end], [0] * (len(look) + 2))), tokenizer, ["p"])
    assert [(s.text, s.control) for s in shown.segments] == [
        ("<|im_end|>", False),
        ("<|im_end|>", True),
        ("<|im_end|>", True),
    ]


def test_a_character_of_several_tokens_is_one_piece(tokenizer):
    ids = tokenizer("🎉")["input_ids"]
    assert len(ids) > 1
    (segment,) = show_example(example_of((ids, [0] * len(ids))), tokenizer, ["p"]).segments
    assert [(piece.text, piece.ids) for piece in segment.pieces] == [("🎉", tuple(ids))]


def test_spaces_and_bytes_of_sentencepiece_are_kept():
    """Such a tokenizer drops the space of a token that is decoded by itself."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = [("<unk>", 0.0), ("▁Hi", -1.0), ("▁you", -1.0), ("!", -1.0)]
    vocabulary += [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    party = [byte + 4 for byte in "🎉".encode()]
    ids = [1, 2, *party, *party, 3]
    (segment,) = show_example(example_of((ids, [0] * len(ids))), tokenizer, ["p"]).segments
    assert [piece.text for piece in segment.pieces] == ["Hi", " you", "🎉", "🎉", "!"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a b"),
        (" a  b ", "·a··b·"),
        ("a\n", "a↵\n"),
        ("a \nb", "a·↵\nb"),
        ("\ta", "⇥a"),
        ("a\r\n", "a␍↵\n"),
        ("\x1b[31mred\x7f", "␛[31mred␡"),
        ("a\u00a0b\u2028", "a⟨U+00A0⟩b⟨U+2028⟩"),
        ("\u202eabc\u202c", "⟨U+202E⟩abc⟨U+202C⟩"),
        ("\ufeff\u200b", "⟨U+FEFF⟩⟨U+200B⟩"),
        ("👩\u200d👧 نمی\u200cکنم", "👩\u200d👧 نمی\u200cکنم"),
    ],
)
def test_what_nobody_would_see_is_marked(text, shown):
    found = marks(text, spaces=True)
    assert (
        "".join(
            found.get(at, c) + ("\n" if c == "\n" and at in found else "")
            for at, c in enumerate(text)
        )
        == shown
    )


def test_in_a_prompt_only_what_is_hidden_or_dangerous_is_marked():
    assert marks("  a\tb\n\x1b", spaces=False) == {6: "␛"}


# The terminal


def talk() -> Conversation:
    tool = {"type": "function", "function": {"name": "look", "description": "d " * 400}}
    calls = (ToolCall("look", {"at": "Rome"}), ToolCall("look", {"at": "Oslo"}))
    return Conversation(
        (
            Message("user", (Part("", "Rome or Oslo?"),)),
            Message("assistant", (), (Part("reasoning", "Both."),), calls, trained=True),
            Message("tool", (Part("", "dry"),)),
            Message(
                "assistant", (Part("prose", "Rome [bold]is[/bold] dry 东京. " * 9),), trained=True
            ),
        ),
        (tool,),
    )


@pytest.fixture(scope="module")
def shown(tokenizer) -> Preview:
    renderer = renderer_for(tokenizer, tools=True)
    examples = tuple(
        show_example(example, renderer.tokenizer, renderer.part_labels)
        for example in renderer.examples(talk())
    )
    return Preview("tiny", True, 2048, (ShownSample("d.jsonl", 7, "m", "", examples),))


def printed(shown: Preview, *, full: bool = False, **options) -> str:
    file = io.StringIO()
    print_preview(shown, Console(file=file, highlight=False, **options), full=full)
    return file.getvalue()


def rows(text: str) -> list[tuple[str, str]]:
    """Name and text of each trained part, from the printed page."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if match := re.fullmatch(r"(?:(\w+) +(\d+)| +) ?┃ ?(.*)", line):
            if match[1]:
                found.append((match[1], match[3]))
            elif found:
                found[-1] = (found[-1][0], f"{found[-1][1]}\n{match[3]}")
    return found


def test_trained_parts_stand_in_a_terminal_with_their_names(shown):
    found = rows(printed(shown, width=80))
    assert [name for name, _ in found if name not in ("structure", "end")] == [
        *("reasoning", "tool_name", "arguments", "tool_name", "arguments", "prose")
    ]
    assert [text for name, text in found if name == "tool_name"] == ["look", "look"]
    assert ["Rome" in text for name, text in found if name == "arguments"] == [True, False]
    assert [text for name, text in found if name == "end"] == ["⟦<|im_end|>⟧"] * 2


def test_a_terminal_of_80_columns_is_not_overrun(shown):
    lines = printed(shown, width=80).splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert any("[bold]is[/bold] dry 东京" in line for line in lines)


def test_colour_says_nothing_that_is_not_said_without(shown):
    plain = printed(shown, width=80)
    coloured = printed(shown, width=80, force_terminal=True, color_system="standard")
    assert coloured != plain
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain


def test_in_a_pipe_no_line_is_broken(shown):
    lines = printed(shown, width=120, soft_wrap=True).splitlines()
    assert any(line.count("dry 东京.") == 9 for line in lines)


def test_a_long_prompt_is_shortened_and_full_shows_it(shown):
    short, full = printed(shown, width=80), printed(shown, full=True, width=80)
    assert re.search(r"… \d+ lines of the prompt are left out; --full prints them", short)
    assert "left out" not in full
    assert full.count(" d") > 300 > short.count(" d")
    assert rows(short) == rows(full)


def test_the_counts_add_up(shown):
    (example,) = shown.examples
    document = json.loads(json.dumps(to_json(shown)))["samples"][0]["examples"][0]
    by_part = dict.fromkeys(document["by_part"], 0)
    for segment in document["segments"]:
        assert segment["trained"] == (segment["part"] is not None)
        if segment["trained"]:
            by_part[segment["part"]] += len(segment["ids"])
    assert by_part == document["by_part"] == count_parts([example])
    assert sum(by_part.values()) == document["trained_tokens"]
    assert document["tokens"] == sum(len(segment["ids"]) for segment in document["segments"])
    share = document["trained_tokens"] / document["tokens"]
    assert f"({share:.0%}): structure {by_part['structure']}" in counted([example])


# Which samples

MODE = """
from ftcore import hookimpl
from ftcore.values import Conversation, Message, Part, Problem

@hookimpl
def ftcore_sample_schema():
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {"ask": text, "say": {"type": "string", "minLength": 1}, "tool": text},
        "required": ["ask", "say"],
        "additionalProperties": False,
    }

@hookimpl
def ftcore_validate_sample(sample):
    if sample["ask"] == "odd":
        return [Problem("an odd question", "/ask", severity="warning")]
    return []

@hookimpl
def ftcore_format_sample(sample, target):
    tools = ()
    if "tool" in sample:
        tools = ({"type": "function", "function": {"name": sample["tool"]}},)
    return Conversation((
        Message("user", (Part("", sample["ask"]),)),
        Message("assistant", (Part("said", sample["say"]),), trained=True),
    ), tools)
"""


class Listening(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)

    def warn(self, problem) -> None:
        self.said.append(str(problem))


@pytest.fixture
def ask(tmp_path, distribution):
    """``ask(records, count=…)``: the preview and what was said on the way."""
    distribution("ftc-talk", MODE, mode="talk")

    def run(records, *overrides, files=1, **choice) -> tuple[Preview, list[str]]:
        data = []
        for number in range(files):
            data.append(tmp_path / f"data{number}.jsonl")
            lines = (r if isinstance(r, str) else json.dumps(r) for r in records)
            data[-1].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        request = Request(
            workspace=tmp_path,
            mode="talk",
            data=tuple(data),
            overrides=("base_model=smollm2:135m", *overrides),
        )
        listening = Listening()
        return preview(request, Choice(**choice), listening), listening.said

    return run


def lines_of(shown: Preview) -> list[int]:
    return [sample.line for sample in shown.samples]


def talks(count: int) -> list[dict[str, str]]:
    return [{"ask": f"{n}?", "say": f"{n}!"} for n in range(count)]


def test_the_first_valid_samples_are_shown(ask):
    shown, said = ask([{"ask": "no answer"}, *talks(5)], count=2)
    assert lines_of(shown) == [2, 3]
    assert [s.text for s in shown.examples[0].segments if s.trained] == ["0!", "<|im_end|>"]
    assert any("a record has problems" in text and "ftcore check" in text for text in said)


def test_a_seed_draws_them_and_draws_the_same_again(ask):
    one, _ = ask(talks(40), count=5, seed=3)
    other, _ = ask(talks(40), count=5, seed=4)
    assert lines_of(one) == sorted(lines_of(one))
    assert len(set(lines_of(one))) == 5
    assert lines_of(one) != [1, 2, 3, 4, 5] != lines_of(other)
    assert lines_of(one) == lines_of(ask(talks(40), count=5, seed=3)[0])
    assert lines_of(one) != lines_of(other)


def test_lines_are_shown_of_every_file(ask):
    shown, _ = ask(talks(4), lines=(4, 2), files=2)
    assert lines_of(shown) == [2, 4, 2, 4]
    assert len({sample.file for sample in shown.samples}) == 2


def test_a_line_with_a_problem_says_which(ask):
    with pytest.raises(ProblemsError) as caught:
        ask([*talks(1), {"ask": "no answer"}], lines=(2,))
    (problem,) = caught.value.problems
    assert problem.line == 2
    assert "say" in str(problem)


def test_a_line_that_is_not_there_is_named(ask):
    with pytest.raises(InputError, match=r"line 9 of .*data0\.jsonl"):
        ask(talks(2), lines=(9,))


def test_the_template_is_that_of_the_whole_run(ask, tokenizer):
    """A single sample with tools, far behind those that are shown, decides for all of them."""
    assert not ask(talks(6), count=1)[0].own_template
    shown, _ = ask([*talks(6), {"ask": "t?", "say": "t!", "tool": "look"}], count=1)
    assert shown.own_template
    assert lines_of(shown) == [1]
    # SmolLM2's own template would have put its system message there
    assert shown.examples[0].segments[1].text == "user\n0?"
    # beyond max_samples it is not trained on, and decides nothing
    limited, _ = ask([*talks(6), {"ask": "t?", "say": "t!", "tool": "look"}], "max_samples=3")
    assert not limited.own_template


def test_a_control_token_in_a_text_is_refused_as_in_training(ask):
    bad = {"ask": "a <|im_end|> b", "say": "x"}
    with pytest.raises(ProblemsError) as caught:
        ask([*talks(1), bad], lines=(2,))
    assert "'<|im_end|>'" in str(caught.value.problems[0])
    assert caught.value.problems[0].line == 2
    shown, said = ask([bad, *talks(1)])
    assert lines_of(shown) == [2]
    assert any("data0.jsonl:1" in text and "'<|im_end|>'" in text for text in said)


def test_a_sample_that_is_too_long_is_said_to_be_left_out(ask):
    long = {"ask": "a", "say": "word " * 300}
    shown, said = ask([long, *talks(1)], "max_seq_length=128")
    assert lines_of(shown) == [2]
    assert any("data0.jsonl:1 is left out" in text for text in said)
    with pytest.raises(InputError, match="max_seq_length"):
        ask([long], "max_seq_length=128")


def test_warnings_about_shown_samples_are_passed_on(ask):
    odd = {"ask": "odd", "say": "x"}
    assert any("an odd question" in text for text in ask([odd])[1])
    assert not any("an odd question" in text for text in ask([*talks(1), odd], count=1)[1])


def test_samples_on_one_line_of_a_json_array_are_told_apart(tmp_path, distribution):
    distribution("ftc-talk", MODE, mode="talk")
    path = tmp_path / "data.json"
    path.write_text(json.dumps(talks(3)), encoding="utf-8")
    request = Request(tmp_path, "talk", (path,), overrides=("base_model=smollm2:135m",))
    shown = preview(request, Choice(), Silent())
    trained = [[s.text for s in e.segments if s.label == "said"] for e in shown.examples]
    assert trained == [["0!"], ["1!"], ["2!"]]


def test_a_base_model_that_is_not_here_leads_to_base_model(ask, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        ask(talks(1), "base_model=nobody/no-such-model")
    assert "nobody/no-such-model" in str(caught.value)
    assert "--base-model" in caught.value.hint
