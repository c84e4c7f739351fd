"""Whether probabilities mean what they say: in ten bins of equal width, what was said against what was so."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dpmed.evaluate.details import Interval, ReliabilityBin
from dpmed.evaluate.intervals import BATCH, RESAMPLES, SEED, bootstrap, share_interval

ECE_BINS = 10


def expected_calibration_error(
    labels: Int[np.ndarray, "*many patient"], probabilities: Float[np.ndarray, "*many patient"]
) -> Any:
    """Mean over patients of |share of positives - mean probability| in each of ten bins of equal width.

    Bins of the probability of the positive class (Naeini et al. 2015, binary form); 1.0 falls in the last one.
    For many resamples at once.
    """
    surplus = labels - probabilities
    in_bin = _bins(probabilities)[..., None, :] == np.arange(ECE_BINS)[:, None]
    return np.abs((in_bin * surplus[..., None, :]).sum(-1)).sum(-1) / probabilities.shape[-1]


def ece_interval(labels: Int[np.ndarray, "patient"], probabilities: Float[np.ndarray, "patient"]) -> Interval | None:
    """The interval of the error, mirrored: few patients make it too large, and resampling them larger still.

    Too high all the same for a model that is nearly calibrated: few patients cannot show it (`ece_if_calibrated`).
    """
    found = bootstrap((labels, probabilities), _ece, paired=True, method="basic")
    return None if found is None else (max(found[0], 0.0), min(max(found[1], 0.0), 1.0))


def ece_if_calibrated(probabilities: Float[np.ndarray, "patient"]) -> float:
    """The error that chance alone would show, were every probability true: labels drawn from them, many times."""
    random, said = np.random.default_rng(SEED), np.sort(probabilities)
    errors = [
        expected_calibration_error((random.random((BATCH, len(said))) < said).astype(int), said)
        for _ in range(RESAMPLES // BATCH)
    ]
    return float(np.mean(errors))


def reliability(
    labels: Int[np.ndarray, "patient"], probabilities: Float[np.ndarray, "patient"]
) -> tuple[ReliabilityBin, ...]:
    """The bins that hold a patient, lowest first."""
    bins = _bins(probabilities)
    held = [(number, bins == number) for number in range(ECE_BINS) if (bins == number).any()]
    return tuple(
        ReliabilityBin(
            low=number / ECE_BINS,
            high=(number + 1) / ECE_BINS,
            patients=int(inside.sum()),
            mean_probability=float(probabilities[inside].mean()),
            positive_share=float(labels[inside].mean()),
            positive_share_ci=share_interval(labels[inside] == 1),
        )
        for number, inside in held
    )


def _bins(probabilities: Float[np.ndarray, "*many patient"]) -> Int[np.ndarray, "*many patient"]:
    bins: np.ndarray = np.minimum((probabilities * ECE_BINS).astype(int), ECE_BINS - 1)
    return bins


def _ece(labels: np.ndarray, probabilities: np.ndarray, axis: int = -1) -> Any:
    assert axis == -1
    return expected_calibration_error(labels, probabilities)
