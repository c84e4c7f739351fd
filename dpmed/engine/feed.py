"""The patients of each step, fetched ahead by threads: while the machine computes, and while noise is drawn."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from dpmed.data.tensors import PatientTensors

Fetch = Callable[[str, int], PatientTensors]
"""A patient and a step, to the patient's tensors of that step."""


class Feed:
    """Fetches the patients of `steps` in order, at most `ahead` before they are asked for, across steps too.

    `sample` says who is in a step; it is asked once for each, shortly before. Without workers everything is fetched
    when it is asked for. `waited` is how many seconds the machine stood still for data so far.
    """

    def __init__(
        self, sample: Callable[[int], tuple[str, ...]], fetch: Fetch, *, steps: Iterable[int], workers: int, ahead: int
    ) -> None:
        self._order = ((step, patient) for step in steps for patient in sample(step))
        self._fetch = fetch
        self._ahead = ahead if workers else 1
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._queue: deque[tuple[int, Future[PatientTensors]]] = deque()
        self.waited = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def step(self, number: int) -> Iterator[PatientTensors]:
        """The patients of one step; each step is asked for once, in order, and to its end."""
        while True:
            began = time.monotonic()
            self._fill()
            if not self._queue or self._queue[0][0] != number:
                return
            _, future = self._queue.popleft()
            tensors = future.result()
            self.waited += time.monotonic() - began
            yield tensors

    def _fill(self) -> None:
        while len(self._queue) < self._ahead and (following := next(self._order, None)) is not None:
            step, patient = following
            self._queue.append((step, self._submit(patient, step)))

    def _submit(self, patient: str, step: int) -> Future[PatientTensors]:
        if self._pool is not None:
            return self._pool.submit(self._fetch, patient, step)
        done: Future[PatientTensors] = Future()
        done.set_result(self._fetch(patient, step))
        return done
