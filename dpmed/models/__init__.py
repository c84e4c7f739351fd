"""THE CATALOGUE: named networks without batch statistics, their losses, and the check that a network may be private."""

from dpmed.models.catalogue import HEAD, build, catalogue, check_image_size, side_multiple
from dpmed.models.loss import LossFunction, loss_function, loss_of_each
from dpmed.models.parts import split
from dpmed.models.private import check_private
from dpmed.models.trained import for_training, plain_weights, trained_weights
from dpmed.models.weights import Taken, take_weights

__all__ = [
    "HEAD",
    "LossFunction",
    "Taken",
    "build",
    "catalogue",
    "check_image_size",
    "check_private",
    "for_training",
    "loss_function",
    "loss_of_each",
    "plain_weights",
    "side_multiple",
    "split",
    "take_weights",
    "trained_weights",
]
