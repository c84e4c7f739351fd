"""What a recipe leaves out is chosen by rule, from public numbers alone, and can be overridden key by key."""

import dataclasses

import pytest

from dpmed.core.recipe import load_recipe
from dpmed.engine import estimate
from dpmed.engine.prepare import prepare
from dpmed.engine.rules import batch_of, by_rule, draws_of, rate_share, steps_of

BY_RULE = "privacy.plan=by rule"
SIZES = [1, 10, 30, 100, 300, 999, 1000, 1001, 10_000, 100_000]
KEYS = ("privacy.expected_batch_size", "privacy.steps", "optimizer.learning_rate", "data.draws_per_patient")


def test_the_batch_grows_with_the_cohort_and_never_passes_it() -> None:
    batches = [batch_of(size) for size in SIZES]
    assert batches == sorted(batches)
    assert all(1 <= batch <= size for batch, size in zip(batches, SIZES, strict=True))
    assert [batch_of(size) for size in (10, 100, 10_000)] == [5, 50, 1581]
    assert all(4 * batch_of(size, bands=4) <= size for size in SIZES if size >= 4)


def test_steps_grow_with_epsilon_and_patients_between_their_limits() -> None:
    for size in SIZES:
        steps = [steps_of(epsilon, size) for epsilon in (0.1, 1, 3, 8, 20)]
        assert steps == sorted(steps) and all(20 <= count <= 500 for count in steps)
    assert [steps_of(8, size) for size in (10, 100, 300, 10_000)] == [20, 40, 120, 500]


def test_the_walk_of_the_weights_grows_with_the_budget() -> None:
    """Learning rate times steps."""
    walks = [steps_of(epsilon, size) * rate_share(epsilon, size) for size in SIZES for epsilon in (1, 8)]
    budgets = [epsilon * size for size in SIZES for epsilon in (1, 8)]
    ordered = [walk for _, walk in sorted(zip(budgets, walks, strict=True))]
    assert ordered == sorted(ordered)
    assert rate_share(8, 300) == 1.0 and rate_share(1, 10) < 0.1


def test_few_patients_are_seen_in_more_views() -> None:
    assert [draws_of(size) for size in (10, 300, 10_000)] == [8, 4, 2]


def test_the_usual_cohort_gets_the_steps_and_rate_of_the_shipped_recipe() -> None:
    shipped, (ruled, why) = load_recipe("covid-ct"), by_rule(load_recipe("covid-ct", settings=[BY_RULE]), patients=300)
    assert ruled.privacy.steps == shipped.privacy.steps
    assert ruled.optimizer.learning_rate == shipped.optimizer.learning_rate
    assert ruled.data.draws_per_patient == shipped.data.draws_per_patient
    assert ruled.privacy.expected_batch_size == 150
    assert set(why) == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_every_part_can_be_overridden(key: str) -> None:
    for settings in ([BY_RULE, f"{key}=3"], [f"{key}=3", BY_RULE]):
        ruled, why = by_rule(load_recipe("covid-ct", settings=settings), patients=300)
        table, _, name = key.partition(".")
        assert getattr(getattr(ruled, table), name) == 3
        assert key not in why and len(why) == 3


def test_a_recipe_as_written_is_left_alone() -> None:
    recipe = load_recipe("covid-ct")
    assert by_rule(recipe, patients=10) == (recipe, {})


def test_what_was_chosen_is_in_the_run_and_told(tiny_request) -> None:
    recipe = tiny_request.recipe
    left_out = recipe.privacy.model_dump(exclude={"expected_batch_size", "steps"}) | {"plan": "by rule"}
    recipe = recipe.model_copy(update={"privacy": type(recipe.privacy).model_validate(left_out)})
    request = dataclasses.replace(tiny_request, recipe=recipe)
    prepared = prepare(request)
    assert (prepared.recipe.privacy.expected_batch_size, prepared.recipe.privacy.steps) == (6, 20)
    assert prepared.plan.spec.steps == 20
    assert type(prepared.recipe).from_json(prepared.recipe.to_json()) == prepared.recipe
    assert set(estimate(request).chosen) == {"privacy.expected_batch_size", "privacy.steps"}
