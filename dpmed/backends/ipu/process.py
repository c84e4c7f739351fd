"""The worker as a process: started in the SDK's interpreter, asked one thing at a time, never waited for for ever."""

import collections
import os
import subprocess
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from dpmed.backends.ipu.worker import network, wire
from dpmed.core.errors import DeviceError

SCRIPT = Path(__file__).parent / "worker" / "ipu_worker.py"
START_SECONDS = 120.0
LAST_LINES = 5
"""Of what the worker prints, kept for the message when it dies."""
NEXT = "see docs/ipu.md; --device cpu or cuda trains with the same guarantee"

Arrays = Mapping[str, np.ndarray]


class Worker:
    """One worker. Every question is answered within its time or the process is killed and `DeviceError` raised."""

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603  the interpreter is the user's choice
                [python, "-u", str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
            )
        except OSError:
            raise DeviceError(f"no interpreter {python!r} for the IPU worker can be started", hint=NEXT) from None
        self._said: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def ask(
        self, what: str, header: Mapping[str, Any] | None = None, arrays: Arrays | None = None, *, seconds: float
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Send a question and return header and arrays of the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        late = threading.Event()
        watch = threading.Timer(seconds, self._kill, [late])
        watch.start()
        try:
            wire.send(self._process.stdin, {**(header or {}), "do": what}, dict(arrays or {}))
            said, answer = wire.receive(self._process.stdout)
        except (wire.Closed, OSError, ValueError):
            self.close()
            if late.is_set():
                raise DeviceError(f"the IPU worker did not answer `{what}` within {seconds:.0f} s", hint=NEXT) from None
            raise DeviceError(f"the IPU worker ended{self._last_words()}", hint=_cure(self._last_words())) from None
        finally:
            watch.cancel()
        if not said["ok"]:
            raise DeviceError(f"PopTorch refused to {what}: {said['error']}: {said['text']}", hint=_cure(said["text"]))
        return said, answer

    def greet(self) -> dict[str, Any]:
        """The versions on the other side, once they are known to fit, and whether there is an IPU."""
        said, _ = self.ask("hello", seconds=START_SECONDS)
        if (said["protocol"], said["network"]) != (wire.PROTOCOL, network.VERSION):
            raise DeviceError("the IPU worker is of another version of dpmed", hint="reinstall dpmed")
        return said

    def close(self) -> None:
        """End the process; closing its input is how it is told."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._listener.join(timeout=10)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):  # what was not yet sent has nobody to go to
                    pipe.close()

    def kill(self) -> None:
        """End the process at once; who waits for an answer gets a `DeviceError`."""
        self._process.kill()

    def _kill(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line.decode(errors="replace").strip()[:200])

    def _last_words(self) -> str:
        self._listener.join(timeout=1)
        return f": {self._said[-1]}" if self._said else ""


def greeting(python: str) -> dict[str, Any]:
    """What a worker in that interpreter says of itself; it is ended again."""
    worker = Worker(python, os.environ)
    with closing(worker):
        return worker.greet()


def _cure(text: str) -> str:
    if "memory" in text.lower():
        return (
            "the network does not fit: more IPUs (hardware.ipu_count), hardware.ipu_recompute=true, a smaller "
            "data.image_size or model.width, hardware.precision=float16, or hardware.ipu_memory_proportion=0.1; "
            "dpmed train --device ipu --dry-run says which would do"
        )
    if "acquire" in text:
        return "wait until so many IPUs are free, or ask for fewer: hardware.ipu_count times hardware.ipu_workers"
    if "No module named 'poptorch'" in text or "poptorch_core" in text:
        return "enable the Poplar SDK first (source its enable script); see docs/ipu.md"
    return NEXT
