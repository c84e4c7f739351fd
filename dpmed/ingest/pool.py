"""Work over many items in order, here or in several processes; the results are the same."""

import logging
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
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


class Crew:
    """Workers for several rounds of work: here, or in processes that are started once and kept until `close`.

    Processes are spawned, so nothing of this one is shared.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """`work` of every item, in the order of the items."""
        if self.workers <= 1 or len(items) <= 1:
            yield from map(work, items)
            return
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_hush)
        try:
            yield from _in_order(self._executor, work, items, self.workers * AHEAD)
        except BrokenProcessPool:
            raise InterruptedRun(
                "a worker process died, perhaps for want of memory",
                hint="run the command again with --resume --workers 1",
            ) from None

    def close(self) -> None:
        """Let the processes go; work that has not begun is dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)


def ordered_map(work: Callable[[Item], Result], items: Sequence[Item], *, workers: int) -> Iterator[Result]:
    """One round of work, in the order of the items."""
    with closing(Crew(workers)) as crew:
        yield from crew.map(work, items)


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
