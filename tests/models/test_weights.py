"""Published weights give the published outputs; what fits is taken by name, and what does not is told or refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d, max_pool2d, max_pool3d, pad, relu

from dpmed.core.specs import ModelSpec
from dpmed.models import build, take_weights

MEAN, DEVIATION = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


class Resnet(nn.Module):
    """A ResNet with BatchNorm, after He et al. 2016 and with the names of torchvision's, in two or three dimensions."""

    def __init__(
        self, dims: int, blocks: list[int], *, deep: bool = False, inputs: int = 3, shortcut: str = "B"
    ) -> None:
        super().__init__()
        self.dims, self.shortcut = dims, shortcut
        self.conv, self.norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.conv1, self.bn1 = self.conv(inputs, 64, 7, 2, 3, bias=False), self.norm(64)
        channels = 64
        for stage, count in enumerate(blocks):
            made = []
            for index in range(count):
                block = self.block(channels, 64 * 2**stage, deep=deep, stride=2 if stage and not index else 1)
                channels = 64 * 2**stage * (4 if deep else 1)
                made.append(block)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.fc = nn.Linear(channels, 1000)

    def block(self, before: int, planes: int, *, deep: bool, stride: int) -> nn.Module:
        block, after = nn.Module(), planes * (4 if deep else 1)
        sides = ((1, 1, 0), (3, stride, 1), (1, 1, 0)) if deep else ((3, stride, 1), (3, 1, 1))
        ins, outs = (
            ([before, planes, planes], [planes, planes, after]) if deep else ([before, planes], [planes, planes])
        )
        for number, (one, other, side) in enumerate(zip(ins, outs, sides, strict=True), 1):
            setattr(block, f"conv{number}", self.conv(one, other, *side, bias=False))
            setattr(block, f"bn{number}", self.norm(other))
        block.count, block.stride, block.planes = len(sides), stride, after
        if (stride > 1 or before != after) and self.shortcut == "B":
            block.downsample = nn.Sequential(self.conv(before, after, 1, stride, bias=False), self.norm(after))
        return block

    def features(self, image: Tensor) -> Tensor:
        pool, mean = (max_pool2d, adaptive_avg_pool2d) if self.dims == 2 else (max_pool3d, adaptive_avg_pool3d)
        image = pool(relu(self.bn1(self.conv1(image))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                image = self.through(block, image)
        return mean(image, 1).flatten(1)

    def through(self, block: nn.Module, image: Tensor) -> Tensor:
        made = image
        for number in range(1, block.count + 1):
            made = getattr(block, f"bn{number}")(getattr(block, f"conv{number}")(made))
            made = relu(made) if number < block.count else made
        if hasattr(block, "downsample"):
            image = block.downsample(image)
        elif block.stride > 1 or image.shape[1] != block.planes:
            image = image[(..., *[slice(None, None, block.stride)] * self.dims)]
            image = torch.cat([image, image.new_zeros(len(image), block.planes - image.shape[1], *image.shape[2:])], 1)
        return relu(made + image)


@torch.no_grad()
def filled(network: nn.Module) -> nn.Module:
    """With weights and statistics as a trained one may have them."""
    torch.manual_seed(3)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            for values in (layer.weight, layer.running_var):
                values.uniform_(0.5, 1.5)
            for values in (layer.bias, layer.running_mean):
                values.normal_(0, 0.2)
    return network.eval()


def spec(name: str, *, dims: int = 2, inputs: int = 3, outputs: int = 1, width: int = 64) -> ModelSpec:
    return ModelSpec(name=name, spatial_dims=dims, in_channels=inputs, out_channels=outputs, width=width)


def saved(path: Path, content: object) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def closely(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize(
    ("name", "blocks", "deep"), [("resnet18", [2, 2, 2, 2], False), ("resnet50", [3, 4, 6, 3], True)]
)
def test_a_torchvision_resnet_gives_its_own_features_of_images_from_minus_one_to_one(
    tmp_path, name, blocks, deep, wrapper
):
    theirs, ours = filled(Resnet(2, blocks, deep=deep)), build(spec(name)).eval()
    taken = take_weights(ours, saved(tmp_path / "weights.pth", prefixed(wrapper, theirs.state_dict())))
    assert taken.new == ("centre.value", "head.weight", "head.bias")
    assert taken.layout == "torchvision or timm ResNet"
    # Its images are at mean 0 and deviation 1; a black border of the same colour makes the zeros around them equal.
    image = torch.rand(2, 3, 64, 64)
    first = ours.features.conv1
    normal = (pad(image, (3, 3, 3, 3), value=0.5) - MEAN) / DEVIATION
    theirs.conv1.padding, image = (0, 0), 2 * image - 1
    assert first.padding == (3, 3)
    with torch.no_grad():
        closely(ours.features(image), theirs.features(normal))
