"""ROOM 2: plan, the training loop, checkpoints."""

from dpmed.engine.estimate import Estimate, estimate
from dpmed.engine.ipu_estimate import IpuEstimate, ipu_estimate, require_fit
from dpmed.engine.request import TrainDone, TrainRequest
from dpmed.engine.train import train

__all__ = [
    "Estimate",
    "IpuEstimate",
    "TrainDone",
    "TrainRequest",
    "estimate",
    "ipu_estimate",
    "require_fit",
    "train",
]
