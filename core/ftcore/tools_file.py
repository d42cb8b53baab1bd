"""Reads the definitions of tools that a person gives in a file."""

from __future__ import annotations

from pathlib import Path

from ftcore.errors import InputError
from ftcore.shapes.embedded import ShapeError
from ftcore.shapes.tools import read_tools
from ftcore.values import Json


def read_tools_file(path: Path) -> tuple[Json, ...]:
    """OpenAI-style definitions, from JSON in any form that a record's tools may have.

    :raises InputError: there is no such file, or it holds no tools.
    """
    try:
        tools = read_tools(path.read_text(encoding="utf-8"), "")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the tools {path} cannot be read: {reason}") from error
    except ShapeError as error:
        raise InputError(f"{path}: {error.message}", error.hint) from error
    if not tools.definitions:
        raise InputError(f"{path} holds no tools", "write a list of definitions")
    return tuple(tools.definitions)
