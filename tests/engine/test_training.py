"""A run from end to end on a tiny dataset: what it writes, what it refuses, and that it is plain SGD underneath."""

import dataclasses
import json

import pytest
import torch

from dpmed.backends.conformance import plain_gradient
from dpmed.core.errors import ConfigError, InterruptedRun, MismatchError
from dpmed.core.folders import RELEASE_FILES, RunFolder
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Statement
from dpmed.engine import TrainDone, estimate, train
from dpmed.engine.checkpoint import load_tensors
from dpmed.engine.optimizer import learning_rate
from dpmed.engine.prepare import prepare
from dpmed.engine.train import initial_weights
from dpmed.models import build
from dpmed.privacy.accounting import epsilon
from dpmed.privacy.ledger import Ledger
from dpmed.privacy.mechanisms import MechanismRun, mechanism_runs


def _changed(request, **sections):
    recipe = request.recipe
    for section, values in sections.items():
        recipe = recipe.model_copy(update={section: getattr(recipe, section).model_copy(update=values)})
    return dataclasses.replace(request, recipe=recipe)


def _finish(request) -> TrainDone:
    *_, done = train(request)
    return done


def test_release_holds_nothing_but_what_may_leave(tiny_request):
    _finish(tiny_request)
    assert {path.name for path in tiny_request.run.release.iterdir()} <= RELEASE_FILES


def test_a_run_spends_what_was_planned_and_says_so(tiny_request):
    request = _changed(tiny_request, privacy={"epsilon": 8.0, "noise_multiplier": None})
    done = _finish(request)
    assert done.statement.valid
    assert done.statement.epsilon == pytest.approx(8.0, abs=1e-3) and done.statement.epsilon <= 8.0
    assert len(Ledger(tiny_request.run.ledger).entries) == 8
    assert Statement.from_json(tiny_request.run.statement.read_text()) == done.statement


def test_without_noise_and_clip_training_is_plain_pytorch_step_for_step(tiny_request):
    request = dataclasses.replace(
        _changed(
            tiny_request,
            privacy={"expected_batch_size": 12, "steps": 4},
            optimizer={"ema_decay": 0.0, "learning_rate": 0.05},
            hardware={"precision": "float64"},
        ),
        private=False,
    )
    _finish(request)
    prepared = prepare(request)
    model = build(prepared.model).double()
    model.load_state_dict(initial_weights(request, prepared))
    plain = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step in range(4):  # a rate of 12/12 draws every patient in every step
        patients = [prepared.data.fetch(name, step=step) for name in prepared.data.patients]
        doubled = [dataclasses.replace(p, inputs=p.inputs.double(), targets=p.targets.double()) for p in patients]
        grads = [plain_gradient(model, prepared.data.task, patient) for patient in doubled]
        plain.param_groups[0]["lr"] = learning_rate(request.recipe.optimizer, step, 4)
        for name, weight in model.named_parameters():
            weight.grad = sum(grad[name] for grad in grads) / 12
        plain.step()
    released, _ = load_tensors(request.run.model)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(released[name], weight.float(), rtol=1e-6, atol=1e-7)


def test_the_loss_of_the_recipe_is_what_is_trained_and_told(tiny_request, tmp_path):
    """Without noise, a loss twice as large moves the weights as twice the learning rate does."""
    weights = []
    for name, loss, rate in (("loss", 2.0, 0.05), ("rate", 1.0, 0.1)):
        request = _changed(tiny_request, loss={"cross_entropy": loss}, optimizer={"learning_rate": rate})
        request = _changed(request, privacy={"expected_batch_size": 12, "steps": 2}, hardware={"precision": "float64"})
        request = dataclasses.replace(request, private=False, run=RunFolder(tmp_path / name))
        _finish(request)
        assert RunConfig.load(request.run).task.loss.cross_entropy == loss
        weights.append(load_tensors(request.run.model)[0])
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=1e-6, atol=1e-7)


