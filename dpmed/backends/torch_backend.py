"""CPU and CUDA through PyTorch: one backend, because only the place of the tensors differs."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dpmed.backends.auto import Auto
from dpmed.backends.base import Weights
from dpmed.backends.capacity import free_bytes, keep_freed_memory, most_at_once
from dpmed.backends.engines import engine
from dpmed.backends.fused import Fused
from dpmed.backends.precision import half_precision
from dpmed.core.errors import ConfigError
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import build, check_private, loss_function
from dpmed.privacy.gradients import ClippedSum

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
"""Of weights, images and sums."""


class TorchBackend:
    """The `Backend` of `cpu` and `cuda`."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def open(self, model: ModelSpec, task: TaskSpec, clipping: ClippingSpec, flags: HardwareFlags) -> None:
        """Build the network on the device; refuses one whose layers mix patients."""
        if flags.precision not in DTYPES:
            raise ConfigError(
                f"{flags.precision} is for IPUs",
                hint="--set hardware.precision=bfloat16 is the half precision of CPU and GPU",
            )
        keep_freed_memory()
        if flags.threads:
            torch.set_num_threads(flags.threads)
        # float32 means float32: TF32 would round products to 10 bits and break agreement between engines.
        torch.backends.cudnn.allow_tf32 = False
        self._dtype = DTYPES[flags.precision]
        self._model: nn.Module = build(model).to(self._device, self._dtype)
        check_private(self._model)
        if flags.precision == "bfloat16":
            half_precision(self._model, self._device.type)
        self._loss = loss_function(task)
        self._clipping = clipping
        self._flags = flags
        self._engine = engine(flags.engine)
        self._at_once: int | None = None

    def load(self, weights: Weights) -> None:
        """Replace all weights; every name and shape must fit."""
        self._model.load_state_dict(dict(weights), strict=True)

    def clipped_sum(self, patients: Iterable[PatientTensors]) -> ClippedSum:
        """Sum of the patients' clipped gradients, on the CPU in the backend's precision."""
        self._model.train()
        stream = iter(self._placed(patients))
        first = list(islice(stream, 1))
        if first and self._at_once is None:
            self._at_once = self._most_at_once(first[0])
        total = self._engine(self._model, self._loss, chain(first, stream), self._clipping, self._at_once or 1)
        values = {name: value.cpu() for name, value in total.values.items()}
        return ClippedSum(values, total.l2_bound, total.notes)

    @torch.no_grad()
    def predict(self, image: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch output *space"]:
        """Logits in float32 on the CPU."""
        self._model.eval()
        logits: Tensor = self._model(image.to(self._device, self._dtype))
        return logits.float().cpu()

    def close(self) -> None:
        """Drop the network and give its memory back."""
        del self._model
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def engine(self) -> str:
        """What sums the gradients, and how many patients at a time, once that is known."""
        pick = self._engine.pick if isinstance(self._engine, Auto) else None
        name, size = pick or (self._flags.engine, self._at_once)
        if size is None or name == "nano":
            return name
        fused = self._engine.fused if isinstance(self._engine, Auto) else self._engine
        others = sorted(fused.by_vmap) if isinstance(fused, Fused) and name == "fused" else []
        return f"{name}, {size} at a time" + (f" ({', '.join(others)} by vmap)" if others else "")

    def _most_at_once(self, patient: PatientTensors) -> int:
        limit = self._flags.memory_limit_gib * 2**30 or free_bytes(self._device)
        return most_at_once(self._model, patient.inputs, limit_bytes=limit, asked=self._flags.nano_batch)

    def _placed(self, patients: Iterable[PatientTensors]) -> Iterator[PatientTensors]:
        for patient in patients:
            yield PatientTensors(
                inputs=patient.inputs.to(self._device, self._dtype),
                targets=patient.targets.to(self._device, self._dtype),
            )
