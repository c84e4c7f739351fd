"""Whether a run and a dataset belong together, and whether the patients are new to the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dpmed.core.errors import ConfigError, MismatchError, NoInputError
from dpmed.core.folders import DatasetFolder, RunFolder
from dpmed.core.manifest import Case, Manifest, Split
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Statement
from dpmed.data import PatientDataset

OTHER_DATASET = "This is not the dataset that the model was trained on: scanners, protocols and patients may differ."
NO_VALIDATION = (
    "The dataset has no validation patients of both classes, new to the model: no threshold was chosen on any."
)
VALIDATION_JUDGED = "The validation patients are those judged here: a threshold chosen on them would flatter the model."
UNKNOWN_DATASET = "The run came without curator/: whether these patients were trained on cannot be told."


@dataclass(frozen=True)
class Subject:
    """A run and the patients to judge it on, checked against each other. No image was read yet.

    `validation`: other patients, to choose a threshold on, where there are some; `no_threshold` says why if not.
    """

    config: RunConfig
    statement: Statement
    manifest: Manifest
    dataset: PatientDataset
    validation: PatientDataset | None
    no_threshold: str | None
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
    validation, no_threshold = _validation(config, manifest, trained_on, data, split)
    notes = {None: (UNKNOWN_DATASET,), False: (OTHER_DATASET,), True: ()}[same]
    return Subject(
        config=config,
        statement=statement,
        manifest=manifest,
        dataset=_dataset(config, manifest, data, split),
        validation=validation,
        no_threshold=no_threshold,
        same_dataset=same,
        notes=notes,
    )


def fit_other(run: RunFolder, first: Subject, data: Path, *, split: Split) -> Subject:
    """Check a second run against the patients of a first. Raises like `fit`; `ConfigError` if they are one run."""
    with about_the_other():
        other = fit(run, data, split=split)
    if other.config.run == first.config.run:
        raise ConfigError("a run cannot be compared with itself", hint="name another run with --compare")
    return other


@contextmanager
def about_the_other() -> Iterator[None]:
    """Say of a mismatch that it lies with the run to compare with."""
    try:
        yield
    except MismatchError as error:
        raise MismatchError(f"the run to compare with: {error.message}", hint=error.hint) from None


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


def _validation(
    config: RunConfig, manifest: Manifest, trained_on: Manifest | None, data: Path, split: Split
) -> tuple[PatientDataset | None, str | None]:
    """Patients to choose a threshold on; or none, and why not, where one would be of use."""
    if config.task.kind != "classification":
        return None, None
    if split == "val":
        return None, VALIDATION_JUDGED
    if {case.label for case in manifest.cases if case.split == "val"} < {0, 1}:
        return None, NO_VALIDATION
    try:
        _check_unseen(manifest, trained_on, "val")
        return _dataset(config, manifest, data, "val"), None
    except MismatchError:  # trained on, or without what the run needs
        return None, NO_VALIDATION


def _images(case: Case) -> set[str]:
    return {case.sha256[path] for path in case.images.values()}


def _dataset(config: RunConfig, manifest: Manifest, data: Path, split: Split) -> PatientDataset:
    try:
        return PatientDataset(manifest, data, config.recipe.data, split=split, cache=DatasetFolder(data).cache)
    except ConfigError as error:
        raise MismatchError(
            error.message, hint="ingest a dataset whose cases have all that the run was trained with"
        ) from None
