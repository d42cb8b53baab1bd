"""Temporary folders that go with what uses them, at the latest with the process."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class Scratch:
    """A new folder where the system keeps temporary files (``TMPDIR``).

    It is removed when nothing refers to this object any more.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ftcore-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
