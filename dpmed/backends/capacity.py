"""How many patients fit into memory at once, and memory that is kept for the next step rather than given back."""

import ctypes
import sys

import psutil
import torch
from torch import Tensor, nn

SHARE = 0.5
"""Of the memory that is free now, which one chunk may take unless a limit is set."""
TIMES = 3.0
"""Activations, their gradients, and the copies that kernels make."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 1 << 30


def most_at_once(model: nn.Module, images: Tensor, *, limit_bytes: float, asked: int) -> int:
    """At most `asked` patients, each of whom has `images`; fewer where they would need more than `limit_bytes`.

    Counts what every layer makes of one patient, from the first on that is trained; what frozen layers make before is
    let go of at once, so only its largest counts. One patient always has to fit.
    """
    each = TIMES * _bytes_of(model, images)
    return max(1, min(asked, int(limit_bytes / each)))


def free_bytes(device: torch.device) -> float:
    """What one chunk may take of the memory that is free now."""
    if device.type == "cuda":
        return SHARE * torch.cuda.mem_get_info(device)[0]
    return float(SHARE * psutil.virtual_memory().available)


def keep_freed_memory() -> None:
    """Ask the C library to keep large blocks that are freed, where it can be asked (glibc).

    Each step needs the same blocks again. Given back, they come as new pages, which the system fills with zeros first:
    15 to 25 % of a training step on a CPU.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * KEPT_BYTES - 1)


@torch.no_grad()
def _bytes_of(model: nn.Module, images: Tensor) -> int:
    made, passing, is_kept = images.nbytes, 0, False

    def count(layer: nn.Module, _: object, output: object) -> None:
        nonlocal made, passing, is_kept
        size = output.nbytes if isinstance(output, Tensor) else 0
        is_kept = is_kept or any(weight.requires_grad for weight in layer.parameters())
        made, passing = (made + size, passing) if is_kept else (made, max(passing, size))

    layers = [layer for layer in model.modules() if next(layer.children(), None) is None]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return made + passing
