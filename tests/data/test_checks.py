"""What a dataset lacks is said before the first image is read, with the cure."""

import numpy as np
import pytest

from dpmed.core.errors import ConfigError
from dpmed.core.manifest import Manifest

IMAGE = np.ones((8, 8, 2), np.float32)
MASK = np.zeros((8, 8, 2))


def refused(builder, **settings) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        builder.dataset(**settings)
    return caught.value


def test_a_missing_modality_is_named_with_the_number_of_cases_and_a_cure(builder) -> None:
    builder.volume(0, {"t1": IMAGE, "flair": IMAGE, "t2": IMAGE}, mask=MASK)
    builder.volume(1, {"t1": IMAGE, "flair": IMAGE}, mask=MASK)
    builder.volume(2, {"t1": IMAGE, "flair": IMAGE}, mask=MASK)
    error = refused(builder, modalities=["flair", "t1", "t2"])
    assert "of 3 cases, 2 lack t2" in error.message
    assert error.hint.startswith('--set \'data.modalities=["flair", "t1"]\'')


def test_every_missing_modality_is_counted(builder) -> None:
    builder.volume(0, {"t1": IMAGE}, mask=MASK)
    error = refused(builder, modalities=["flair", "t1ce"])
    assert "1 lack flair, 1 lack t1ce" in error.message
    assert '["t1"]' in error.hint


def test_only_the_split_in_use_must_be_complete(builder) -> None:
    builder.volume(0, {"t1": IMAGE}, mask=MASK)
    builder.volume(1, {"flair": IMAGE}, mask=MASK, split="test")
    assert len(builder.dataset().patients) == 1


def test_pictures_are_refused_by_a_3d_recipe(builder) -> None:
    builder.picture(0, np.zeros((8, 8)), label=0)
    assert (
        "1 of 1 cases are single slices"
        in refused(builder, modalities=["ct"], spatial_dims=3, image_size=(8, 8, 8)).message
    )


def test_a_spacing_is_refused_for_pictures_that_have_none(builder) -> None:
    builder.picture(0, np.zeros((8, 8)), label=0)
    assert "1 of 1 cases are pictures" in refused(builder, modalities=["ct"], spacing_mm=(1, 1)).message


def test_a_case_without_label_is_refused(builder) -> None:
    builder.volume(0, {"ct": IMAGE}, label=1)
    builder.volume(1, {"ct": IMAGE})
    assert "1 of 2 cases have no label" in refused(builder, modalities=["ct"]).message


def test_a_case_without_mask_is_refused(builder) -> None:
    builder.volume(0, {"t1": IMAGE}, mask=MASK)
    builder.volume(1, {"t1": IMAGE})
    assert "1 of 2 cases have no mask" in refused(builder).message


def test_masks_without_a_label_scheme_are_refused(builder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.volume(0, {"t1": IMAGE}, mask=MASK)
    bare = Manifest.model_validate({**builder.manifest().model_dump(by_alias=True), "label_scheme": None})
    monkeypatch.setattr(type(builder), "manifest", lambda _: bare)
    assert "--label-scheme" in refused(builder).hint
