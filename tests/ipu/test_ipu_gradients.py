"""Every layer's gradient, written out in operators that run forward, is the one that autograd finds."""

import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dpmed.backends.ipu.graph import check_explicit, graph_of
from dpmed.backends.ipu.worker import network
from dpmed.core.errors import ConfigError
from dpmed.core.specs import ModelSpec
from dpmed.models import build, catalogue

WORKER = Path(network.__file__).parent
FLAT, DEEP = (3, 4, 9, 8), (2, 4, 7, 6, 5)
LAYERS = {
    "convolution": (nn.Conv2d(4, 6, 3, padding=1), FLAT),
    "without bias": (nn.Conv2d(4, 6, 1, bias=False), FLAT),
    "wide and stepping": (nn.Conv2d(4, 6, 7, stride=2, padding=3), FLAT),
    "uneven": (nn.Conv2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0)), FLAT),
    "in a volume": (nn.Conv3d(4, 6, 3, stride=2, padding=1), DEEP),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), FLAT),
    "transposed without overlap": (nn.ConvTranspose2d(4, 6, 2, stride=2), FLAT),
    "transposed in a volume": (nn.ConvTranspose3d(4, 6, 3, stride=2, padding=1, output_padding=1), DEEP),
    "group norm": (nn.GroupNorm(2, 4), FLAT),
    "group norm in a volume": (nn.GroupNorm(4, 4), DEEP),
    "relu": (nn.ReLU(), FLAT),
    "prelu": (nn.PReLU(), FLAT),
    "prelu by channel": (nn.PReLU(4), DEEP),
    "largest": (nn.MaxPool2d(3, stride=2, padding=1), FLAT),
    "largest of equals": (nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)), FLAT),
    "largest with a rest": (nn.MaxPool2d(2), FLAT),
    "largest in a volume": (nn.MaxPool3d(3, stride=2, padding=1), DEEP),
    "average": (nn.AvgPool2d(2), FLAT),
    "average with overlap": (nn.AvgPool3d(3, stride=2, padding=1), DEEP),
    "mean of space": (nn.AdaptiveAvgPool2d(1), FLAT),
    "linear": (nn.Sequential(nn.Flatten(), nn.Linear(288, 3)), FLAT),
}


@pytest.fixture(scope="module")
def gradients():
    """The worker's modules find each other by their bare names, as in its own interpreter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(WORKER))
        yield importlib.import_module("gradients")
    for name in ("gradients", "network"):
        del sys.modules[name]


def _written_out(gradients, nodes, weights, image, last):
    waiting, found = {nodes[-1]["name"]: [last]}, {}
    for layer in reversed(network.layers(nodes, weights.__getitem__, image)):
        inputs, own = gradients.BACKWARD[layer.node["layer"]](layer, gradients.added(waiting.pop(layer.node["name"])))
        for name, gradient in zip(layer.node["inputs"], inputs, strict=True):
            waiting.setdefault(name, []).append(gradient)
        found |= {name: own[role] for role, name in layer.node["weights"].items()}
    return found


def _agree(gradients, model, image):
    model = model.double()
    nodes, weights = graph_of(model), dict(model.named_parameters())
    made = model(image)
    last = torch.randn(made.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    want = torch.autograd.grad(made, list(weights.values()), last)
    with torch.no_grad():
        got = _written_out(gradients, nodes, weights, image, last)
    assert got.keys() == weights.keys()
    for name, wanted in zip(weights, want, strict=True):
        # Sums leave in float32; where they cancel to zero, as before a normalisation, that is of what was summed.
        torch.testing.assert_close(got[name].double(), wanted, rtol=1e-5, atol=1e-5 * float(last.norm()))


@pytest.mark.parametrize("name", LAYERS)
def test_the_gradient_of_a_layer_and_what_it_hands_on(gradients, name):
    """A layer between two convolutions: the first one's gradient is right only if the layer hands on the right one."""
    torch.manual_seed(0)
    layer, shape = LAYERS[name]
    kind = nn.Conv2d if len(shape) == 4 else nn.Conv3d
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _agree(gradients, nn.Sequential(kind(4, 4, 3, padding=1), layer), image)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [name for name in catalogue() if name == "unet" or name.endswith("-gn")])
def test_the_gradient_of_every_network(gradients, name, dims):
    torch.manual_seed(1)
    model = build(ModelSpec(name=name, spatial_dims=dims, in_channels=2, out_channels=1, width=4))
    _agree(gradients, model, torch.rand(2, 2, *[32] * dims, dtype=torch.float64))


@pytest.mark.parametrize(("kind", "shape"), [("classification", (3, 1)), ("segmentation", (3, 2, 8, 8))])
def test_the_gradient_of_a_patients_loss(gradients, kind, shape):
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    targets = (torch.rand(shape[:1] if kind == "classification" else shape) > 0.5).double()
    (want,) = torch.autograd.grad(network.patient_loss(kind, logits, targets), logits)
    torch.testing.assert_close(gradients.patient_gradient(kind, logits, targets), want)


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2)])
def test_a_layer_whose_gradient_cannot_be_written_out_is_refused(layer):
    with pytest.raises(ConfigError, match="clipped flat only"):
        check_explicit(graph_of(nn.Sequential(layer)))
