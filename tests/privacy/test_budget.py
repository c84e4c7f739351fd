"""A dataset's lifetime budget is shared by all runs, and two processes cannot both spend the last of it."""

import multiprocessing

import pytest

from dpmed.core.chain import Chain
from dpmed.core.errors import BudgetError, MismatchError
from dpmed.core.folders import DatasetFolder
from dpmed.privacy.accounting import epsilon
from dpmed.privacy.budget import Budget
from dpmed.privacy.mechanisms import MechanismRun

RUN = MechanismRun(sample_rate=0.2, noise_multiplier=2.0, steps=100)
DELTA = 1e-4


@pytest.fixture
def budget(tmp_path):
    return Budget(DatasetFolder(tmp_path))


def test_a_reserved_run_is_charged_in_full_until_it_settles(budget):
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    assert budget.lifetime() == (RUN,)
    budget.settle("one", steps=40)
    assert budget.lifetime() == (RUN.model_copy(update={"steps": 40}),)


def test_a_resumed_run_is_charged_once(budget):
    for _ in range(3):
        budget.reserve("one", [RUN], delta=DELTA, private=True)
        budget.settle("one", steps=100)
    assert budget.lifetime() == (RUN,)


def test_a_run_that_would_pass_the_limit_does_not_start_and_hears_what_it_could_afford(budget):
    both = epsilon([RUN, RUN], delta=DELTA)
    budget.set_limit(both - 0.1, DELTA)
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    with pytest.raises(BudgetError, match="is spent") as caught:
        budget.reserve("two", [RUN], delta=DELTA, private=True)
    fewer, noisier = caught.value.hint.split(", or ")
    steps, noise = int(fewer.split("--steps ")[1].split()[0]), float(noisier.split("noise_multiplier=")[1])
    assert 80 < steps < 100 and 2 < noise < 2.5
    for other in ({"steps": steps}, {"noise_multiplier": noise}):
        assert epsilon([RUN, RUN.model_copy(update=other)], delta=DELTA) <= both - 0.1
    budget.reserve("two", [RUN.model_copy(update={"steps": steps})], delta=DELTA, private=True)
    assert epsilon(budget.lifetime(), delta=DELTA) <= both - 0.1


def test_a_run_hears_when_nothing_is_left(budget):
    budget.set_limit(epsilon([RUN], delta=DELTA), DELTA)
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    with pytest.raises(BudgetError) as caught:
        budget.reserve("two", [RUN.model_copy(update={"noise_multiplier": 0.5})], delta=DELTA, private=True)
    assert "nothing is left" in caught.value.hint


def test_a_limit_below_what_is_spent_is_refused(budget):
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    with pytest.raises(BudgetError, match="already spent"):
        budget.set_limit(0.1, DELTA)
    assert budget.limit is None


def test_a_run_without_noise_voids_the_lifetime_account(budget):
    assert not budget.is_void
    budget.reserve("plain", [], delta=DELTA, private=False)
    assert budget.is_void


@pytest.fixture
def later(tmp_path):
    """A dataset made of the same patients and some more."""
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "manifest.json").write_text('{"later": true}')
    return Budget(DatasetFolder(tmp_path / "later"))


def test_a_later_dataset_of_the_same_patients_goes_on_with_what_was_spent(budget, later):
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    budget.settle("one", steps=40)
    for _ in range(2):
        later.inherit(budget)
        assert later.lifetime() == (RUN.model_copy(update={"steps": 40}),)
    later.reserve("two", [RUN], delta=DELTA, private=True)
    assert len(later.lifetime()) == 2
    with pytest.raises(BudgetError, match="goes on in another"):
        budget.reserve("three", [RUN], delta=DELTA, private=True)


def test_a_run_that_has_not_ended_is_taken_over_in_full_and_may_end(budget, later):
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    later.inherit(budget)
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    budget.settle("one", steps=7)
    assert later.lifetime() == (RUN,)


def test_an_account_goes_to_one_dataset_alone(budget, later, tmp_path):
    budget.reserve("plain", [], delta=DELTA, private=False)
    later.inherit(budget)
    assert later.is_void
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "manifest.json").write_text('{"third": true}')
    with pytest.raises(BudgetError, match="already"):
        Budget(DatasetFolder(tmp_path / "third")).inherit(budget)


def test_a_stop_between_closing_and_taking_over_loses_nothing(budget, later, monkeypatch):
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    real = Chain.append

    def append(chain, record):
        if record["kind"] == "inherit":
            raise KeyboardInterrupt
        return real(chain, record)

    monkeypatch.setattr(Chain, "append", append)
    with pytest.raises(KeyboardInterrupt):
        later.inherit(budget)
    with pytest.raises(BudgetError):
        budget.reserve("two", [RUN], delta=DELTA, private=True)
    monkeypatch.undo()
    later.inherit(budget)
    assert later.lifetime() == (RUN,)


def test_what_would_pass_the_limit_is_not_taken_over(budget, later):
    later.set_limit(0.1, DELTA)
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    with pytest.raises(BudgetError):
        later.inherit(budget)
    budget.reserve("two", [RUN], delta=DELTA, private=True)


def test_an_edited_budget_is_noticed(budget, tmp_path):
    budget.reserve("one", [RUN], delta=DELTA, private=True)
    budget.settle("one", steps=100)
    path = tmp_path / "budget.jsonl"
    path.write_text(path.read_text().replace('"steps":100', '"steps":1'))
    with pytest.raises(MismatchError, match="damaged"):
        budget.lifetime()


def test_a_budget_of_another_format_is_refused_by_name(budget, tmp_path):
    Chain(tmp_path / "budget.jsonl").append({"kind": "reserve", "run": "one", "private": True})
    with pytest.raises(MismatchError, match="not a budget of this version"):
        budget.lifetime()


def _try_to_reserve(folder, name, results):
    try:
        Budget(DatasetFolder(folder)).reserve(name, [RUN], delta=DELTA, private=True)
        results.put(name)
    except BudgetError:
        results.put(None)


def test_two_processes_cannot_both_spend_the_last_of_it(budget, tmp_path):
    budget.set_limit(epsilon([RUN], delta=DELTA) + 0.01, DELTA)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=_try_to_reserve, args=(tmp_path, name, results)) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    outcomes = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(outcome is None for outcome in outcomes) == [False, True]
    assert budget.lifetime() == (RUN,)
