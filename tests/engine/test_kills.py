"""Killed at random moments, a run never forgets what it paid and never pays for what it does not write down."""

import dataclasses
import multiprocessing
import random
import time

from dpmed.core.folders import DatasetFolder
from dpmed.engine import train
from dpmed.engine.checkpoint import load_checkpoint
from dpmed.privacy.budget import Budget
from dpmed.privacy.ledger import Ledger

KILLS = 20


def _train(request) -> None:
    for _ in train(request):
        pass


def test_twenty_kills_never_lower_epsilon_and_leave_no_step_unpaid(tiny_request):
    privacy = tiny_request.recipe.privacy.model_copy(update={"steps": 200})
    recipe = tiny_request.recipe.model_copy(update={"privacy": privacy})
    request = dataclasses.replace(tiny_request, recipe=recipe, resume=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dpmed.engine"])
    moments = random.Random(7)
    paid = [0]
    for _ in range(KILLS):
        child = context.Process(target=_train, args=(request,))
        child.start()
        _wait_for_a_step(child, request, paid[-1])
        time.sleep(moments.uniform(0, 0.25))
        child.kill()
        child.join()
        ledger = Ledger(request.run.ledger)
        checkpoint = load_checkpoint(request.run.state)
        assert len(ledger.entries) >= paid[-1]
        assert checkpoint is None or ledger.holds(checkpoint.ledger_head)
        assert Budget(DatasetFolder(request.data)).lifetime()[0].steps == 200  # charged in full until it settles
        paid.append(len(ledger.entries))
    assert paid[-1] > 0
    _train(request)
    assert len(Ledger(request.run.ledger).entries) == 200
    assert request.run.model.exists()


def _wait_for_a_step(child, request, before: int) -> None:
    """Until the child has begun to pay: a kill before that tests nothing."""
    while child.is_alive() and _lines(request) <= before:
        time.sleep(0.005)


def _lines(request) -> int:
    return request.run.ledger.read_bytes().count(b"\n") if request.run.ledger.exists() else 0
