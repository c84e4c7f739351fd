"""Which engine, and how many patients at a time: tried on the first patients of a run, which count all the same."""

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

import torch
from torch import nn

from dpmed.backends.fused import Fused
from dpmed.backends.streams import Engine, trainable, zeros
from dpmed.core.errors import ConfigError
from dpmed.core.specs import ClippingSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import LossFunction
from dpmed.privacy.clipping import l2_bound
from dpmed.privacy.gradients import ClippedSum, CuratorNotes

FEW = 4
"""Patients of the smaller chunks that are tried."""
WORTH = 0.97
"""Of the time of a smaller chunk: a larger one must be so much faster, since it needs more memory."""


class Auto:
    """Tries every engine on the first patients that come, keeps the fastest per patient, and remembers the pick.

    Engines agree to float rounding, so a pick changes no released number beyond that.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = dict(engines)
        self.fused = Fused()
        self.pick: tuple[str, int] | None = None

    def __call__(
        self,
        model: nn.Module,
        loss: LossFunction,
        patients: Iterable[PatientTensors],
        clipping: ClippingSpec,
        nano_batch: int,
    ) -> ClippedSum:
        """As the picked engine does it; `nano_batch` is the most patients at a time."""
        stream = iter(patients)
        head = list(islice(stream, nano_batch)) if self.pick is None else []
        if self.pick is None and head:
            self.pick = self._fastest(model, loss, head, clipping)
        if self.pick is None:
            bound = l2_bound(clipping)
            return ClippedSum(zeros(trainable(model)), bound, CuratorNotes(patients=0, loss_sum=0.0, clipped=0))
        name, size = self.pick
        return self._engine(name)(model, loss, chain(_emptied(head), stream), clipping, size)

    def _engine(self, name: str) -> Engine:
        return self.fused if name == "fused" else self._engines[name]

    def _fastest(
        self, model: nn.Module, loss: LossFunction, head: list[PatientTensors], clipping: ClippingSpec
    ) -> tuple[str, int]:
        few = min(FEW, len(head))
        tries = [("nano", 1), ("vmap", few), ("fused", few), ("fused", len(head))]
        best, least = tries[0], float("inf")
        for name, size in dict.fromkeys(tries):
            spent = self._seconds(name, size, model, loss, head[: max(size, few)], clipping)
            if spent < least * (WORTH if size > few else 1):
                best, least = (name, size), spent
        return best

    def _seconds(
        self,
        name: str,
        size: int,
        model: nn.Module,
        loss: LossFunction,
        some: list[PatientTensors],
        clipping: ClippingSpec,
    ) -> float:
        """Seconds per patient, the second time: the first pays for what is set up. Infinite where it cannot."""
        run = self._engine(name)
        try:
            run(model, loss, some, clipping, size)
            began = time.perf_counter()
            run(model, loss, some, clipping, size)
        except (ConfigError, torch.OutOfMemoryError):
            return float("inf")
        return (time.perf_counter() - began) / len(some)


def _emptied(held: list[PatientTensors]) -> Iterator[PatientTensors]:
    """All that is held, each let go of as it is handed on."""
    while held:
        yield held.pop(0)
