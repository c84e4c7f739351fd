"""Whatever befalls a run, it never forgets what it paid: its epsilon is the truth or above, and it can go on.

`DPMED_KILLS=200 pytest tests/engine/test_kills.py` has two hundred accidents; twenty is the default.
"""

import dataclasses
import json
import os
import random
from pathlib import Path

import pytest

from dpmed.cli.main import main
from dpmed.core.folders import DatasetFolder, RunFolder
from dpmed.engine import TrainRequest, train
from dpmed.privacy.accounting import epsilon
from dpmed.privacy.budget import Budget
from dpmed.privacy.ledger import Ledger
from dpmed.privacy.mechanisms import MechanismRun
from tests.engine.accidents import befall

ACCIDENTS = int(os.environ.get("DPMED_KILLS", "20"))
KINDS = ("killed", "killed at a write", "killed in a line", "disk full")
STEPS, NOISE = 16, 4.0


@pytest.mark.slow
def test_after_every_accident_the_account_is_the_truth_or_above(tiny_request, tmp_path, capsys):
    dice = random.Random(7)
    run, number = _next(tiny_request, tmp_path, 0, saves=True), 0
    released = 0
    for accident in range(ACCIDENTS):
        kind = KINDS[accident % len(KINDS)]
        # A full disk would stop at the checkpoint, which is larger than the ledger: there it is left for the end.
        befall(kind, _saving(run, kind != "disk full"), _witness(run), dice)
        _judge(run, _count(run), capsys)
        assert _lifetime(run) >= released + _count(run)
        if run.run.model.exists():
            released += _finish(run, capsys)
            number += 1
            run = _next(tiny_request, tmp_path, number, saves=True)
    _train(run)
    released += _finish(run, capsys)
    assert _lifetime(run) == STEPS * (number + 1) >= released


def _judge(request: TrainRequest, released: int, capsys: pytest.CaptureFixture) -> None:
    """The ledger covers all updates; verifying passes, or says which file is damaged and how to go on."""
    if not request.run.ledger.exists():
        assert released == 0
        return
    code = main(["epsilon", str(request.run.root), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert code == 0 and answer["epsilon"] >= epsilon(_steps(released), delta=answer["delta"])
    assert main(["epsilon", "--data", str(request.data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epsilon"] >= answer["epsilon"] - 1e-3
    code = main(["epsilon", str(request.run.root), "--verify", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["verified"] is True if code == 0 else (code, bool(answer["hint"])) == (8, True)


def _finish(request: TrainRequest, capsys: pytest.CaptureFixture) -> int:
    """A run that has its model is whole, verified, and may be resumed to no effect; returns what it released."""
    _train(request)
    assert len(Ledger(request.run.ledger).entries) == STEPS
    assert main(["epsilon", str(request.run.root), "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"] is True
    return _count(request)


def _next(request: TrainRequest, folder: Path, number: int, *, saves: bool) -> TrainRequest:
    privacy = request.recipe.privacy.model_copy(update={"steps": STEPS, "noise_multiplier": NOISE})
    recipe = request.recipe.model_copy(update={"privacy": privacy})
    run = RunFolder(folder / f"run-{number}")
    return _saving(dataclasses.replace(request, recipe=recipe, run=run, resume=True), saves)


def _saving(request: TrainRequest, each_step: bool) -> TrainRequest:
    changes = {"engine": "nano", "checkpoint_seconds": 0.0 if each_step else 1e9}
    hardware = request.recipe.hardware.model_copy(update=changes)
    return dataclasses.replace(request, recipe=request.recipe.model_copy(update={"hardware": hardware}))


def _steps(count: int) -> list[MechanismRun]:
    return [MechanismRun(sample_rate=0.5, noise_multiplier=NOISE, steps=count)] if count else []


def _lifetime(request: TrainRequest) -> int:
    return sum(part.steps for part in Budget(DatasetFolder(request.data)).lifetime())


def _witness(request: TrainRequest) -> Path:
    return request.run.root.with_suffix(".witness")


def _count(request: TrainRequest) -> int:
    return _witness(request).stat().st_size if _witness(request).exists() else 0


def _train(request: TrainRequest) -> None:
    for _ in train(request):
        pass
