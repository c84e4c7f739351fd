"""Which machines can be trained on here, and why not the others."""

import torch

from dpmed.backends.ipu.process import greeting
from dpmed.core.errors import DeviceError
from dpmed.core.record import Record
from dpmed.core.sdk import sdk_python
from dpmed.core.specs import HardwareFlags


class DeviceState(Record):
    """Whether a device can be used here; `reason` says what it is, or what is missing."""

    available: bool
    reason: str


def device_states() -> dict[str, DeviceState]:
    """Every device that `--device` knows, by name."""
    return {"cpu": _cpu(), "cuda": _cuda(), "ipu": _ipu()}


def _cpu() -> DeviceState:
    return DeviceState(available=True, reason=f"PyTorch uses {torch.get_num_threads()} threads")


def _cuda() -> DeviceState:
    if torch.version.cuda is None:
        return DeviceState(available=False, reason="this build of PyTorch has no CUDA")
    if not torch.cuda.is_available():
        return DeviceState(available=False, reason="PyTorch finds no GPU, or no driver for it")
    gpu = torch.cuda.get_device_properties(0)
    return DeviceState(available=True, reason=f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB")


def _ipu() -> DeviceState:
    """Only PopTorch can tell whether there is an IPU, and only where an SDK is enabled is it asked."""
    try:
        python = sdk_python(HardwareFlags())
    except DeviceError as error:
        return DeviceState(available=False, reason=error.message.removeprefix("no IPU can be used: "))
    try:
        said = greeting(python)
    except DeviceError as error:
        return DeviceState(available=False, reason=f"a Poplar SDK is enabled, but {error.message}")
    found = "an IPU" if said["has_hardware"] else "no IPU"
    return DeviceState(available=bool(said["has_hardware"]), reason=f"PopTorch {said['sdk']} finds {found}")
