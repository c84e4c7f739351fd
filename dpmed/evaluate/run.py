"""`dpmed evaluate`: check, predict case by case, score, draw, write."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from dpmed import __version__
from dpmed.backends import Backend, open_backend, resolve_device
from dpmed.core.errors import ConfigError
from dpmed.core.events import Note, Progress
from dpmed.core.files import write_atomic
from dpmed.core.folders import RunFolder
from dpmed.core.manifest import Manifest, Split
from dpmed.core.specs import Device
from dpmed.evaluate import pictures, words
from dpmed.evaluate.card import write_card
from dpmed.evaluate.fit import Subject, fit
from dpmed.evaluate.inference import load_weights
from dpmed.evaluate.judges import Classifier, Judge, Segmenter
from dpmed.evaluate.report.gallery import exhibits
from dpmed.evaluate.report.page import write_reports
from dpmed.evaluate.results import Evaluation

EvaluateEvent = Note | Progress | Evaluation
RESULTS, PICTURES = "evaluation.json", "cases.png"


def evaluate(
    run: RunFolder, data: Path, *, split: Split = "test", out: Path | None = None, device: Device = "auto"
) -> Iterator[EvaluateEvent]:
    """Judge a run on the patients of a split; the events end with `Evaluation`.

    Writes `evaluation.json` and `cases.png` to `out`, by default in `curator/`, and the model card with results of the
    test split. Raises `MismatchError`, `NoInputError`, `ConfigError` or `DeviceError` before an image is read.
    """
    folder = results_folder(run, split, out)
    subject = fit(run, data, split=split)
    place = resolve_device(device)
    yield from (Note(text) for text in subject.notes)
    yield from subject.dataset.prepare()
    with closing(open_backend(device, model=subject.config.model, task=subject.config.task)) as backend:
        load_weights(backend, run)
        judge = _judge(subject, backend)
        judged = []
        for patient in subject.dataset.patients:
            judged.append(judge.patient(patient, subject.dataset.whole(patient)))
            yield Progress("patients", len(judged), len(subject.dataset.patients))
        evaluation = _evaluation(subject, judge, judged, split=split, device=place)
        write_atomic(folder / RESULTS, evaluation.to_json())
        pictures.save(judge.picture(judged, subject.dataset), folder / PICTURES)
        write_reports(run, Manifest.load(data), evaluation, exhibits(judge, judged, subject.dataset), folder)
    _update_card(run, evaluation)
    yield evaluation


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


def _evaluation(subject: Subject, judge: Judge[Any], judged: list[Any], *, split: Split, device: str) -> Evaluation:
    scores = judge.scores(judged)
    return Evaluation(
        run=subject.config.run,
        dpmed_version=__version__,
        task=subject.config.recipe.task,
        split=split,
        patients=len(judged),
        cases=sum(len(patient.cases) for patient in judged),
        same_dataset=subject.same_dataset,
        device=device,
        statement=subject.statement,
        scores=scores,
        notes=(*subject.notes, *words.remarks(scores, patients=len(judged))),
        per_patient=tuple(judged),
    )
