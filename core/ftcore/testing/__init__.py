"""The laws that every mode keeps, as tests for pytest (:class:`ModeConformance`) and as functions.

Needs neither pytest nor torch. ``ftcore check-mode NAME`` holds the same laws against a mode.
"""

from ftcore.testing.conformance import ModeConformance

__all__ = ["ModeConformance"]
