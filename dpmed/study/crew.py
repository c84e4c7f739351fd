"""Processes that train cells side by side: each with one core, kept until the end, replaced when one dies."""

import logging
import multiprocessing
import os
import signal
import traceback
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from dpmed.core.errors import DpmedError

if TYPE_CHECKING:
    from dpmed.study.cells import Cell
    from dpmed.study.work import Task

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Failed:
    """A cell that came to nothing, and why: without a value of any patient."""

    task: "Task"
    reason: str


def trained(tasks: "Sequence[Task]", *, workers: int) -> "Iterator[Cell | Failed]":
    """Every task's cell, as they are finished. Stopping this stops the processes; what they had finished is written."""
    left: deque[Task] = deque(tasks)
    crew: dict[object, _Worker] = {}
    try:
        for _ in range(min(workers, len(left))):
            worker = _Worker()
            crew[worker.pipe] = worker
            worker.begin(left.popleft())
        while crew:
            for pipe in wait([worker.pipe for worker in crew.values()]):
                worker = crew.pop(pipe)
                yield worker.outcome()
                if not left:
                    worker.stop()
                    continue
                worker = worker if worker.process.is_alive() else _Worker()
                crew[worker.pipe] = worker
                worker.begin(left.popleft())
    finally:
        for worker in crew.values():
            worker.stop()


class _Worker:
    """One process and the pipe to it. Spawned, so that nothing of this process is shared."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # theirs alone now: when it dies, ours ends
        self._task: Task | None = None

    def begin(self, task: "Task") -> None:
        """Hand over a task. That a process died meanwhile is told by `outcome`."""
        self._task = task
        try:
            self.pipe.send(task)
        except OSError:
            return

    def outcome(self) -> "Cell | Failed":
        """The answer, or that there will be none."""
        assert self._task is not None, "only a worker with a task is waited for"
        try:
            answer: Cell | str = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return Failed(self._task, f"its process died ({self.process.exitcode}), perhaps for want of memory")
        return Failed(self._task, answer) if isinstance(answer, str) else answer

    def stop(self) -> None:
        """End it at once: a finished cell is on disk, and one at work is trained again."""
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def serve(pipe: Connection) -> None:
    """In another process: tasks in, cells or reasons out, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.environ.update(dict.fromkeys(THREADS, "1"))  # before torch is loaded
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    from dpmed.study.work import work

    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: Cell | str = work(task)
        except DpmedError as error:
            answer = error.message
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            answer = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
        try:
            pipe.send(answer)
        except OSError:
            return
