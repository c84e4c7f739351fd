"""The most memory that one piece of work holds beyond what was there before it."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What makes Linux forget the highest resident size so far (proc(5))."""


def peak_bytes(work: Callable[[], object], device: str) -> int | None:
    """Do `work` and say how far memory rose meanwhile: on the GPU for cuda, else resident memory, on Linux alone."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return int(torch.cuda.max_memory_allocated()) - before
    if not RESET.exists():
        work()
        return None
    ctypes.CDLL(None).malloc_trim(0)  # what was freed but kept would be used again, unseen
    before = _resident("VmRSS")
    RESET.write_text(RESET_PEAK)
    work()
    return max(0, _resident("VmHWM") - before)


def _resident(key: str) -> int:
    lines = STATUS.read_text().splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{key}:"))
    return int(kibibytes) * 1024
