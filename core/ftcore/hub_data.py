"""Reads the records of a Hub data set as they stream in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ftcore.errors import InputError
from ftcore.hub import HUB_SECONDS, one_line
from ftcore.records import no_record
from ftcore.tables import table_record
from ftcore.values import Problem, Sample

DOWNLOAD = "or download its files and name their folder"


def hub_records(name: str, update: Callable[[bytes], None]) -> Iterator[Sample | Problem]:
    """Each row of a data set's split; its ``line`` is the number of the row, from 1.

    What is None within a struct leaves its key out: Arrow fills structs up with it.

    :param name: ``owner/name``, or ``owner/name:split`` for a split other than ``train``.
    :param update: takes every record as a line of JSON with sorted keys.
    :raises InputError: the Hub cannot be reached, has no such data set or split, or gives it to
        certain accounts only.
    """
    reference, _, split = name.partition(":")
    _ask(reference)
    yield from rows_of(reference, split or "train", name, update)


def rows_of(
    reference: str, split: str, name: str, update: Callable[[bytes], None]
) -> Iterator[Sample | Problem]:
    """The same for whatever ``datasets.load_dataset`` loads, a folder too."""
    datasets: Any = import_module("datasets")
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    number = 0
    for number, row in enumerate(_rows(datasets, reference, split), start=1):
        item = table_record(row, name, number)
        if isinstance(item, Sample):
            line = json.dumps(item.data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            update(f"{line}\n".encode())
        yield item
    if not number:
        yield no_record(name, f"the split {split!r} has no rows")


def _rows(datasets: Any, reference: str, split: str) -> Iterator[Mapping[str, Any]]:
    try:
        yield from datasets.load_dataset(reference, split=split, streaming=True)
    except Exception as error:  # every library below datasets has errors of its own
        raise _in_words(error, reference) from error


def _ask(reference: str) -> None:
    """Asks the Hub once; datasets by itself would try again for half a minute."""
    from huggingface_hub import constants

    hub: Any = import_module("huggingface_hub")
    if constants.HF_HUB_OFFLINE:
        return  # datasets may have it in its cache, and fails at once if not
    try:
        hub.HfApi().dataset_info(reference, timeout=HUB_SECONDS)
    except Exception as error:  # whichever HTTP library the hub's client uses has its own errors
        raise _in_words(error, reference) from error


def _in_words(error: Exception, reference: str) -> InputError:
    from huggingface_hub import constants, errors

    neither = f"there is no file or folder {reference}"
    if isinstance(error, errors.GatedRepoError):
        return InputError(
            f"the Hub gives the data set {reference} only to accounts that accepted its terms",
            "accept them on the data set's page, then log in: hf auth login",
        )
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return InputError(
            f"{neither}, and the Hub has no data set of this name, or it is private",
            "check the path of --data, or log in: hf auth login",
        )
    if constants.HF_HUB_OFFLINE and not Path(reference).exists():
        return InputError(
            f"{neither}, and HF_HUB_OFFLINE forbids to load a data set from the Hub",
            "check the path of --data, or name a file",
        )
    unreachable = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
    if unreachable or type(error).__module__.startswith("http"):
        return InputError(
            f"{neither}, and the Hub cannot be reached: {one_line(error)}",
            f"check the path of --data, {DOWNLOAD}",
        )
    return InputError(
        f"the data set {reference} of the Hub cannot be read: {one_line(error)}",
        f"name a split: {reference}:test, {DOWNLOAD}",
    )
