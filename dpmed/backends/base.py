"""What every machine must do for the engine, and nothing more."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.privacy.gradients import ClippedSum

Weights = Mapping[str, Tensor]
"""Parameters and buffers by their name in the model, as `state_dict` gives them."""


class Backend(Protocol):
    """Sums per-patient clipped gradients on one kind of machine; decides nothing about privacy."""

    def open(self, model: ModelSpec, task: TaskSpec, clipping: ClippingSpec, flags: HardwareFlags) -> None:
        """Build the model for this machine. Raises `DeviceError` if the machine cannot."""
        ...

    @property
    def engine(self) -> str:
        """How the sums are made here, in words for the user; may be known better after the first one."""
        ...

    def load(self, weights: Weights) -> None:
        """Replace all weights."""
        ...

    def clipped_sum(self, patients: Iterable[PatientTensors]) -> ClippedSum:
        """Clip each patient's gradient and add them up; no patient gives zeros."""
        ...

    def predict(self, image: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch output *space"]:
        """Logits of the loaded weights, without gradients."""
        ...

    def close(self) -> None:
        """Free the machine."""
        ...
