"""One judge per task. Each looks at one case at a time, so that memory holds one case whatever the cohort."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from matplotlib.figure import Figure

from dpmed.backends import Backend
from dpmed.core.recipe import DataRecipe
from dpmed.core.specs import TaskSpec
from dpmed.data import PatientDataset, WholeCase
from dpmed.evaluate import classification, inference, segmentation
from dpmed.evaluate.details import Curves
from dpmed.evaluate.pictures import OutlinedSlice, RatedSlice, overlay_figure, rated_figure
from dpmed.evaluate.results import (
    ClassificationScores,
    ClassifiedCase,
    ClassifiedPatient,
    SegmentationScores,
    SegmentedCase,
    SegmentedPatient,
)

MOST_EACH = 2
Judged = TypeVar("Judged")


class Judge(Protocol[Judged]):
    """Predicts and compares; draws a few of the cases again from the results."""

    def patient(self, name: str, cases: Iterable[WholeCase]) -> Judged:
        """The result of one patient."""
        ...

    def scores(
        self, patients: Sequence[Judged], *, validation: Sequence[Judged]
    ) -> ClassificationScores | SegmentationScores:
        """The result of the cohort; what must be chosen is chosen on the validation patients."""
        ...

    def curves(self, patients: Sequence[Judged]) -> Curves | None:
        """What plots need, if there is anything to plot."""
        ...

    def picture(self, patients: Sequence[Judged], dataset: PatientDataset) -> Figure:
        """A page of telling cases."""
        ...


@dataclass(frozen=True)
class Classifier:
    """Judges one probability per patient."""

    backend: Backend
    recipe: DataRecipe
    task: TaskSpec

    def patient(self, name: str, cases: Iterable[WholeCase]) -> ClassifiedPatient:
        """The mean probability over the patient's cases, each the mean over its slices or patches."""
        return classification.of_patient(name, [self._case(case) for case in cases])

    def scores(
        self, patients: Sequence[ClassifiedPatient], *, validation: Sequence[ClassifiedPatient]
    ) -> ClassificationScores:
        """AUROC and its kin over patients."""
        return classification.classification_scores(patients, validation=validation)

    def curves(self, patients: Sequence[ClassifiedPatient]) -> Curves:
        """ROC, precision against recall, reliability."""
        return classification.curves(patients)

    def picture(self, patients: Sequence[ClassifiedPatient], dataset: PatientDataset) -> Figure:
        """Per class, the two patients who were judged most rightly and the two most wrongly."""
        output = self.task.outputs[0]
        by_class = ((output, most_telling(patients, label=1)), (f"no {output}", most_telling(patients, label=0)))
        return rated_figure([(name, [_rated(dataset, one) for one in some]) for name, some in by_class if some])

    def _case(self, whole: WholeCase) -> ClassifiedCase:
        rated = inference.probabilities(self.backend, whole, self.recipe)
        rates_slices = self.recipe.spatial_dims == 2
        return ClassifiedCase(
            case=whole.case.case,
            label=int(whole.target.item()),
            probability=inference.mean_probability(rated, whole),
            slice=int(rated.argmax()) if rates_slices else len(whole.display) // 2,
        )


@dataclass(frozen=True)
class Segmenter:
    """Judges one map per region and case."""

    backend: Backend
    recipe: DataRecipe
    task: TaskSpec

    def patient(self, name: str, cases: Iterable[WholeCase]) -> SegmentedPatient:
        """Means over the patient's cases."""
        return segmentation.of_patient(name, [self._case(case) for case in cases])

    def scores(
        self, patients: Sequence[SegmentedPatient], *, validation: Sequence[SegmentedPatient]
    ) -> SegmentationScores:
        """Means over patients. Nothing is chosen: a voxel is in a region from a probability of one half."""
        assert not validation
        return segmentation.segmentation_scores(patients)

    def curves(self, patients: Sequence[SegmentedPatient]) -> None:
        """None: every number of a segmentation is a mean."""

    def picture(self, patients: Sequence[SegmentedPatient], dataset: PatientDataset) -> Figure:
        """The best, the median and the worst case by Dice."""
        cases = [(patient.patient, case) for patient in patients for case in patient.cases]
        rows = [self._outlined(dataset, *one) for one in spread(cases)]
        return overlay_figure(rows, self.task.outputs)

    def _case(self, whole: WholeCase) -> SegmentedCase:
        return segmentation.of_case(
            whole.case.case,
            self.task.outputs,
            predicted=inference.regions(self.backend, whole, self.recipe),
            reference=inference.reference(whole, self.recipe),
            spacing_mm=whole.spacing_mm,
        )

    def _outlined(self, dataset: PatientDataset, grade: str, patient: str, found: SegmentedCase) -> OutlinedSlice:
        whole = _again(dataset, patient, found.case)
        row_mm, column_mm = whole.spacing_mm[-2:]
        return OutlinedSlice(
            title=f"{grade}, Dice {mean_dice(found):.2f}\n{patient}",
            pixels=whole.display[found.slice],
            reference=inference.reference(whole, self.recipe)[:, found.slice].numpy(),
            predicted=inference.regions(self.backend, whole, self.recipe)[:, found.slice].numpy(),
            aspect=row_mm / column_mm,
        )


def most_telling(patients: Sequence[ClassifiedPatient], *, label: int) -> list[ClassifiedPatient]:
    """Of one class, the patients judged most rightly and most wrongly, in that order, each once."""
    of_class = [patient for patient in patients if patient.label == label]
    ranked = sorted(of_class, key=lambda patient: abs(label - patient.probability))
    return ranked if len(ranked) <= 2 * MOST_EACH else ranked[:MOST_EACH] + ranked[-MOST_EACH:]


def spread(cases: Sequence[tuple[str, SegmentedCase]]) -> list[tuple[str, str, SegmentedCase]]:
    """The best, the median and the worst case; fewer if there are fewer."""
    ranked = sorted(cases, key=lambda one: mean_dice(one[1]), reverse=True)
    places = {0: "best", len(ranked) - 1: "worst", len(ranked) // 2: "median"} if len(ranked) > 2 else None
    named = sorted(places.items()) if places else list(enumerate(("best", "worst")[: len(ranked)]))
    return [(grade, *ranked[place]) for place, grade in named]


def mean_dice(case: SegmentedCase) -> float:
    """The mean over regions."""
    return sum(case.dice.values()) / len(case.dice)


def _rated(dataset: PatientDataset, patient: ClassifiedPatient) -> RatedSlice:
    """The patient's verdict over the slice that was rated highest."""
    shown = max(patient.cases, key=lambda case: case.probability)
    called = patient.probability >= classification.THRESHOLD
    pixels = _again(dataset, patient.patient, shown.case).display[shown.slice]
    return RatedSlice(patient.patient, pixels, patient.probability, is_right=called == bool(patient.label))


def _again(dataset: PatientDataset, patient: str, case: str) -> WholeCase:
    return next(whole for whole in dataset.whole(patient) if whole.case.case == case)
