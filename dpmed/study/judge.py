"""The held-out patients of a fold, and the one number they come to."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from dpmed.backends import Backend, open_backend
from dpmed.core.errors import ConfigError
from dpmed.core.folders import RunFolder
from dpmed.core.manifest import Task
from dpmed.core.recipe import DataRecipe
from dpmed.core.specs import Device
from dpmed.data import WholeCase
from dpmed.evaluate import inference
from dpmed.evaluate.fit import fit
from dpmed.evaluate.intervals import auroc
from dpmed.evaluate.judges import Classifier
from dpmed.evaluate.segmentation import dice_of_regions
from dpmed.study.cells import PatientScore

METRICS: dict[Task, str] = {"covid-ct": "AUROC", "brats": "Dice"}


def judged(run: RunFolder, data: Path, device: Device) -> tuple[PatientScore, ...]:
    """Every held-out patient's score. Raises `MismatchError` for a patient who was trained on."""
    subject = fit(run, data, split="test")
    config, dataset = subject.config, subject.dataset
    for _ in dataset.prepare():
        pass
    with closing(open_backend(device, model=config.model, task=config.task)) as backend:
        inference.load_weights(backend, run)
        if config.task.kind == "segmentation":
            return tuple(_dice(name, dataset.whole(name), backend, config.recipe.data) for name in dataset.patients)
        judge = Classifier(backend, config.recipe.data, config.task)
        found = [judge.patient(name, dataset.whole(name)) for name in dataset.patients]
    return tuple(PatientScore(patient=one.patient, positive=one.label == 1, score=one.probability) for one in found)


def metric(task: Task, scores: Sequence[PatientScore]) -> float:
    """AUROC over patients, or the mean Dice of those who bear tumour.

    Raises `ConfigError` where there are none to take it over.
    """
    positives = np.array([one.score for one in scores if one.positive])
    negatives = np.array([one.score for one in scores if not one.positive])
    if not len(positives) or (task == "covid-ct" and not len(negatives)):
        raise ConfigError("the held-out patients are not such that the metric is defined", hint="fewer folds")
    return float(auroc(positives, negatives)) if task == "covid-ct" else float(positives.mean())


def _dice(patient: str, cases: Iterable[WholeCase], backend: Backend, recipe: DataRecipe) -> PatientScore:
    """The mean over regions and scans; 1 where neither side has a region. The report's other measures take minutes."""
    dice, bears_tumour = [], False
    for case in cases:
        reference = inference.reference(case, recipe)
        dice.append(np.mean(dice_of_regions(inference.regions(backend, case, recipe), reference)))
        bears_tumour = bears_tumour or bool(reference.any())
    return PatientScore(patient=patient, positive=bears_tumour, score=float(np.mean(dice)))
