"""ftcore fine-tunes a language model in a cognitive mode and proves that what was trained ships."""

import pluggy

hookimpl = pluggy.HookimplMarker("ftcore")
"""Marks a function of a mode or an extension as the implementation of an ``ftcore_*`` hook."""

__all__ = ["hookimpl"]
