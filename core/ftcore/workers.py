"""Divides work among processes; the results come in the order of the tasks, as from one."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from ftcore.errors import FtcoreError

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 3
"""Tasks for each process that are waiting, being done or done before their turn."""

IMPORTED = (
    "ftcore.collect",
    "ftcore.rendered",
    "jsonschema",
    "transformers.tokenization_utils_tokenizers",
)
"""What workers import."""

MOST = 8
"""Processes that are used unless the user asks for more: one process reads for all, and twice as
many are a tenth faster and take 0.6 GB more (docs/benchmarks.md)."""

PATIENCE = 5.0
"""Seconds that a process may take to end when it is told to."""


def count_workers(setting: int, size: int, worth: int) -> int:
    """How many processes to use.

    :param setting: of the user; 0 leaves it to us.
    :param size: of the work, in bytes.
    :param worth: bytes that are worth the start of a process.
    """
    if setting:
        return setting
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, MOST, size // worth))


def in_order(
    open_work: Callable[[], Callable[[T], R]], tasks: Iterable[T], workers: int
) -> Generator[R]:
    """What each task gives, in order.

    With one worker everything is done here. More are processes that know nothing of this one, so
    ``open_work``, the tasks and the results must be picklable. When the generator is closed, or
    a task fails, all of them end at once.

    :param open_work: called once in each process, gives what does a task.
    :raises FtcoreError: a process was killed.
    """
    if workers == 1:
        yield from map(open_work(), tasks)
        return
    pool = ProcessPoolExecutor(
        workers,
        mp_context=_context(),
        initializer=_begin,
        initargs=(open_work,),
    )
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(_do, task))
            if len(waiting) >= workers * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise FtcoreError(
            "a process that prepares the data has ended unexpectedly",
            "the machine may be short of memory: --set workers=1 needs least",
        ) from error
    finally:
        _end(pool)


def _context() -> BaseContext:
    """A process that has imported what workers import is forked for each, where a system can.

    Each worker by itself would take seconds and hundreds of megabytes for it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context


_work: Callable[[Any], Any]
"""Of this process, if it is a worker."""


def _begin(open_work: Callable[[], Callable[[Any], Any]]) -> None:
    global _work  # a pool hands nothing else to its tasks
    gc.freeze()  # what was imported before the fork stays shared memory
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one process, one core
    _work = open_work()


def _do(task: Any) -> Any:
    return _work(task)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _end(pool: ProcessPoolExecutor) -> None:
    """Ends a pool without waiting for what is under way, which nobody asks for any more."""
    running: dict[int, BaseProcess] | None = getattr(pool, "_processes", None)
    processes = list((running or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(PATIENCE)
