"""The order of clip, accumulation and update, and which of a model's two copies knows what."""

import numpy as np
import pytest
import torch
from torch import nn


def test_probes_with_one_micro_batch_an_update_are_the_textbook(design_p, patients, textbook, apart):
    made = design_p()
    made.run(*patients)
    made.run.copyWeightsToHost()
    assert apart(made.model, textbook(patients)) < 1e-6


def test_accumulation_clips_the_sum_and_is_not_the_textbook(design_p, patients, textbook, apart):
    made = design_p(accumulation=6)
    made.run(*patients)
    assert apart(made.model, textbook(patients)) > 0.1
    norm = torch.sqrt(sum((probe**2).sum() for probe in made.model.parameters()))
    assert norm <= 0.5 + 1e-6


def test_replicas_reduce_before_the_clip(poptorch, design_p, patients, textbook, apart):
    made = design_p(patients=3, change=lambda options: options.replicationFactor(2))
    made.run(*patients)
    assert apart(made.model, textbook(patients)) > 0.01


def test_accumulation_takes_the_mean_unless_told_to_sum(poptorch, design_p, patients, apart):
    found = {}
    for kind in poptorch.ReductionType.Mean, poptorch.ReductionType.Sum:

        def change(options, kind=kind):
            options.Training.accumulationAndReplicationReductionType(kind)

        made = design_p(accumulation=6, clip=None, change=change)
        made.run(*patients)
        found[kind.name] = [probe.detach().clone() for probe in made.model.parameters()]
    for number, mean in enumerate(found["Mean"]):
        assert torch.allclose(mean * 6, found["Sum"][number], atol=1e-6)


def test_many_copies_of_one_patient_give_as_many_clips(design_p, patients):
    made = design_p(clip=1e-3)
    made.run(*(tensor[:1].expand(6, *tensor.shape[1:]) for tensor in patients))
    norm = torch.sqrt(sum((probe.detach() ** 2).sum() for probe in made.model.parameters()))
    assert float(norm) == pytest.approx(6e-3, rel=1e-5)


def test_loss_scaling_is_in_the_gradient_that_is_clipped(design_p, patients, textbook, apart):
    made = design_p(clip=0.5, loss_scaling=8.0)
    made.run(*patients)
    assert apart(made.model, textbook(patients, clip=0.5 / 8)) < 1e-6


def test_a_call_goes_on_from_the_weights_of_the_last(design_p, patients, textbook, apart):
    made = design_p()
    for _ in range(2):
        made.run(*patients)
    assert apart(made.model, [2 * tensor for tensor in textbook(patients)]) < 1e-6


def test_a_model_without_an_optimizer_trains_with_sgd(poptorch, patients, probes, textbook, apart):
    options = poptorch.Options().useIpuModel(True).deviceIterations(6)
    run = poptorch.trainingModel(probes, options)
    run(*patients)
    assert apart(probes, [0.01 * tensor for tensor in textbook(patients, clip=1e9)]) < 1e-6


def test_trained_weights_are_pulled_when_any_is_touched(design_p, patients):
    made = design_p()
    memory = np.asarray(made.model.probe_a.detach())
    made.run(*patients)
    assert not memory.any()
    assert made.run.copyWeightsToHostIfNeeded()
    assert memory.any()
    assert not made.run.copyWeightsToHostIfNeeded()


@pytest.mark.parametrize(
    "touch",
    [
        lambda model: model.probe_a.shape,
        lambda model: model.frozen_a.sum(),
        lambda model: model.state_dict(),
        lambda model: torch.equal(*[model._parameters["probe_a"]] * 2),
    ],
)
def test_every_way_to_touch_pulls(design_p, patients, touch):
    made = design_p()
    memory = np.asarray(made.model.probe_a.detach())
    made.run(*patients)
    touch(made.model)
    assert memory.any()


def test_what_the_host_writes_stays_there_until_copied(design_p, patients, textbook, apart):
    made = design_p()
    made.run(*patients)
    with torch.no_grad():
        for probe in made.model.parameters():
            probe.zero_()
    made.run(*patients)
    assert apart(made.model, [2 * tensor for tensor in textbook(patients)]) < 1e-6
    with torch.no_grad():
        for probe in made.model.parameters():
            probe.zero_()
    made.run.copyWeightsToDevice()
    made.run(*patients)
    assert apart(made.model, textbook(patients)) < 1e-6


