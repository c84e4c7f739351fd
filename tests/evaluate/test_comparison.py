"""Two runs on the same patients: pairs, not two cohorts; tests that hold their level and find a difference."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from dpmed.evaluate.classification import of_patient
from dpmed.evaluate.comparison import differences
from dpmed.evaluate.results import ClassifiedCase, LesionCount, SegmentedPatient

PER_REGION = ("dice", "hd95_mm", "surface_dice", "lesion_dice", "lesion_hd95_mm")
VOLUMES = ("volume_error_ml", "volume_error_abs_ml", "volume_error_relative")


def rated(labels: np.ndarray, probabilities: np.ndarray):
    return [
        of_patient(
            f"p-{n:012x}", [ClassifiedCase(case=f"c-{n:012x}", label=int(label), probability=float(said), slice=0)]
        )
        for n, (label, said) in enumerate(zip(labels, probabilities, strict=True))
    ]


def outlined(dices: np.ndarray, *, regions: tuple[str, ...] = ("a", "b")):
    return [
        SegmentedPatient(
            patient=f"p-{n:012x}",
            **{name: dict.fromkeys(regions, float(dice)) for name in (*PER_REGION, *VOLUMES)},
            lesions=dict.fromkeys(regions, LesionCount(reference=1, found=1, false=0)),
            cases=(),
        )
        for n, dice in enumerate(dices)
    ]


def found(this, other) -> dict:
    return {(one.measure, one.region): one for one in differences(this, other)}


def cohort(patients: int, *, seed: int, better: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and the probabilities of two runs that see much of the same; the first is better by so much."""
    rng = np.random.default_rng(seed)
    labels, common = rng.integers(0, 2, patients), rng.normal(size=patients)
    ours, theirs = (common + rng.normal(size=patients) * 0.5 + labels * gain for gain in (0.5 + better, 0.5))
    return labels, 1 / (1 + np.exp(-ours)), 1 / (1 + np.exp(-theirs))


def test_measures_are_those_of_sklearn_and_differences_of_this_less_the_other() -> None:
    labels, ours, theirs = cohort(40, seed=0, better=0.5)
    got = found(rated(labels, ours), rated(labels, theirs))
    for name, measure in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
        one = got[name, None]
        assert (one.this, one.other) == pytest.approx((measure(labels, ours), measure(labels, theirs)), abs=1e-6)
        assert one.difference == pytest.approx(one.this - one.other)
    assert got["brier", None].other == pytest.approx(((theirs - labels) ** 2).mean(), abs=1e-6)
    called = theirs >= 0.5
    assert got["accuracy", None].other == pytest.approx((called == labels).mean())
    assert got["sensitivity", None].other == pytest.approx(called[labels == 1].mean())
    assert got["specificity", None].other == pytest.approx((~called)[labels == 0].mean())


def test_a_run_beside_itself_differs_in_nothing() -> None:
    labels, ours, _ = cohort(12, seed=0, better=0)
    for one in (*differences(rated(labels, ours), rated(labels, ours)), *differences(outlined(ours), outlined(ours))):
        assert (one.difference, one.difference_ci, one.p) == (0, (0, 0), 1)


def test_the_test_of_auroc_is_every_way_of_swapping_ranks() -> None:
    labels, ours, theirs = cohort(8, seed=3, better=2)
    ranks = stats.rankdata(ours), stats.rankdata(theirs)
    seen = roc_auc_score(labels, ours) - roc_auc_score(labels, theirs)
    ways = []
    for swap in itertools.product([False, True], repeat=8):
        one, other = np.where(swap, ranks[1], ranks[0]), np.where(swap, ranks[0], ranks[1])
        ways.append(roc_auc_score(labels, one) - roc_auc_score(labels, other))
    expected = min(1, 2 * min((np.array(ways) >= seen - 1e-9).mean(), (np.array(ways) <= seen + 1e-9).mean()))
    assert found(rated(labels, ours), rated(labels, theirs))["auroc", None].p == pytest.approx(expected)


def test_another_scale_is_not_a_difference_of_order() -> None:
    labels, ours, _ = cohort(30, seed=1, better=0)
    one = found(rated(labels, ours), rated(labels, ours**3))["auroc", None]
    assert (one.difference, one.p) == (0, 1)


def test_a_difference_that_is_there_is_found_because_patients_are_paired() -> None:
    # Hard and easy patients spread far; every one of them is a little better off.
    dices = np.linspace(0.1, 0.9, 20)
    one = found(outlined(dices), outlined(dices - 0.02))["dice", "a"]
    assert one.difference_ci == pytest.approx((0.02, 0.02))
    assert one.p < 0.001
    apart = stats.mannwhitneyu(dices, dices - 0.02).pvalue
    assert apart > 0.5


def test_the_test_of_regions_is_wilcoxons() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(10), rng.random(10)
    one = found(outlined(ours), outlined(theirs))["dice", "b"]
    assert one.p == pytest.approx(stats.wilcoxon(ours, theirs).pvalue)
    assert one.test == "Wilcoxon signed-rank"


@pytest.mark.slow
def test_runs_that_do_not_differ_seldom_seem_to() -> None:
    seen = [found(rated(y, a), rated(y, b)) for y, a, b in (cohort(30, seed=seed, better=0) for seed in range(60))]
    for name in ("auroc", "average_precision", "brier"):
        below = np.mean([one[name, None].p < 0.05 for one in seen])
        covered = np.mean([one[name, None].difference_ci[0] <= 0 <= one[name, None].difference_ci[1] for one in seen])
        assert below < 0.14, name  # of 60 draws at 0.05, 0.134 is three standard errors off
        assert covered > 0.86, name


def test_patients_who_do_not_differ_are_left_out_of_wilcoxons_test() -> None:
    ours, theirs = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.9]), np.array([0.4, 0.3, 0.5, 0.9, 0.9, 0.9])
    one = found(outlined(ours), outlined(theirs))["dice", "a"]
    assert one.p == pytest.approx(stats.wilcoxon((ours - theirs)[:4]).pvalue)


def test_a_run_that_is_better_is_seen_to_be() -> None:
    labels, ours, theirs = cohort(60, seed=0, better=2)
    one = found(rated(labels, ours), rated(labels, theirs))["auroc", None]
    assert one.difference_ci[0] > 0
    assert one.p < 0.001


@pytest.mark.parametrize("patients", [1, 2])
def test_few_patients_show_what_they_can(patients: int) -> None:
    labels, ours, theirs = np.array([1, 1])[:patients], np.array([0.3, 0.8])[:patients], np.array([0.4, 0.6])[:patients]
    got = found(rated(labels, ours), rated(labels, theirs))
    assert ("auroc", None) not in got
    assert (got["brier", None].p is None) == (patients == 1)
    assert (got["brier", None].difference_ci is None) == (patients == 1)
    assert (found(outlined(ours), outlined(theirs))["dice", "a"].p is None) == (patients == 1)


def test_one_region_has_no_mean_of_regions() -> None:
    values = np.array([0.3, 0.4])
    assert {key[0] for key in found(outlined(values, regions=("a",)), outlined(values, regions=("a",)))} == {
        *PER_REGION,
        "volume_error_abs_ml",
    }
