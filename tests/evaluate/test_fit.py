"""A run is judged on a dataset that fits it and on patients it has not seen, or not at all."""

import shutil
from pathlib import Path

import pytest

from dpmed.core.errors import ExitCode, MismatchError, NoInputError
from dpmed.core.labels import SCHEMES
from dpmed.core.manifest import Manifest
from dpmed.evaluate.fit import OTHER_DATASET, UNKNOWN_DATASET, fit


def moved(manifest: Manifest, *, split_of: dict[str, str]):
    return tuple(case.model_copy(update={"split": split_of[case.split]}) for case in manifest.cases)


def test_held_out_patients_of_the_same_dataset_are_welcome(covid) -> None:
    subject = fit(covid.run, covid.data, split="test")
    assert subject.same_dataset is True
    assert subject.notes == ()
    assert subject.dataset.patients == Manifest.load(covid.data).patients("test")


def test_patients_that_were_trained_on_are_refused(covid, other_dataset) -> None:
    manifest = Manifest.load(covid.data)
    swapped = other_dataset(manifest, cases=moved(manifest, split_of={"train": "test", "test": "train", "val": "val"}))
    with pytest.raises(MismatchError, match="were trained on") as refusal:
        fit(covid.run, swapped, split="test")
    assert refusal.value.exit_code == ExitCode.MISMATCH
    assert not [patient for patient in manifest.patients("train") if patient in refusal.value.message]


def test_patients_that_were_trained_on_are_known_under_another_pseudonym(covid, other_dataset) -> None:
    manifest = Manifest.load(covid.data)
    renamed = tuple(
        case.model_copy(update={"split": "test", "patient": f"p-{number:012x}"})
        for number, case in enumerate(manifest.cases)
        if case.split == "train"
    )
    with pytest.raises(MismatchError, match="were trained on"):
        fit(covid.run, other_dataset(manifest, cases=renamed), split="test")


def test_another_dataset_is_judged_and_said_to_be_another(covid, other_dataset) -> None:
    manifest = Manifest.load(covid.data)
    fewer = tuple(case for case in manifest.cases if case.split != "train")
    subject = fit(covid.run, other_dataset(manifest, cases=fewer), split="test")
    assert subject.same_dataset is False
    assert subject.notes == (OTHER_DATASET,)


def test_a_run_that_came_without_its_curator_folder_says_what_it_cannot_know(covid) -> None:
    shutil.rmtree(covid.run.curator)
    subject = fit(covid.run, covid.data, split="test")
    assert subject.same_dataset is None
    assert subject.notes == (UNKNOWN_DATASET,)


def test_another_task_is_refused(covid, brats) -> None:
    with pytest.raises(MismatchError, match="trained for covid-ct, the dataset is for brats"):
        fit(covid.run, brats.data, split="test")


@pytest.mark.parametrize("scheme", [SCHEMES["binary"], None])
def test_other_regions_are_refused(brats, other_dataset, scheme) -> None:
    other = other_dataset(Manifest.load(brats.data), label_scheme=scheme)
    with pytest.raises(MismatchError, match="regions whole_tumour, tumour_core, enhancing_tumour"):
        fit(brats.run, other, split="test")


def test_the_same_regions_under_other_labels_are_welcome(brats, other_dataset) -> None:
    other = other_dataset(Manifest.load(brats.data), label_scheme=SCHEMES["brats2013"])
    assert fit(brats.run, other, split="test").dataset.task.outputs == tuple(SCHEMES["brats"].regions)


def test_cases_without_a_modality_of_the_run_are_refused(brats, other_dataset) -> None:
    manifest = Manifest.load(brats.data)
    cases = tuple(
        case.model_copy(update={"images": {name: path for name, path in case.images.items() if name != "t1"}})
        for case in manifest.cases
    )
    with pytest.raises(MismatchError, match="lack t1"):
        fit(brats.run, other_dataset(manifest, cases=cases), split="test")


def test_a_split_without_patients_is_no_input(covid, other_dataset) -> None:
    manifest = Manifest.load(covid.data)
    cases = tuple(case for case in manifest.cases if case.split != "val")
    with pytest.raises(NoInputError, match="no val patient") as refusal:
        fit(covid.run, other_dataset(manifest, cases=cases), split="val")
    assert refusal.value.exit_code == ExitCode.NO_INPUT


def test_an_unfinished_run_is_refused(covid) -> None:
    covid.run.statement.unlink()
    with pytest.raises(MismatchError, match="not finished"):
        fit(covid.run, covid.data, split="test")


def test_a_folder_that_is_no_run_is_refused(covid, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="not a run folder"):
        fit(type(covid.run)(tmp_path), covid.data, split="test")
