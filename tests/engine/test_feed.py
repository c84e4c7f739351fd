"""Patients come in the order of their steps, fetched ahead and never more than allowed, whoever fetches them."""

import threading
import time

import pytest

from dpmed.engine.feed import Feed

STEPS = {0: ("a", "b"), 1: (), 2: ("b",), 3: ("c", "a", "d")}


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("ahead", [1, 2, 20])
def test_every_step_gets_its_patients_in_order(workers, ahead):
    with Feed(STEPS.get, lambda *both: both, steps=range(4), workers=workers, ahead=ahead) as feed:
        for step, patients in STEPS.items():
            assert list(feed.step(step)) == [(patient, step) for patient in patients]


def test_a_run_that_goes_on_starts_with_its_own_step():
    with Feed(STEPS.get, lambda *both: both, steps=range(2, 4), workers=2, ahead=4) as feed:
        assert list(feed.step(2)) == [("b", 2)]


def test_no_more_patients_are_held_than_allowed():
    fetched = []
    with Feed(STEPS.get, lambda *both: fetched.append(both), steps=range(4), workers=2, ahead=2) as feed:
        next(feed.step(0))
    assert len(fetched) <= 3


def test_the_next_step_is_fetched_while_this_one_ends():
    fetched = threading.Event()
    with Feed(STEPS.get, lambda _, step: step == 2 and fetched.set(), steps=range(4), workers=1, ahead=3) as feed:
        list(feed.step(0))
        assert fetched.wait(10)


def test_who_cannot_be_fetched_stops_the_step_that_needs_them():
    def fetch(patient, step):
        if patient == "c":
            raise OSError("gone")
        return patient

    with Feed(STEPS.get, fetch, steps=range(4), workers=2, ahead=20) as feed:
        assert list(feed.step(0)) == ["a", "b"] and list(feed.step(2)) == ["b"]
        with pytest.raises(OSError, match="gone"):
            list(feed.step(3))


def test_time_spent_waiting_is_counted_and_time_spent_computing_is_not():
    slow = Feed({0: ("a",)}.get, lambda *_: time.sleep(0.05), steps=range(1), workers=0, ahead=1)
    list(slow.step(0))
    assert slow.waited >= 0.05
    with Feed({0: ("a", "b")}.get, lambda *both: both, steps=range(1), workers=1, ahead=2) as quick:
        for _ in quick.step(0):
            waited = quick.waited
            time.sleep(0.05)
    assert quick.waited - waited < 0.05
