"""The certificate's values, and how they are written as JSON and read back."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen
from cattrs.preconf.json import make_converter

_CONVERTER = make_converter()


@frozen
class Check:
    """One thing that the GGUF and the model must agree on."""

    name: str
    passed: bool
    measured: float | None
    """In the unit that ``detail`` names; None where there is nothing to measure."""
    limit: float | None
    """Up to which ``measured`` passes; None: reported only."""
    detail: str


@frozen
class Certificate:
    """Whether an exported GGUF says what the model says, and how that was found out."""

    gguf: str
    """The file's name."""
    size: int
    """Bytes."""
    sha256: str
    model: str
    """The folder of the model that it was compared with."""
    quantization: str
    runtime: str
    runtime_version: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> str:
        """The certificate as schemas/certificate.schema.json describes it."""
        value: dict[str, Any] = _CONVERTER.unstructure(self)
        value = {**{key: value[key] for key in value if key != "checks"}, "passed": self.passed}
        value["checks"] = [_CONVERTER.unstructure(check) for check in self.checks]
        return json.dumps(value, ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> Certificate:
        """A certificate that :meth:`to_json` wrote. ``passed`` is worked out again."""
        return _CONVERTER.loads(text, Certificate)
