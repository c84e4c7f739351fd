"""What can befall a training run from outside: killed, killed in the middle of a write, out of disk."""

import multiprocessing
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

from dpmed.engine import TrainRequest, train
from dpmed.engine.optimizer import Optimizer


def befall(kind: str, request: TrainRequest, witness: Path, dice: random.Random) -> None:
    """Train in a process of its own until an accident of this kind ends it, or until the run is done.

    `witness` gets one byte before each update of the weights: an account of what was released that no ledger keeps.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dpmed.engine"])
    mine, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(kind, request, witness, dice.random(), theirs))
    child.start()
    theirs.close()
    if kind == "killed" and mine.poll(60):
        time.sleep(dice.uniform(0, 1.2))
        child.kill()
    child.join()
    mine.close()


def _run(kind: str, request: TrainRequest, witness: Path, chance: float, ready) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # tracebacks of a full disk are expected
    _watch(witness)
    if kind == "killed at a write":
        _die_at_sync(1 + int(40 * chance), torn=0)
    elif kind == "killed in a line":
        _die_at_sync(1 + int(40 * chance), torn=1 + int(200 * chance))
    elif kind == "disk full":
        written = request.run.ledger.stat().st_size if request.run.ledger.exists() else 0
        limit = written + int(4000 * chance)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ready.send(True)
    for _ in train(request):
        pass


def _watch(witness: Path) -> None:
    real = Optimizer.apply

    def apply(self, gradient, **position) -> None:
        with witness.open("ab", buffering=0) as file:
            file.write(b".")
        real(self, gradient, **position)

    Optimizer.apply = apply


def _die_at_sync(number: int, *, torn: int) -> None:
    """Kill this process at its n-th flush to the disk; `torn` bytes of a file's end have not arrived by then."""
    left = [number]
    real: Callable[[int], None] = os.fsync

    def fsync(handle: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            if torn:
                os.ftruncate(handle, max(0, os.fstat(handle).st_size - torn))
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    os.fsync = fsync
