"""Work over many items in order, here or in several processes; the results are the same."""

import logging
import multiprocessing
import os
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from copy import copy
from typing import TypeVar

from dpmed.core.errors import InterruptedRun

Item = TypeVar("Item")
Result = TypeVar("Result")
WORTH_A_PROCESS = 200
MOST_WORKERS = 8
AHEAD = 8
"""Items with each process: enough to keep it busy while this one works, few enough that a stop is quick."""


def workers_for(items: int, asked: int | None) -> int:
    """As many as asked for, else one for small inputs and up to eight for large ones."""
    if asked is not None:
        return max(1, asked)
    return 1 if items < WORTH_A_PROCESS else min(os.cpu_count() or 1, MOST_WORKERS)


class Crew:
    """Workers for several rounds of work: this process, and others that are started once and kept until `close`.

    The others are spawned, so nothing of this one is shared. That takes them a second, and this one works meanwhile.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """`work` of every item, in the order of the items."""
        if self.workers <= 1 or len(items) <= 1:
            yield from map(work, items)
            return
        try:
            yield from self._in_order(work, items)
        except BrokenProcessPool:
            raise InterruptedRun(
                "a worker process died, perhaps for want of memory",
                hint="run the command again with --resume --workers 1",
            ) from None

    def close(self) -> None:
        """Let the processes go; work that has not begun is dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def _in_order(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        executor, left = self._others(), deque(items)
        here = copy(work)  # what it keeps for itself while it works here may not be fit to be sent
        are_up = executor.submit(_learn, work)
        waiting: deque[Future[Result]] = deque()
        while left:
            if are_up.done():
                busy = sum(not future.done() for future in waiting)
                sent = min(self._share(len(left) + busy) - busy, len(left))
                waiting.extend(executor.submit(work, left.popleft()) for _ in range(sent))
            if waiting and (waiting[0].done() or len(waiting) >= self.workers * AHEAD):
                yield waiting.popleft().result()
            elif left:
                waiting.append(_finished(here(left.popleft())))
        yield from (future.result() for future in waiting)

    def _share(self, items: int) -> int:
        """How many of the items that are left the other processes hold: as many as keep this one busy as long."""
        return (self.workers - 1) * min(AHEAD, -(-items // self.workers))

    def _others(self) -> ProcessPoolExecutor:
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self.workers - 1, mp_context=context, initializer=_hush)
        return self._executor


def _finished(result: Result) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_result(result)
    return future


def ordered_map(work: Callable[[Item], Result], items: Sequence[Item], *, workers: int) -> Iterator[Result]:
    """One round of work, in the order of the items."""
    with closing(Crew(workers)) as crew:
        yield from crew.map(work, items)


def _learn(work: Callable[[Item], Result]) -> None:
    """The first task of a round: to have received `work` is to have loaded all it needs, which takes longest."""


def _hush() -> None:
    """In another process: Ctrl-C is the parent's to handle, and no library may print what it read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
