"""What an evaluation found, as values: one record per task for the cohort, one per patient beneath it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dpmed.core.manifest import CaseId, PatientId, Split, Task
from dpmed.core.record import Record
from dpmed.core.specs import Statement

Interval = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]


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


class SegmentedCase(Record):
    """One case: Dice and HD95 per region, the regions it does not have, and the slice with most tumour."""

    case: CaseId
    dice: dict[str, Share]
    hd95_mm: dict[str, float]
    absent: tuple[str, ...]
    slice: int


class SegmentedPatient(Record):
    """One patient: the means over their cases."""

    patient: PatientId
    dice: dict[str, Share]
    hd95_mm: dict[str, float]
    cases: tuple[SegmentedCase, ...]


class ClassificationScores(Record):
    """Over patients. None where a class that the number needs has no patient; `*_ci` are 95 % intervals."""

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


class SegmentationScores(Record):
    """Means over patients by region; `dice_mean` is the mean over regions too. `*_ci` are 95 % intervals.

    `absent` counts the cases without a region; `baseline_dice` is what predicting nothing anywhere would score.
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
    notes: tuple[str, ...]
    per_patient: tuple[ClassifiedPatient, ...] | tuple[SegmentedPatient, ...]

    def to_json(self) -> str:
        """JSON text, with the schema under its public name."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"

    def summary(self) -> dict[str, Any]:
        """The flat numbers without any patient: what `dpmed evaluate --json` prints."""
        about = {"task", "split", "patients", "cases", "same_dataset", "device", "notes"}
        privacy = {"epsilon", "delta", "unit", "neighbouring", "accountant", "valid"}
        return {
            **self.model_dump(mode="json", include=about),
            **self.scores.model_dump(mode="json"),
            **self.statement.model_dump(mode="json", include=privacy),
        }
