"""What PopTorch passes on this machine: Graphcore's simulator (2), an IPU that is not here (2b), and a device (3)."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from statistics import median

from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.ipu_backend import IpuBackend
from dpmed.core.errors import DeviceError
from dpmed.core.record import Record
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors

CALLS = 3
OFFLINE_TARGET = 2
"""PopTorch's number of the Mk2 architecture, which Bow has, too."""


class Level(Record):
    """Whether a level passed, and why not; `hint` says what may help. Levels that only compile have no speed."""

    level: str
    where: str
    passed: bool
    reason: str = ""
    hint: str = ""
    compile_seconds: float | None = None
    patients_per_second: float | None = None


@dataclass(frozen=True)
class Case:
    """What is compiled and trained: a network, and one patient's images."""

    model: ModelSpec
    task: TaskSpec
    clipping: ClippingSpec
    size: tuple[int, ...]
    draws: int

    def patients(self, count: int) -> tuple[PatientTensors, ...]:
        """Synthetic ones of that shape."""
        return synthetic_patients(
            self.task, channels=self.model.in_channels, size=self.size, draws=self.draws, patients=count
        )


SMALL = Case(
    ModelSpec(name="resnet10-gn", spatial_dims=2, in_channels=1, out_channels=1, width=8),
    TaskSpec(kind="classification", outputs=("covid",)),
    ClippingSpec(l2_clip_norm=1.0),
    size=(64, 64),
    draws=1,
)


def levels(flags: HardwareFlags, case: Case = SMALL) -> tuple[Level, ...]:
    """All three, in order. Never raises for what is missing or does not fit."""
    flags = flags.model_copy(update={"device": "ipu"})
    simulated, real = (flags.model_copy(update={"ipu_model": is_model}) for is_model in (True, False))
    return (
        _tried("2", "Graphcore's simulator", lambda: _train(case, simulated)),
        _tried("2b", "compiled for an IPU that is not here", lambda: _compile(case, real)),
        _tried("3", "a device", lambda: _train(case, real)),
    )


def _tried(level: str, where: str, attempt: Callable[[], tuple[float, float | None]]) -> Level:
    try:
        compiling, speed = attempt()
    except DeviceError as error:
        return Level(level=level, where=where, passed=False, reason=error.message, hint=error.hint)
    return Level(level=level, where=where, passed=True, compile_seconds=round(compiling, 1), patients_per_second=speed)


def _train(case: Case, flags: HardwareFlags) -> tuple[float, float | None]:
    """Seconds until the first sum, which compiles and passes the self-test or raises; patients per second after it."""
    backend, patients = IpuBackend(), case.patients(flags.ipu_device_iterations * flags.ipu_workers)
    backend.open(case.model, case.task, case.clipping, flags)
    with closing(backend):
        first = _timed(lambda: backend.clipped_sum(patients))
        seconds = median(_timed(lambda: backend.clipped_sum(patients)) for _ in range(CALLS))
    return first, round(len(patients) / seconds, 1)


def _compile(case: Case, flags: HardwareFlags) -> tuple[float, float | None]:
    """Seconds of compiling; the compiler gives every tensor its place, so what compiles fits."""
    backend = IpuBackend(offline=OFFLINE_TARGET)
    flags = flags.model_copy(update={"ipu_workers": 1})  # all copies are the same program
    backend.open(case.model, case.task, case.clipping, flags)
    with closing(backend):
        return _timed(lambda: backend.compile(case.patients(1)[0])), None


def _timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
