"""Results in words, for the terminal and for the model card: how numbers were made, and what they do not say."""

from dpmed.core.specs import Statement
from dpmed.evaluate.lesions import LEAST_MM3, REACH_MM
from dpmed.evaluate.results import ClassificationScores, Evaluation, SegmentationScores

OUTSIDE = "Measured on held-out patients, whom the privacy guarantee does not cover."


def title(evaluation: Evaluation) -> str:
    """What was judged on whom."""
    source = {True: "of the dataset it was trained on", False: "of another dataset", None: "of some dataset"}
    return (
        f"{evaluation.task}: {evaluation.patients} {evaluation.split} patients, {evaluation.cases} cases, "
        f"{source[evaluation.same_dataset]}"
    )


def explanations(evaluation: Evaluation) -> tuple[str, ...]:
    """How the numbers were made, and what they do not say."""
    scores = evaluation.scores
    how = _of_classes(scores) if isinstance(scores, ClassificationScores) else _of_regions(scores)
    return (*how, *evaluation.notes, OUTSIDE)


def confusions(evaluation: Evaluation) -> tuple[str, ...]:
    """Patients by what they have and what they were called, at each threshold; nothing of a segmentation."""
    scores = evaluation.scores
    if not isinstance(scores, ClassificationScores):
        return ()
    chosen = scores.at_chosen_threshold
    tables = [(scores.threshold, scores.confusion)]
    tables += [(chosen.threshold, chosen.confusion)] if chosen else []
    return tuple(
        f"Called positive from {threshold:.3g} on: {table.true_positives} of {scores.positives} positive "
        f"and {table.false_positives} of {scores.negatives} negative patients."
        for threshold, table in tables
    )


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


def _of_classes(scores: ClassificationScores) -> tuple[str, ...]:
    how = (
        f"One probability per patient, the mean over slices and scans; positive from {scores.threshold} on, a "
        f"threshold fixed beforehand, where no other is named. Calibration error: {scores.ece_bins} bins of equal "
        f"width. Intervals: bootstrap over patients, for AUROC and average precision over those of each class; "
        "for shares of patients Wilson, for their mean Newcombe."
    )
    chosen = scores.at_chosen_threshold
    if chosen is None:
        return (how,)
    return (
        how,
        f"The threshold {chosen.threshold:.3g} is where sensitivity + specificity (Youden's J) was largest among "
        f"{chosen.chosen_on} validation patients, {chosen.chosen_on_positives} of them positive.",
    )


def _of_regions(scores: SegmentationScores) -> tuple[str, ...]:
    return (
        "Mean over each patient's scans, then over patients, on the voxel grid of the recipe. A region that both "
        "reference and model lack scores Dice 1 and HD95 0; one that only one of them has scores Dice 0 and the "
        "diagonal of the image. Intervals: bootstrap over patients.",
        f"Surface Dice: the share of both surfaces within {scores.surface_tolerance_mm:g} mm of the other. "
        f"Lesion-wise, as in BraTS 2023: the mean over lesions above {LEAST_MM3:g} mm3, where parts whose surroundings "
        f"of {REACH_MM:g} mm touch are one; a lesion missed, and a component that reaches none, score Dice 0 and the "
        "diagonal. Volume: prediction less reference.",
    )
