"""The summary's numbers, against cells made by hand."""

import pytest

from dpmed.privacy.accounting import epsilon
from dpmed.privacy.mechanisms import MechanismRun
from dpmed.study.plan import load_study
from dpmed.study.summary import composed_cost, summarised

PERFECT = {"positives": (0.9, 0.8, 0.7), "negatives": (0.1, 0.2, 0.3)}
HALF = {"positives": (0.9, 0.1, 0.5), "negatives": (0.5, 0.5, 0.5)}
"""Of nine pairs three are right and three are ties, so AUROC is a half."""
WRONG = {"positives": (0.1, 0.2, 0.3), "negatives": (0.9, 0.8, 0.7)}


def rows(study, cells):
    return {(row.variant, row.epsilon): row for row in summarised(study, cells).rows}


def test_a_value_is_the_mean_over_folds_and_then_over_seeds(write_study, make_cell):
    study = load_study(write_study(seeds="[0, 1]"))
    cells = [
        make_cell("base", 8.0, seed=0, fold=0, **PERFECT),
        make_cell("base", 8.0, seed=0, fold=1, **HALF),
        make_cell("base", 8.0, seed=1, fold=0, **PERFECT),
        make_cell("base", 8.0, seed=1, fold=1, **PERFECT),
    ]
    row = rows(study, cells)["base", 8.0]
    assert row.per_seed == pytest.approx((0.75, 1.0))
    assert row.value == pytest.approx(0.875)
    assert 0 <= row.value_ci[0] <= 0.875 <= row.value_ci[1] <= 1
    assert (row.seeds, row.folds, row.gain) == (2, 2, None)


def test_pooled_ranks_all_patients_at_once(study, make_cell):
    low = {"positives": (0.2, 0.25), "negatives": (0.1, 0.15)}
    high = {"positives": (0.8, 0.9), "negatives": (0.6, 0.7)}
    row = rows(study, [make_cell("base", 8.0, fold=0, **low), make_cell("base", 8.0, fold=1, **high)])["base", 8.0]
    assert row.value == 1.0
    assert row.pooled == pytest.approx(12 / 16)  # the low positives lose to the high negatives


def test_a_gain_is_what_a_variant_is_above_the_base_at_the_same_epsilon(study, make_cell):
    cells = [make_cell("base", 8.0, fold=fold, **HALF) for fold in (0, 1)]
    cells += [make_cell("base", None, fold=fold, **PERFECT) for fold in (0, 1)]
    cells += [make_cell("no-ema", 8.0, fold=0, **PERFECT), make_cell("no-ema", 8.0, fold=1, **HALF)]
    found = rows(study, cells)
    assert found["no-ema", 8.0].gain == pytest.approx(0.25)
    assert found["no-ema", 8.0].gain_ci[0] <= 0.25 <= found["no-ema", 8.0].gain_ci[1]
    assert found["no-ema", 8.0].gain_seeds == 1
    assert found["base", None].gain is None


def test_a_gain_is_of_the_folds_that_both_have(write_study, make_cell):
    study = load_study(write_study("[variants.narrow]\nfolds = [1]\nepsilons = [8]"))
    cells = [make_cell("base", 8.0, fold=0, **PERFECT), make_cell("base", 8.0, fold=1, **HALF)]
    found = rows(study, [*cells, make_cell("narrow", 8.0, fold=1, **PERFECT)])
    assert found["narrow", 8.0].gain == pytest.approx(0.5)


def test_a_seed_counts_when_all_its_folds_are_there(write_study, make_cell):
    study = load_study(write_study(seeds="[0, 1]"))
    cells = [make_cell("base", 8.0, seed=0, fold=fold, **PERFECT) for fold in (0, 1)]
    cells += [make_cell("base", 8.0, seed=1, fold=0, **WRONG), make_cell("no-ema", 8.0, fold=0, **WRONG)]
    result = summarised(study, cells)
    ((row),) = result.rows
    assert (row.seeds, row.value) == (1, 1.0)
    assert (result.cells, result.missing) == (4, 8)


def test_dice_is_of_patients_who_bear_tumour(study, make_cell):
    cells = [
        make_cell("base", 8.0, fold=0, positives=(0.5, 0.7), negatives=(1.0, 1.0), task="brats"),
        make_cell("base", 8.0, fold=1, positives=(0.1, 0.3), negatives=(0.0,), task="brats"),
    ]
    row = rows(study, cells)["base", 8.0]
    assert row.value == pytest.approx(0.4)
    assert row.pooled == pytest.approx(0.4)


def test_who_bears_tumour_at_one_resolution_only_is_left_out_of_a_gain(study, make_cell):
    cells = [make_cell("base", 8.0, fold=f, positives=(0.2, 0.4), negatives=(), task="brats") for f in (0, 1)]
    cells += [make_cell("no-ema", 8.0, fold=f, positives=(0.5,), negatives=(1.0,), task="brats") for f in (0, 1)]
    assert rows(study, cells)["no-ema", 8.0].gain == pytest.approx(0.3)


def test_the_cost_is_that_of_all_runs_a_patient_is_in():
    run = MechanismRun(sample_rate=0.5, noise_multiplier=2.0, steps=4)
    twice = run.model_copy(update={"steps": 8})
    cost = composed_cost([(0, (run,)), (1, (run,)), (2, (run,))], 1e-3)
    assert cost == pytest.approx(epsilon([twice], delta=1e-3, accountant="rdp"))
    assert cost > epsilon([twice], delta=1e-3)
    assert composed_cost([(0, ()), (1, ())], 1e-3) is None
    assert composed_cost([(fold, (run,) * 5000) for fold in (0, 1)], 1e-3) is None


def test_the_record_survives_being_written(study, make_cell):
    result = summarised(study, [make_cell("base", 8.0, fold=fold, **HALF) for fold in (0, 1)])
    assert type(result).from_json(result.to_json()) == result
    assert "p-0000" not in result.to_json()  # no patient
