"""The command line that runs what was trained."""

from __future__ import annotations

import shlex
from pathlib import Path


def llama_server_command(gguf: Path, context: int) -> str:
    """Serves a GGUF with llama.cpp, with its chat template and the context it was trained with.

    :param context: tokens.
    """
    return f"llama-server -m {shlex.quote(str(gguf))} --jinja -c {context}"
