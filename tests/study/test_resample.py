"""Intervals over patients and trainings hold the truth as often as they say."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from dpmed.study.resample import FoldScores, interval, measured

FOLDS, PATIENTS, SHARED = 5, 20, 0.7
STUDIES = 60
WORST = 0.87
"""Of 60 intervals of 95 %, fewer than 52 hold the truth once in a thousand times."""


def simulated(random, signals, *, seeds, training, auroc):
    """Variants judged on the same patients: scores are the signal, the patient's own, the training's and the rest."""
    variants = [[] for _ in signals]
    for _ in range(FOLDS):
        positive, negative = (random.normal(size=PATIENTS) * np.sqrt(SHARED) for _ in range(2))
        for folds, signal in zip(variants, signals, strict=True):
            own = signal + training * random.normal(size=(seeds, 1))
            rest = np.sqrt(1 - SHARED) * random.normal(size=(2, seeds, PATIENTS))
            folds.append(FoldScores(own + positive + rest[0], negative + rest[1] if auroc else None))
    return variants


@pytest.mark.parametrize("auroc", [True, False], ids=["AUROC", "mean"])
@pytest.mark.parametrize("training", [0.0, 0.5], ids=["trainings alike", "trainings differ"])
def test_intervals_hold_the_truth_in_simulated_studies(auroc, training):
    random = np.random.default_rng(3)
    truth = [norm.cdf(signal / np.sqrt(2 + training**2)) if auroc else signal for signal in (1.2, 0.9)]
    holds = np.zeros(2)
    for _ in range(STUDIES):
        ours, theirs = map(measured, simulated(random, (1.2, 0.9), seeds=3, training=training, auroc=auroc))
        for place, (found, wanted) in enumerate(
            [(interval(ours), truth[0]), (interval(ours, theirs), truth[0] - truth[1])]
        ):
            holds[place] += found[0] <= wanted <= found[1]
    assert (holds / STUDIES > WORST).all(), holds


def test_the_value_is_the_mean_over_folds_and_seeds_of_auroc():
    random = np.random.default_rng(0)
    folds = [FoldScores(random.normal(0.5, 1, (3, 9)).round(1), random.normal(0, 1, (3, 7)).round(1)) for _ in range(4)]
    labels = [1] * 9 + [0] * 7
    wanted = [[roc_auc_score(labels, [*fold.positives[s], *fold.negatives[s]]) for s in range(3)] for fold in folds]
    assert measured(folds).values == pytest.approx(np.array(wanted))
    assert measured(folds).value == pytest.approx(np.mean(wanted))


def test_a_gain_is_surer_than_two_results_by_themselves():
    random = np.random.default_rng(1)
    ours, theirs = map(measured, simulated(random, (1.2, 0.9), seeds=3, training=0.0, auroc=True))
    low, high = interval(ours, theirs)
    alone = [interval(one) for one in (ours, theirs)]
    assert high - low < 0.7 * np.hypot(*(one[1] - one[0] for one in alone))


def test_trainings_that_differ_widen_the_interval_and_one_seed_cannot_tell():
    random = np.random.default_rng(2)
    ((*differing,),) = simulated(random, (1.2,), seeds=3, training=1.0, auroc=True)
    lone = [FoldScores(fold.positives[:1], fold.negatives[:1]) for fold in differing]
    three, one = measured(differing), measured(lone)
    assert three.of_trainings[0] > 0
    assert one.of_trainings == (0.0, 0)
    assert np.ptp(interval(three)) > np.ptp(interval(one))


def test_where_all_agree_there_is_no_interval():
    assert interval(measured([FoldScores(np.ones((3, 4)), np.zeros((3, 4)))])) is None
