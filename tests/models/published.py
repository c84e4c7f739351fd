"""Networks as they were published, by the names and shapes of their code, with weights as training may leave them."""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d, max_pool2d, max_pool3d, pad, relu, relu6


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


EFFICIENTNET = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
EFFICIENTNET += ((4, 5, 2, 6, 192), (1, 3, 1, 6, 320))


class EfficientNet(nn.Module):
    """EfficientNet-Lite0 with BatchNorm, TensorFlow's padding and the names of EfficientNet-PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = nn.Conv2d(3, 32, 3, 2, bias=False), self.norm(32)
        self._blocks, before = nn.ModuleList(), 32
        for count, kernel, stride, ratio, after in EFFICIENTNET:
            for index in range(count):
                self._blocks.append(self.block(before, after, kernel, 1 if index else stride, ratio))
                before = after
        self._conv_head, self._bn1 = nn.Conv2d(320, 1280, 1, bias=False), self.norm(1280)
        self._fc = nn.Linear(1280, 1000)

    @staticmethod
    def norm(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels, eps=1e-3)

    def block(self, before: int, after: int, kernel: int, stride: int, ratio: int) -> nn.Module:
        block, inner = nn.Module(), before * ratio
        if ratio > 1:
            block._expand_conv, block._bn0 = nn.Conv2d(before, inner, 1, bias=False), self.norm(inner)
        block._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        block._bn1, block._bn2 = self.norm(inner), self.norm(after)
        block._project_conv = nn.Conv2d(inner, after, 1, bias=False)
        return block

    def features(self, image: Tensor) -> Tensor:
        image = relu6(self._bn0(same(self._conv_stem, image)))
        for block in self._blocks[:11]:  # the first five stages
            made = relu6(block._bn0(block._expand_conv(image))) if hasattr(block, "_expand_conv") else image
            made = relu6(block._bn1(same(block._depthwise_conv, made)))
            made = block._bn2(block._project_conv(made))
            image = image + made if made.shape == image.shape else made
        return torch.cat([image.mean((2, 3)), image.flatten(2).std(2, correction=0)], dim=1)


def same(conv: nn.Conv2d, image: Tensor) -> Tensor:
    """TensorFlow's SAME: as many places as strides fit, the odd zero at the far side."""
    side, kernel, stride = image.shape[-1], conv.kernel_size[0], conv.stride[0]
    zeros = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    near, far = zeros // 2, zeros - zeros // 2
    return conv(pad(image, (near, far, near, far)))


def timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights by the names of timm's tf_efficientnet_lite0: blocks by stage, the first with other numbers."""
    places = [(stage, index) for stage, (count, *_) in enumerate(EFFICIENTNET) for index in range(count)]
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    other = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    other |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    ends = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}

    def named(name: str) -> str:
        *before, layer, role = name.split(".")
        if not before:
            return f"{ends[layer]}.{role}"
        stage, index = places[int(before[1])]
        return f"blocks.{stage}.{index}.{(other if stage else first)[layer]}.{role}"

    return {named(name): tensor for name, tensor in state.items()}


def radimagenet_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as the children of a ResNet by number, without its last layer."""
    children = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]
    split = (name.split(".", 1) for name in state if not name.startswith("fc."))
    return {f"backbone.{children.index(child)}.{rest}": state[f"{child}.{rest}"] for child, rest in split}
