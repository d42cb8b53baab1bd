"""What knows xllamacpp's server: a GGUF loaded in llama.cpp, asked over its own server."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import secrets
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ftcore.errors import FtcoreError

RUNTIME = "xllamacpp"
"""The distribution that brings llama.cpp."""

TIMEOUT = 600
"""Seconds that one question may take."""

_FORCED = 1e4
"""A bias that makes a token the likeliest whatever the model says."""

_QUIET = -1
_ERRORS = 1


class RuntimeMissingError(FtcoreError):
    """No llama.cpp is installed."""


class RuntimeRefusedError(FtcoreError):
    """llama.cpp does not load the file, or does not answer a question about it."""


@frozen
class NextToken:
    """The likeliest next tokens after a prompt, likeliest first."""

    ids: NDArray[np.int64]
    logprobs: NDArray[np.float64]
    """Natural logarithms of the probabilities before any sampling, over the whole vocabulary."""


@frozen
class Completion:
    """What the model says greedily after a prompt."""

    ids: tuple[int, ...]
    """With the token that ended it."""
    ended: bool
    """Whether an end-of-generation token ended it, rather than the limit."""


def runtime_available() -> str | None:
    """The version of the installed runtime, or None. Does not load it."""
    try:
        return importlib.metadata.version(RUNTIME)
    except importlib.metadata.PackageNotFoundError:
        return None


@frozen
class Sampling:
    """How an answer is drawn from the model's probabilities."""

    temperature: float = 0.0
    """0: the likeliest token every time."""
    seed: int | None = None
    """None: another one every time."""
    grammar: str | None = None
    """GBNF; the answer is one that it describes, or the beginning of one."""


