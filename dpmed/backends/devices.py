"""Which machines can be trained on here, and why not the others."""

import os

import torch

from dpmed.core.record import Record


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
    """An IPU needs the Poplar SDK, whose activation script sets POPLAR_SDK_ENABLED, and a backend that uses it."""
    sdk = "the Poplar SDK is enabled" if os.environ.get("POPLAR_SDK_ENABLED") else "no Poplar SDK is enabled"
    return DeviceState(available=False, reason=f"{sdk}, and this version of dpmed has no IPU backend")
