"""`dpmed train --dry-run`: what will happen, what it costs, measured on synthetic patients; nothing is written."""

import time
from dataclasses import dataclass

from dpmed.backends import open_backend
from dpmed.backends.conformance import synthetic_patients
from dpmed.core.specs import PrivacySpec
from dpmed.engine.memory import peak_memory_bytes
from dpmed.engine.part import Part, part_of
from dpmed.engine.prepare import Prepared, prepare
from dpmed.engine.request import TrainRequest
from dpmed.engine.train import initial_weights, planned
from dpmed.privacy.accounting import epsilon


@dataclass(frozen=True)
class Estimate:
    """A run before it is started. Seconds and memory are measured on a few synthetic patients."""

    spec: PrivacySpec
    epsilon: float | None
    device: str
    engine: str
    patients: int
    parameters: int
    seconds: float
    peak_memory_bytes: int
    chosen: dict[str, str]


def estimate(request: TrainRequest) -> Estimate:
    """Check a request as `train` would, and time a few patients. Raises what `train` would raise."""
    prepared = prepare(request)
    spec = prepared.plan.spec
    parameters, seconds_per_patient, engine = _probe(prepared, part_of(prepared, initial_weights(request, prepared)))
    return Estimate(
        spec=spec,
        epsilon=epsilon(planned(prepared), delta=spec.delta) if request.private else None,
        device=prepared.device,
        engine=engine,
        patients=len(prepared.plan.patients),
        parameters=parameters,
        seconds=seconds_per_patient * spec.expected_batch_size * spec.steps,
        peak_memory_bytes=peak_memory_bytes(prepared.device),
        chosen=prepared.chosen,
    )


def _probe(prepared: Prepared, part: Part) -> tuple[int, float, str]:
    recipe = prepared.recipe
    flags, task = recipe.hardware, prepared.task
    backend = open_backend(flags.device, model=part.model, task=task, clipping=prepared.plan.spec.clipping, flags=flags)
    patients = synthetic_patients(
        task,
        channels=part.model.in_channels,
        size=part.size,
        draws=recipe.data.draws_per_patient,
        patients=flags.nano_batch,
    )
    values = backend.clipped_sum(patients).values
    began = time.monotonic()
    backend.clipped_sum(patients)
    seconds = (time.monotonic() - began) / len(patients)
    engine = backend.engine
    backend.close()
    return sum(value.numel() for value in values.values()), seconds, engine
