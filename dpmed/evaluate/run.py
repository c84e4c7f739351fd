"""`dpmed evaluate`: check, predict case by case, score, draw, write."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dpmed import __version__
from dpmed.backends import Backend, open_backend, resolve_device
from dpmed.core.errors import ConfigError
from dpmed.core.events import Note, Progress
from dpmed.core.files import write_atomic
from dpmed.core.folders import RunFolder
from dpmed.core.manifest import Split
from dpmed.core.specs import Device
from dpmed.data import PatientDataset
from dpmed.evaluate import pictures, words
from dpmed.evaluate.card import write_card
from dpmed.evaluate.comparison import differences
from dpmed.evaluate.details import Comparison
from dpmed.evaluate.fit import Subject, about_the_other, fit, fit_other
from dpmed.evaluate.groups import SMALLEST, check_smallest
from dpmed.evaluate.inference import load_weights
from dpmed.evaluate.judges import Classifier, Judge, Segmenter
from dpmed.evaluate.report.curves import sweep_figure
from dpmed.evaluate.report.gallery import exhibits
from dpmed.evaluate.report.page import write_reports
from dpmed.evaluate.results import Evaluation
from dpmed.evaluate.subgroups import subgroups
from dpmed.evaluate.sweep import check_sweep, sweep_of

EvaluateEvent = Note | Progress | Evaluation
RESULTS, PICTURES, SWEEP = "evaluation.json", "cases.png", "sweep.png"
OTHER_GRID = "The two runs read scans on different grids."


def evaluate(
    run: RunFolder,
    data: Path,
    *,
    split: Split = "test",
    out: Path | None = None,
    device: Device = "auto",
    compare: RunFolder | None = None,
    sweep: Sequence[RunFolder] = (),
    smallest_group: int = SMALLEST,
) -> Iterator[EvaluateEvent]:
    """Judge a run on the patients of a split, and beside it other runs; the events end with `Evaluation`.

    Writes `evaluation.json`, `cases.png`, `report.html` and for a sweep `sweep.png` to `out`, by default in `curator/`;
    of the test split also the model card and the report without patients in `release/`. Raises `MismatchError`,
    `NoInputError`, `ConfigError` or `DeviceError` before an image is read.
    """
    check_smallest(smallest_group)
    folder = results_folder(run, split, out)
    subject = fit(run, data, split=split)
    other = None if compare is None else fit_other(compare, subject, data, split=split)
    check_sweep(run, sweep)
    place = resolve_device(device)
    swept = yield from _swept(sweep, data, split, device)
    yield from (Note(text) for text in subject.notes)
    theirs = [] if other is None or compare is None else (yield from _judged_by_other(compare, other, device))
    with closing(_opened(subject, device)) as backend:
        load_weights(backend, run)
        judge = _judge(subject, backend)
        judged = yield from _patients(judge, subject.dataset)
        validation = (yield from _patients(judge, subject.validation, " to choose on")) if subject.validation else []
        evaluation = Evaluation(
            **_about(subject, split=split, device=place),
            **_found(judge, judged, validation, subject),
            subgroups=subgroups(judged, subject.manifest, smallest=smallest_group),
            comparison=None if other is None else _comparison(subject, other, judged, theirs),
        )
        if swept:
            evaluation = evaluation.model_copy(update={"sweep": sweep_of([evaluation, *swept])})
            pictures.save(sweep_figure(evaluation), folder / SWEEP)
        write_atomic(folder / RESULTS, evaluation.to_json())
        pictures.save(judge.picture(judged, subject.dataset), folder / PICTURES)
        write_reports(run, subject.manifest, evaluation, exhibits(judge, judged, subject.dataset), folder)
    _update_card(run, evaluation)
    yield evaluation


def _about(subject: Subject, *, split: Split, device: str) -> dict[str, Any]:
    return {
        "run": subject.config.run,
        "dpmed_version": __version__,
        "task": subject.config.recipe.task,
        "split": split,
        "same_dataset": subject.same_dataset,
        "device": device,
        "statement": subject.statement,
    }


def _found(judge: Judge[Any], judged: list[Any], validation: list[Any], subject: Subject) -> dict[str, Any]:
    scores = judge.scores(judged, validation=validation)
    return {
        "patients": len(judged),
        "cases": sum(len(patient.cases) for patient in judged),
        "scores": scores,
        "curves": judge.curves(judged),
        "notes": (*subject.notes, *words.remarks(scores, patients=len(judged)), *filter(None, [subject.no_threshold])),
        "per_patient": tuple(judged),
    }


def _swept(
    runs: Sequence[RunFolder], data: Path, split: Split, device: Device
) -> Generator[Note | Progress, None, list[Evaluation]]:
    """The other runs of a sweep, each judged as by itself."""
    found = []
    for number, run in enumerate(runs, start=1):
        for event in evaluate(run, data, split=split, device=device):
            if isinstance(event, Evaluation):
                found.append(event)
            elif isinstance(event, Progress):
                yield Progress(f"{event.what} of run {number} of {len(runs)}", event.done, event.total)
    return found


def _judged_by_other(run: RunFolder, subject: Subject, device: Device) -> Generator[Progress, None, list[Any]]:
    """The same patients, judged by the run to compare with."""
    with about_the_other(), closing(_opened(subject, device)) as backend:
        load_weights(backend, run)
        return (yield from _patients(_judge(subject, backend), subject.dataset, " of the other run"))


def _patients(judge: Judge[Any], dataset: PatientDataset, whose: str = "") -> Generator[Progress, None, list[Any]]:
    """Every patient's result."""
    yield from (Progress(f"{event.what}{whose}", event.done, event.total) for event in dataset.prepare())
    judged = []
    for patient in dataset.patients:
        judged.append(judge.patient(patient, dataset.whole(patient)))
        yield Progress(f"patients{whose}", len(judged), len(dataset.patients))
    return judged


def _opened(subject: Subject, device: Device) -> Backend:
    return open_backend(device, model=subject.config.model, task=subject.config.task)


def _comparison(subject: Subject, other: Subject, ours: list[Any], theirs: list[Any]) -> Comparison:
    data, their_data = subject.config.recipe.data, other.config.recipe.data
    differs = data.spatial_dims, data.image_size, data.spacing_mm
    is_other_grid = differs != (their_data.spatial_dims, their_data.image_size, their_data.spacing_mm)
    return Comparison(
        run=other.config.run,
        statement=other.statement,
        differences=differences(ours, theirs),
        notes=(*other.notes, *((OTHER_GRID,) if is_other_grid else ())),
    )


def _update_card(run: RunFolder, evaluation: Evaluation) -> None:
    """The card reports test patients; validation patients are for looking while a recipe is being chosen."""
    if evaluation.split == "test":
        write_card(run, evaluation)
    elif not run.card.exists():
        write_card(run, None)


def results_folder(run: RunFolder, split: Split, out: Path | None) -> Path:
    """Where results go. Raises `ConfigError` for a place in `release/`: they show held-out patients."""
    folder = out if out is not None else run.curator / f"evaluate-{split}"
    if folder.resolve().is_relative_to(run.release.resolve()):
        raise ConfigError(
            "results and pictures of held-out patients may not lie in release/",
            hint="leave out --out: they then go to curator/, which stays",
        )
    return folder


def _judge(subject: Subject, backend: Backend) -> Judge[Any]:
    kind = Classifier if subject.config.task.kind == "classification" else Segmenter
    return kind(backend, subject.config.recipe.data, subject.config.task)
