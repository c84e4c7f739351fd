"""Results in words: the same lines for the terminal and for the model card."""

from typing import NamedTuple

from dpmed.core.specs import Statement
from dpmed.evaluate.results import ClassificationScores, Evaluation, Interval, SegmentationScores

OUTSIDE = "Measured on held-out patients, whom the privacy guarantee does not cover."


class Line(NamedTuple):
    """One result: what was measured, the number, its 95 % interval over patients, what it means."""

    name: str
    value: str
    interval: str
    meaning: str


def title(evaluation: Evaluation) -> str:
    """What was judged on whom."""
    source = {True: "of the dataset it was trained on", False: "of another dataset", None: "of some dataset"}
    return (
        f"{evaluation.task}: {evaluation.patients} {evaluation.split} patients, {evaluation.cases} cases, "
        f"{source[evaluation.same_dataset]}"
    )


def lines(evaluation: Evaluation) -> tuple[Line, ...]:
    """Every number of an evaluation."""
    scores = evaluation.scores
    return _classified(scores) if isinstance(scores, ClassificationScores) else _segmented(scores)


def explanations(evaluation: Evaluation) -> tuple[str, ...]:
    """How the numbers were made, and what they do not say."""
    scores = evaluation.scores
    if isinstance(scores, ClassificationScores):
        how = (
            f"One probability per patient, the mean over slices and scans; positive from {scores.threshold} on, a "
            f"threshold fixed beforehand. Calibration error over {scores.ece_bins} bins of equal width. Intervals: "
            f"bootstrap over patients of each class; Wilson for shares of patients."
        )
    else:
        how = (
            "Mean over each patient's scans, then over patients, on the voxel grid of the recipe. A region that both "
            "reference and model lack scores Dice 1 and HD95 0; one that only one of them has scores Dice 0 and the "
            "diagonal of the image. Intervals: bootstrap over patients."
        )
    return (how, *evaluation.notes, OUTSIDE)


def privacy(said: Statement) -> str:
    """The guarantee of the weights in one line; the whole of it stands in release/."""
    if said.epsilon is None:
        return said.words
    return (
        f"The weights: epsilon {said.epsilon:.3f} at delta {said.delta:g} per {said.unit}, {said.neighbouring}, "
        f"{said.accountant.upper()}, {said.sampling} sampling; the whole statement is in release/statement.json."
    )


def remarks(scores: ClassificationScores | SegmentationScores, *, patients: int) -> tuple[str, ...]:
    """What a reader must know before believing the numbers."""
    found = []
    if isinstance(scores, ClassificationScores):
        if scores.auroc is None:
            found.append("All patients are of one class: AUROC is not defined.")
        elif scores.auroc_ci is None:
            found.append("A class with a single patient shows no spread: no interval for AUROC.")
        elif scores.auroc_ci[0] == scores.auroc_ci[1]:
            found.append("An interval of no width means too few patients, not certainty.")
    elif patients < 2:
        found.append("A single patient shows no spread: no intervals.")
    if patients < 20:
        found.append(f"With {patients} patients, read the intervals rather than the numbers.")
    return tuple(found)


def _classified(scores: ClassificationScores) -> tuple[Line, ...]:
    share = f"{scores.positives} of {scores.positives + scores.negatives} patients are positive"
    return (
        Line("AUROC", _number(scores.auroc), _span(scores.auroc_ci), "1 is perfect, 0.5 is guessing"),
        Line("accuracy", _number(scores.accuracy), _span(scores.accuracy_ci), _baseline(scores.baseline_accuracy)),
        Line("sensitivity", _number(scores.sensitivity), _span(scores.sensitivity_ci), share),
        Line("specificity", _number(scores.specificity), _span(scores.specificity_ci), "of the negative patients"),
        Line("Brier score", _number(scores.brier), _span(scores.brier_ci), "0 is perfect, always saying 0.5 is 0.25"),
        Line("calibration error", _number(scores.ece), "", "0 is perfect"),
    )


def _baseline(accuracy: float) -> str:
    return f"always the more frequent answer: {accuracy:.3f}"


def _segmented(scores: SegmentationScores) -> tuple[Line, ...]:
    dice = [
        Line(
            f"Dice {region.replace('_', ' ')}",
            _number(value),
            _span(scores.dice_region_ci[region]),
            f"predicting nothing: {scores.baseline_dice[region]:.3f}",
        )
        for region, value in scores.dice.items()
    ]
    hd95 = [
        Line(
            f"HD95 {region.replace('_', ' ')}",
            f"{value:.1f} mm",
            _span(scores.hd95_ci[region], digits=1),
            f"median {scores.hd95_median[region]:.1f} mm",
        )
        for region, value in scores.hd95.items()
    ]
    mean = Line("Dice, mean of regions", _number(scores.dice_mean), _span(scores.dice_ci), "1 is perfect")
    return (*dice, mean, *hd95) if len(dice) > 1 else (*dice, *hd95)


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _span(interval: Interval | None, *, digits: int = 3) -> str:
    return "" if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"
