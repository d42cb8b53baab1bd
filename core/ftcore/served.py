"""Finds the GGUF of a run and asks the runtime that serves it how its chat template writes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from ftcore.call_frame import CallFrame, find_call_frame
from ftcore.errors import InputError
from ftcore.export.reader import read_header
from ftcore.export.runtime import Runtime, open_runtime
from ftcore.export.threads import half_the_cores
from ftcore.messages import as_openai, template_message
from ftcore.record import RECORD, read_record
from ftcore.values import Json, Message, Part

CONTEXT = 8192
"""Tokens that a chat may have, where the model can have so many."""


@frozen
class Served:
    """What a person wants to talk to."""

    gguf: Path
    modes: tuple[str, ...]
    """Those that the run trained; none where the file lies in no run."""
    system: str = ""
    """What every sample's system message said that the run trained, if they said the same."""


def find_served(source: Path, name: str | None) -> Served:
    """The GGUF of a run or of a model folder, or the file itself.

    :param name: of the file in the folder, where there are several.
    :raises InputError: there is none, or there are several and none is chosen.
    """
    if source.is_file():
        return _served(source, source.parent)
    if not source.is_dir():
        raise InputError(f"there is no {source}", "give a run, a model folder or a GGUF")
    files = sorted(source.glob("*.gguf"))
    names = ", ".join(file.name for file in files)
    if not files:
        raise InputError(f"{source} holds no GGUF", f"write one: ftcore export {source}")
    chosen = [file for file in files if name in (None, file.name)]
    if not chosen:
        raise InputError(f"{source} holds no GGUF {name}", f"it holds: {names}")
    if len(chosen) > 1:
        raise InputError(f"{source} holds several GGUFs: {names}", "choose one: --gguf NAME")
    return _served(chosen[0], source)


def _served(gguf: Path, folder: Path) -> Served:
    run = next((f for f in (folder, folder.parent) if (f / RECORD).is_file()), None)
    if run is None:
        return Served(gguf, ())
    record = read_record(run)
    return Served(gguf, tuple(record["modes"]), record.get("system") or "")


def chosen_mode(served: Served, name: str | None) -> str | None:
    """The mode that a person names, or the one that was trained; None where it is not known.

    :raises InputError: several were trained, and none is named.
    """
    if name is not None:
        return name
    if len(served.modes) > 1:
        raise InputError(
            f"the run trained several modes: {', '.join(served.modes)}", "choose one: --mode NAME"
        )
    return served.modes[0] if served.modes else None


@contextmanager
def serve(served: Served) -> Generator[Runtime]:
    """Loads the GGUF until the block ends.

    :raises RuntimeMissingError: the runtime is not installed.
    :raises RuntimeRefusedError: it does not load the file.
    """
    metadata = read_header(served.gguf).metadata
    known = metadata.get(f"{metadata.get('general.architecture')}.context_length", CONTEXT)
    with open_runtime(
        served.gguf, context=min(int(known), CONTEXT), threads=half_the_cores()
    ) as runtime:
        yield runtime


def chat_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as the runtime's server takes them."""
    return [as_openai(template_message(message)) for message in messages]


def served_call_frame(runtime: Runtime, tools: Sequence[Json]) -> CallFrame:
    """How the file's chat template writes calls.

    :raises InputError: it writes none, or their arguments otherwise than as one JSON object.
    """
    user = Message("user", (Part("", "a"),))
    prompt = runtime.apply_template(chat_messages([user]), tools)

    def answer(message: Message) -> str:
        results = [
            Message("tool", (Part("", "b"),), tool_call_id=call.id, name=call.name)
            for call in message.tool_calls
        ]
        # an assistant's message at the end would be one to go on with
        chat = chat_messages([user, message, *(results or [user])])
        whole = runtime.apply_template(chat, tools, prompt=False)
        if not whole.startswith(prompt):
            raise ValueError("it writes the prompt otherwise once there is an answer")
        return whole[len(prompt) :]

    return find_call_frame(answer)
