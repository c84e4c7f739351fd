"""How much memory this process has needed so far."""

import resource
import sys

import torch


def peak_memory_bytes(device: str) -> int:
    """The most memory held at once: on the GPU for cuda, else resident memory of the whole process."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
