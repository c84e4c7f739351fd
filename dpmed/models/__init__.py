"""THE CATALOGUE: named networks without batch statistics, their losses, and the check that a network may be private."""

from dpmed.models.catalogue import build, catalogue, check_image_size, side_multiple
from dpmed.models.loss import LossFunction, loss_function, loss_of_each
from dpmed.models.private import check_private
from dpmed.models.weights import Taken, take_weights

__all__ = [
    "LossFunction",
    "Taken",
    "build",
    "catalogue",
    "check_image_size",
    "check_private",
    "loss_function",
    "loss_of_each",
    "side_multiple",
    "take_weights",
]
