"""Ollama's TEMPLATE writes what the chat template writes, held in Go's own template engine."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ftcore.export.chat_probes import probe_chats
from ftcore.export.chat_shape import ChatShape
from ftcore.export.go_template import go_template
from ftcore.export.ollama import write_modelfiles
from ftcore.export.read_chat_shape import chat_shape
from ftcore.export.vocabulary import added_tokens
from ftcore.plugins import open_mode
from ftcore.render import Renderer, renderer_for
from ftcore.values import Sample

from .conftest import UnavailableError, built, compiled

NOT_IN_THE_FRAME = ("qwen3-coder",)
"""Families whose tools Ollama's template language is not made to write: calls in XML."""

SAMPLES = 40


@pytest.fixture(scope="session")
def go():
    """Renders ``[{"template": …, "chats": […]}]`` with Go's text/template as Ollama does."""
    try:
        program = compiled(Path(__file__).parent / "ollama/render.go")
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False)

    def render(template: str, chats: list[dict[str, Any]]) -> list[str]:
        given = json.dumps([{"template": template, "chats": chats}])
        done = subprocess.run(program, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)[0]

    return render


def as_sent(message: dict[str, Any]) -> dict[str, Any]:
    """A message as a client sends it to Ollama's API."""
    sent = {key: message[key] for key in ("role", "content", "tool_calls") if key in message}
    sent |= {"thinking": message["reasoning_content"]} if "reasoning_content" in message else {}
    if message["role"] == "tool":
        sent |= {"tool_call_id": message.get("tool_call_id"), "tool_name": message.get("name")}
    return sent


def written(tokenizer: Any, chat: list[dict[str, Any]], tools: Any, **options: Any) -> str | None:
    try:
        return tokenizer.apply_chat_template(
            chat, tools=tools, tokenize=False, add_generation_prompt=True, **options
        )
    except Exception:  # a template raises whatever it likes
        return None


@cache
def shape_and_start(tokenizer: Any) -> tuple[ChatShape, str]:
    """The shape, and the token of the chat template that the runtime writes before it by itself."""
    begins, _ = added_tokens(tokenizer)
    shape = chat_shape(tokenizer, add_bos=begins)
    assert shape
    text = written(tokenizer, [{"role": "user", "content": "a"}], None)
    own = begins and text and text.startswith(tokenizer.bos_token)
    return shape, tokenizer.bos_token if own else ""


def compared(go: Any, tokenizer: Any, chats: list[tuple[list[dict[str, Any]], Any]]) -> int:
    """Asserts that both write the same; how many chats the chat template takes."""
    shape, start = shape_and_start(tokenizer)
    expected = [written(tokenizer, chat, tools) for chat, tools in chats]
    sent = [{"messages": [as_sent(m) for m in chat], "tools": tools} for chat, tools in chats]
    found = go(go_template(shape), sent)
    pairs = [(e, start + f) for e, f in zip(expected, found, strict=True) if e is not None]
    for chat_template, ollama in pairs:
        assert ollama == chat_template
    return len(pairs)


def test_every_family_has_a_template(family, tokenizer):
    shape, _ = shape_and_start(tokenizer)
    assert (shape.tools is not None) == (family.tools and family.name not in NOT_IN_THE_FRAME)
    assert (shape.thoughts is not None) == family.reasoning


def test_the_template_writes_what_the_chat_template_writes(go, family, tokenizer):
    shape, _ = shape_and_start(tokenizer)
    chats = list(probe_chats(with_tools=shape.tools is not None))
    assert compared(go, tokenizer, chats) >= len(chats) // 2


def test_the_template_without_thinking(go, families):
    tokenizer = families("qwen3")
    shape, start = shape_and_start(tokenizer)
    chat = [{"role": "user", "content": "Sure?"}]
    for think in (True, False):
        (found,) = go(go_template(shape), [{"messages": chat, "think": think}])
        assert start + found == written(tokenizer, chat, None, enable_thinking=think)


def in_ollamas_order(value: Any) -> Any:
    """JSON with its keys in alphabetical order, as Go has maps."""
    if isinstance(value, dict):
        return {key: in_ollamas_order(value[key]) for key in sorted(value)}
    return [in_ollamas_order(item) for item in value] if isinstance(value, list) else value


def as_ollama_hands_on(tool: dict[str, Any]) -> dict[str, Any] | None:
    """A tool with what Ollama keeps of it; None where a property is an object or has no type."""
    function = tool["function"]
    parameters = function["parameters"]
    properties: dict[str, Any] = {}
    for name, given in sorted(parameters.get("properties", {}).items()):
        if not isinstance(given.get("type"), str) or given["type"] == "object":
            return None
        kept = {key: given[key] for key in ("type", "description", "enum", "items") if key in given}
        properties[name] = {
            **kept,
            **({"items": in_ollamas_order(kept["items"])} if "items" in kept else {}),
        }
    kept = {"type": "object", "properties": properties}
    kept |= {"required": parameters["required"]} if parameters.get("required") else {}
    described = {"description": function["description"]} if function.get("description") else {}
    return {
        "type": "function",
        "function": {"name": function["name"], **described, "parameters": kept},
    }


def shipped_chats(renderer: Renderer) -> list[tuple[list[dict[str, Any]], Any]]:
    """Agent mode's samples before each answer, with what Ollama's API keeps of their tools."""
    mode = open_mode("agent")
    text = resources.files("ftcore_agent").joinpath("examples.jsonl").read_text("utf-8")
    found: list[tuple[list[dict[str, Any]], Any]] = []
    for number, line in enumerate(islice(text.splitlines(), SAMPLES), 1):
        conversation = mode.format(Sample(json.loads(line), "examples", number), renderer.target)
        tools = [as_ollama_hands_on(dict(tool)) for tool in conversation.tools]
        if None in tools:
            continue
        chat = renderer.template_messages(conversation.messages)
        for message in chat:
            for call in message.get("tool_calls", ()):
                call["function"]["arguments"] = in_ollamas_order(call["function"]["arguments"])
        ends = [i for i, message in enumerate(conversation.messages) if message.trained]
        found += [(chat[:end], tools or None) for end in ends]
    return found


def test_agent_modes_samples_are_written_alike(go, family, tokenizer):
    """With the chat template that agent mode trains a family with: its own, or ftcore's."""
    if family.name in NOT_IN_THE_FRAME:
        pytest.skip("no tools in the template")
    renderer = renderer_for(tokenizer, tools=True)
    chats = shipped_chats(renderer)
    assert compared(go, renderer.tokenizer, chats) >= len(chats) // 2 >= 10


def test_the_modelfile_of_a_family(family, tokenizer, tmp_path):
    try:
        folder = built(family)
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False)
    (path,), notes = write_modelfiles(
        folder, {"Q8_0": tmp_path / "m.gguf"}, context=512, system="Be brief.\nPlease."
    )
    text = path.read_text("utf-8")
    assert text.startswith('FROM ./m.gguf\nTEMPLATE """')
    assert 'SYSTEM """Be brief.\nPlease."""\n' in text
    assert f'PARAMETER stop """{family.end}"""' in text
    assert "PARAMETER num_ctx 512\n" in text
    begins, _ = added_tokens(tokenizer)
    template = re.search(r'TEMPLATE """(.*?)"""', text, re.DOTALL)
    assert template
    if begins:  # or the runtime would read it twice
        assert not template[1].removeprefix("{{").startswith(tokenizer.bos_token)
        assert f"}}{tokenizer.bos_token}" not in template[1] or family.name == "llama2"
    assert bool(notes) == (family.name in NOT_IN_THE_FRAME)
