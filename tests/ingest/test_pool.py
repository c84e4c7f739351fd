"""Several workers give the results of one, in the same order; this process is one of them."""

import os
import signal
import time
from contextlib import closing
from functools import cached_property

import pytest

from dpmed.core.errors import InterruptedRun
from dpmed.ingest.pool import Crew

ITEMS = list(range(3_000))


class Squarer:
    """Work that keeps for itself what cannot be sent to another process."""

    @cached_property
    def _square(self):
        return lambda number: number * number

    def __call__(self, number: int) -> tuple[int, int]:
        time.sleep(0.001)
        return self._square(number), os.getpid()


def dies_elsewhere(parent: int) -> None:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_items_and_no_worker_is_idle(workers):
    with closing(Crew(workers)) as crew:
        done = list(crew.map(Squarer(), ITEMS))
    assert [square for square, _ in done] == [number * number for number in ITEMS]
    assert len({process for _, process in done}) == workers
    assert os.getpid() in {process for _, process in done}


def test_processes_that_are_up_serve_the_next_round_too():
    work = Squarer()
    with closing(Crew(2)) as crew:
        first, second = ({process for _, process in crew.map(work, ITEMS)} for _ in range(2))
    assert first == second


def test_a_killed_process_ends_the_round_with_a_way_on():
    with closing(Crew(2)) as crew, pytest.raises(InterruptedRun) as told:
        list(crew.map(dies_elsewhere, [os.getpid()] * 3_000))
    assert "--resume" in told.value.hint
