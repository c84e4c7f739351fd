"""Runs that look finished, with untrained weights: evaluation does not care how weights came to be."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dpmed.core.folders import RunFolder
from dpmed.core.manifest import Manifest
from dpmed.core.recipe import Recipe
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Statement
from dpmed.data import model_spec, task_spec
from dpmed.models import build

MODELS = {"covid-ct": "resnet10-gn", "brats": "unet"}
MODALITIES = {"covid-ct": ["ct"], "brats": ["flair", "t1"]}


@dataclass(frozen=True)
class Judged:
    run: RunFolder
    data: Path


def recipe(task: str, *, dims: int = 2) -> Recipe:
    size = [32, 32] if dims == 2 else [16, 32, 32]
    data = {"modalities": MODALITIES[task], "spatial_dims": dims, "image_size": size}
    model = {"name": MODELS[task], "width": 4}
    return Recipe.model_validate({"name": "tiny", "summary": "for tests", "task": task, "data": data, "model": model})


def statement(*, private: bool = True) -> Statement:
    return Statement(
        epsilon=7.5 if private else None,
        delta=1e-3,
        second_opinions={},
        noise_multiplier=1.0,
        sample_rate=0.5,
        clip_norm=1.0,
        steps=8,
        assumptions=("an assumption",),
        covers=("the weights",),
        does_not_cover=("held-out patients",),
        valid=private,
        words="epsilon 7.5 at delta 0.001, per patient" if private else "No guarantee: trained without noise.",
    )


def finished_run(root: Path, data: Path, *, dims: int = 2, private: bool = True, name: str = "0" * 32) -> RunFolder:
    run, manifest = RunFolder(root), Manifest.load(data)
    made = recipe(manifest.task, dims=dims)
    spec = model_spec(made, manifest)
    config = RunConfig(
        run=name,
        dpmed_version="0",
        recipe=made,
        model=spec,
        task=task_spec(manifest),
        label_scheme=manifest.label_scheme,
        privacy=None,
        patients=len(manifest.patients("train")),
        seed=0,
        demo_seed=None,
        init_sha256=None,
        device="cpu",
        engine="vmap",
    )
    run.release.mkdir(parents=True)
    run.curator.mkdir()
    run.config.write_text(config.to_json())
    run.statement.write_text(statement(private=private).to_json())
    run.ledger.touch()
    run.manifest.write_text(manifest.to_json())
    torch.manual_seed(int(name[:8], 16))
    save_file(build(spec).state_dict(), run.model)
    return run


@pytest.fixture
def make_run() -> Callable[..., RunFolder]:
    return finished_run


@pytest.fixture
def covid(tmp_path: Path, covid_dataset: Path) -> Judged:
    return Judged(finished_run(tmp_path / "covid-run", covid_dataset), covid_dataset)


@pytest.fixture
def brats(tmp_path: Path, brats_dataset: Path) -> Judged:
    return Judged(finished_run(tmp_path / "brats-run", brats_dataset), brats_dataset)


@pytest.fixture
def other_dataset(tmp_path: Path) -> Callable[..., Path]:
    """A dataset folder with a changed manifest and the same images; for checks that read no image."""

    def make(manifest: Manifest, **changes: object) -> Path:
        folder = tmp_path / "other"
        folder.mkdir()
        (folder / "manifest.json").write_text(manifest.model_copy(update=changes).to_json())
        return folder

    return make
