"""Folds are of patients: every one is held out once, with all scans, and nothing is copied."""

from collections import Counter

import pytest

from dpmed.core.errors import ConfigError
from dpmed.core.manifest import Manifest
from dpmed.study.folds import digest, divide, with_held_out, write_fold


@pytest.fixture
def manifest(data):
    return Manifest.load(data)


def labels(manifest):
    return {case.patient: case.label for case in manifest.cases}


@pytest.mark.parametrize("folds", [2, 5, 8])
def test_every_patient_is_held_out_exactly_once(manifest, folds):
    divided = divide(manifest, folds=folds)
    assert len(divided) == folds
    assert Counter(patient for fold in divided for patient in fold) == Counter(labels(manifest).keys())


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_are_of_a_size_and_of_every_label_in_all_of_them(manifest, folds):
    divided, label = divide(manifest, folds=folds), labels(manifest)
    positives = [sum(label[patient] for patient in fold) for fold in divided]
    assert max(positives) - min(positives) <= 1
    assert max(map(len, divided)) - min(map(len, divided)) <= 1


def test_the_division_hangs_on_pseudonyms_and_seed_alone(manifest):
    turned = manifest.model_copy(update={"cases": manifest.cases[::-1]})
    elsewhere = with_held_out(manifest, divide(manifest, folds=2)[0])
    assert divide(manifest, folds=4) == divide(turned, folds=4) == divide(elsewhere, folds=4)
    assert divide(manifest, folds=4) != divide(manifest, folds=4, seed=1)


def test_all_scans_of_a_patient_are_on_one_side(manifest):
    held_out = divide(manifest, folds=3)[1]
    made = with_held_out(manifest, held_out)
    assert set(made.patients("test")) == held_out
    assert set(made.patients("train")) == set(labels(manifest)) - held_out
    assert not made.patients("val")
    Manifest.from_json(made.to_json())  # which refuses a patient in two splits


def test_more_folds_than_patients_of_a_label_are_refused(manifest):
    with pytest.raises(ConfigError, match="9 folds of 8 patients of a label"):
        divide(manifest, folds=9)


def test_a_fold_has_no_image_of_its_own(data, manifest, tmp_path):
    held_out = divide(manifest, folds=2)[0]
    write_fold(tmp_path / "fold", data, held_out)
    assert set(Manifest.load(tmp_path / "fold").patients("test")) == held_out
    assert (tmp_path / "fold" / "images").is_symlink()
    assert (tmp_path / "fold" / "images").resolve() == (data / "images").resolve()
    assert (tmp_path / "fold" / "cache").resolve() == (data / "cache").resolve()


def test_the_digest_changes_with_an_image_a_label_or_who_is_held_out(manifest):
    first, second = divide(manifest, folds=2)
    one = manifest.cases[0]
    other_image = one.model_copy(update={"sha256": dict.fromkeys(one.sha256, "0" * 64)})
    other_label = one.model_copy(update={"label": 1 - one.label})
    changed = [
        manifest.model_copy(update={"cases": (made, *manifest.cases[1:])}) for made in (other_image, other_label)
    ]
    assert len({digest(manifest, first), digest(manifest, second), *(digest(some, first) for some in changed)}) == 4
