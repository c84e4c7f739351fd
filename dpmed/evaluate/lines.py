"""Every number of an evaluation as a line of text: the same for the terminal and for the model card."""

from collections.abc import Mapping
from typing import NamedTuple

from dpmed.evaluate.details import Interval
from dpmed.evaluate.results import (
    ChosenThreshold,
    ClassificationScores,
    Evaluation,
    LesionCount,
    SegmentationScores,
)


class Line(NamedTuple):
    """One result: what was measured, the number, its 95 % interval over patients, what it means, and where."""

    measure: str
    value: str
    interval: str
    meaning: str
    region: str = ""

    @property
    def name(self) -> str:
        """The measure with its region."""
        return f"{self.measure} {self.region}".strip()


def lines(evaluation: Evaluation) -> tuple[Line, ...]:
    """Every number of an evaluation."""
    scores = evaluation.scores
    return _classified(scores) if isinstance(scores, ClassificationScores) else _segmented(scores)


def number(value: float | None) -> str:
    """A score, to three digits."""
    return "not defined" if value is None else f"{value:.3f}"


def span(interval: Interval | None, *, digits: int = 3) -> str:
    """An interval, or nothing where there is none."""
    return "" if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def _classified(scores: ClassificationScores) -> tuple[Line, ...]:
    positives = f"{scores.positives} of {scores.positives + scores.negatives}"
    share = scores.positives / (scores.positives + scores.negatives)
    baseline = f"always the more frequent answer: {scores.baseline_accuracy:.3f}"
    by_chance = f"0 is perfect; by chance alone: {scores.ece_if_calibrated:.3f}"
    return (
        Line("AUROC", number(scores.auroc), span(scores.auroc_ci), "1 is perfect, 0.5 is guessing"),
        Line(
            "average precision",
            number(scores.average_precision),
            span(scores.average_precision_ci),
            f"guessing: {share:.3f}",
        ),
        Line("accuracy", number(scores.accuracy), span(scores.accuracy_ci), baseline),
        *_calls(scores, "", positives=f"{positives} patients are positive"),
        *_chosen(scores.at_chosen_threshold),
        Line("Brier score", number(scores.brier), span(scores.brier_ci), "0 is perfect, always saying 0.5 is 0.25"),
        Line("calibration error", number(scores.ece), span(scores.ece_ci), by_chance),
    )


def _calls(scores: ClassificationScores | ChosenThreshold, where: str, *, positives: str) -> tuple[Line, ...]:
    balanced = number(scores.balanced_accuracy), span(scores.balanced_accuracy_ci)
    return (
        Line(f"balanced accuracy{where}", *balanced, "guessing: 0.5"),
        Line(f"sensitivity{where}", number(scores.sensitivity), span(scores.sensitivity_ci), positives),
        Line(
            f"specificity{where}", number(scores.specificity), span(scores.specificity_ci), "of the negative patients"
        ),
    )


def _chosen(chosen: ChosenThreshold | None) -> tuple[Line, ...]:
    if chosen is None:
        return ()
    return _calls(chosen, f" at {chosen.threshold:.3g}", positives="threshold of validation patients")


def _segmented(scores: SegmentationScores) -> tuple[Line, ...]:
    nothing = {region: f"predicting nothing: {value:.3f}" for region, value in scores.baseline_dice.items()}
    median = {region: f"median {value:.1f} mm" for region, value in scores.hd95_median.items()}
    within = dict.fromkeys(scores.dice, f"within {scores.surface_tolerance_mm:g} mm")
    of_false = {region: f"{count.false} in all patients" for region, count in scores.lesions.items()}
    mean = Line("Dice, mean of regions", number(scores.dice_mean), span(scores.dice_ci), "1 is perfect")
    blank = dict.fromkeys(scores.dice, "")
    return (
        *_per_region("Dice", scores.dice, scores.dice_region_ci, nothing),
        *((mean,) if len(scores.dice) > 1 else ()),
        *_per_region("HD95", scores.hd95, scores.hd95_ci, median, unit=" mm"),
        *_per_region("surface Dice", scores.surface_dice, scores.surface_dice_ci, within),
        *_per_region("lesion-wise Dice", scores.lesion_dice, scores.lesion_dice_ci, blank),
        *_per_region("lesion-wise HD95", scores.lesion_hd95, scores.lesion_hd95_ci, blank, unit=" mm"),
        *_per_region("lesions found", scores.lesion_sensitivity, scores.lesion_sensitivity_ci, _found(scores.lesions)),
        *_per_region("false lesions", scores.false_lesions, scores.false_lesions_ci, of_false, unit=" each"),
        *_per_region("volume error", scores.volume_error_ml, scores.volume_error_ml_ci, _volume(scores), unit=" mL"),
    )


def _per_region(
    name: str,
    values: Mapping[str, float | None],
    intervals: Mapping[str, Interval | None],
    meanings: Mapping[str, str],
    *,
    unit: str = "",
) -> tuple[Line, ...]:
    """A line per region. What has a unit is told to one digit."""
    return tuple(
        Line(
            name,
            f"{value:.1f}{unit}" if unit else number(value),
            span(intervals[region], digits=1 if unit else 3),
            meanings[region],
            region.replace("_", " "),
        )
        for region, value in values.items()
    )


def _found(lesions: Mapping[str, LesionCount]) -> dict[str, str]:
    return {region: f"{count.found} of {count.reference}" for region, count in lesions.items()}


def _volume(scores: SegmentationScores) -> dict[str, str]:
    relative = scores.volume_error_relative
    return {
        region: f"{size:.1f} mL either way" + ("" if (share := relative[region]) is None else f", {share:+.0%}")
        for region, size in scores.volume_error_abs_ml.items()
    }
