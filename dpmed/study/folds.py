"""Patients in folds: every patient is held out once, all of a patient's scans together."""

import hashlib
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from dpmed.core.errors import ConfigError
from dpmed.core.files import write_atomic
from dpmed.core.folders import DatasetFolder
from dpmed.core.manifest import Manifest

Folds = tuple[frozenset[str], ...]


def divide(manifest: Manifest, *, folds: int, seed: int = 0) -> Folds:
    """All patients of a dataset, whatever their split, in so many folds; stratified by label where there are labels.

    Within a label patients are ranked by a hash of pseudonym and seed and dealt out in turn, one label after the
    other, so that folds differ by one patient at most. Raises `ConfigError` for more folds than patients of a label.
    """
    labels: dict[str, int | None] = {}
    for case in manifest.cases:
        labels[case.patient] = max((labels.get(case.patient), case.label), key=lambda label: label or 0)
    strata: dict[int | None, list[str]] = defaultdict(list)
    for patient, label in labels.items():
        strata[label].append(patient)
    least = min((len(patients) for patients in strata.values()), default=0)
    if least < folds:
        of_label = "patients of a label" if manifest.task == "covid-ct" else "patients"
        raise ConfigError(f"{folds} folds of {least} {of_label}", hint="fewer folds, or a dataset of more patients")
    dealt = [
        patient
        for label in sorted(strata, key=lambda label: label or 0)
        for patient in sorted(strata[label], key=lambda patient: _rank(patient, seed))
    ]
    return tuple(frozenset(dealt[fold::folds]) for fold in range(folds))


def with_held_out(manifest: Manifest, held_out: Collection[str]) -> Manifest:
    """The same cases: the patients of a fold are those to test on, all others those to train on."""
    cases = tuple(
        case.model_copy(update={"split": "test" if case.patient in held_out else "train"}) for case in manifest.cases
    )
    return manifest.model_copy(update={"cases": cases})


def write_fold(folder: Path, data: Path, held_out: Collection[str]) -> None:
    """A dataset folder of a fold: its own manifest and ledger; images and cache are links to those of the dataset."""
    folder.mkdir(parents=True)
    DatasetFolder(data).cache.mkdir(exist_ok=True)
    for name in ("images", "labels", "cache"):
        (folder / name).symlink_to((data / name).resolve(), target_is_directory=True)
    write_atomic(DatasetFolder(folder).manifest, with_held_out(Manifest.load(data), held_out).to_json())


def digest(manifest: Manifest, held_out: Collection[str]) -> str:
    """Names who is trained on, who is held out, and every image, mask and label of theirs."""
    lines = sorted(
        f"{case.patient} {case.label} {case.patient in held_out} {sorted(case.sha256.items())}"
        for case in manifest.cases
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _rank(patient: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()
