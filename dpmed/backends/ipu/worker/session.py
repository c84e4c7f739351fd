"""One network on one IPU, or one after the other on several: compiled, fed and emptied through PopTorch."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, ContextManager, Dict

import network
import numpy as np
import poptorch
import torch
from explicit import Explicit
from probes import Probed

Arrays = Dict[str, np.ndarray]
RECOMPUTE = 1
"""PopART's `RecomputationType::Standard`: it picks itself what is kept for the backward pass, to need least memory."""


class Session:
    """One network, and what it was compiled to once that was asked for."""

    def __init__(self, nodes: list[network.Node], arrays: Arrays) -> None:
        self._nodes, self._weights = nodes, _tensors(arrays)
        self._executor: Any = None

    def forward(self, image: np.ndarray) -> np.ndarray:
        """The network's output by this interpreter's own torch, for comparison with dpmed's."""
        with torch.no_grad():
            logits = network.run(self._nodes, self._weights, torch.from_numpy(image))  # type: torch.Tensor
            return logits.numpy()

    def plan(self, asked: dict[str, Any]) -> None:
        """Make ready what the first call will compile; every layer gets the IPU that `asked["ipus"]` names."""
        for node, ipu in zip(self._nodes, asked["ipus"]):
            node["ipu"] = ipu
        self._scale = float(asked["loss_scale"])
        asked = dict(asked, nodes=self._nodes)
        options, place = _options(asked), _place if asked["ipu_count"] > 1 else _here
        if asked["clipping"] != "flat":
            self._model: Any = Explicit(asked, self._weights, place)
            self._executor = poptorch.inferenceModel(self._model, options=options)
            return
        self._model = Probed(asked, self._weights, place, poptorch.identity_loss)
        optimizer = poptorch.optim.SGD(
            list(self._model.parameters()),
            lr=1.0,
            momentum=0.0,
            weight_decay=0.0,
            loss_scaling=1.0,
            max_grad_norm=asked["clip_norm"] * self._scale,
        )
        self._executor = poptorch.trainingModel(self._model, options=options, optimizer=optimizer)

    def load(self, arrays: Arrays) -> None:
        """Replace all weights."""
        self._weights = _tensors(arrays)
        if self._executor is not None:
            self._model.replace(self._weights)
            self._push()

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
        taken["losses/"] = losses.detach().float().reshape(-1).numpy() / self._scale
        return taken

    def close(self) -> None:
        """Let the device go."""
        if self._executor is not None:
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
    options.setExecutionStrategy(poptorch.ShardedExecution(*_stages(asked["ipu_count"])))
    options.Precision.enableStochasticRounding(False)
    options.Precision.setPartialsType(torch.float32)
    if asked["recompute"]:
        options._Popart.set("autoRecomputation", RECOMPUTE)
    if asked.get("offline"):
        options.useIpuModel(False)  # which the environment may ask for, and which has no offline target
        options.useOfflineIpuTarget(int(asked["offline"]))
    elif asked["ipu_model"]:
        options.useIpuModel(True)
    if asked["cache"]:
        options.enableExecutableCaching(asked["cache"])
    if asked["memory_proportion"]:
        share = float(asked["memory_proportion"])
        options.setAvailableMemoryProportion({f"IPU{ipu}": share for ipu in range(asked["ipu_count"])})
    kept = options.toDict()
    for name in ("gradient_accumulation", "replication_factor"):
        if kept[name] != 1:
            raise RuntimeError(f"PopTorch did not keep {name} at 1")
    return options


def _stages(ipus: int) -> list[Any]:
    """Forward from the first IPU to the last, backward to the first again, and sums; unless there is one IPU only."""
    if ipus == 1:
        return []
    order = [("forward", ipu) for ipu in range(ipus)]
    order += [("backward", ipu) for ipu in reversed(range(ipus))] + [("sum", ipu) for ipu in range(ipus)]
    return [poptorch.Stage(_block(*one)).ipu(one[1]) for one in order]


def _place(phase: str, ipu: int) -> ContextManager[object]:
    return poptorch.Block(_block(phase, ipu))  # type: ignore[no-any-return]


def _here(phase: str, ipu: int) -> ContextManager[object]:
    return nullcontext()


def _block(phase: str, ipu: int) -> str:
    return f"{phase}-{ipu}"


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
