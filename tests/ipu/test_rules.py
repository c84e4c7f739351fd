"""Every rule of PopTorch that the manifest has is kept by a test, or does not apply and says why."""

import ast
import json
import logging
import os
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn

from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.ipu_backend import IpuBackend
from dpmed.core import sdk
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MANIFEST = json.loads((HERE / "poptorch_manifest.json").read_text())
STANDIN = HERE / "standin"
PYTHON = os.environ.get("DPMED_IPU_PYTHON", sys.executable)
TASKS = {
    "classification": (TaskSpec(kind="classification", outputs=("covid",)), "resnet10-gn"),
    "segmentation": (TaskSpec(kind="segmentation", outputs=("whole", "core")), "unet"),
}


def test_every_rule_has_a_test_or_a_reason_why_it_does_not_apply():
    trees = [ast.parse(path.read_text()) for path in HERE.glob("test_*.py")]
    tests = {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name, rule in MANIFEST["rules"].items():
        assert rule["promise"] and rule["source"], name
        assert ("test" in rule) != bool(rule.get("does_not_apply")), f"{name} has a test or a reason, not both"
        assert rule.get("test", rule.get("does_not_apply")) in tests or "does_not_apply" in rule, name


def test_the_worker_is_written_for_the_python_of_the_wheel():
    assert f"python{MANIFEST['python']}" == sdk.PYTHON
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert ruff["per-file-target-version"] == {
        "dpmed/backends/ipu/worker/*.py": f"py{MANIFEST['python'].replace('.', '')}"
    }
    makefile = (ROOT / "Makefile").read_text()
    assert f"IPU_PYTHON ?= python{MANIFEST['python']}\n" in makefile and f"torch=={MANIFEST['torch']}" in makefile


def _asked(poptorch):
    return poptorch.Options().useIpuModel(True)


def test_inference_takes_no_optimizer(poptorch):
    model = nn.Linear(1, 1)
    optimizer = poptorch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(AssertionError, match="optimizer"):
        poptorch.PoplarExecutor(model, _asked(poptorch), False, poptorch.__version__, optimizer=optimizer)
    with pytest.raises(TypeError, match="optimizer"):
        poptorch.inferenceModel(model, _asked(poptorch), optimizer=optimizer)


class Scaled(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape))

    def forward(self, scan):
        return scan * self.weight.sum()


@pytest.mark.parametrize(("shape", "error", "words"), [((), "Error", "Scalars cannot"), ((2,), None, "from replica")])
def test_a_weight_per_replica_is_no_scalar(poptorch, shape, error, words):
    run = poptorch.inferenceModel(Scaled(shape), _asked(poptorch))
    assert run.weight.shape == shape
    run.weight.replicaGrouping(poptorch.CommGroupType.NoGrouping, 0, poptorch.VariableRetrievalMode.OnePerGroup)
    with pytest.raises(getattr(poptorch, error) if error else NotImplementedError, match=words):
        run(torch.ones(1))


class Making(nn.Module):
    """Adds what a factory makes to its input."""

    def __init__(self, made):
        super().__init__()
        self.made = made

    def forward(self, scan):
        return scan + self.made(scan)


@pytest.mark.parametrize(
    ("made", "warns"),
    [
        (lambda scan: torch.zeros(1), "torch.zeros()"),
        (lambda scan: torch.full_like(scan, 2.0), "torch.full_like()"),
        (lambda scan: torch.ones(1, device="cpu"), ""),
        (lambda scan: scan.new_zeros(1), ""),
    ],
)
def test_what_forward_makes_without_a_device_is_warned_of(poptorch, made, warns, caplog, monkeypatch):
    with caplog.at_level(logging.WARNING):
        poptorch.inferenceModel(Making(made), _asked(poptorch))(torch.ones(1))
    assert warns in caplog.text if warns else not caplog.text
    monkeypatch.setenv("DPMED_STANDIN_STRICT", "1")
    if warns:
        with pytest.raises(AssertionError, match="forced onto the IPU"):
            poptorch.inferenceModel(Making(made), _asked(poptorch))(torch.ones(1))


@pytest.mark.parametrize("kind", TASKS)
def test_the_worker_makes_nothing_in_forward_without_saying_where(monkeypatch, kind):
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))
    monkeypatch.setenv("DPMED_STANDIN_STRICT", "1")
    task, name = TASKS[kind]
    model = ModelSpec(name=name, spatial_dims=2, in_channels=1, out_channels=len(task.outputs), width=4)
    flags = HardwareFlags(device="ipu", ipu_python=PYTHON, ipu_device_iterations=2, ipu_model=True)
    backend = IpuBackend()
    backend.open(model, task, ClippingSpec(l2_clip_norm=0.1), flags)
    patients = synthetic_patients(task, channels=1, size=[32, 32], draws=1, patients=2)
    assert backend.clipped_sum(patients).notes.patients == 2
    backend.close()
