"""A network sees the whole of every case, once, whatever its size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dpmed.backends import open_backend
from dpmed.core.errors import MismatchError
from dpmed.core.folders import RunFolder
from dpmed.core.manifest import Case, Geometry
from dpmed.core.recipe import DataRecipe
from dpmed.core.runconfig import RunConfig
from dpmed.data import WholeCase
from dpmed.evaluate import inference

SLICES = DataRecipe(modalities=("flair",), spatial_dims=2, image_size=(16, 16))
PATCHES = DataRecipe(modalities=("flair",), spatial_dims=3, image_size=(8, 16, 16))


class Oracle:
    """A stand-in for a network, which also notes the shapes it was given."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        self.answer, self.seen = answer, []

    def predict(self, image: Tensor) -> Tensor:
        self.seen.append(tuple(image.shape))
        return self.answer(image)


def per_voxel(image: Tensor) -> Tensor:
    return torch.cat([image - 0.5, 0.1 - image], dim=1)


def per_view(image: Tensor) -> Tensor:
    return image.flatten(1).mean(1, keepdim=True)


def whole(image: Tensor, target: Tensor, *, intensity: str = "arbitrary") -> WholeCase:
    record = Case(
        case="c-000000000000",
        patient="p-000000000000",
        images={"flair": "images/a.nii.gz"},
        split="test",
        intensity=intensity,
        geometry=Geometry(shape=(1, 1, 1), spacing_mm=(1.0, 1.0, 1.0), orientation="RAS"),
        sha256={},
    )
    return WholeCase(record, image, target, (1.0, 1.0, 1.0), np.zeros((1, 1, 1)))


def bright(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(8, 16, 16), (5, 9, 16), (20, 33, 40)])
def test_a_sliding_window_puts_every_voxel_back_in_its_place(size: tuple[int, ...]) -> None:
    volume, oracle = bright(1, 1, *size), Oracle(per_voxel)
    found = inference.regions(oracle, whole(volume, volume), PATCHES)
    assert torch.equal(found, torch.cat([volume[0] > 0.5, volume[0] < 0.1]))
    assert {shape[2:] for shape in oracle.seen} == {(8, 16, 16)}
    assert max(shape[0] for shape in oracle.seen) <= inference.PATCHES_AT_ONCE


def test_slices_go_through_in_batches_and_come_back_in_order() -> None:
    stack, oracle = bright(70, 1, 16, 16), Oracle(per_voxel)
    found = inference.regions(oracle, whole(stack, stack), SLICES)
    assert torch.equal(found[0], stack[:, 0] > 0.5)
    assert [shape[0] for shape in oracle.seen] == [32, 32, 6]


@pytest.mark.parametrize("recipe", [SLICES, PATCHES], ids=["slices", "patches"])
def test_reference_and_prediction_have_one_layout(recipe: DataRecipe) -> None:
    shape = (6, 1, 16, 16) if recipe is SLICES else (1, 1, 6, 16, 16)
    image = bright(*shape)
    target = torch.cat([image > 0.5, image < 0.1], dim=1).float()
    case = whole(image, target)
    assert torch.equal(inference.reference(case, recipe), inference.regions(Oracle(per_voxel), case, recipe))


def test_every_slice_is_rated_on_its_own() -> None:
    stack = bright(40, 1, 16, 16)
    rated = inference.probabilities(Oracle(per_view), whole(stack, torch.ones(1)), SLICES)
    assert torch.allclose(rated, torch.sigmoid(stack.mean((1, 2, 3))))


def test_patches_cover_every_voxel_of_a_volume() -> None:
    for number in range(10 * 20 * 30):
        if number % 97:
            continue
        volume = torch.zeros(10 * 20 * 30)
        volume[number] = 1
        case = whole(volume.view(1, 1, 10, 20, 30), torch.ones(1))
        assert inference.probabilities(Oracle(per_view), case, PATCHES).max() > 0.5, number


@pytest.mark.parametrize(("intensity", "air"), [("hounsfield", -1.0), ("arbitrary", 0.0)])
def test_a_small_volume_is_padded_with_air(intensity: str, air: float) -> None:
    volume = torch.full((1, 1, 4, 16, 16), 3.0)
    rated = inference.probabilities(Oracle(per_view), whole(volume, torch.ones(1), intensity=intensity), PATCHES)
    assert torch.allclose(rated, torch.sigmoid(torch.tensor([(3.0 + air) / 2])))


@pytest.mark.parametrize("recipe", [SLICES, PATCHES], ids=["slices", "patches"])
def test_answers_that_are_no_numbers_are_refused(recipe: DataRecipe) -> None:
    image = bright(2, 1, 16, 16) if recipe is SLICES else bright(1, 1, 8, 16, 16)
    case = whole(image, torch.ones(1))
    with pytest.raises(MismatchError, match="not numbers"):
        inference.regions(Oracle(lambda x: per_voxel(x) / 0), case, recipe)
    with pytest.raises(MismatchError, match="not numbers"):
        inference.probabilities(Oracle(lambda x: per_view(x) * torch.nan), case, recipe)


def opened(run: RunFolder):
    config = RunConfig.load(run)
    return open_backend("cpu", model=config.model, task=config.task)


def test_weights_that_are_missing_damaged_or_of_another_model_are_refused(covid, brats, tmp_path: Path) -> None:
    ours = covid.run
    with pytest.raises(MismatchError, match="does not fit"):
        inference.load_weights(opened(ours), brats.run)
    ours.model.write_bytes(ours.model.read_bytes()[:-10])
    with pytest.raises(MismatchError, match="damaged"):
        inference.load_weights(opened(ours), ours)
    ours.model.unlink()
    with pytest.raises(MismatchError, match="not finished"):
        inference.load_weights(opened(ours), ours)
