"""Inspects data as a run with the same options would read them, without training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ftcore.base_models import BaseModel, load_tokenizer, resolve_base_model
from ftcore.config import MIXED, ResolvedConfig
from ftcore.curation import curate
from ftcore.data_report import Report
from ftcore.errors import InputError
from ftcore.plugins import installed_plugins
from ftcore.request import Request, filtered_modes, find_data, open_modes, resolve_settings
from ftcore.samples import judge_samples
from ftcore.shapes import check_importing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KEY = "base_model"


def inspect_data(
    request: Request,
    *,
    all_tokens: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> Report:
    """Reads and judges all data of a request and reports on them.

    Tokens are counted where the base model's tokenizer is on this machine, or the request names
    the base model itself.

    :param all_tokens: render every sample, however many they are.
    :param advance: told how many records were read, every now and then.
    :raises InputError: the data, the settings or the base model that was named cannot be used.
    """
    modes = open_modes(request)
    resolved = resolve_settings(request, modes)
    settings = resolved.settings
    modes = filtered_modes(modes, settings.dataset_requirements.mode_filter)
    check_importing(request.importing, modes.values())
    sources = find_data(request, modes)
    tokenizer, why = _tokenizer(request, resolved)
    counter = None
    if tokenizer is not None:
        from ftcore.quiet import quieten
        from ftcore.token_lengths import TokenCounter

        quieten()
        counter = TokenCounter(
            tokenizer,
            settings,
            every=all_tokens,
        )
    judged = judge_samples(
        modes,
        sources,
        known_modes=[p.name for p in installed_plugins(request.disabled) if p.kind == "mode"],
        importing=request.importing,
    )
    mixed = settings.cognitive_mode == MIXED and not settings.dataset_requirements.mode_filter
    return curate(
        judged,
        settings,
        shares=settings.dataset_requirements.mode_distribution if mixed else {},
        tokens=counter,
        base_model=settings.base_model,
        no_tokens=why,
        advance=advance,
    )


def _tokenizer(
    request: Request, resolved: ResolvedConfig
) -> tuple[PreTrainedTokenizerBase | None, str]:
    """The base model's tokenizer, or why there is none.

    :raises InputError: the request names the base model, and it has none.
    """
    name = resolved.settings.base_model
    written = [text.partition("=")[0].strip() for text in request.overrides]
    if _KEY in request.flags or _KEY in written:
        return load_tokenizer(resolve_base_model(name, request.workspace)), ""
    try:
        base = resolve_base_model(name, request.workspace)
        if base.kind == "hub" and not _is_cached(base):
            return None, f"{name} is not on this machine"
        return load_tokenizer(base), ""
    except InputError as error:
        return None, error.message


def _is_cached(base: BaseModel) -> bool:
    import huggingface_hub
    from huggingface_hub import errors

    hub: Any = huggingface_hub
    try:
        found = hub.try_to_load_from_cache(base.reference, "tokenizer_config.json")
    except errors.HFValidationError:
        return False
    return isinstance(found, str)
