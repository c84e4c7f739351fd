"""`--method self-supervised`: two views of one slice look alike, and unlike all others (SimCLR, Chen et al. 2020).

No label is looked at. The head is left as it was: it has nothing to learn here.
"""

import itertools
from collections.abc import Callable, Generator, Iterator

import torch
from monai.losses.contrastive import ContrastiveLoss
from torch import Tensor, nn

from dpmed.core.errors import ConfigError, InterruptedRun
from dpmed.core.events import Progress
from dpmed.data.augment import augmented
from dpmed.data.pipeline import BACKGROUND
from dpmed.engine.prepare import Prepared, prepare
from dpmed.engine.request import TrainRequest
from dpmed.engine.train import initial_weights
from dpmed.models import build
from dpmed.models.parts import head, split

PROJECTED = 64
"""Features that views are compared in; a network of its own makes them, which is thrown away."""
TEMPERATURE = 0.2
LEARNING_RATE = 1e-3
"""Of Adam, falling to nothing in half a cosine."""


def contrasted(asked: TrainRequest, should_stop: Callable[[], bool]) -> Generator[Progress, None, dict[str, Tensor]]:
    """The initial weights, with all but the head trained on two augmented views of the slices in each step.

    Raises `ConfigError` for a network that ends in no fully connected layer.
    """
    prepared = prepare(asked, labelled=False)
    model = build(prepared.model)
    model.load_state_dict({name: tensor.float() for name, tensor in initial_weights(asked, prepared).items()})
    name, sides = head(model), prepared.recipe.data.image_size
    halves = split(model, torch.rand(2, prepared.model.in_channels, *sides))
    if halves is None:
        raise ConfigError(
            f"{prepared.model.name} has no features of whole images", hint="--method supervised trains any network"
        )
    body, last = halves
    batches = _batches(prepared, size=round(prepared.plan.spec.expected_batch_size), seed=asked.seed)
    yield from _train(body, last.in_features, batches, steps=prepared.plan.spec.steps, should_stop=should_stop)
    body.set_submodule(name, last)
    return dict(body.state_dict())


def _train(
    body: nn.Module,
    features: int,
    batches: Iterator[tuple[Tensor, Tensor]],
    *,
    steps: int,
    should_stop: Callable[[], bool],
) -> Iterator[Progress]:
    projector = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, PROJECTED))
    network = nn.Sequential(body, projector)
    optimizer = torch.optim.Adam([one for one in network.parameters() if one.requires_grad], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    contrast = ContrastiveLoss(temperature=TEMPERATURE)
    for step in range(steps):
        one, other = next(batches)
        loss = contrast(network(one), network(other))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield Progress("training steps", step + 1, steps)
        if should_stop() and step + 1 < steps:
            raise InterruptedRun("stopped before the last step; nothing was written", hint="run it again")


def _batches(prepared: Prepared, *, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Two views of the same draws of some patients, again and again."""
    data, random = prepared.data, torch.Generator().manual_seed(seed)
    air = BACKGROUND[prepared.manifest.cases[0].intensity]
    for step in itertools.count():
        order = torch.randperm(len(data.patients), generator=random)[:size].tolist()
        images = torch.cat([data.fetch(data.patients[n], step=step).inputs for n in order])
        background = torch.full((len(images),), air)
        one, other = (augmented(images, None, background=background, random=random)[0] for _ in range(2))
        yield one, other
