"""Outputs of many micro-batches put together as the output mode says."""

import torch

from ._mutants import acts
from .enums import OutputMode


def gathered(runs, options, mode, period=1):
    """Join one output over its micro-batches. `runs` goes iteration by iteration, accumulation, then replica."""
    replicas = options.replication_factor
    if acts("shuffled-outputs"):
        runs = runs[-1:] + runs[:-1]
    if mode == OutputMode.Final:
        return joined(runs[-replicas:])
    if mode == OutputMode.Sum:
        total = [torch.zeros_like(runs[0]) for _ in range(replicas)]
        for number, run in enumerate(runs):
            total[number % replicas] += run
        if acts("mean-for-sum"):
            total = [one / (len(runs) // replicas) for one in total]
        return joined(total)
    if mode == OutputMode.EveryN:
        batches = len(runs) // replicas
        assert batches % period == 0, f"EveryN: {batches} batches are not a multiple of {period}"
        kept = range(period - 1, batches, period)
        return joined([run for batch in kept for run in runs[batch * replicas : (batch + 1) * replicas]])
    return joined(runs)


def joined(runs):
    """One run keeps its shape. Of several, numbers become a vector and all else grows along dimension 0."""
    if len(runs) == 1:
        return runs[0]
    return torch.cat([run.reshape(1) if run.dim() == 0 else run for run in runs])


def narrowed(tensor):
    """64-bit numbers come off the device as 32-bit ones."""
    return tensor.to({torch.int64: torch.int32, torch.float64: torch.float32}.get(tensor.dtype, tensor.dtype))


def flat(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in flat(item)]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in flat(item)]
    return []


def rebuilt(value, tensors):
    """Put tensors back into the structure that forward returned; `tensors` is an iterator."""
    if isinstance(value, torch.Tensor):
        return next(tensors)
    if isinstance(value, (list, tuple)):
        return type(value)(rebuilt(item, tensors) for item in value)
    if isinstance(value, dict):
        return {key: rebuilt(item, tensors) for key, item in value.items()}
    return value
