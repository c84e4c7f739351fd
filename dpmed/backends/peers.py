"""Opacus doing the same, for `dpmed bench engine`: its hooks, and its ghost clipping (two backwards)."""

import copy
from collections.abc import Callable, Mapping

import torch
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
from torch import Tensor, nn
from torch.func import vmap

from dpmed.backends.streams import trainable
from dpmed.core.specs import ClippingSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import LossFunction
from dpmed.privacy.clipping import clip_batch

Step = Callable[[], Mapping[str, Tensor]]
Peer = Callable[[nn.Module, LossFunction, list[PatientTensors], ClippingSpec], Step]


def _hooks(model: nn.Module, loss: LossFunction, patients: list[PatientTensors], clipping: ClippingSpec) -> Step:
    wrapped = GradSampleModule(copy.deepcopy(model), loss_reduction="sum")

    def step() -> Mapping[str, Tensor]:
        wrapped.zero_grad()
        torch.autograd.backward(_losses(wrapped, loss, patients).sum())
        gradients = {name: _grad(weight, "grad_sample") for name, weight in trainable(wrapped._module).items()}
        bounded, _ = clip_batch(gradients, clipping)
        return bounded

    return step


def _ghost(model: nn.Module, loss: LossFunction, patients: list[PatientTensors], clipping: ClippingSpec) -> Step:
    wrapped = GradSampleModuleFastGradientClipping(
        copy.deepcopy(model), loss_reduction="sum", max_grad_norm=clipping.l2_clip_norm, use_ghost_clipping=True
    )

    def step() -> Mapping[str, Tensor]:
        wrapped.zero_grad()
        losses = _losses(wrapped, loss, patients)
        torch.autograd.backward(losses.sum(), retain_graph=True)
        factors = wrapped.get_clipping_coef()
        wrapped.zero_grad()
        wrapped.disable_hooks()
        torch.autograd.backward((losses * factors).sum())
        wrapped.enable_hooks()
        return {name: _grad(weight, "grad") for name, weight in trainable(wrapped._module).items()}

    return step


def _losses(model: nn.Module, loss: LossFunction, patients: list[PatientTensors]) -> Tensor:
    logits = model(torch.cat([patient.inputs for patient in patients]))
    targets = torch.stack([patient.targets for patient in patients])
    losses: Tensor = vmap(loss)(logits.unsqueeze(1), targets)
    return losses


def _grad(weight: nn.Parameter, kind: str) -> Tensor:
    gradient: Tensor = getattr(weight, kind)
    return gradient


PEERS: dict[str, Peer] = {"Opacus hooks": _hooks, "Opacus ghost clipping": _ghost}
