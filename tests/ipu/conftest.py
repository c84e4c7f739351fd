"""The stand-in for PopTorch, importable in these tests only, and a small model that trains by probes."""

import importlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

STANDIN = Path(__file__).with_name("standin")
HEARD = ("POPTORCH_", "OMPI_", "DPMED_STANDIN_")


@pytest.fixture(autouse=True)
def silence(monkeypatch):
    """No variable that PopTorch or the stand-in listens to is set unless a test sets it."""
    for name in [name for name in os.environ if name.startswith(HEARD)]:
        monkeypatch.delenv(name)


@pytest.fixture
def trapped_standin(monkeypatch, silence):
    """PopTorch's place is taken in the worker's interpreter alone; its traps are set."""
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))
    monkeypatch.setenv("POPTORCH_DEFAULT_OPTIONS", '{"Training.gradientAccumulation": 4}')
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")


@pytest.fixture(scope="module")
def poptorch():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STANDIN))
        yield importlib.import_module("poptorch")
    for name in [name for name in sys.modules if name.split(".")[0] == "poptorch"]:
        del sys.modules[name]


class Probes(nn.Module):
    """A frozen two-layer network, and beside each weight a probe that stays zero in value and takes the gradient."""

    def __init__(self, poptorch):
        super().__init__()
        torch.manual_seed(0)
        self.mark = poptorch.identity_loss
        for name, shape in {"a": (4, 3), "b": (4,), "c": (2, 4)}.items():
            self.register_buffer("frozen_" + name, torch.randn(shape))
            self.register_parameter("probe_" + name, nn.Parameter(torch.zeros(shape)))

    def weight(self, name):
        probe = getattr(self, "probe_" + name)
        return getattr(self, "frozen_" + name) + (probe - probe.detach())

    def forward(self, scan, label, real):
        hidden = torch.tanh(nn.functional.linear(scan, self.weight("a"), self.weight("b")))
        loss = nn.functional.cross_entropy(nn.functional.linear(hidden, self.weight("c")), label)
        return self.mark(loss * real.mean(), "none")


@pytest.fixture
def probes(poptorch):
    return Probes(poptorch)


@pytest.fixture
def design_p(poptorch):
    """Make the training model of six patients; the options can be changed before it is made."""

    def make(patients=6, clip=0.5, accumulation=1, mode="Sum", change=None, **sgd):
        model, options = Probes(poptorch), poptorch.Options()
        options.deviceIterations(patients // accumulation).useIpuModel(True)
        options.outputMode(poptorch.OutputMode[mode]).Training.gradientAccumulation(accumulation)
        if change:
            change(options)
        optimizer = poptorch.optim.SGD(model.parameters(), lr=1.0, max_grad_norm=clip, **sgd)
        return SimpleNamespace(model=model, options=options, run=poptorch.trainingModel(model, options, optimizer))

    return make


@pytest.fixture
def patients():
    """Six patients, one gradient far below the clip and one of them padding."""
    draw = torch.Generator().manual_seed(1)
    scans = torch.randn(6, 3, generator=draw) * torch.tensor([1.0, 1e-3, 1.0, 2.0, 0.5, 1.0])[:, None]
    return scans, torch.tensor([0, 1, 1, 0, 1, 0]), torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 1.0])


@pytest.fixture
def textbook(poptorch):
    """Minus the sum of the clipped gradients, one patient after the other, in plain torch."""

    def add_up(patients, clip=0.5):
        model = Probes(poptorch)
        total = [torch.zeros_like(probe) for probe in model.parameters()]
        for number in range(len(patients[0])):
            one = [tensor[number : number + 1] for tensor in patients]
            gradients = torch.autograd.grad(model(*one), list(model.parameters()))
            norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
            for place, gradient in enumerate(gradients):
                total[place] -= gradient * min(1.0, clip / float(norm + 1e-30))
        return total

    return add_up


@pytest.fixture
def apart():
    """The largest difference between a trained model's probes and a list of tensors."""

    def largest(model, expected):
        gaps = map(lambda probe, tensor: float((probe.detach() - tensor).abs().max()), model.parameters(), expected)
        return max(gaps)

    return largest
