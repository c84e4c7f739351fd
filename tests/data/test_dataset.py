"""What a patient yields for a step: always the same amount, from nothing but that patient, the seed and the step."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from dpmed.data import PatientTensors

TWO_D = {"augment": True}
THREE_D = {"spatial_dims": 3, "image_size": (4, 8, 8), "augment": True, "modalities": ("flair", "t1")}
both_dimensions = pytest.mark.parametrize("settings", [TWO_D, THREE_D], ids=["2-D", "3-D"])


def pseudonym(patient: int) -> str:
    return f"p-{patient:012x}"


def same(one: PatientTensors, other: PatientTensors) -> bool:
    return torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)


@both_dimensions
def test_every_patient_yields_the_same_shapes_and_plain_tensors(brains, settings) -> None:
    """However many scans and slices, and tumour or none."""
    data = brains.dataset(**settings)
    channels = len(data.recipe.modalities)
    assert len(data.patients) == 3
    for patient in data.patients:
        for step in range(3):
            drawn = data.fetch(patient, step=step)
            assert drawn.inputs.shape == (4, channels, *data.recipe.image_size)
            assert drawn.targets.shape == (4, 3, *data.recipe.image_size)
            for tensor in (drawn.inputs, drawn.targets):
                assert type(tensor) is torch.Tensor
                assert tensor.dtype == torch.float32
                assert tensor.is_contiguous()
                assert tensor.isfinite().all()
            assert set(drawn.targets.unique().tolist()) <= {0.0, 1.0}


@both_dimensions
def test_draws_depend_on_seed_step_and_patient_alone(brains, settings, tmp_path: Path) -> None:
    one = brains.dataset(**settings, cache=tmp_path / "one")
    other = brains.dataset(**settings, cache=tmp_path / "other")
    wanted = [(patient, step) for patient in one.patients for step in (7, 8)]
    forwards = {key: one.fetch(key[0], step=key[1]) for key in wanted}
    with ThreadPoolExecutor(4) as pool:
        backwards = list(pool.map(lambda key: other.fetch(key[0], step=key[1]), wanted[::-1]))
    assert all(same(forwards[key], drawn) for key, drawn in zip(wanted[::-1], backwards, strict=True))


@both_dimensions
def test_another_step_or_seed_gives_other_draws(brains, settings) -> None:
    data, reseeded = (brains.dataset(**settings, seed=seed) for seed in (0, 1))
    patient = data.patients[0]
    assert not torch.equal(data.fetch(patient, step=1).inputs, data.fetch(patient, step=2).inputs)
    assert not torch.equal(data.fetch(patient, step=1).inputs, reseeded.fetch(patient, step=1).inputs)


def test_drawing_leaves_the_global_generators_alone(brains) -> None:
    data = brains.dataset(**TWO_D)
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    data.fetch(data.patients[0], step=0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_a_patient_with_few_slices_repeats_them(builder) -> None:
    for level in (50, 200):
        builder.picture(0, np.full((16, 16), level), label=1)
    data = builder.dataset(modalities=("ct",), draws_per_patient=5)
    drawn = data.fetch(pseudonym(0), step=0)
    assert drawn.targets.tolist() == [1.0] * 5
    means = drawn.inputs.mean((1, 2, 3)).tolist()
    counts = sorted(sum(abs(mean - level) < 1e-3 for mean in means) for level in (50 / 127.5 - 1, 200 / 127.5 - 1))
    assert counts == [2, 3]


def test_enough_slices_are_drawn_without_repeats(brains) -> None:
    data = brains.dataset(draws_per_patient=7, foreground_fraction=0)
    drawn = data.fetch(pseudonym(1), step=0).inputs
    assert len({tuple(slice_.flatten().tolist()) for slice_ in drawn}) == 7


def test_draws_reach_all_scans_of_a_patient(builder) -> None:
    for level in (10, 20, 30):
        builder.picture(0, np.full((16, 16), level), label=0)
    data = builder.dataset(modalities=("ct",), draws_per_patient=1)
    seen = {round(float((data.fetch(pseudonym(0), step=step).inputs.mean() + 1) * 127.5)) for step in range(40)}
    assert seen == {10, 20, 30}


@pytest.mark.parametrize(("fraction", "least", "most"), [(0.0, 0.0, 0.3), (0.5, 0.4, 0.8), (1.0, 1.0, 1.0)])
def test_foreground_fraction_of_the_draws_show_tumour(brains, fraction: float, least: float, most: float) -> None:
    """Patient 2 has tumour on two of nine slices, which chance alone meets too."""
    data = brains.dataset(foreground_fraction=fraction)
    shows = torch.cat([data.fetch(pseudonym(2), step=step).targets.flatten(1).any(1) for step in range(50)])
    assert least <= float(shows.float().mean()) <= most


def test_patches_of_a_tumour_draw_hold_tumour(brains) -> None:
    data = brains.dataset(spatial_dims=3, image_size=(2, 4, 4), foreground_fraction=1.0)
    for step in range(10):
        assert data.fetch(pseudonym(0), step=step).targets.flatten(1).any(1).all()


def test_a_volume_smaller_than_the_patch_is_padded_with_air(brains) -> None:
    data = brains.dataset(spatial_dims=3, image_size=(16, 32, 32))
    drawn = data.fetch(pseudonym(0), step=0)
    assert drawn.inputs.shape == (4, 1, 16, 32, 32)
    assert not drawn.inputs[:, :, :, :8].any()
    assert drawn.inputs.any()


def test_whole_cases_are_neither_cropped_nor_augmented(brains) -> None:
    plain, augmenting = (brains.dataset(augment=augment) for augment in (False, True))
    for one, other in zip(plain.whole(pseudonym(1)), augmenting.whole(pseudonym(1)), strict=True):
        assert torch.equal(one.image, other.image)
    cases = list(plain.whole(pseudonym(1)))
    assert [tuple(case.image.shape) for case in cases] == [(4, 1, 16, 16), (3, 1, 16, 16)]
    assert [tuple(case.target.shape) for case in cases] == [(4, 3, 16, 16), (3, 3, 16, 16)]
    assert [case.display.shape for case in cases] == [(4, 16, 16), (3, 16, 16)]
    assert all(case.display.min() >= 0 and case.display.max() <= 1 for case in cases)


def test_whole_volume_of_a_3d_recipe(brains) -> None:
    case = next(brains.dataset(**THREE_D).whole(pseudonym(0)))
    assert case.image.shape == (1, 2, 6, 16, 20)
    assert case.target.shape == (1, 3, 6, 16, 20)
    assert case.spacing_mm == (1.0, 1.0, 1.0)


def test_whole_picture_carries_its_label(builder) -> None:
    builder.picture(0, np.full((30, 20), 255), label=1)
    case = next(builder.dataset(modalities=("ct",)).whole(pseudonym(0)))
    assert case.target.tolist() == [1.0]
    assert case.image.shape == (1, 1, 16, 16)
    assert case.spacing_mm == (1.0, 30 / 16, 30 / 16)


def test_splits_do_not_mix(brains) -> None:
    brains.volume(9, {"t1": np.ones((8, 8, 2), np.float32)}, mask=np.zeros((8, 8, 2)), split="test")
    assert brains.dataset(split="test").patients == (pseudonym(9),)
    assert pseudonym(9) not in brains.dataset().patients
