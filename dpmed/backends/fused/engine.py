"""One forward and one backward for a chunk of patients; then their norms, their factors, and one weighted sum.

Each layer's own weights are hidden from autograd, so no batch gradient is computed that nobody needs; in its place the
layer tells a collector what every patient contributes (Goodfellow 2015, arXiv:1510.01799; Bu et al. 2022,
arXiv:2205.10683). The images of a patient are summed before the norm is taken, at no further backward.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dpmed.backends.fused.choice import Chooser
from dpmed.backends.fused.collect import Collector
from dpmed.backends.fused.layers import AnyTap, tap
from dpmed.backends.fused.tap import Given, Tap
from dpmed.backends.streams import Total, chunks, trainable, zeros
from dpmed.core.errors import ConfigError
from dpmed.core.specs import ClippingSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import LossFunction, loss_of_each
from dpmed.privacy.clipping import clip_factors, l2_bound
from dpmed.privacy.gradients import ClippedSum, CuratorNotes

VMAP = "--set hardware.engine=vmap"


@dataclass
class _Site:
    """A tapped layer, and how often the forward in progress has used it."""

    tap: Tap
    is_shared: bool
    uses: int = 0
    collector: Collector = field(default_factory=lambda: Collector(0, 0))


class _Tapped(torch.autograd.Function):
    """A layer whose weights autograd does not see. Through `anchor` its output needs a gradient all the same."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, anchor: Tensor, site: _Site) -> Tensor:  # noqa: ARG004  see above
        output, saved = site.tap.forward(inputs)
        ctx.site = site
        ctx.save_for_backward(inputs, *saved)
        return output

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, None, None]:
        (made,) = outputs
        inputs, *saved = ctx.saved_tensors
        site: _Site = ctx.site
        given = Given(
            inputs=inputs.detach(),
            saved=tuple(saved),
            outputs=made,
            collector=site.collector,
            once=site.uses == 1 and not site.is_shared,
            wants_input=bool(ctx.needs_input_grad[0]),
        )
        return site.tap.backward(given), None, None


@dataclass
class Fused:
    """The engine, for one network. Remembers from chunk to chunk which way was fastest for which layer.

    `by_vmap` are the kinds of layer that it met and knows no way of its own for.
    """

    chooser: Chooser = field(default_factory=Chooser)
    by_vmap: set[str] = field(default_factory=set)

    def __call__(
        self,
        model: nn.Module,
        loss: LossFunction,
        patients: Iterable[PatientTensors],
        clipping: ClippingSpec,
        nano_batch: int,
    ) -> ClippedSum:
        """The sum of clipped gradients, `nano_batch` patients at a time.

        Raises `ConfigError` for a network with weights that belong to no single layer.
        """
        weights = trainable(model)
        total: Total = {}
        count = clipped = 0
        loss_sum = 0.0
        with self._tapped(model, weights) as sites:
            for chunk in chunks(patients, nano_batch):
                collector, losses = _backward(model, loss, chunk, sites)
                factors, how_many = clip_factors(collector.squares(list(weights)), clipping)
                for name, part in collector.weighted(dict(zip(weights, factors, strict=True))):
                    total[name] = total[name].add_(part) if name in total else part
                count += len(chunk)
                clipped += how_many
                loss_sum += float(losses.sum())
        return ClippedSum(
            {name: total[name] for name in weights} if total else zeros(weights),
            l2_bound(clipping),
            CuratorNotes(patients=count, loss_sum=loss_sum, clipped=clipped),
        )

    @contextmanager
    def _tapped(self, model: nn.Module, weights: dict[str, nn.Parameter]) -> Iterator[list[_Site]]:
        names = {id(weight): name for name, weight in weights.items()}
        owned = {layer: _own_names(layer, names) for layer in model.modules()}
        layers = {layer: own for layer, own in owned.items() if own}
        _require_leaves(layers, weights)
        owners = Counter(name for own in layers.values() for name in own.values())
        anchor = next(iter(weights.values())).detach().new_zeros(()).requires_grad_()
        sites = []
        try:
            for layer, own in layers.items():
                is_shared = any(owners[name] > 1 for name in own.values())
                site = _Site(tap(layer, own, self.chooser), is_shared)
                sites.append(site)
                if isinstance(site.tap, AnyTap):
                    self.by_vmap.add(type(layer).__name__)
                layer.forward = _rerouted(site, anchor)
            yield sites
        finally:
            for layer in layers:
                layer.__dict__.pop("forward", None)


def _rerouted(site: _Site, anchor: Tensor) -> Any:
    def forward(inputs: Tensor, *others: object) -> Tensor:
        if others:
            raise ConfigError("the fused engine knows layers of one input alone", hint=VMAP)
        site.uses += 1
        site.collector.room.save(inputs)
        output: Tensor = _Tapped.apply(inputs, anchor, site)  # type: ignore[no-untyped-call]
        return output

    return forward


def _backward(
    model: nn.Module, loss: LossFunction, chunk: list[PatientTensors], sites: list[_Site]
) -> tuple[Collector, Tensor]:
    inputs = torch.stack([patient.inputs for patient in chunk])
    targets = torch.stack([patient.targets for patient in chunk])
    collector = Collector(*inputs.shape[:2])
    for site in sites:
        site.uses, site.collector = 0, collector
    logits: Tensor = model(inputs.flatten(0, 1)).unflatten(0, collector.shape)
    losses = loss_of_each(loss, logits, targets)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    return collector, losses.detach()


def _own_names(layer: nn.Module, names: dict[int, str]) -> dict[str, str]:
    own = layer.named_parameters(recurse=False)
    return {name: names[id(weight)] for name, weight in own if id(weight) in names}


def _require_leaves(layers: dict[nn.Module, dict[str, str]], weights: dict[str, nn.Parameter]) -> None:
    inner = [type(layer).__name__ for layer in layers if next(layer.children(), None) is not None]
    covered = {name for own in layers.values() for name in own.values()}
    if inner or covered != set(weights):
        what = inner[0] if inner else "the network"
        raise ConfigError(
            f"the fused engine cannot tell the weights of {what} apart: it holds some beside its layers",
            hint=VMAP,
        )
