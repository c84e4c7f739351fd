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
from probes import Probed  # noqa: E402
from wire import PROTOCOL, Closed, receive, send  # noqa: E402

Arrays = Dict[str, np.ndarray]


class Session:
    """One network on one IPU."""

    def __init__(self, asked: dict[str, Any], arrays: Arrays) -> None:
        self._nodes = asked["nodes"]
        self._weights = _tensors(arrays)
        self._asked = asked
        scale = float(asked["loss_scale"])
        self._model = Probed(self._nodes, self._weights, asked["kind"], scale, asked["half"], poptorch.identity_loss)
        probes = list(self._model.parameters())
        optimizer = poptorch.optim.SGD(
            probes, lr=1.0, momentum=0.0, weight_decay=0.0, loss_scaling=1.0, max_grad_norm=asked["clip_norm"] * scale
        )
        self._executor = poptorch.trainingModel(self._model, options=_options(asked), optimizer=optimizer)

    def load(self, arrays: Arrays) -> None:
        """Replace all weights."""
        self._weights = _tensors(arrays)
        self._model.replace(self._weights)
        self._push()

    def forward(self, image: np.ndarray) -> np.ndarray:
        """The network's output by this interpreter's own torch, for comparison with dpmed's."""
        with torch.no_grad():
            logits = network.run(self._nodes, self._weights, torch.from_numpy(image))  # type: torch.Tensor
            return logits.numpy()

    def compile(self, arrays: Arrays) -> None:
        """Compile for arguments of these shapes, and run nothing."""
        given = _tensors(arrays)
        self._executor.compile(given["images"], given["targets"], given["factor"])

    def total(self, arrays: Arrays) -> Arrays:
        """The sum of clipped gradients of the patients in one call, by name; `losses/` holds each one's own."""
        given = _tensors(arrays)
        losses = self._executor(given["images"], given["targets"], given["factor"])
        self._executor.copyWeightsToHost()
        taken = self._model.take()  # type: Arrays
        self._push()
        taken["losses/"] = losses.detach().float().reshape(-1).numpy() / float(self._asked["loss_scale"])
        return taken

    def close(self) -> None:
        """Let the device go."""
        self._executor.destroy()

    def _push(self) -> None:
        if self._executor.isCompiled():
            self._executor.copyWeightsToDevice()


def _options(asked: dict[str, Any]) -> Any:
    """Everything that decides who is clipped with whom is said aloud, and looked at again."""
    options = poptorch.Options()
    options.Distributed.disable()
    options.replicationFactor(1)
    options.Training.gradientAccumulation(1)
    options.deviceIterations(int(asked["device_iterations"]))
    options.outputMode(poptorch.OutputMode.All)
    options.setExecutionStrategy(poptorch.ShardedExecution())
    options.Precision.enableStochasticRounding(False)
    options.Precision.setPartialsType(torch.float32)
    if asked["offline"]:
        options.useIpuModel(False)  # which the environment may ask for, and which has no offline target
        options.useOfflineIpuTarget(int(asked["offline"]))
    elif asked["ipu_model"]:
        options.useIpuModel(True)
    if asked["cache"]:
        options.enableExecutableCaching(asked["cache"])
    if asked["memory_proportion"]:
        options.setAvailableMemoryProportion({"IPU0": float(asked["memory_proportion"])})
    kept = options.toDict()
    for name in ("gradient_accumulation", "replication_factor"):
        if kept[name] != 1:
            raise RuntimeError(f"PopTorch did not keep {name} at 1")
    return options


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


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
            self._session = Session(asked, arrays)
            return {"ok": True}, {}
        if self._session is None:
            raise RuntimeError("no network is open")
        if asked["do"] == "load":
            self._session.load(arrays)
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
