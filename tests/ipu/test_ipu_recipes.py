"""The shipped recipes in their full size: the worker's sums are those of the plain loop, for batches of any size."""

import os
import sys
from pathlib import Path

import pytest
import torch

from dpmed.backends import open_backend
from dpmed.backends.ipu_backend import IpuBackend
from dpmed.core.recipe import load_recipe
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors

STANDIN = Path(__file__).parent / "standin"
PYTHON = os.environ.get("DPMED_IPU_PYTHON", sys.executable)
COVID = TaskSpec(kind="classification", outputs=("covid",))
TUMOUR = TaskSpec(kind="segmentation", outputs=("whole", "core", "enhancing"))
VOLUME = ["data.spatial_dims=3", "data.image_size=[48,48,48]"]
"""Half of the usual side: a patient of full size takes seconds here."""


@pytest.fixture(autouse=True)
def _standin(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))


def _patients(task, channels, size, draws, count):
    """Three in four have the disease, so that gradients do not cancel: of what cancels, float32 keeps few digits."""
    generator = torch.Generator().manual_seed(0)
    patients = []
    for number in range(count):
        images = torch.rand((draws, channels, *size), generator=generator)
        masks = (torch.rand((draws, len(task.outputs), *size), generator=generator) > 0.7).float()
        targets = masks if task.kind == "segmentation" else torch.full((draws,), float(number % 4 != 0))
        patients.append(PatientTensors(images, targets))
    return patients


def _distance(got, want):
    square = sum(float((got.values[name] - value).double().square().sum()) for name, value in want.values.items())
    return square**0.5 / sum(float(value.double().square().sum()) for value in want.values.values()) ** 0.5


@pytest.mark.parametrize("mode", ["flat", "per-layer"])
@pytest.mark.parametrize(
    ("name", "settings", "draws", "counts", "places"),
    [
        ("covid-ct", [], 1, (0, 1, 100), 4),
        ("covid-ct", [], 4, (0, 5), 2),
        ("covid-ct-tiny", [], 4, (0, 3), 2),  # one image a patient: the network and the size of covid-ct
        ("brats-tiny", [], 1, (0, 30), 4),
        ("brats-tiny", [], 4, (0, 3), 2),
        ("brats-unet", [], 1, (0, 9), 2),
        ("brats-unet", [], 4, (0, 3), 2),
        ("brats-unet", VOLUME, 1, (0, 2), 1),
    ],
)
def test_sums_of_a_shipped_recipe_are_those_of_the_plain_loop(name, settings, draws, counts, places, mode):
    recipe = load_recipe(name, settings=settings)
    task = COVID if recipe.task == "covid-ct" else TUMOUR
    channels, clipping = len(recipe.data.modalities), ClippingSpec(mode=mode, l2_clip_norm=recipe.privacy.clip_norm)
    model = ModelSpec(
        name=recipe.model.name,
        spatial_dims=recipe.data.spatial_dims,
        in_channels=channels,
        out_channels=len(task.outputs),
        width=recipe.model.width,
    )
    torch.manual_seed(0)
    flags = HardwareFlags(device="ipu", ipu_python=PYTHON, ipu_model=True, ipu_device_iterations=places)
    backend, plain = IpuBackend(), open_backend("cpu", model=model, task=task, clipping=clipping, flags=NANO)
    backend.open(model, task, clipping, flags)
    plain.load(backend._model.state_dict())
    for count in counts:
        patients = _patients(task, channels, recipe.data.image_size, draws, count)
        got, want = backend.clipped_sum(patients), plain.clipped_sum(patients)
        assert got.notes.patients == count
        assert _distance(got, want) < 1e-5 if count else not any(value.any() for value in got.values.values())
    backend.close()


NANO = HardwareFlags(engine="nano")
