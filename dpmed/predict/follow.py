"""Progress from inside a network that is slid over a scan: the work in a thread, what it tells yielded here."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

from dpmed.backends import Backend
from dpmed.core.events import Progress

Result = TypeVar("Result")


class Stopped(Exception):
    """Raised inside the thread when nobody waits for its result any more."""


@dataclass(frozen=True)
class Counted:
    """A backend's `predict` that tells how many views it has looked at."""

    backend: Backend
    seen: SimpleQueue[int | None]
    stop: Event

    def predict(self, image: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch output *space"]:
        """As the backend does."""
        if self.stop.is_set():
            raise Stopped
        answer = self.backend.predict(image)
        self.seen.put(len(image))
        return answer


def followed(work: Callable[[Counted], Result], backend: Backend, *, views: int) -> Generator[Progress, None, Result]:
    """Yield how many of its views were looked at while `work` runs; the value is its result.

    Whoever stops listening (Ctrl-C) stops the work at its next view.
    """
    counted = Counted(backend, SimpleQueue(), Event())
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(work, counted)
        future.add_done_callback(lambda _: counted.seen.put(None))
        done = 0
        try:
            while (seen := counted.seen.get()) is not None:
                done += seen
                yield Progress("views of this scan", done, views)
        finally:
            counted.stop.set()
        return future.result()
