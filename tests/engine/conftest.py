"""A dataset of a dozen invented patients, small enough to train on in a second."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dpmed.core.folders import RunFolder
from dpmed.core.manifest import Case, Geometry, Manifest, ScrubSummary
from dpmed.core.recipe import Recipe
from dpmed.engine import TrainRequest


@pytest.fixture
def tiny_data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    cases = [_case(folder, patient, generator) for patient in range(12)]
    scrub = ScrubSummary(profile="none", identifiers_removed={}, images_in=12, images_out=12, quarantined=0)
    (folder / "manifest.json").write_text(Manifest(task="covid-ct", cases=tuple(cases), scrub=scrub).to_json())
    return folder


def _case(folder: Path, patient: int, generator: np.random.Generator) -> Case:
    label = patient % 2
    pixels = generator.integers(0, 100, (24, 24)) + 100 * label
    name = f"images/c-{patient:012x}_ct.png"
    Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return Case(
        case=f"c-{patient:012x}",
        patient=f"p-{patient:012x}",
        images={"ct": name},
        label=label,
        split="train",
        intensity="display",
        geometry=Geometry(shape=(24, 24), spacing_mm=(1.0, 1.0), orientation=""),
        sha256={name: hashlib.sha256((folder / name).read_bytes()).hexdigest()},
    )


@pytest.fixture
def tiny_recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "name": "tiny",
            "summary": "for tests",
            "task": "covid-ct",
            "data": {"modalities": ["ct"], "spatial_dims": 2, "image_size": [16, 16], "draws_per_patient": 2},
            "model": {"name": "resnet10-gn", "width": 4},
            "privacy": {"noise_multiplier": 1.0, "delta": 1e-2, "expected_batch_size": 6, "steps": 8},
            "optimizer": {"learning_rate": 0.1, "ema_decay": 0.9},
            "hardware": {"device": "cpu", "checkpoint_seconds": 0.0},
        }
    )


@pytest.fixture
def tiny_request(tiny_data: Path, tiny_recipe: Recipe, tmp_path: Path) -> TrainRequest:
    return TrainRequest(recipe=tiny_recipe, data=tiny_data, run=RunFolder(tmp_path / "run"))
