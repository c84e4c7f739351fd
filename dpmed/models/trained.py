"""Which weights of a network are trained, by `model.trained`; all others stay as they came and are never released anew.

| `trained` | what is trained |
|---|---|
| all | every weight |
| head | the last layer: a linear probe |
| norms | scales and shifts of normalisations, and the head |
| last-K | the last K stages, and the head |
| low-rank | a narrow update beside every plain layer (`low_rank`), and the head |
"""

from collections.abc import Mapping

from torch import Tensor, nn

from dpmed.core.errors import ConfigError
from dpmed.core.specs import ModelSpec
from dpmed.models.low_rank import add_low_rank, fits, merge
from dpmed.models.parts import head, norms, stages

USUAL_RANK = 4


def for_training(model: nn.Module, spec: ModelSpec) -> nn.Module:
    """The same network with all but the trained weights frozen, and updates of low rank beside its layers if asked for.

    Weights that were frozen before stay so. Raises `ConfigError` where the network has no such part.
    """
    if spec.trained == "all":
        return model
    modules = [head(model), *_modules(model, spec)]
    if spec.trained == "low-rank":
        add_low_rank(model, modules[1:], rank=spec.rank or USUAL_RANK)
        modules[1:] = [f"{name}.{part}" for name in modules[1:] for part in ("down", "up")]
    for name, weight in model.named_parameters():
        if not any(name.startswith(f"{module}.") for module in modules):
            weight.requires_grad_(False)
    return model


def trained_weights(model: nn.Module) -> tuple[str, ...]:
    """The names of the weights that training changes, in the order of the network."""
    return tuple(name for name, weight in model.named_parameters() if weight.requires_grad)


def plain_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a network made `for_training`, as those of the plain network. Leaves the network given merged."""
    model.to(next(iter(weights.values())).dtype).load_state_dict(dict(weights))
    merge(model)
    return dict(model.state_dict())


def _modules(model: nn.Module, spec: ModelSpec) -> list[str]:
    """What is trained beside the head."""
    if spec.trained == "head":
        return []
    if spec.trained == "norms":
        return norms(model) or _refuse(spec, "it has no normalisation with weights")
    if spec.trained == "low-rank":
        plain = [name for name, layer in model.named_modules() if fits(layer) and name != head(model)]
        return plain or _refuse(spec, "it has no plain layer to put an update beside")
    last, found = int(spec.trained.removeprefix("last-")), stages(model)
    if last >= len(found):
        _refuse(spec, f"it has {len(found)} stages", hint=f"--set model.trained=last-{len(found) - 1}, or all")
    return [name for stage in found[-last:] for name in stage]


def _refuse(spec: ModelSpec, why: str, *, hint: str = "--set model.trained=head, or all") -> list[str]:
    raise ConfigError(f"{spec.name} cannot be trained in {spec.trained} alone: {why}", hint=hint)
