"""What the backend trains, on what, and how the whole network comes out of it.

Where the head alone is trained on slices that stay as they are, what the rest of the network makes of each slice is
computed once (`data/features`), and the backend trains the head on that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from dpmed.core.specs import ModelSpec
from dpmed.data import PatientDataset
from dpmed.data.features import Features
from dpmed.data.prepared import digest_of
from dpmed.engine.prepare import Prepared
from dpmed.models import HEAD, build, plain_weights, split, trained_weights
from dpmed.models.parts import head

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Part:
    """The network of the backend, the patients it sees with the sides of an image, its weights, and those it trains.

    `whole` makes the released network's weights of its weights.
    """

    model: ModelSpec
    data: PatientDataset
    size: tuple[int, ...]
    weights: Weights
    trained: tuple[str, ...]
    whole: Callable[[Weights], dict[str, Tensor]]


def part_of(prepared: Prepared, weights: Weights) -> Part:
    """The whole network with these weights, or its head alone where that is all the same."""
    return _head_alone(prepared, weights) or Part(
        model=prepared.model,
        data=prepared.data,
        size=prepared.recipe.data.image_size,
        weights=weights,
        trained=prepared.trained,
        whole=lambda after: plain_weights(build(prepared.model), after),
    )


def _head_alone(prepared: Prepared, weights: Weights) -> Part | None:
    data, model = prepared.recipe.data, prepared.model
    sees_the_same = data.spatial_dims == 2 and not data.augment and prepared.task.kind == "classification"
    if model.trained != "head" or not sees_the_same or prepared.device == "ipu":
        return None
    network = build(model).to(next(iter(weights.values())).dtype)
    network.load_state_dict(dict(weights))
    name, dtype = head(network), next(network.parameters()).dtype
    halves = split(network.eval(), torch.rand(2, model.in_channels, *data.image_size, dtype=dtype))
    if halves is None:
        return None
    body, last = halves
    own = {f"{HEAD}.{key}": value for key, value in last.state_dict().items()}
    spec = ModelSpec(name=HEAD, spatial_dims=2, in_channels=last.in_features, out_channels=last.out_features, width=1)
    features = Features(partial(_answer, body.to(prepared.device)), _name_of(model, body))
    return Part(
        model=spec,
        data=prepared.data.seen_as(features),
        size=(),
        weights=own,
        trained=trained_weights(build(spec)),
        whole=lambda after: {**weights, **{f"{name}.{key.partition('.')[2]}": one for key, one in after.items()}},
    )


def _answer(body: nn.Module, images: Tensor) -> Tensor:
    first = next(body.parameters())
    answer: Tensor = body(images.to(first.device, first.dtype))
    return answer.cpu()


def _name_of(model: ModelSpec, body: nn.Module) -> str:
    frozen = {name: tensor.cpu().contiguous() for name, tensor in body.state_dict().items()}
    return f"{model.name}-{digest_of(frozen)[:16]}"
