"""How many threads torch and llama.cpp get, set for a while."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager


def half_the_cores() -> int:
    """Threads that still run well when something else is busy on the machine."""
    return max(1, (os.cpu_count() or 1) // 2)


def usable_cores() -> int:
    """Cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Generator[None]:
    """Lets torch share one operation among ``count`` threads until the block ends."""
    import torch  # a chat needs none

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