def test_a_non_private_run_promises_nothing(tiny_request):
    done = _finish(dataclasses.replace(tiny_request, private=False))
    assert not done.statement.valid and done.statement.epsilon is None
    assert {entry.mechanism for entry in Ledger(tiny_request.run.ledger).entries} == {"none"}


def test_two_runs_with_one_seed_have_different_noise(tiny_request, tmp_path):
    from dpmed.core.folders import RunFolder

    # A batch of all twelve draws every patient in every step: only the noise is left to tell the runs apart.
    one = _changed(tiny_request, privacy={"expected_batch_size": 12, "steps": 1})
    other = dataclasses.replace(one, run=RunFolder(tmp_path / "other"))
    weights = []
    for request in (one, other):
        _finish(request)
        weights.append(load_tensors(request.run.model)[0])
    assert all(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_demo_seed_repeats_bit_for_bit_and_is_invalid(tiny_request, tmp_path):
    from dpmed.core.folders import RunFolder

    weights = []
    for name in ("one", "two"):
        request = dataclasses.replace(tiny_request, run=RunFolder(tmp_path / name), demo_seed=3)
        assert not _finish(request).statement.valid
        weights.append(load_tensors(request.run.model)[0])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_stopped_run_resumes_and_ends_at_the_planned_epsilon(tiny_request):
    seen = []

    def stop_after_three() -> bool:
        return len(seen) >= 3

    with pytest.raises(InterruptedRun, match="step 3 of 8"):
        for event in train(tiny_request, should_stop=stop_after_three):
            if type(event).__name__ == "StepDone":
                seen.append(event.step)
    assert not tiny_request.run.model.exists()
    done = _finish(dataclasses.replace(tiny_request, resume=True))
    assert done.steps == 8
    assert done.statement.epsilon == epsilon(mechanism_runs(Ledger(tiny_request.run.ledger).entries), delta=1e-2)


def test_a_run_folder_is_not_overwritten(tiny_request):
    _finish(tiny_request)
    with pytest.raises(ConfigError, match="already holds a run"):
        _finish(tiny_request)


def test_resume_with_another_recipe_is_refused(tiny_request):
    _finish(tiny_request)
    other = _changed(dataclasses.replace(tiny_request, resume=True), privacy={"clip_norm": 2.0})
    with pytest.raises(MismatchError, match="another"):
        _finish(other)


def test_resume_on_changed_patients_is_refused(tiny_request):
    _finish(tiny_request)
    path = tiny_request.data / "manifest.json"
    content = json.loads(path.read_text())
    for case in content["cases"][:2]:
        case["label"] = 1 - case["label"]
    path.write_text(json.dumps(content))
    with pytest.raises(MismatchError, match="dataset has changed"):
        _finish(dataclasses.replace(tiny_request, resume=True))


def test_a_ledger_cut_short_is_noticed_on_resume(tiny_request):
    _finish(tiny_request)
    lines = tiny_request.run.ledger.read_text().splitlines(keepends=True)
    tiny_request.run.ledger.write_text("".join(lines[:-2]))
    with pytest.raises(MismatchError, match="ledger"):
        _finish(dataclasses.replace(tiny_request, resume=True))


def test_a_batch_larger_than_the_dataset_is_refused_with_a_cure(tiny_request):
    with pytest.raises(ConfigError, match="12 training patients") as caught:
        _finish(_changed(tiny_request, privacy={"expected_batch_size": 13}))
    assert "--set privacy.expected_batch_size=6" in caught.value.hint


def test_dry_run_tells_the_cost_and_writes_nothing(tiny_request):
    before = sorted(tiny_request.data.rglob("*"))
    told = estimate(tiny_request)
    assert told.epsilon > 0 and told.seconds > 0 and told.parameters > 1000
    assert not tiny_request.run.root.exists()
    assert sorted(tiny_request.data.rglob("*")) == before


def test_init_starts_from_the_given_weights(tiny_request, tmp_path):
    from dpmed.core.folders import RunFolder

    _finish(tiny_request)
    request = dataclasses.replace(tiny_request, run=RunFolder(tmp_path / "second"), init=tiny_request.run.model)
    start = initial_weights(request, prepare(request))
    given, _ = load_tensors(tiny_request.run.model)
    assert all(torch.equal(start[name], given[name]) for name in given)
    _finish(request)
    assert RunConfig.load(request.run).init_sha256


def test_no_generator_state_is_written(tiny_request):
    _finish(tiny_request)
    tensors, metadata = load_tensors(tiny_request.run.state / "checkpoint.safetensors")
    assert {name.split("/")[0] for name in tensors} == {"weights", "average", "optimizer"}
    assert metadata.keys() == {"ledger_head"}


def test_a_truncated_run_takes_no_more_patients_than_it_says_and_pays_for_it(tiny_request):
    sampling = {"sampling": "truncated-poisson", "truncate_at": 6, "noise_multiplier": 4.0}
    done = _finish(_changed(tiny_request, privacy=sampling))
    taken = [json.loads(line)["patients"] for line in tiny_request.run.metrics.read_text().splitlines()]
    assert len(taken) == 8 and max(taken) <= 6
    runs = mechanism_runs(Ledger(tiny_request.run.ledger).entries)
    assert (runs[0].truncate_at, runs[0].patients) == (6, 12)
    plain = [run.model_copy(update={"truncate_at": None, "patients": None}) for run in runs]
    assert done.statement.epsilon > epsilon(plain, delta=1e-2)
    assert "truncated Poisson" in done.statement.words and any("cut" in line for line in done.statement.assumptions)


def test_a_banded_run_stops_and_resumes_at_the_planned_epsilon_and_keeps_no_noise(tiny_request):
    banded = {"mechanism": "bandmf", "bands": 2, "noise_multiplier": 4.0}
    request, seen = _changed(tiny_request, privacy=banded), []
    with pytest.raises(InterruptedRun, match="step 3 of 8"):
        for event in train(request, should_stop=lambda: len(seen) >= 3):
            if type(event).__name__ == "StepDone":
                seen.append(event.step)
    tensors, _ = load_tensors(request.run.state / "checkpoint.safetensors")
    assert {name.split("/")[0] for name in tensors} == {"weights", "average", "optimizer"}
    done = _finish(dataclasses.replace(request, resume=True))
    entries = Ledger(request.run.ledger).entries
    assert {(entry.mechanism, entry.bands, entry.sample_rate) for entry in entries} == {("bandmf", 2, 1.0)}
    four = MechanismRun(sample_rate=1.0, noise_multiplier=4.0, steps=4)  # every second of eight steps
    assert done.statement.epsilon == epsilon([four], delta=1e-2)
    assert "cyclic Poisson" in done.statement.words and any("2 groups" in line for line in done.statement.assumptions)


def test_the_curator_can_read_for_each_step_which_engine_took_it_and_how_long_it_waited(tiny_request):
    request = _changed(tiny_request, hardware={"engine": "auto"})
    done = _finish(request)
    lines = [json.loads(line) for line in request.run.metrics.read_text().splitlines()]
    assert len(lines) == 8 and lines[-1]["engine"] == done.engine != "auto"
    assert all(0 <= line["waited_for_data"] <= line["seconds"] for line in lines)


def test_workers_never_change_what_is_trained(tiny_request, tmp_path):
    """Prefetching decides nothing: with fixed noise the weights are the same to the bit."""
    released = []
    for workers in (0, 3):
        request = _changed(tiny_request, hardware={"workers": workers, "engine": "nano"})
        request = dataclasses.replace(request, demo_seed=1, run=RunFolder(tmp_path / f"run-{workers}"))
        _finish(request)
        released.append(load_tensors(request.run.model)[0])
    assert all(torch.equal(value, released[1][name]) for name, value in released[0].items())
