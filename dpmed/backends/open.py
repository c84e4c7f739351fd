"""From a device's name to an opened backend; never a silent fallback (promise 10)."""

import torch

from dpmed.backends.base import Backend
from dpmed.backends.ipu_backend import IpuBackend
from dpmed.backends.torch_backend import TorchBackend
from dpmed.core.errors import DeviceError
from dpmed.core.sdk import sdk_python
from dpmed.core.specs import ClippingSpec, Device, HardwareFlags, ModelSpec, TaskSpec

DEFAULT_FLAGS = HardwareFlags()
NO_CLIPPING = ClippingSpec(l2_clip_norm=None)


def resolve_device(device: Device, flags: HardwareFlags = DEFAULT_FLAGS) -> str:
    """`auto` becomes cuda where there is one, else cpu; anything that is missing raises `DeviceError`."""
    if device == "ipu":
        sdk_python(flags)
        return device
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise DeviceError(
            "no CUDA device was found by PyTorch", hint="use --device cpu, or see dpmed doctor for what is missing"
        )
    return ("cuda" if has_cuda else "cpu") if device == "auto" else device


def closed_backend(device: str) -> Backend:
    """The backend of a resolved device, yet to be opened."""
    return IpuBackend() if device == "ipu" else TorchBackend(device)


def open_backend(
    device: Device,
    *,
    model: ModelSpec,
    task: TaskSpec,
    clipping: ClippingSpec = NO_CLIPPING,
    flags: HardwareFlags = DEFAULT_FLAGS,
) -> Backend:
    """An opened backend of a machine, with freshly initialised weights."""
    backend = closed_backend(resolve_device(device, flags))
    backend.open(model, task, clipping, flags)
    return backend
