"""`--method centre`: nothing is trained; the network learns only where the features of public images lie.

For networks that take `centre` from their features before the head (Tramèr & Boneh 2021 normalise features likewise):
public features, uncentred, all point the same way, and the first private steps are spent on finding out.
"""

from collections.abc import Callable, Generator

import torch
from torch import Tensor, nn

from dpmed.core.errors import ConfigError, InterruptedRun
from dpmed.core.events import Progress
from dpmed.engine.prepare import prepare
from dpmed.engine.request import TrainRequest
from dpmed.engine.train import initial_weights
from dpmed.models import build


@torch.no_grad()
def centred(asked: TrainRequest, should_stop: Callable[[], bool]) -> Generator[Progress, None, dict[str, Tensor]]:
    """The initial weights, with `centre` at the mean over patients of the mean features of their images.

    Needs no labels. Raises `ConfigError` for a network without a centre.
    """
    prepared = prepare(asked, labelled=False)
    model = build(prepared.model)
    if not (isinstance(centre := getattr(model, "centre", None), nn.Module) and hasattr(model, "features")):
        raise ConfigError(
            f"{prepared.model.name} takes no centre from its features", hint="--method supervised trains any network"
        )
    model.load_state_dict(initial_weights(asked, prepared))
    model.eval()
    means = []
    for done, patient in enumerate(prepared.data.patients, start=1):
        images = prepared.data.fetch(patient, step=0).inputs
        means.append(_pooled(model.get_submodule("features")(images.to(next(model.parameters()).dtype))).mean(0))
        yield Progress("features", done, len(prepared.data.patients))
        if should_stop():
            raise InterruptedRun("stopped; nothing was written", hint="run it again")
    centre.get_parameter("value").copy_(torch.stack(means).mean(0))
    return {name: tensor.float() for name, tensor in model.state_dict().items()}


def _pooled(features: Tensor) -> Tensor:
    """One number per feature and image, whether or not the network has averaged over space."""
    return features.flatten(2).mean(2) if features.dim() > 2 else features
