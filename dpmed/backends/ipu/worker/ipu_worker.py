"""The IPU side of dpmed: started in the SDK's interpreter, answers messages on its standard streams until told to stop.

Imports the standard library, numpy, torch, poptorch and its neighbours, nothing else; writes no file of its own. What
PopTorch prints goes to standard error.
"""

from __future__ import annotations

import os
import sys
from typing import IO, Any, Dict

# Any of these would switch on accumulation or replicas unasked, and patients would be clipped together.
TRAPS = ("POPTORCH_DEFAULT_OPTIONS", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")
for trap in TRAPS:
    os.environ.pop(trap, None)

import network  # noqa: E402  the environment comes first
import numpy as np  # noqa: E402
import poptorch  # noqa: E402
import torch  # noqa: E402
from session import Session  # noqa: E402
from wire import PROTOCOL, Closed, receive, send  # noqa: E402

Arrays = Dict[str, np.ndarray]


class Worker:
    """Answers questions, one after the other; keeps the open network between them."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def serve(self, source: IO[bytes], sink: IO[bytes]) -> None:
        """Answer until the other side goes. An error is told by its type and text."""
        while True:
            try:
                asked, arrays = receive(source)
            except Closed:
                break
            try:
                said, answer = self._answer(asked, arrays)
            except Exception as error:  # PopTorch raises errors of its own, and those of the C++ below it
                said, answer = {"ok": False, "error": type(error).__name__, "text": str(error)[:4000]}, {}
            send(sink, said, answer)
        if self._session is not None:
            self._session.close()

    def _answer(self, asked: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        if asked["do"] == "hello":
            return _hello(), {}
        if asked["do"] == "open":
            self._session = Session(asked["nodes"], arrays)
            return {"ok": True}, {}
        if self._session is None:
            raise RuntimeError("no network is open")
        if asked["do"] == "load":
            self._session.load(arrays)
            return {"ok": True}, {}
        if asked["do"] == "plan":
            self._session.plan(asked)
            return {"ok": True}, {}
        if asked["do"] == "forward":
            return {"ok": True}, {"logits": self._session.forward(arrays["image"])}
        if asked["do"] == "compile":
            self._session.compile(arrays)
            return {"ok": True}, {}
        if asked["do"] == "sum":
            return {"ok": True}, self._session.total(arrays)
        raise RuntimeError("there is nothing to do by that name")


def _hello() -> dict[str, Any]:
    return {
        "ok": True,
        "protocol": PROTOCOL,
        "network": network.VERSION,
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "sdk": getattr(poptorch, "__version__", ""),
        "has_hardware": bool(poptorch.ipuHardwareIsAvailable()),
    }


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand between messages
    Worker().serve(sys.stdin.buffer, own)
