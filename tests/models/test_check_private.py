"""The compatibility check names the layer, why privacy forbids it, and the cure."""

import pytest
from monai.networks.nets import UNet
from torch import nn

from dpmed.core.errors import ConfigError
from dpmed.models import check_private


def refused(network: nn.Module) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        check_private(network)
    return caught.value


def test_batch_norm_is_named_with_reason_and_cure() -> None:
    error = refused(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))))
    assert "'1.1' (BatchNorm2d)" in error.message
    assert "others of the batch" in error.message
    assert "GroupNorm" in error.hint


def test_monai_unet_with_batch_norm_is_refused() -> None:
    error = refused(UNet(2, 1, 1, channels=(4, 8), strides=(2,), norm="batch", adn_ordering="NA"))
    assert "'model.0.adn.N'" in error.message


@pytest.mark.parametrize("layer", [nn.SyncBatchNorm(4), nn.BatchNorm3d(4, track_running_stats=False)])
def test_every_kind_of_batch_norm_is_refused(layer: nn.Module) -> None:
    assert "others of the batch" in refused(nn.Sequential(layer)).message


def test_instance_norm_is_refused_only_with_running_statistics() -> None:
    check_private(nn.InstanceNorm3d(4, affine=True))
    assert "running statistics" in refused(nn.InstanceNorm3d(4, track_running_stats=True)).message


@pytest.mark.parametrize("layer", [nn.LSTM(4, 4), nn.GRU(4, 4), nn.MultiheadAttention(4, 2)])
def test_fused_layers_are_refused(layer: nn.Module) -> None:
    assert "opacus.layers" in refused(nn.Sequential(layer)).hint


def test_dropout_is_refused() -> None:
    assert "'1' (Dropout)" in refused(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))).message


def test_a_buffer_that_could_learn_without_noise_is_refused() -> None:
    class Remembers(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 2)
            self.register_buffer("memory", self.weight.detach().clone())

    error = refused(nn.Sequential(Remembers()))
    assert "'0' (Remembers)" in error.message
    assert "'memory'" in error.message


def test_group_norm_layer_norm_and_convolutions_pass() -> None:
    check_private(nn.Sequential(nn.Conv3d(1, 4, 3), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.ConvTranspose3d(4, 1, 3)))
