"""May this network be trained with patient-level privacy? Names the layer that may not, why, and the cure."""

from collections.abc import Callable

from opacus.validators import ModuleValidator
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from dpmed.core.errors import ConfigError

Layers = tuple[type[nn.Module], ...]

# Layer types, the reason and the cure. The first that fits is told.
_FORBIDDEN: tuple[tuple[Layers, str, str], ...] = (
    (
        (_BatchNorm,),
        "it normalises each patient with the others of the batch, so that one patient's gradient holds other patients",
        "use GroupNorm, which looks at one image alone",
    ),
    (
        (_DropoutNd,),
        "it draws its own random numbers while gradients are taken, so that the two gradient engines would disagree",
        "set its probability to zero by leaving it out; noise and augmentation regularise already",
    ),
    (
        (nn.RNNBase, nn.MultiheadAttention),
        "its fused kernel gives no gradient per patient",
        "use the layer of the same name in opacus.layers, or a convolution",
    ),
)


def check_private(module: nn.Module) -> None:
    """Raise `ConfigError` for the first layer that would break the guarantee or the engines.

    Guarantees: after it returns, no layer mixes patients of a batch, and nothing but noised gradients can change the
    network's state, since it has no buffer that a forward pass could write to.
    """
    for name, layer in module.named_modules():
        for find in (_forbidden, _keeps_statistics, _refused_by_opacus, _has_buffers):
            if (finding := find(layer)) is not None:
                reason, cure = finding
                where = f"layer {name!r}" if name else "the network"
                raise ConfigError(f"{where} ({type(layer).__name__}) cannot be private: {reason}", hint=cure)


Finding = tuple[str, str] | None


def _forbidden(layer: nn.Module) -> Finding:
    return next(((reason, cure) for types, reason, cure in _FORBIDDEN if isinstance(layer, types)), None)


def _keeps_statistics(layer: nn.Module) -> Finding:
    if isinstance(layer, _InstanceNorm) and layer.track_running_stats:
        return (
            "it keeps running statistics of the patients, which no noise protects",
            "build it with track_running_stats=False, or use GroupNorm",
        )
    return None


def _refused_by_opacus(layer: nn.Module) -> Finding:
    """What Opacus knows to be unfit and the table above does not name."""
    validator: Callable[[nn.Module], list[Exception]] | None = ModuleValidator.VALIDATORS.get(type(layer))
    errors = validator(layer) if validator is not None else []
    return (str(errors[0]), "choose a network of the catalogue") if errors else None


def _has_buffers(layer: nn.Module) -> Finding:
    if names := [name for name, _ in layer.named_buffers(recurse=False)]:
        return (
            f"its buffer {names[0]!r} may be written to without noise",
            "make it a parameter with requires_grad=False, or a plain constant",
        )
    return None
