"""What the worker runs is the recipe's network, and its loss is the recipe's loss."""

import ast
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dpmed.backends.ipu.graph import graph_of
from dpmed.backends.ipu.worker import network, wire
from dpmed.core.errors import ConfigError
from dpmed.core.specs import ModelSpec, TaskSpec
from dpmed.models import build, catalogue, loss_function

WORKER = Path(network.__file__).parent


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [name for name in catalogue() if name == "unet" or name.endswith("-gn")])
def test_the_graph_of_every_network_gives_its_output_and_its_gradient(name, dims):
    torch.manual_seed(1)
    model = build(ModelSpec(name=name, spatial_dims=dims, in_channels=2, out_channels=1, width=4)).double()
    image = torch.rand(2, 2, *[32] * dims, dtype=torch.float64)
    weights = {key: value.detach().clone().requires_grad_() for key, value in model.named_parameters()}
    ours, theirs = network.run(graph_of(model), weights, image), model(image)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    got = torch.autograd.grad(ours.square().sum(), list(weights.values()))
    want = torch.autograd.grad(theirs.square().sum(), list(model.parameters()))
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("kind", "shape"), [("classification", (3, 1)), ("segmentation", (3, 2, 8, 8))])
def test_the_loss_is_that_of_the_task(kind, shape):
    logits = torch.randn(shape, dtype=torch.float64)
    targets = (torch.rand(shape[:1] if kind == "classification" else shape) > 0.5).double()
    task = TaskSpec(kind=kind, outputs=("a",) if kind == "classification" else ("a", "b"))
    want = loss_function(task)(logits, targets)
    torch.testing.assert_close(network.patient_loss(kind, logits, targets), want, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "layer", [nn.GELU(), nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), nn.AdaptiveAvgPool2d(2)]
)
def test_a_layer_that_the_worker_does_not_know_is_refused(layer):
    with pytest.raises(ConfigError, match="IPU worker"):
        graph_of(nn.Sequential(layer))


@pytest.mark.parametrize("name", ["resnet18", "efficientnet-lite0"])
def test_a_published_network_is_refused_with_one_that_is_not(name):
    with pytest.raises(ConfigError, match="fixed statistics") as refusal:
        graph_of(build(ModelSpec(name=name, spatial_dims=2, in_channels=1, out_channels=1, width=4)))
    assert "resnet18-gn" in refusal.value.hint


@pytest.mark.parametrize("path", sorted(WORKER.glob("*.py")), ids=lambda path: path.name)
def test_the_worker_is_python_3_8_and_imports_nothing_but_what_is_there(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    assert "from __future__ import annotations" in path.read_text() or path.name == "__init__.py"
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    own = {path.stem for path in WORKER.glob("*.py")}
    standard = {"__future__", "contextlib", "itertools", "json", "math", "os", "struct", "sys", "typing"}
    assert names <= own | standard | {"numpy", "poptorch", "torch", "torch.nn"}


def test_messages_arrive_as_they_were_sent():
    sent = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "none": np.zeros((0, 4)),
        "one": np.float32(2).reshape(()),
    }
    pipe = io.BytesIO()
    wire.send(pipe, {"do": "sum", "text": "ä"}, sent)
    pipe.seek(0)
    header, got = wire.receive(pipe)
    assert header == {"do": "sum", "text": "ä"}
    for name, array in sent.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype


@pytest.mark.parametrize("content", [b"", b"\x05\0\0\0{", b"\xff\xff\xff\xff", b"\x02\0\0\0{}"])
def test_what_is_no_message_is_an_end_or_an_error(content):
    with pytest.raises((wire.Closed, ValueError, KeyError)):
        wire.receive(io.BytesIO(content))
