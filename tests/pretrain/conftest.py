"""Small datasets of invented pictures, with labels or without."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from dpmed.core.manifest import Case, Geometry, Manifest, ScrubSummary
from dpmed.core.recipe import load_recipe


def _write(folder, *, seed, labelled=True, patients=10):
    """Patients whose pictures follow from the seed alone."""
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(seed)
    cases = [_case(folder, number, generator, labelled=labelled) for number in range(patients)]
    scrub = ScrubSummary(profile="none", identifiers_removed={}, images_in=9, images_out=9, quarantined=0)
    (folder / "manifest.json").write_text(Manifest(task="covid-ct", cases=tuple(cases), scrub=scrub).to_json())
    return folder


def _case(folder, number, generator, *, labelled):
    name = f"images/c-{number:012x}_ct.png"
    pixels = generator.integers(0, 100, (24, 24)) + 100 * (number % 2)
    Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return Case(
        case=f"c-{number:012x}",
        patient=f"p-{number:012x}",
        images={"ct": name},
        label=number % 2 if labelled else None,
        split="train",
        intensity="display",
        geometry=Geometry(shape=(24, 24), spacing_mm=(1.0, 1.0), orientation=""),
        sha256={name: hashlib.sha256((folder / name).read_bytes()).hexdigest()},
    )


@pytest.fixture
def recipe():
    settings = [
        "data.image_size=[16,16]",
        "data.draws_per_patient=2",
        "model.width=4",
        "privacy.expected_batch_size=5",
        "privacy.steps=4",
        "privacy.noise_multiplier=1.0",
        "privacy.delta=1e-2",
        "hardware.device=cpu",
        "hardware.engine=vmap",
    ]
    return load_recipe("covid-ct-tiny", settings=settings)


@pytest.fixture
def dataset(tmp_path):
    """A dataset folder by its name, made when it is first asked for."""

    def made(name, **options):
        folder = tmp_path / "datasets" / name
        return folder if folder.exists() else _write(folder, **options)

    return made
