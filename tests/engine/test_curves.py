"""Curves for TensorBoard: asked for, in `curator/`, whole after a resume, and never a condition of training."""

import dataclasses
import json
from importlib.util import find_spec

import pytest

from dpmed.cli.train import _resume_line
from dpmed.core.errors import ConfigError, InterruptedRun
from dpmed.core.events import StepDone
from dpmed.core.folders import RELEASE_FILES
from dpmed.engine import train

TENSORBOARD = pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs the extra tensorboard")
NAMES = {"loss", "patients", "clipped", "epsilon", "learning_rate", "seconds", "waited_for_data"}


def finish(request) -> None:
    for _ in train(request):
        pass


def read(request) -> dict[str, dict[int, float]]:
    """Every curve as TensorBoard reads it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(request.run.tensorboard))
    events.Reload()
    return {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}


@pytest.fixture
def asked(tiny_request):
    return dataclasses.replace(tiny_request, tensorboard=True)


@TENSORBOARD
@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")
def test_curves_show_what_the_metrics_say_and_stay_in_curator(asked) -> None:
    finish(asked)
    found = read(asked)
    assert set(found) == NAMES
    for line in map(json.loads, asked.run.metrics.read_text().splitlines()):
        for name in ("patients", "seconds", *(["loss"] if line["loss"] is not None else [])):
            assert found[name][line["step"]] == pytest.approx(line[name])
    epsilons = [found["epsilon"][step] for step in range(8)]
    assert epsilons == sorted(epsilons)
    assert {path.name for path in asked.run.release.iterdir()} <= RELEASE_FILES
    assert all(path.is_relative_to(asked.run.curator) for path in asked.run.root.rglob("*tfevents*"))


@TENSORBOARD
@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")
def test_a_resumed_run_goes_on_with_its_curves(asked) -> None:
    steps: list[object] = []
    with pytest.raises(InterruptedRun):
        for event in train(asked, should_stop=lambda: len(steps) >= 3):
            if isinstance(event, StepDone):
                steps.append(event)
    before = read(asked)["seconds"]
    assert 3 <= len(before) < 8
    finish(dataclasses.replace(asked, resume=True))
    after = read(asked)["seconds"]
    assert list(after) == list(range(8))
    assert before.items() <= after.items()


def test_nothing_is_drawn_unasked(tiny_request) -> None:
    finish(tiny_request)
    assert not tiny_request.run.tensorboard.exists()


def test_without_the_extra_nothing_is_trained_and_the_cure_is_said(asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpmed.engine.curves.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="not installed") as refusal:
        finish(asked)
    assert '".[tensorboard]"' in refusal.value.hint
    assert not asked.run.root.exists()


def test_the_line_to_go_on_with_asks_for_the_curves_again(asked) -> None:
    assert "--tensorboard" in _resume_line("covid-ct", [], asked)
