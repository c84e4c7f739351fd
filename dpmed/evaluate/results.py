"""What an evaluation found, as values: one record per task for the cohort, one per patient beneath it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dpmed.core.manifest import CaseId, PatientId, Split, Task
from dpmed.core.record import Record
from dpmed.core.specs import Statement
from dpmed.evaluate.details import Comparison, Curves, Interval, Share, Subgroups, Sweep


class ClassifiedCase(Record):
    """One case: the mean probability over its slices or patches, and the slice the network rated highest."""

    case: CaseId
    label: Literal[0, 1]
    probability: Share
    slice: int


class ClassifiedPatient(Record):
    """One patient: the mean probability over their cases; positive if any of their cases is."""

    patient: PatientId
    label: Literal[0, 1]
    probability: Share
    cases: tuple[ClassifiedCase, ...]


class LesionCount(Record):
    """Lesions of the reference, how many of them the model touched, and its components that touch none."""

    reference: int
    found: int
    false: int


class SegmentedCase(Record):
    """One case, region by region; the regions it does not have; and the slice with most tumour."""

    case: CaseId
    dice: dict[str, Share]
    hd95_mm: dict[str, float]
    surface_dice: dict[str, Share]
    lesion_dice: dict[str, Share]
    lesion_hd95_mm: dict[str, float]
    lesions: dict[str, LesionCount]
    volume_ml: dict[str, float]
    reference_volume_ml: dict[str, float]
    absent: tuple[str, ...]
    slice: int


class SegmentedPatient(Record):
    """One patient: the means over their cases, lesions added up. Errors of volume are prediction less reference.

    `volume_error_relative` is None where no case has the region.
    """

    patient: PatientId
    dice: dict[str, Share]
    hd95_mm: dict[str, float]
    surface_dice: dict[str, Share]
    lesion_dice: dict[str, Share]
    lesion_hd95_mm: dict[str, float]
    lesions: dict[str, LesionCount]
    volume_error_ml: dict[str, float]
    volume_error_abs_ml: dict[str, float]
    volume_error_relative: dict[str, float | None]
    cases: tuple[SegmentedCase, ...]


class Confusion(Record):
    """Patients by what they have and what they were called."""

    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int


class ChosenThreshold(Record):
    """What stands at a threshold that validation patients chose, by Youden's J: sensitivity + specificity - 1.

    `chosen_on` counts those patients, `chosen_on_positives` the positive ones among them.
    """

    rule: Literal["youden"] = "youden"
    threshold: Share
    chosen_on: int
    chosen_on_positives: int
    accuracy: Share
    accuracy_ci: Interval
    balanced_accuracy: Share | None
    balanced_accuracy_ci: Interval | None
    sensitivity: Share | None
    sensitivity_ci: Interval | None
    specificity: Share | None
    specificity_ci: Interval | None
    confusion: Confusion


class ClassificationScores(Record):
    """Over patients. None where a class that the number needs has no patient; `*_ci` are 95 % intervals.

    What needs a threshold stands at `threshold`, and again in `at_chosen_threshold` if validation patients chose one.
    `ece_if_calibrated` is the calibration error to expect of these probabilities if they meant what they say.
    """

    kind: Literal["classification"] = "classification"
    positives: int
    negatives: int
    auroc: Share | None
    auroc_ci: Interval | None
    accuracy: Share
    accuracy_ci: Interval
    sensitivity: Share | None
    sensitivity_ci: Interval | None
    specificity: Share | None
    specificity_ci: Interval | None
    brier: Share
    brier_ci: Interval | None
    ece: Share
    threshold: float
    ece_bins: int
    baseline_accuracy: Share
    average_precision: Share | None
    average_precision_ci: Interval | None
    balanced_accuracy: Share | None
    balanced_accuracy_ci: Interval | None
    ece_ci: Interval | None
    ece_if_calibrated: Share
    confusion: Confusion
    at_chosen_threshold: ChosenThreshold | None


class SegmentationScores(Record):
    """Means over patients by region; `dice_mean` is the mean over regions too. `*_ci` are 95 % intervals.

    `absent` counts the cases without a region; `baseline_dice` is what predicting nothing anywhere would score.
    `lesions` are totals, `false_lesions` the mean per patient. Errors of volume are prediction less reference, the
    relative ones over patients who have the region.
    """

    kind: Literal["segmentation"] = "segmentation"
    dice: dict[str, Share]
    dice_region_ci: dict[str, Interval | None]
    dice_mean: Share
    dice_ci: Interval | None
    hd95: dict[str, float]
    hd95_ci: dict[str, Interval | None]
    hd95_median: dict[str, float]
    absent: dict[str, int]
    baseline_dice: dict[str, Share]
    surface_dice: dict[str, Share]
    surface_dice_ci: dict[str, Interval | None]
    surface_tolerance_mm: float
    lesion_dice: dict[str, Share]
    lesion_dice_ci: dict[str, Interval | None]
    lesion_hd95: dict[str, float]
    lesion_hd95_ci: dict[str, Interval | None]
    lesions: dict[str, LesionCount]
    lesion_sensitivity: dict[str, Share | None]
    lesion_sensitivity_ci: dict[str, Interval | None]
    false_lesions: dict[str, float]
    false_lesions_ci: dict[str, Interval | None]
    volume_error_ml: dict[str, float]
    volume_error_ml_ci: dict[str, Interval | None]
    volume_error_abs_ml: dict[str, float]
    volume_error_abs_ml_ci: dict[str, Interval | None]
    volume_error_relative: dict[str, float | None]
    volume_error_relative_ci: dict[str, Interval | None]


Scores = Annotated[ClassificationScores | SegmentationScores, Field(discriminator="kind")]


class Evaluation(Record):
    """A run judged on one split of one dataset. Holds held-out patients' results: outside the guarantee.

    `same_dataset` is None where the run folder came without the manifest of what it was trained on.
    """

    schema_: Literal["dpmed.evaluation/1"] = Field(default="dpmed.evaluation/1", alias="schema")
    run: str
    dpmed_version: str
    task: Task
    split: Split
    patients: int
    cases: int
    same_dataset: bool | None
    device: str
    statement: Statement
    scores: Scores
    curves: Curves | None
    subgroups: Subgroups
    comparison: Comparison | None
    sweep: Sweep | None = None
    notes: tuple[str, ...]
    per_patient: tuple[ClassifiedPatient, ...] | tuple[SegmentedPatient, ...]

    def to_json(self) -> str:
        """JSON text, with the schema under its public name."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"

    def summary(self) -> dict[str, Any]:
        """The flat numbers without any patient: what `dpmed evaluate --json` prints."""
        about = {
            "task",
            "split",
            "patients",
            "cases",
            "same_dataset",
            "device",
            "subgroups",
            "comparison",
            "sweep",
            "notes",
        }
        privacy = {"epsilon", "delta", "unit", "neighbouring", "accountant", "valid"}
        return {
            **self.model_dump(mode="json", include=about),
            **self.scores.model_dump(mode="json"),
            **self.statement.model_dump(mode="json", include=privacy),
        }
