"""How published weights are named, and what their layers are called here.

A layout is known by the names of its tensors. Names, shapes and constants are those of the published code; where they
are from stands at each.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor

from dpmed.core.errors import MismatchError
from dpmed.models.efficientnet import STAGES

Pixels = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Layout:
    """A published naming.

    `marks` are tensors it always has, with their number of axes; `rename` gives a layer's name here, or None for one
    that has no place. `epsilon` is what its BatchNorm adds to a variance. `pixels` are mean and deviation, by channel,
    that its images in [0, 1] were brought to zero and one with; None where they are in [-1, 1], as here, or were
    normalised one by one.
    """

    name: str
    marks: Mapping[str, int]
    rename: Callable[[str], str | None]
    epsilon: float = 1e-5
    pixels: Pixels | None = None


def _resnet(layer: str) -> str | None:
    return None if layer.startswith(("fc", "conv_seg")) else layer


def _radimagenet(layer: str) -> str | None:
    """The children of torchvision's ResNet by number (BMEII-AI/RadImageNet, pytorch_example.ipynb)."""
    number, _, rest = layer.partition(".")
    places = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
    return ".".join(filter(None, (places[number], rest))) if number in places else None


_FIRST_OF_STAGE = [0, *accumulate(count for count, *_ in STAGES)]
_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
_STEM = {"_conv_stem": "stem.conv", "_bn0": "stem.norm"}


def _efficientnet(layer: str) -> str | None:
    """Of lukemelas/EfficientNet-PyTorch and its Lite forms: blocks by number, of which the last have no place here."""
    if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", layer):
        is_used = int(block[1]) < _FIRST_OF_STAGE[-1] and block[2] in _BLOCK
        return f"blocks.{block[1]}.{_BLOCK[block[2]]}" if is_used else None
    return _STEM.get(layer)


_TIMM_BLOCK = {
    "conv_pw": "expand.conv",
    "bn1": "expand.norm",
    "conv_dw": "depthwise.conv",
    "bn2": "depthwise.norm",
    "conv_pwl": "project.conv",
    "bn3": "project.norm",
}
_TIMM_FIRST = {"conv_dw": "depthwise.conv", "bn1": "depthwise.norm", "conv_pw": "project.conv", "bn2": "project.norm"}
_TIMM_STEM = {"conv_stem": "stem.conv", "bn1": "stem.norm"}


def _timm_efficientnet(layer: str) -> str | None:
    """Of timm's tf_efficientnet_lite0: blocks by stage, the first of which has nothing to expand."""
    if block := re.fullmatch(r"blocks\.([0-4])\.(\d+)\.(\w+)", layer):
        stage, names = int(block[1]), _TIMM_FIRST if block[1] == "0" else _TIMM_BLOCK
        return f"blocks.{_FIRST_OF_STAGE[stage] + int(block[2])}.{names[block[3]]}" if block[3] in names else None
    return _TIMM_STEM.get(layer)


def _unet(layer: str) -> str:
    """MONAI's own U-Net, which is the body of the one here."""
    return f"body.{layer}"


IMAGENET: Pixels = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OWN = Layout("dpmed", {"centre.value": 1, "head.weight": 2}, lambda layer: layer)
PUBLISHED = (
    Layout("torchvision or timm ResNet", {"conv1.weight": 4, "layer1.0.conv1.weight": 4}, _resnet, pixels=IMAGENET),
    Layout("MedicalNet or MONAI 3-D ResNet", {"conv1.weight": 5, "layer1.0.conv1.weight": 5}, _resnet),
    Layout("RadImageNet ResNet", {"0.weight": 4, "4.0.conv1.weight": 4}, _radimagenet),
    Layout("EfficientNet-PyTorch", {"_conv_stem.weight": 4, "_conv_head.weight": 4}, _efficientnet, epsilon=1e-3),
    Layout("timm EfficientNet", {"conv_stem.weight": 4, "blocks.0.0.conv_dw.weight": 4}, _timm_efficientnet, 1e-3),
    Layout("MONAI 2-D U-Net", {"model.0.conv.weight": 4}, _unet),
    Layout("MONAI 3-D U-Net", {"model.0.conv.weight": 5}, _unet),
    Layout("MONAI residual 3-D U-Net", {"model.0.conv.unit0.conv.weight": 5}, _unet),
)
WRAPPERS = ("", "module.", "backbone.", "encoder.", "model.", "net.")
"""What a training script may have put in front of every name; RadImageNet's did."""


def recognised(tensors: Mapping[str, Tensor], names: Collection[str]) -> tuple[Layout, dict[str, Tensor]]:
    """The layout of these tensors, and the tensors by their names in it, for a network whose own are `names`.

    Raises `MismatchError` for names that are of no known layout.
    """
    if set(tensors) == set(names) or _has(OWN, tensors):
        return OWN, dict(tensors)
    for wrapper in WRAPPERS:
        inner = {name.removeprefix(wrapper): value for name, value in tensors.items() if name.startswith(wrapper)}
        for layout in PUBLISHED:
            if _has(layout, inner):
                return layout, inner
    raise MismatchError(
        "the weights are named like none that dpmed knows",
        hint=f"known are dpmed's own, {', '.join(layout.name for layout in PUBLISHED)}",
    )


def _has(layout: Layout, tensors: Mapping[str, Tensor]) -> bool:
    return all(name in tensors and tensors[name].ndim == axes for name, axes in layout.marks.items())
