"""`dpmed train`: check, reserve, conform, loop, release."""

import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dpmed.backends import closed_backend, open_backend
from dpmed.backends.conformance import LARGEST_SIDE, check_conformance, synthetic_patients
from dpmed.core.errors import InterruptedRun
from dpmed.core.events import Note, Progress, StepDone
from dpmed.core.files import write_atomic
from dpmed.core.folders import DatasetFolder
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Engine, Statement
from dpmed.engine.checkpoint import paid_checkpoint, save_tensors
from dpmed.engine.folder import begin, locked
from dpmed.engine.loop import Loop
from dpmed.engine.memory import peak_memory_bytes
from dpmed.engine.optimizer import Optimizer
from dpmed.engine.part import Part, part_of
from dpmed.engine.prepare import Prepared, prepare
from dpmed.engine.request import TrainDone, TrainRequest
from dpmed.engine.start import started
from dpmed.privacy.budget import Budget
from dpmed.privacy.calibration import EpsilonCurve
from dpmed.privacy.ledger import Ledger
from dpmed.privacy.mechanisms import MechanismRun, run_of
from dpmed.privacy.statement import statement

ENGINES: tuple[Engine, ...] = ("vmap", "fused")
"""What `auto` picks from, beside the plain loop itself."""
TrainEvent = Note | Progress | StepDone | TrainDone


def train(request: TrainRequest, *, should_stop: Callable[[], bool] = lambda: False) -> Iterator[TrainEvent]:
    """Train a model; the events end with `TrainDone`.

    Raises `ConfigError`, `NoInputError`, `DeviceError`, `MismatchError` before a patient is read, `BudgetError` before
    a step is taken, and `InterruptedRun` after a requested stop, when everything is saved.
    """
    prepared = prepare(request)
    if prepared.taken is not None:
        yield Note(prepared.taken.words)
    elif prepared.model.trained != "all":
        yield Note(f"no --init: all but {prepared.model.trained} stays as random as it starts")
    part = part_of(prepared, initial_weights(request, prepared))
    yield from _check_backend(prepared, part)
    for event in part.data.prepare():
        yield event
        if should_stop():
            raise InterruptedRun("stopped before the first step; nothing was spent", hint="run the same command again")
    with locked(request.run):
        config = begin(request, prepared)
        budget = Budget(DatasetFolder(request.data))
        is_private = guaranteed(request)
        to_spend = planned(prepared) if is_private else ()
        budget.reserve(config.run, to_spend, delta=prepared.plan.spec.delta, private=is_private)
        yield from _run(request, prepared, part, config, budget, should_stop)


def guaranteed(request: TrainRequest) -> bool:
    """Whether the run's noise is there and secret."""
    return request.private and request.demo_seed is None


def planned(prepared: Prepared) -> tuple[MechanismRun, ...]:
    """What the whole run will have spent."""
    return (run_of(prepared.plan.spec),)


def _run(
    request: TrainRequest,
    prepared: Prepared,
    part: Part,
    config: RunConfig,
    budget: Budget,
    should_stop: Callable[[], bool],
) -> Iterator[TrainEvent]:
    ledger = Ledger(request.run.ledger)
    if len(ledger.entries) < prepared.plan.spec.steps:
        request.run.statement.unlink(missing_ok=True)  # of an interrupted run: it will not be true any more
    loop = _loop(request, prepared, part, ledger)
    taken: list[float] = []
    began = time.monotonic()
    for event in loop.run(should_stop):
        taken.append(event.seconds)
        yield event
    engine = loop.backend.engine
    loop.backend.close()
    final = statement(config, ledger.entries)
    write_atomic(request.run.statement, final.to_json())
    if len(ledger.entries) < prepared.plan.spec.steps:
        raise InterruptedRun(
            f"stopped after step {len(ledger.entries)} of {prepared.plan.spec.steps}; everything is saved",
            hint="the same command with --resume goes on",
        )
    save_tensors(request.run.model, _float32(part.whole(loop.optimizer.released)))
    budget.settle(config.run, steps=len(ledger.entries))
    yield _done(final, prepared, engine, taken, time.monotonic() - began)


def _loop(request: TrainRequest, prepared: Prepared, part: Part, ledger: Ledger) -> Loop:
    recipe = prepared.recipe
    spec = prepared.plan.spec
    backend = open_backend(
        recipe.hardware.device,
        model=part.model,
        task=prepared.task,
        clipping=spec.clipping,
        flags=recipe.hardware,
    )
    curve = EpsilonCurve(planned(prepared)[0], delta=spec.delta) if guaranteed(request) else None
    return Loop(
        plan=prepared.plan,
        data=part.data,
        backend=backend,
        optimizer=_optimizer(request, prepared, part, ledger),
        ledger=ledger,
        flags=recipe.hardware,
        state=request.run.state,
        metrics=request.run.metrics,
        tensorboard=request.run.tensorboard if request.tensorboard else None,
        spent=curve.upper_bound if curve else lambda _: None,
    )


def _optimizer(request: TrainRequest, prepared: Prepared, part: Part, ledger: Ledger) -> Optimizer:
    optimizer = Optimizer(part.weights, prepared.recipe.optimizer, trained=part.trained)
    checkpoint = paid_checkpoint(request.run, ledger)
    if checkpoint is not None:
        optimizer.load(checkpoint.tensors)
    return optimizer


def initial_weights(request: TrainRequest, prepared: Prepared) -> dict[str, Tensor]:
    """Seeded random weights, and over them those that the run starts from, in its precision."""
    model, _ = started(prepared.model, prepared.start, seed=request.seed)
    dtype = torch.float64 if prepared.recipe.hardware.precision == "float64" else torch.float32
    return dict(model.to(dtype).state_dict())


def _check_backend(prepared: Prepared, part: Part) -> Iterator[Note]:
    recipe, task = prepared.recipe, prepared.task
    patients = synthetic_patients(
        task,
        channels=part.model.in_channels,
        size=[min(side, LARGEST_SIDE) for side in part.size],
        draws=recipe.data.draws_per_patient,
        patients=2,
    )
    backend = closed_backend(prepared.device)
    for engine in _engines(prepared.device, recipe.hardware.engine):
        flags = recipe.hardware.model_copy(update={"engine": engine})
        check_conformance(backend, model=part.model, task=task, flags=flags, patients=patients)
        yield Note(f"the {engine} engine on {prepared.device} agrees with the plain per-patient loop")


def _engines(device: str, asked: Engine) -> tuple[Engine, ...]:
    """Which to check: an IPU has the plain loop alone."""
    if device == "ipu":
        return ("nano",)
    return ENGINES if asked == "auto" else (asked,)


def _float32(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _done(final: Statement, prepared: Prepared, engine: str, taken: list[float], seconds: float) -> TrainDone:
    expected = prepared.plan.spec.expected_batch_size
    per_step = statistics.median(taken) if taken else 0.0
    return TrainDone(
        statement=final,
        device=prepared.device,
        engine=engine,
        steps=final.steps,
        patients=len(prepared.plan.patients),
        seconds=seconds,
        seconds_per_step=per_step,
        patients_per_second=expected / per_step if per_step else 0.0,
        peak_memory_bytes=peak_memory_bytes(prepared.device),
    )
