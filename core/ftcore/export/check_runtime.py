"""Checks what llama.cpp makes of a GGUF's tokenizer: ids, chat template, end of turn."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, cast

from attrs import frozen
from transformers import PreTrainedTokenizerBase

from ftcore.export.certificate import Check
from ftcore.export.pretokenizers import WITHOUT_MARKS
from ftcore.export.probes import TEXTS
from ftcore.export.runtime import Runtime, RuntimeRefusedError
from ftcore.export.vocabulary import chat_template, is_sentencepiece, pretokenizer
from ftcore.messages import as_openai
from ftcore.render import Renderer, RenderError, Turn
from ftcore.values import Conversation


@frozen
class RenderedTurn:
    """A turn with what it was rendered from."""

    turn: Turn
    messages: tuple[dict[str, Any], ...]
    """Those before it, as chat templates take them."""
    tools: tuple[dict[str, Any], ...]


def rendered_turns(
    renderer: Renderer, conversations: Sequence[Conversation], limit: int
) -> tuple[RenderedTurn, ...]:
    """The turns of the conversations, one conversation after the other, at most ``limit``.

    Conversations that the chat template refuses are left out: they could not be trained either.
    """
    found: list[RenderedTurn] = []
    for conversation in conversations:
        try:
            turns = renderer.turns(conversation)
        except RenderError:
            continue
        messages = renderer.template_messages(conversation.messages)
        tools = tuple(dict(tool) for tool in conversation.tools)
        found += [RenderedTurn(turn, tuple(messages[: turn.index]), tools) for turn in turns]
        if len(found) >= limit:
            break
    return tuple(found[:limit])


def check_token_ids(runtime: Runtime, renderer: Renderer, turns: Sequence[RenderedTurn]) -> Check:
    """Every text becomes the same ids on both sides, and the same ids begin and end a text.

    llama.cpp leaves out what some tokenizers do to a text before they split it (composing
    letters, taking blanks beside control tokens off). Where it makes the same ids of the text
    that the model saw, the file is right, and the difference is only told.
    """
    tokenizer = renderer.tokenizer
    spm = is_sentencepiece(tokenizer)
    # without it some put a blank before a text
    first = str(tokenizer.bos_token or "") if spm else ""
    exempt = not spm and pretokenizer(tokenizer) in WITHOUT_MARKS
    probes = [first + text for text in TEXTS if not (exempt and _has_marks(text))]
    texts = [*probes, *(turn.turn.prompt + turn.turn.answer for turn in turns)]
    rewritten = 0
    wrong: list[str] = []
    for text in texts:
        expected, found = renderer.encode(text), runtime.tokenize(text, add_special=False)
        if expected == found:
            continue
        if runtime.tokenize(renderer.decode(expected), add_special=False) == expected:
            rewritten += 1
        else:
            wrong.append(f"{_around(expected, found)} in {text[:40]!r}")
    theirs = [runtime.tokenize(TEXTS[0], add_special=special) for special in (False, True)]
    encode = cast("Any", tokenizer)
    ours = [
        list(encode(TEXTS[0], add_special_tokens=special)["input_ids"]) for special in (False, True)
    ]
    if _added(*ours) != _added(*theirs):
        wrong.append(f"a text as a whole: {_around(ours[1], theirs[1])}")
    notes = [f"{len(texts)} texts have the same ids"]
    if rewritten:
        notes.append(
            f"{rewritten} of them only as the tokenizer rewrites them first, which llama.cpp does "
            "not (composed letters, blanks beside control tokens)"
        )
    if exempt:
        notes.append("llama.cpp splits words with combining marks otherwise (Hindi, Thai)")
    return Check(
        "token_ids",
        not wrong,
        float(len(wrong)),
        0.0,
        "; ".join(wrong[:3] or notes),
    )


def _added(plain: Sequence[int], whole: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """What stands before and after a text's own ids."""
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[:start], whole[start + len(plain) :]
    return whole, ()


def _has_marks(text: str) -> bool:
    return any(unicodedata.category(character) in ("Mn", "Mc") for character in text)


def check_chat_template(
    runtime: Runtime, metadata: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase
) -> Check:
    """The template in the file, and the one that the runtime uses, are the tokenizer's."""
    template = chat_template(tokenizer)
    expected = template[0][1] if isinstance(template, tuple) else template
    stored = metadata.get("tokenizer.chat_template")
    if expected is None:
        detail = "neither has one" if stored is None else "the file has one, the model has none"
        return Check("chat_template", stored is None, None, None, detail)
    if stored is None:
        return Check("chat_template", False, None, None, "the file has none, the model has one")
    used = runtime.chat_template()  # Jinja, and so llama.cpp, takes a last newline off
    same = stored == expected and used in (expected, expected.removesuffix("\n"))
    where = "the file" if stored != expected else "the runtime"
    return Check(
        "chat_template",
        same,
        None,
        None,
        f"the same {len(expected)} characters"
        if same
        else f"{where} has another template than the model",
    )


