"""Patients in order, fetched ahead by threads while the machine computes."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from dpmed.data.tensors import PatientTensors


def fetch_ahead(
    patients: Sequence[str], fetch: Callable[[str], PatientTensors], *, workers: int, ahead: int
) -> Iterator[PatientTensors]:
    """Yield `fetch(patient)` for each patient, in order; at most `ahead` are held at once. No workers: no threads."""
    if workers == 0:
        yield from map(fetch, patients)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[PatientTensors]] = deque()
        for patient in patients:
            waiting.append(pool.submit(fetch, patient))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
