"""Whether a run and a dataset belong together, and whether the patients are new to the model."""

from dataclasses import dataclass
from pathlib import Path

from dpmed.core.errors import ConfigError, MismatchError, NoInputError
from dpmed.core.folders import DatasetFolder, RunFolder
from dpmed.core.manifest import Case, Manifest, Split
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Statement
from dpmed.data import PatientDataset

OTHER_DATASET = "This is not the dataset that the model was trained on: scanners, protocols and patients may differ."
UNKNOWN_DATASET = "The run came without curator/: whether these patients were trained on cannot be told."


@dataclass(frozen=True)
class Subject:
    """A run and the patients to judge it on, checked against each other. No image was read yet."""

    config: RunConfig
    statement: Statement
    dataset: PatientDataset
    same_dataset: bool | None
    notes: tuple[str, ...]


def fit(run: RunFolder, data: Path, *, split: Split) -> Subject:
    """Check everything that can be checked before the first image.

    Raises `MismatchError` if the run was made for another task, other regions or modalities, or on these patients,
    and `NoInputError` if the split has no patient.
    """
    config = RunConfig.load(run)
    statement = _statement(run)
    manifest = Manifest.load(data)
    _check_task(config, manifest)
    _check_patients(manifest, split)
    trained_on = Manifest.from_json(run.manifest.read_text()) if run.manifest.is_file() else None
    _check_unseen(manifest, trained_on, split)
    same = None if trained_on is None else trained_on == manifest
    notes = {None: (UNKNOWN_DATASET,), False: (OTHER_DATASET,), True: ()}[same]
    return Subject(config, statement, _dataset(config, manifest, data, split), same, notes)


def _statement(run: RunFolder) -> Statement:
    if not run.statement.is_file():
        raise MismatchError("the run has no statement: it was not finished", hint="dpmed train ... --resume")
    return Statement.from_json(run.statement.read_text())


def _check_task(config: RunConfig, manifest: Manifest) -> None:
    if manifest.task != config.recipe.task:
        raise MismatchError(
            f"the run was trained for {config.recipe.task}, the dataset is for {manifest.task}",
            hint="name a dataset of the same task",
        )
    if config.task.kind == "classification":
        return
    there = tuple(manifest.label_scheme.regions) if manifest.label_scheme else ()
    if there != config.task.outputs:
        raise MismatchError(
            f"the run was trained on the regions {', '.join(config.task.outputs)}, "
            f"the dataset has {', '.join(there) or 'none'}",
            hint="ingest the dataset with a label scheme of the same regions in the same order",
        )


def _check_patients(manifest: Manifest, split: Split) -> None:
    if manifest.patients(split):
        return
    others = [f"{other} {count}" for other in ("train", "val", "test") if (count := len(manifest.patients(other)))]
    raise NoInputError(
        f"the dataset has no {split} patient ({', '.join(others) or 'and no other'})",
        hint="name another --split, or ingest with splits",
    )


def _check_unseen(manifest: Manifest, trained_on: Manifest | None, split: Split) -> None:
    """A patient is known by pseudonym, or by an image of theirs, should they have been ingested under another key."""
    if trained_on is None or trained_on == manifest:  # the splits of one dataset share no patient
        return
    learned = [case for case in trained_on.cases if case.split == "train"]
    patients, images = {case.patient for case in learned}, {digest for case in learned for digest in _images(case)}
    asked = [case for case in manifest.cases if case.split == split]
    seen = {case.patient for case in asked if case.patient in patients or not images.isdisjoint(_images(case))}
    if seen:
        raise MismatchError(
            f"{len(seen)} of {len({case.patient for case in asked})} {split} patients were trained on: "
            "results on them would flatter the model",
            hint="evaluate on the dataset of the run, or on patients it has not seen",
        )


def _images(case: Case) -> set[str]:
    return {case.sha256[path] for path in case.images.values()}


def _dataset(config: RunConfig, manifest: Manifest, data: Path, split: Split) -> PatientDataset:
    try:
        return PatientDataset(manifest, data, config.recipe.data, split=split, cache=DatasetFolder(data).cache)
    except ConfigError as error:
        raise MismatchError(
            error.message, hint="ingest a dataset whose cases have all that the run was trained with"
        ) from None
