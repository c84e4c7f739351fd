"""What PopTorch passes on this machine: on Graphcore's simulator (level 2) and on a device (level 3)."""

import statistics
import time
from contextlib import closing

from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.ipu_backend import IpuBackend
from dpmed.core.errors import DeviceError
from dpmed.core.record import Record
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors

NETWORK = ModelSpec(name="resnet10-gn", spatial_dims=2, in_channels=1, out_channels=1, width=8)
TASK = TaskSpec(kind="classification", outputs=("covid",))
SIDE, CALLS = 64, 3


class Level(Record):
    """Whether the self-test passed at a level, and how fast the calls after it were."""

    level: int
    where: str
    passed: bool
    reason: str = ""
    patients_per_second: float | None = None


def levels(flags: HardwareFlags) -> tuple[Level, ...]:
    """Both levels, in order. Never raises for what is missing."""
    return tuple(
        _tried(level, where, flags.model_copy(update={"device": "ipu", "ipu_model": is_model}))
        for level, where, is_model in ((2, "Graphcore's simulator", True), (3, "a device", False))
    )


def _tried(level: int, where: str, flags: HardwareFlags) -> Level:
    backend = IpuBackend()
    patients = synthetic_patients(TASK, channels=1, size=[SIDE, SIDE], draws=1, patients=flags.ipu_device_iterations)
    try:
        backend.open(NETWORK, TASK, ClippingSpec(l2_clip_norm=1.0), flags)
        with closing(backend):
            backend.clipped_sum(patients)  # compiles, and passes the self-test or raises
            seconds = statistics.median(_timed(backend, patients) for _ in range(CALLS))
    except DeviceError as error:
        return Level(level=level, where=where, passed=False, reason=error.message)
    return Level(level=level, where=where, passed=True, patients_per_second=round(len(patients) / seconds, 1))


def _timed(backend: IpuBackend, patients: tuple[PatientTensors, ...]) -> float:
    began = time.perf_counter()
    backend.clipped_sum(patients)
    return time.perf_counter() - began