class Runtime:
    """A loaded GGUF. Made by :func:`open_runtime`."""

    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._key = key
        # the server is on this machine: a proxy named in the environment must not see the prompts
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def wait(self) -> None:
        """Returns when the loop of the server that works on requests has begun.

        A server that is freed before would never end: its loop would begin after it was told to
        end (xllamacpp 2026.10), and the destructor would wait for it. The loop answers this.
        """
        with self._opened("/slots", None) as answer:
            answer.read()

    def tokenize(self, text: str, *, add_special: bool) -> list[int]:
        """Token ids of a text, control tokens in it recognised.

        ``add_special``: with what the file says begins and ends every text.
        """
        body = {"content": text, "add_special": add_special, "parse_special": True}
        return [int(index) for index in self._post("/tokenize", body)["tokens"]]

    def apply_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        *,
        prompt: bool = True,
    ) -> str:
        """What the file's chat template makes of OpenAI-style messages.

        :param prompt: whether the assistant is to speak next. Otherwise the last message must not
            be an assistant's, which the server would have the model go on with.
        :raises RuntimeRefusedError: the template refuses the messages.
        """
        body: dict[str, Any] = {"messages": list(messages), "add_generation_prompt": prompt}
        if tools:
            body["tools"] = list(tools)
        return str(self._post("/apply-template", body)["prompt"])

    def chat_template(self) -> str:
        """The chat template that the runtime uses."""
        return str(self._request("/props", None).get("chat_template", ""))

    def takes_system(self) -> bool:
        """Whether the chat template has a place for a system message."""
        able: Mapping[str, Any] = self._request("/props", None).get("chat_template_caps", {})
        return bool(able.get("supports_system_role", True))

    def say(
        self,
        prompt: str,
        limit: int,
        sampling: Sampling,
        hear: Callable[[str], None],
        *,
        preserved: Sequence[str] = (),
    ) -> bool:
        """Has the model go on from a prompt, and tells each piece of text as it comes.

        An exception out of ``hear``, or an interrupt, ends the generation.

        :param limit: tokens that the answer may have.
        :param preserved: control tokens that are part of the text; others are not told.
        :returns: whether the model ended its turn by itself.
        :raises RuntimeRefusedError: the prompt is too long, or the grammar is none.
        """
        body: dict[str, Any] = {
            "prompt": prompt,
            "n_predict": limit,
            "temperature": sampling.temperature,
            "cache_prompt": True,
            "stream": True,
            "preserved_tokens": list(preserved),
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.grammar is not None:
            body["grammar"] = sampling.grammar
        last: dict[str, Any] = {}
        with self._opened("/completion", json.dumps(body).encode()) as answer:
            for line in answer:  # server-sent events
                kind, _, data = line.decode().partition(": ")
                if kind == "error":
                    raise RuntimeRefusedError(f"llama.cpp stopped: {_reason(data.encode())}")
                if kind == "data":
                    last = json.loads(data)
                    if "error" in last:
                        raise RuntimeRefusedError(f"llama.cpp stopped: {_reason(data.encode())}")
                    if last["content"]:
                        hear(last["content"])
        return last.get("stop_type") == "eos"

    def next_token(self, prompt: Sequence[int], top: int) -> NextToken:
        """The ``top`` likeliest next tokens. A prompt that continues the last one is cheap.

        The server leaves the probabilities out where it samples a token that ends generation or
        is half a letter, so it is made to sample another one; what it reports are the
        probabilities before this.
        """
        letter = self.tokenize("a", add_special=False)[0]
        answer = self._complete(prompt, 1, n_probs=top, logit_bias=[[letter, _FORCED]])
        rows: list[dict[str, Any]] = answer["completion_probabilities"][0]["top_logprobs"]
        return NextToken(
            np.fromiter((row["id"] for row in rows), np.int64, len(rows)),
            np.fromiter((row["logprob"] for row in rows), np.float64, len(rows)),
        )

    def greedy(self, prompt: Sequence[int], limit: int) -> Completion:
        """The greedy continuation, at most ``limit`` tokens."""
        return _completion(self._complete(prompt, limit))

    def stops_on(self, prompt: Sequence[int], token: int) -> bool:
        """Whether generation ends when the model says ``token``, tried by making it say so."""
        answer = self._complete(prompt, 2, logit_bias=[[token, _FORCED]])
        return _completion(answer).ended

    def _complete(self, prompt: Sequence[int], limit: int, **more: object) -> dict[str, Any]:
        return self._post(
            "/completion",
            {
                "prompt": [int(index) for index in prompt],
                "n_predict": limit,
                "temperature": -1,  # greedy, with probabilities as the model has them
                "return_tokens": True,
                "cache_prompt": True,
                **more,
            },
        )

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._request(path, json.dumps(body).encode())

    def _request(self, path: str, body: bytes | None) -> dict[str, Any]:
        with self._opened(path, body) as answer:
            return cast("dict[str, Any]", json.load(answer))

    @contextmanager
    def _opened(self, path: str, body: bytes | None) -> Generator[Any]:
        """The server's answer, to be read; closing it before its end ends the server's work."""
        request = urllib.request.Request(
            self._address + path,
            data=body,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            raise RuntimeRefusedError(
                f"llama.cpp refuses {path}: {_reason(error.read())}"
            ) from error
        except (OSError, ValueError) as error:
            raise RuntimeRefusedError(f"llama.cpp does not answer {path}: {error}") from error


@contextmanager
def open_runtime(gguf: Path, *, context: int, threads: int) -> Generator[Runtime]:
    """Loads a GGUF, and frees it when the block ends.

    :param context: tokens that prompt and answer may have together.
    :raises RuntimeMissingError: the runtime is not installed.
    :raises RuntimeRefusedError: it does not load the file; the message has llama.cpp's reason.
    """
    if runtime_available() is None:
        raise RuntimeMissingError(
            "the llama.cpp runtime that loads a GGUF is not installed",
            "pip install 'ftcore[llamacpp]'",
        )
    xllamacpp: Any = importlib.import_module(RUNTIME)
    key = secrets.token_urlsafe()
    parameters = _parameters(xllamacpp, gguf, context, threads, key)
    try:
        server: Any = xllamacpp.Server(parameters)
    except RuntimeError as error:
        reason = _load_error(xllamacpp, _parameters(xllamacpp, gguf, context, threads, key))
        raise RuntimeRefusedError(
            f"llama.cpp cannot load {gguf.name}: {reason or error}",
            "export the model again; if that does not help, the file needs a newer runtime",
        ) from error
    runtime = Runtime(str(server.listening_address), key)
    runtime.wait()
    try:
        yield runtime
    finally:
        del server  # its destructor ends the threads and frees the model


def _parameters(xllamacpp: Any, gguf: Path, context: int, threads: int, key: str) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(gguf)
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.warmup = False
    parameters.verbosity = _QUIET
    parameters.endpoint_slots = True
    parameters.api_keys = [key]  # other users of this machine can reach the port too
    return parameters


def _load_error(xllamacpp: Any, parameters: Any) -> str:
    """Why a file does not load: loads it once more, with llama.cpp's errors into a file.

    They are written by C code to the process's standard error, so that is what is redirected,
    and by a thread of its own, so they may come after the refusal.
    """
    parameters.verbosity = _ERRORS
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        saved = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            xllamacpp.Server(parameters)
        except RuntimeError:
            _wait_for_lines(log.fileno())
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        log.seek(0)
        lines = log.read().decode("utf-8", "replace").splitlines()
    reasons = [line for line in lines if "error loading" in line] or lines
    return reasons[0].split("E ", 1)[-1].strip() if reasons else ""


def _wait_for_lines(log: int) -> None:
    """Returns when the log has grown and then been still for a moment, or has stayed empty."""
    deadline, size = time.monotonic() + 2, 0
    while time.monotonic() < deadline:
        time.sleep(0.05)
        now = os.fstat(log).st_size
        if now and now == size:
            return
        size = now


def _completion(answer: Mapping[str, Any]) -> Completion:
    ids = tuple(int(index) for index in answer.get("tokens", ()))
    return Completion(ids, answer.get("stop_type") == "eos")


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
