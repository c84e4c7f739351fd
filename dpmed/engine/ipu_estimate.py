"""`dpmed train --device ipu --dry-run`: the plan of a run on IPUs; needs neither IPU nor SDK, and writes nothing."""

import time
from dataclasses import dataclass

import torch

from dpmed.backends.ipu.levels import Case
from dpmed.backends.ipu.planner import Asked, IpuPlan, ipu_plan
from dpmed.backends.ipu_backend import check_settings
from dpmed.core.errors import DeviceError
from dpmed.core.recipe import Recipe
from dpmed.core.specs import ClippingSpec, PrivacySpec
from dpmed.data.spec import model_for, usual_task
from dpmed.engine.optimizer import Optimizer
from dpmed.engine.prepare import Prepared, prepare
from dpmed.engine.request import TrainRequest
from dpmed.engine.train import initial_weights, planned
from dpmed.privacy.accounting import epsilon
from dpmed.privacy.clipping import l2_bound
from dpmed.privacy.gradients import ClippedSum, CuratorNotes

TIMES = 10


@dataclass(frozen=True)
class IpuEstimate:
    """A run on IPUs before it is started."""

    spec: PrivacySpec
    epsilon: float | None
    patients: int
    plan: IpuPlan

    @property
    def parameters(self) -> int:
        """How many weights the network has."""
        return self.plan.parameters


def ipu_estimate(request: TrainRequest) -> IpuEstimate:
    """Check a request as `train` would but for the SDK, and plan it."""
    prepared = prepare(request, planning=True)
    recipe, spec = prepared.recipe, prepared.plan.spec
    check_settings(spec.clipping, recipe.hardware, prepared.task)
    asked = Asked(
        model=prepared.model,
        task=prepared.task,
        size=recipe.data.image_size,
        draws=recipe.data.draws_per_patient,
        flags=recipe.hardware,
        can_recompute=spec.clipping.mode == "flat" or spec.clipping.l2_clip_norm is None,
    )
    return IpuEstimate(
        spec=spec,
        epsilon=epsilon(planned(prepared), delta=spec.delta) if request.private else None,
        patients=len(prepared.plan.patients),
        plan=ipu_plan(asked, spec, host_seconds=_host_seconds(request, prepared)),
    )


def case_of(recipe: Recipe) -> Case:
    """What a recipe would compile, for a dataset that is not here."""
    task = usual_task(recipe.task)
    return Case(
        model=model_for(recipe, task),
        task=task,
        clipping=ClippingSpec(mode=recipe.privacy.clipping, l2_clip_norm=recipe.privacy.clip_norm),
        size=recipe.data.image_size,
        draws=recipe.data.draws_per_patient,
    )


def _host_seconds(request: TrainRequest, prepared: Prepared) -> float:
    """What one step takes here at least: noise for all trained weights, and the optimizer, on a sum of nobody."""
    if prepared.recipe.hardware.threads:
        torch.set_num_threads(prepared.recipe.hardware.threads)
    optimizer = Optimizer(initial_weights(request, prepared), prepared.recipe.optimizer, trained=prepared.trained)
    zeros = {name: torch.zeros_like(weight) for name, weight in optimizer.trained.items()}
    plan, notes = prepared.plan, CuratorNotes(patients=0, loss_sum=0.0, clipped=None)
    nobody = ClippedSum(zeros, l2_bound(plan.spec.clipping), notes)
    taken = []
    for step in range(TIMES):
        began = time.perf_counter()
        noise = plan.noise(step, sum(weight.numel() for weight in zeros.values()))
        optimizer.apply(plan.add_noise(nobody, noise), step=step, steps=plan.spec.steps)
        taken.append(time.perf_counter() - began)
    return min(taken)


def require_fit(plan: IpuPlan) -> None:
    """Raise `DeviceError` for a plan that no number of IPUs holds, with the settings that would."""
    if plan.placement.fits:
        return
    load = plan.placement.fullest
    worst = load.layers[0] if len(load.layers) == 1 else f"{load.layers[0]} to {load.layers[-1]}"
    raise DeviceError(
        f"one patient does not fit: {worst} needs {load.total / 2**20:.0f} MiB of the {plan.memory_bytes / 2**20:.0f} "
        f"of an IPU, with the layers over {len(plan.placement.loads)} IPUs (estimated)",
        hint=" or ".join(f"--set {change.setting}" for change in plan.changes)
        or "a smaller data.image_size and fewer data.draws_per_patient, or --device cpu or cuda",
    )
