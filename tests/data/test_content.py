"""`data.slices = "content"`: draws are slices with much to see, chosen by a rule that knows one volume alone."""

import numpy as np
import pytest
import torch

from dpmed.core.errors import ConfigError
from dpmed.core.recipe import load_recipe
from dpmed.data.content import air_level
from dpmed.data.draws import places

CT = {"modalities": ("ct",), "image_size": (32, 32), "draws_per_patient": 3, "window_hu": (-1000, 400)}
LUNG = (0, 0, 2, 6, 8, 7, 3, 0)
"""Half the side of the lung in each slice of the phantom: the fullest has 16 by 16 pixels, half of that is 11.3."""


def chest(lung=LUNG) -> np.ndarray:
    """A block of soft tissue in air, with a block of lung in it, in x y z."""
    volume = np.full((32, 32, len(lung)), -1000.0, np.float32)
    volume[3:29, 3:29] = 40
    for z, half in enumerate(lung):
        volume[16 - half : 16 + half, 16 - half : 16 + half, z] = -800
    return volume


def drawn_slices(data, patient="p-000000000000", steps=30) -> set[int]:
    ready = [data._cache.read(case) for case in data._cases[patient]]
    random = torch.Generator().manual_seed(0)
    found = [places(ready, data.recipe, segments=False, random=random) for _ in range(steps)]
    return {position[0] for some in found for _, position in some}


def test_ct_draws_are_slices_with_much_lung(builder) -> None:
    builder.volume(0, {"ct": chest()}, label=1, intensity="hounsfield")
    assert drawn_slices(builder.dataset(**CT, slices="content")) == {3, 4, 5}
    assert drawn_slices(builder.dataset(**CT)) == set(range(len(LUNG)))


@pytest.mark.parametrize("window", [(-1000, 400), (-160, 240), (-1350, 150)])
def test_lung_is_told_from_the_air_around_by_any_window(builder, window) -> None:
    builder.volume(0, {"ct": chest()}, label=1, intensity="hounsfield")
    assert drawn_slices(builder.dataset(**CT | {"window_hu": window}, slices="content")) == {3, 4, 5}


def test_a_ct_without_lung_is_drawn_where_there_is_most_tissue(builder) -> None:
    volume = chest((0, 0, 0, 0))
    volume[8:, :, 0] = -1000
    builder.volume(0, {"ct": volume}, label=1, intensity="hounsfield")
    assert drawn_slices(builder.dataset(**CT, slices="content")) == {1, 2, 3}


def test_mr_draws_are_slices_with_much_tissue(builder) -> None:
    volume = np.zeros((16, 16, 6), np.float32)
    for z, half in enumerate((1, 4, 8, 7, 3, 0)):
        volume[8 - half : 8 + half, 8 - half : 8 + half, z] = np.random.default_rng(z).normal(100, 10, (2 * half,) * 2)
    builder.volume(0, {"t1": volume}, label=1)
    assert drawn_slices(builder.dataset(slices="content")) == {2, 3}


def test_pictures_are_drawn_as_before(builder) -> None:
    for level in (10, 200):
        builder.picture(0, np.full((16, 16), level), label=1)
    any_, content = (builder.dataset(modalities=("ct",), slices=slices) for slices in ("any", "content"))
    for step in range(5):
        one, other = (data.fetch("p-000000000000", step=step).inputs for data in (any_, content))
        assert torch.equal(one, other)


def test_the_choice_knows_no_other_patient(builder) -> None:
    builder.volume(0, {"ct": chest()}, label=1, intensity="hounsfield")
    alone = builder.dataset(**CT, slices="content").fetch("p-000000000000", step=0).inputs
    builder.volume(1, {"ct": chest((12,) * 8)}, label=0, intensity="hounsfield")
    assert torch.equal(alone, builder.dataset(**CT, slices="content").fetch("p-000000000000", step=0).inputs)


def test_tumour_is_drawn_wherever_it_is(brains) -> None:
    data = brains.dataset(slices="content", foreground_fraction=1.0)
    assert data.fetch("p-000000000002", step=0).targets.flatten(1).any(1).all()


def test_a_whole_case_is_judged_by_the_slices_that_are_drawn(builder) -> None:
    builder.volume(0, {"ct": chest()}, label=1, intensity="hounsfield")
    (whole,) = builder.dataset(**CT, slices="content").whole("p-000000000000")
    assert len(whole.image) == len(LUNG)
    assert whole.judged.tolist() == [3, 4, 5]
    (whole,) = builder.dataset(**CT).whole("p-000000000000")
    assert whole.judged is None


def test_another_choice_is_another_cache(builder, tmp_path) -> None:
    builder.volume(0, {"ct": chest()}, label=1, intensity="hounsfield")
    for slices in ("any", "content"):
        assert list(builder.dataset(**CT, slices=slices, cache=tmp_path / "cache").prepare())
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_air_begins_below_every_tissue() -> None:
    recipe = load_recipe("covid-ct").data
    assert air_level("hounsfield", recipe) == pytest.approx(2 * 600 / 1400 - 1)
    assert air_level("arbitrary", recipe) is None


def test_a_3d_recipe_has_no_slices() -> None:
    with pytest.raises(ConfigError, match="no slices in a 3-D recipe"):
        load_recipe("covid-ct", settings=["data.slices=content", "data.spatial_dims=3", "data.image_size=[8,8,8]"])
