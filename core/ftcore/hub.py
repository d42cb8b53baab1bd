"""Asks the model hub once, and quickly, whether it has a model and gives it to us."""

from __future__ import annotations

from functools import cache
from typing import Any

from ftcore.errors import InputError

HUB_SECONDS = 10
"""How long the hub may take to answer at all; a download may take as long as it needs."""


@cache
def only_cached(reference: str, hint: str) -> bool:
    """Whether the hub cannot be asked but its cache holds the model.

    One request says whether the hub, the model and the permission to read it are there;
    transformers by itself would try again for half a minute, file by file.

    :param hint: what else a person can do where the hub does not help.
    :raises InputError: one of them is not there, and neither is the model in the cache.
    """
    import huggingface_hub
    from huggingface_hub import errors

    hub: Any = huggingface_hub
    try:
        url: str = hub.hf_hub_url(reference, "config.json")
        cached = isinstance(hub.try_to_load_from_cache(reference, "config.json"), str)
    except errors.HFValidationError as error:
        raise InputError(f"{reference!r} is no hub id, no folder and no alias", hint) from error
    try:
        _ask(url)
    except Exception as error:  # whichever HTTP library the hub's client uses has its own errors
        if cached:
            return True
        raise _in_words(error, reference, hint) from error
    return False


def _ask(url: str) -> None:
    import huggingface_hub
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        raise errors.OfflineModeIsEnabled
    hub: Any = huggingface_hub
    hub.get_hf_file_metadata(url, timeout=HUB_SECONDS)


def _in_words(error: Exception, reference: str, hint: str) -> InputError:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return InputError(
                f"the hub gives {reference} only to accounts that accepted its licence",
                "accept it on the model's page, then log in: hf auth login",
            )
        case errors.RepositoryNotFoundError():
            return InputError(f"the hub has no model {reference}, or it is private", hint)
        case errors.EntryNotFoundError():
            return InputError(
                f"{reference} on the hub has no config.json",
                "it may hold only GGUF files; name the repository with the safetensors",
            )
        case errors.OfflineModeIsEnabled():
            return InputError(
                f"{reference} is not in the hub's cache, and HF_HUB_OFFLINE forbids to load it",
                hint,
            )
        case _:
            return InputError(
                f"the model hub cannot be reached for {reference}: {one_line(error)}", hint
            )


def one_line(error: BaseException) -> str:
    """The beginning of an error's text on one line, or its kind where it has no text."""
    text = " ".join(str(error).split())
    return f"{text[:240]}…" if len(text) > 240 else text or type(error).__name__