def check_rendering(runtime: Runtime, renderer: Renderer, turns: Sequence[RenderedTurn]) -> Check:
    """The prompt that the runtime makes of the messages is the one that transformers makes."""
    wrong: list[str] = []
    rewritten = 0
    for turn in turns:
        messages = [as_openai(message) for message in turn.messages]
        try:
            found = runtime.apply_template(messages, turn.tools)
        except RuntimeRefusedError as error:
            wrong.append(error.message)
            continue
        if _same_prompt(found, turn.turn.prompt, renderer):
            continue
        if _same_prompt(found, _as_rewritten(turn, renderer), renderer):
            rewritten += 1
            continue
        wrong.append(_around_text(turn.turn.prompt, found))
    note = (
        f"; in {rewritten} of them llama.cpp rewrites tool definitions or numbers (1.0 as 1)"
        if rewritten
        else ""
    )
    compared = bool(turns) or not renderer.tokenizer.chat_template  # pyright: ignore[reportUnknownMemberType]
    same = f"{len(turns)} prompts are the same{note}" if turns else "there is no chat template"
    if not compared:
        same = "the chat template renders none of the conversations, so no prompt was compared"
    return Check(
        "rendering", not wrong and compared, float(len(wrong)), 0.0, "; ".join(wrong[:2]) or same
    )


def check_end_token(
    runtime: Runtime,
    metadata: Mapping[str, Any],
    renderer: Renderer,
    turns: Sequence[RenderedTurn],
) -> Check:
    """What ends a turn in the rendered text ends generation in the runtime."""
    marked = {
        metadata.get("tokenizer.ggml.eos_token_id"),
        metadata.get("tokenizer.ggml.eot_token_id"),
    }
    ends = {renderer.encode(turn.turn.answer)[-1] for turn in turns}
    if not ends and isinstance(renderer.tokenizer.eos_token_id, int):
        ends = {renderer.tokenizer.eos_token_id}
    wrong: list[str] = []
    names: list[str] = []
    prompt = renderer.encode(TEXTS[0])
    for end in sorted(ends):
        name = str(renderer.tokenizer.convert_ids_to_tokens(end))
        names.append(name)
        if end not in marked:
            wrong.append(f"{name} ends a turn, but is neither the file's eos nor its eot token")
        if not runtime.stops_on(prompt, end):
            wrong.append(f"{name} ends a turn, but the runtime does not stop on it")
    return Check(
        "end_token",
        not wrong,
        float(len(wrong)),
        0.0,
        "; ".join(wrong) or f"the runtime stops on {', '.join(names)}",
    )


def _as_rewritten(turn: RenderedTurn, renderer: Renderer) -> str:
    """The prompt in transformers after the changes that llama.cpp's server makes to a request.

    It keeps name, description and parameters of a tool, in this order, and writes whole numbers
    without a fraction. Neither can be told to a template, so it is no fault of the file.
    """
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool["function"]["name"],
                "description": tool["function"].get("description", ""),
                "parameters": tool["function"].get("parameters", {}),
            },
        }
        for tool in turn.tools
    ]
    rendered: object = cast("Any", renderer.tokenizer).apply_chat_template(
        _whole_numbers(turn.messages),
        tools=_whole_numbers(tools) or None,
        add_generation_prompt=True,
        tokenize=False,
    )
    return str(rendered)


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole_numbers(item) for key, item in cast("Any", value).items()}
    if isinstance(value, (list, tuple)):
        return [_whole_numbers(item) for item in cast("Any", value)]
    return value


def _same_prompt(found: str, expected: str, renderer: Renderer) -> bool:
    """llama.cpp takes the leading bos off a rendered prompt and adds it again as an id."""
    bos = renderer.tokenizer.bos_token
    return expected == found or (isinstance(bos, str) and expected == bos + found)


def _around(expected: Sequence[int], found: Sequence[int]) -> str:
    at = next(
        (
            index
            for index, pair in enumerate(zip(expected, found, strict=False))
            if len({*pair}) > 1
        ),
        min(len(expected), len(found)),
    )
    return f"ids from {at} on are {list(found[at : at + 4])}, not {list(expected[at : at + 4])}"


def _around_text(expected: str, found: str) -> str:
    at = next(
        (
            index
            for index, pair in enumerate(zip(expected, found, strict=False))
            if len({*pair}) > 1
        ),
        min(len(expected), len(found)),
    )
    start = max(0, at - 20)
    return f"…{found[start : at + 20]!r} instead of …{expected[start : at + 20]!r}"
