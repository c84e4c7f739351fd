"""Runs that look finished, with untrained weights, and scans as scanners store them: axes swapped, voxels oblong."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dpmed.core.choices import ExportFormat
from dpmed.core.files import sha256_of
from dpmed.core.folders import RunFolder
from dpmed.core.labels import SCHEMES
from dpmed.core.manifest import Case, Geometry
from dpmed.core.recipe import Recipe
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import ModelSpec, TaskSpec
from dpmed.export import Exported, export
from dpmed.models import build
from tests.evaluate.conftest import statement

KINDS = {
    "2-D classifier": ("covid-ct", 2),
    "2-D U-Net": ("brats", 2),
    "3-D U-Net": ("brats", 3),
    "3-D classifier": ("covid-ct", 3),
}
MODELS = {"covid-ct": "resnet10-gn", "brats": "unet"}
MODALITIES = {"covid-ct": ("ct",), "brats": ("flair", "t1")}
SCHEME = SCHEMES["brats"]
STORED = np.array([[0, -1.5, 0, 40], [0, 0, 2.0, -30], [-3.0, 0, 0, 25], [0, 0, 0, 1.0]])
"""First axis from head to feet, second from right to left, third from back to front; no two steps alike."""


def outputs(task: str) -> tuple[str, ...]:
    return ("covid",) if task == "covid-ct" else tuple(SCHEME.regions)


def config(kind: str, **data: object) -> RunConfig:
    task, dims = KINDS[kind]
    recipe = {
        "name": "tiny",
        "summary": "for tests",
        "task": task,
        "data": {
            "modalities": MODALITIES[task],
            "spatial_dims": dims,
            "image_size": [32, 24] if dims == 2 else [16, 32, 24],
            **data,
        },
        "model": {"name": MODELS[task], "width": 4},
    }
    return RunConfig(
        run="0" * 32,
        dpmed_version="0",
        recipe=Recipe.model_validate(recipe),
        model=ModelSpec(
            name=MODELS[task],
            spatial_dims=dims,
            in_channels=len(MODALITIES[task]),
            out_channels=len(outputs(task)),
            width=4,
        ),
        task=TaskSpec(kind="classification" if task == "covid-ct" else "segmentation", outputs=outputs(task)),
        label_scheme=SCHEME if task == "brats" else None,
        privacy=None,
        patients=12,
        seed=0,
        demo_seed=None,
        init_sha256=None,
        device="cpu",
        engine="vmap",
    )


def finished(root: Path, kind: str, **data: object) -> RunFolder:
    run, made = RunFolder(root), config(kind, **data)
    run.release.mkdir(parents=True)
    run.curator.mkdir()
    (run.curator / "metrics.jsonl").write_text("CANARY of the curator")
    run.config.write_text(made.to_json())
    run.statement.write_text(statement().to_json())
    run.card.write_text("# the model card\n")
    run.ledger.touch()
    torch.manual_seed(0)
    save_file(build(made.model).state_dict(), run.model)
    return run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    return lambda kind, **data: finished(tmp_path / "run", kind, **data)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[RunFolder, Exported]]:
    """A run and its export, made once and shared: read only."""

    @cache
    def made(kind: str, form: ExportFormat) -> tuple[RunFolder, Exported]:
        run = finished(tmp_path_factory.mktemp("shared") / "run", kind)
        return run, export(run, form)

    return made


@pytest.fixture
def network() -> Callable[[RunFolder], nn.Module]:
    """The trained network, by no code of the export."""

    def built(run: RunFolder) -> nn.Module:
        made = build(RunConfig.load(run).model).eval()
        made.load_state_dict(load_file(run.model))
        return made

    return built


@dataclass(frozen=True)
class Scan:
    """One case on disk, and its record as ingest would keep it."""

    folder: Path
    case: Case


@pytest.fixture
def make_scan(tmp_path: Path) -> Callable[..., Scan]:
    def written(images: Mapping[str, np.ndarray], *, affine: np.ndarray = STORED) -> Scan:
        folder = tmp_path / "scans"
        (folder / "images").mkdir(parents=True)
        files = {name: f"images/c-{0:012x}_{name}.nii.gz" for name in images}
        for name, voxels in images.items():
            nib.save(nib.Nifti1Image(voxels.astype(np.float32), affine), folder / files[name])
        shape = next(iter(images.values())).shape
        case = Case(
            case=f"c-{0:012x}",
            patient=f"p-{0:012x}",
            images=files,
            split="test",
            intensity="hounsfield" if set(images) == {"ct"} else "arbitrary",
            geometry=Geometry(shape=shape, spacing_mm=(3.0, 1.5, 2.0), orientation="ILP"),
            sha256={name: sha256_of(folder / name) for name in files.values()},
        )
        return Scan(folder, case)

    return written


@pytest.fixture
def brain(make_scan) -> Callable[..., Scan]:
    """Two sequences of nothing in particular, with air around."""

    def made(modalities: tuple[str, ...]) -> Scan:
        random = np.random.default_rng(0)
        voxels = {name: random.normal(300, 90, (21, 40, 28)) for name in modalities}
        for image in voxels.values():
            image[:, :4] = 0 if "ct" not in modalities else -1000
        return make_scan(voxels)

    return made


@pytest.fixture
def alone() -> dict[str, str]:
    """The environment of a process that finds no dpmed by PYTHONPATH."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
