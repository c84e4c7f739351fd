"""ROOM 2: plan, the training loop, checkpoints."""

from dpmed.engine.estimate import Estimate, estimate
from dpmed.engine.request import TrainDone, TrainRequest
from dpmed.engine.train import train

__all__ = ["Estimate", "TrainDone", "TrainRequest", "estimate", "train"]