def test_copying_to_the_device_forgets_what_was_trained(design_p, patients):
    made = design_p()
    made.run(*patients)
    made.run.copyWeightsToDevice()
    made.run.copyWeightsToHost()
    assert not any(probe.any() for probe in made.model.parameters())


def test_copying_to_the_host_overwrites_what_the_host_wrote(design_p, patients):
    made = design_p()
    made.run(*patients)
    before = made.model.frozen_a.clone()
    with torch.no_grad():
        made.model.frozen_a.zero_()
    made.run.copyWeightsToHost()
    assert torch.equal(made.model.frozen_a, before)


def test_load_state_dict_reaches_the_device(design_p, patients, textbook, apart):
    made = design_p()
    start = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    made.run(*patients)
    made.run.load_state_dict(start)
    made.run(*patients)
    assert apart(made.model, textbook(patients)) < 1e-6


def test_destroy_pulls_and_unwraps(poptorch, design_p, patients, textbook, apart):
    made = design_p()
    made.run(*patients)
    with pytest.raises(RuntimeError, match="already been wrapped"):
        poptorch.trainingModel(made.model)
    made.run.destroy()
    assert type(made.model).__name__ == "Probes"
    assert all(type(probe) is nn.Parameter for probe in made.model.parameters())
    assert apart(made.model, textbook(patients)) < 1e-6
    assert not made.run.isCompiled()
    poptorch.trainingModel(made.model)


def test_weights_at_one_address_are_refused(poptorch):
    class Twins(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Parameter(torch.zeros(3))
            self.two = nn.Parameter(self.one.data)

        def forward(self, scan):
            return poptorch.identity_loss(scan * self.one * self.two, "sum")

    run = poptorch.trainingModel(Twins(), poptorch.Options().useIpuModel(True))
    with pytest.raises(poptorch.Error, match="same address"):
        run(torch.ones(1, 3))


def test_a_new_optimizer_acts_from_the_next_call(poptorch, design_p, patients, textbook, apart):
    made = design_p()
    made.run(*patients)
    made.run.setOptimizer(poptorch.optim.SGD(made.model.parameters(), lr=3.0, max_grad_norm=0.5))
    made.run(*patients)
    assert apart(made.model, [4 * tensor for tensor in textbook(patients)]) < 1e-6


def test_every_iteration_updates(poptorch, design_p, patients):
    made = design_p(change=lambda options: options.anchorTensor("probe", "UpdatedVar___probe_b"), mode="All")
    made.run(*patients)
    after = made.run.getAnchoredTensor("probe").reshape(6, 4)
    steps = after - torch.cat([torch.zeros(1, 4), after[:-1]])
    assert [bool(step.any()) for step in steps] == [bool(weight) for weight in patients[2]]


def test_an_optimizer_never_steps_in_torch(design_p, patients, monkeypatch):
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *args, **kwargs: pytest.fail("torch took a step"))
    made = design_p()
    made.run(*patients)
    assert made.model.probe_a.any()


def test_half_precision_rounds_what_float_keeps(poptorch, patients, probes, textbook, apart):
    model = probes.half()
    options = poptorch.Options().useIpuModel(True).deviceIterations(6)
    run = poptorch.trainingModel(model, options, poptorch.optim.SGD(model.parameters(), lr=1.0, max_grad_norm=0.5))
    scans, labels, real = patients
    run(scans.half(), labels, real.half())
    assert model.probe_a.dtype == torch.float16
    assert 1e-6 < apart(model, textbook(patients)) < 1e-2


@pytest.mark.parametrize(("size", "clip", "moves"), [(1e-4, 5e-5, 1e-4), (100.0, 1.0, 1.0), (300.0, 1.0, 0.0)])
def test_a_clip_of_half_gradients_is_computed_in_half(poptorch, size, clip, moves):
    """The square of 1e-4 is nought in half, so it is not clipped; that of 300 is infinite, so nothing is left of it."""

    class Given(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1).half())

        def forward(self, gradient):
            return poptorch.identity_loss((self.weight * gradient).float(), "sum")

    model = Given()
    optimizer = poptorch.optim.SGD(model.parameters(), lr=1.0, max_grad_norm=clip)
    run = poptorch.trainingModel(model, poptorch.Options().useIpuModel(True), optimizer)
    run(torch.tensor([size]).half())
    assert -model.weight.item() == pytest.approx(moves, rel=1e-2)


def test_frozen_weights_never_move(design_p, patients):
    made = design_p()
    before = [frozen.clone() for frozen in made.model.buffers()]
    made.run(*patients)
    assert all(map(torch.equal, made.model.buffers(), before))
