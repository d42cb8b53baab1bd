"""What a base model says about its licence, and the files in which it says so."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

if TYPE_CHECKING:
    from ftcore.base_models import BaseModel

CARD = "README.md"
_FILES = re.compile(r"(licen[cs]e|notice|copying|use_policy)([-_. ].*)?", re.IGNORECASE)
_MOST_BYTES = 2**20
_ON_THE_HUB = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "USE_POLICY.md")
_HUB_IDS = {
    "apache-2.0": "apache-2.0",
    "mit": "mit",
    "llama 3.1 community license": "llama3.1",
    "llama 3.2 community license": "llama3.2",
    "gemma terms of use": "gemma",
}
"""The Hub's identifiers of the licences in ``etc/base-models.json``."""


@frozen
class Licence:
    """A licence as the Hub's model cards state it. All are None where it is unknown."""

    id: str | None = None
    """One of the Hub's identifiers; ``other`` has a name."""
    name: str | None = None
    link: str | None = None

    @property
    def shown(self) -> str | None:
        """For a person; None where the licence is unknown."""
        return self.name or self.id


@frozen
class BaseCard:
    """What is carried along from a base model."""

    licence: Licence
    files: Mapping[str, bytes]
    """The texts of licence and notices by their files' names."""


def base_card(base: BaseModel) -> BaseCard:
    """What a base model says of itself, as far as it can be had; never fails."""
    known = _named(base.licence)
    if base.kind == "hub":
        with tempfile.TemporaryDirectory() as folder:
            _download(base.reference, Path(folder))
            return _of_folder(Path(folder), known)
    if base.kind == "local":
        return _of_folder(Path(base.reference), known)
    return BaseCard(known, {})


def licence_files(folder: Path) -> list[Path]:
    """The files of a folder that hold a licence or notices that go with it."""
    return sorted(
        path
        for path in folder.iterdir()
        if _FILES.fullmatch(path.name) and path.is_file() and path.stat().st_size <= _MOST_BYTES
    )


def licence_of(card: Path) -> Licence:
    """The licence that a model card states in its front matter."""
    import huggingface_hub

    hub: Any = huggingface_hub
    try:
        stated: Mapping[str, Any] = hub.metadata_load(card) or {}
    except Exception:  # there is none, or its YAML is broken: that tells as little
        return Licence()
    texts = {key: _text(stated.get(key)) for key in ("license", "license_name", "license_link")}
    return Licence(texts["license"], texts["license_name"], texts["license_link"])


def _of_folder(folder: Path, known: Licence) -> BaseCard:
    stated = licence_of(folder / CARD)
    files = {path.name: path.read_bytes() for path in licence_files(folder)}
    return BaseCard(stated if stated.id else known, files)


def _named(name: str | None) -> Licence:
    if name is None:
        return Licence()
    known = _HUB_IDS.get(name.lower())
    return Licence(known) if known else Licence("other", name)


def _text(value: object) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value))) or None
    return str(value) if value else None


def _download(reference: str, folder: Path) -> None:
    """The card and the licence of a model of the Hub, from its cache where it cannot be asked."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    hub: Any = huggingface_hub
    for name in (CARD, *_ON_THE_HUB):
        try:
            text = Path(hub.hf_hub_download(reference, name, etag_timeout=5)).read_bytes()
        except LocalEntryNotFoundError:  # not reached; the next one may be in the cache
            continue
        except EntryNotFoundError:
            continue
        except Exception:  # whichever HTTP library the hub's client uses has its own errors
            return
        (folder / name).write_bytes(text)
