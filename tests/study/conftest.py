"""A dataset of two dozen invented patients, a study of a second a training, and cells made by hand."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dpmed.core.manifest import Case, Geometry, Manifest, ScrubSummary
from dpmed.privacy.mechanisms import MechanismRun
from dpmed.study.cells import Asked, Cell, PatientScore
from dpmed.study.plan import CellKey, Study, load_study

RECIPE = """
name = "tiny"
summary = "for tests"
task = "covid-ct"
[data]
modalities = ["ct"]
spatial_dims = 2
image_size = [16, 16]
[model]
name = "resnet10-gn"
width = 4
[privacy]
expected_batch_size = 6
steps = 2
[hardware]
device = "cpu"
engine = "nano"
"""
STUDY = """
name = "tried"
recipe = "tiny.toml"
title = "A tried thing"
public = "Invented for a test."
epsilons = ["inf", 8]
delta = 1e-2
folds = 2
[variants.base]
[variants.no-ema]
about = "without the moving average"
settings = { "optimizer.ema_decay" = 0.0, "optimizer.learning_rate" = 0.2 }
epsilons = [8]
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """24 patients, two images each, every third positive."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    cases = [_case(folder, patient, number, generator) for patient in range(24) for number in range(2)]
    scrub = ScrubSummary(profile="none", identifiers_removed={}, images_in=48, images_out=48, quarantined=0)
    (folder / "manifest.json").write_text(Manifest(task="covid-ct", cases=tuple(cases), scrub=scrub).to_json())
    return folder


def _case(folder: Path, patient: int, number: int, generator: np.random.Generator) -> Case:
    label = int(patient % 3 == 0)
    name = f"images/c-{2 * patient + number:012x}_ct.png"
    pixels = generator.integers(0, 100, (24, 24)) + 100 * label
    Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return Case(
        case=f"c-{2 * patient + number:012x}",
        patient=f"p-{patient:012x}",
        images={"ct": name},
        label=label,
        split=("train", "val", "test")[patient % 3],
        intensity="display",
        geometry=Geometry(shape=(24, 24), spacing_mm=(1.0, 1.0), orientation=""),
        sha256={name: hashlib.sha256((folder / name).read_bytes()).hexdigest()},
    )


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """The study file above, with more lines at its end and replacements in it; returns where it is."""

    def write(more: str = "", **changes: str) -> Path:
        (tmp_path / "tiny.toml").write_text(RECIPE)
        keys, variants = STUDY.split("[variants.base]")
        lines = [line for line in keys.splitlines() if line.partition(" = ")[0] not in changes]
        lines += [f"{key} = {value}" for key, value in changes.items()]
        file = tmp_path / "study.toml"
        file.write_text("\n".join([*lines, "[variants.base]", variants, more]))
        return file

    return write


@pytest.fixture
def study(write_study: Callable[..., Path]) -> Study:
    return load_study(write_study())


@pytest.fixture
def make_cell(write_study: Callable[..., Path]) -> Callable[..., Cell]:
    """A cell of the study above: scores of positive patients, then of negative ones, in fold after fold."""

    def make(
        variant: str,
        epsilon: float | None,
        *,
        seed: int = 0,
        fold: int = 0,
        positives: Sequence[float],
        negatives: Sequence[float],
        task: str = "covid-ct",
    ) -> Cell:
        recipe = load_study(write_study()).recipe("base", epsilon).model_copy(update={"task": task})
        scores = [(score, True) for score in positives] + [(score, False) for score in negatives]
        run = MechanismRun(sample_rate=0.5, noise_multiplier=2.0, steps=4)
        return Cell(
            asked=Asked(
                key=CellKey(variant=variant, epsilon=epsilon, seed=seed, fold=fold),
                recipe=recipe,
                init_sha256=None,
                data_sha256="0" * 64,
            ),
            dpmed_version="0",
            metric=0.0,
            scores=tuple(
                PatientScore(patient=f"p-{100 * fold + place:012x}", positive=positive, score=score)
                for place, (score, positive) in enumerate(scores)
            ),
            patients=12,
            epsilon=epsilon,
            noise_multiplier=2.0,
            spent=() if epsilon is None else (run,),
            steps=4,
            seconds=1.0,
            cell_seconds=2.0,
            cpu_seconds=1.5,
            device="cpu",
            engine="nano",
            machine="a machine, 2 cores",
        )

    return make
