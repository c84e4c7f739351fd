"""Work over many items in order, here or in several processes; the results are the same."""

import logging
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from dpmed.core.errors import InterruptedRun

Item = TypeVar("Item")
Result = TypeVar("Result")
WORTH_A_PROCESS = 200
MOST_WORKERS = 8
AHEAD = 8
"""Items in flight per worker: enough to keep it busy, few enough that a stop is quick."""


def workers_for(items: int, asked: int | None) -> int:
    """As many as asked for, else one for small inputs and up to eight for large ones."""
    if asked is not None:
        return max(1, asked)
    return 1 if items < WORTH_A_PROCESS else min(os.cpu_count() or 1, MOST_WORKERS)


def ordered_map(work: Callable[[Item], Result], items: Sequence[Item], *, workers: int) -> Iterator[Result]:
    """`work` of every item, in the order of the items. Processes are spawned, so nothing of this one is shared."""
    if workers <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_hush)
    try:
        yield from _in_order(executor, work, items, workers * AHEAD)
    except BrokenProcessPool:
        raise InterruptedRun(
            "a worker process died, perhaps for want of memory", hint="run the command again with --resume --workers 1"
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _in_order(
    executor: ProcessPoolExecutor, work: Callable[[Item], Result], items: Sequence[Item], ahead: int
) -> Iterator[Result]:
    waiting: list[Future[Result]] = []
    for item in items:
        waiting.append(executor.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _hush() -> None:
    """In a worker: Ctrl-C is the parent's to handle, and no library may print what it read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
