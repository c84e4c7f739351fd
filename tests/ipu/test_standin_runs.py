"""Outputs, machines and executables of the stand-in."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn


class Line(nn.Module):
    """A number times the input, in one block for each IPU asked for."""

    def __init__(self, poptorch, ipus):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.blocks = [poptorch.Block(f"part{ipu}", ipu_id=ipu) for ipu in ipus]
        self.mark = poptorch.identity_loss

    def forward(self, scan):
        made = scan * self.weight
        for block in self.blocks:
            with block:
                made = made + 0
        with self.blocks[-1] if self.blocks else nullcontext():
            return made, self.mark(made, "mean")


@pytest.fixture
def line(poptorch):
    def make(change=None, training=True, ipus=(), model=True):
        options = poptorch.Options()
        if model:
            options.useIpuModel(True)
        if change:
            change(options)
        line = Line(poptorch, ipus)
        if not training:
            return poptorch.inferenceModel(line, options)
        return poptorch.trainingModel(line, options, poptorch.optim.SGD(line.parameters(), lr=0.0))

    return make


SCANS = torch.arange(1.0, 9.0)
MODES = {
    "Default": ([7, 8], 7.5),
    "Final": ([7, 8], 7.5),
    "All": ([1, 2, 3, 4, 5, 6, 7, 8], [1.5, 3.5, 5.5, 7.5]),
    "Sum": ([16, 20], 18.0),
    "EveryN": ([3, 4, 7, 8], [3.5, 7.5]),
}


@pytest.mark.parametrize("mode", MODES)
def test_output_modes_and_their_shapes(poptorch, line, mode):
    def change(options):
        options.deviceIterations(4).outputMode(poptorch.OutputMode[mode], 2 if mode == "EveryN" else None)

    made, loss = line(change)(SCANS)
    assert (made.tolist(), loss.tolist()) == MODES[mode]


def test_inference_returns_all_by_default(line):
    assert line(lambda options: options.deviceIterations(4), training=False)(SCANS)[0].tolist() == SCANS.tolist()


def test_replicas_come_side_by_side(poptorch, line):
    def change(options):
        options.deviceIterations(2).replicationFactor(2).outputMode(poptorch.OutputMode.Sum)

    made, loss = line(change)(SCANS)
    assert (made.tolist(), loss.tolist()) == ([6, 8, 10, 12], [7, 11])


def test_a_sum_is_kept_in_the_tensors_own_type(poptorch, line):
    run = line(lambda options: options.deviceIterations(4).outputMode(poptorch.OutputMode.Sum), training=False)
    run.model.half()
    made, _ = run(torch.tensor([2048.0, 1.0, 1.0, 1.0]).half())
    assert made.tolist() == [2048.0]


def test_an_output_mode_for_one_anchor_is_dropped(poptorch, line):
    def change(options):
        options.deviceIterations(4).outputMode(poptorch.OutputMode.Sum)
        options.anchorTensor("gradient", "Gradient___weight", poptorch.OutputMode.All)

    run = line(change)
    run(SCANS)
    assert run.getAnchoredTensor("gradient").tolist() == [18.0]
    assert "Gradient___weight" in run.getTensorNames()


def test_a_machine_without_ipus_has_none(poptorch, line, monkeypatch):
    assert not poptorch.ipuHardwareIsAvailable()
    with pytest.raises(AssertionError, match="No IPU hardware"):
        poptorch.ipuHardwareVersion()
    with pytest.raises(poptorch.Error, match="Failed to acquire 1 IPU"):
        line(model=False)(SCANS)
    monkeypatch.setenv("DPMED_STANDIN_IPUS", "1")
    assert poptorch.ipuHardwareIsAvailable()
    assert not poptorch.ipuHardwareIsAvailable(2)
    assert poptorch.ipuHardwareVersion() == 2
    line(model=False)(SCANS)


def test_an_ipu_model_can_be_asked_for_by_the_environment(line, monkeypatch):
    monkeypatch.setenv("POPTORCH_IPU_MODEL", "1")
    line(model=False)(SCANS)


def test_several_ipus_are_a_pipeline_and_that_needs_accumulation(poptorch, line):
    with pytest.raises(poptorch.Error, match=r"gradientAccumulation must be .* \(3,"):
        line(ipus=(0, 1))(SCANS)
    with pytest.raises(poptorch.Error, match=r"deviceIterations must be .* \(2\)"):
        line(ipus=(0, 1), training=False)(SCANS)
    line(lambda options: options.Training.gradientAccumulation(4), ipus=(0, 1))(SCANS)


def test_shards_need_no_accumulation(poptorch, line):
    line(lambda options: options.setExecutionStrategy(poptorch.ShardedExecution()), ipus=(0, 1))(SCANS)


def test_an_operator_after_a_block_has_no_place(poptorch):
    class Shifted(nn.Module):
        def forward(self, scan):
            with poptorch.Block("part0", ipu_id=0):
                made = scan * 2
            return made + 1

    with pytest.raises(poptorch.Error, match="No active Block"):
        poptorch.inferenceModel(Shifted(), poptorch.Options().useIpuModel(True))(SCANS)


def test_a_strategy_knows_its_blocks(poptorch, line):
    strategy = poptorch.ShardedExecution(poptorch.Stage("part0").ipu(1), poptorch.Stage("other"))
    with pytest.raises(AssertionError, match="Unknown Block 'part1'"):
        line(lambda options: options.setExecutionStrategy(strategy), ipus=(0, 1))(SCANS)


def test_blocks_begin_at_layers(poptorch):
    layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for number, layer in enumerate(layers):
        poptorch.BeginBlock(layer, ipu_id=number)
    run = poptorch.inferenceModel(layers, poptorch.Options().useIpuModel(True))
    with pytest.raises(poptorch.Error, match="deviceIterations"):
        run(torch.ones(1, 2))
    poptorch.removeBlocks(layers)
    poptorch.inferenceModel(layers, poptorch.Options().useIpuModel(True))(torch.ones(1, 2))


@pytest.mark.parametrize(("ipus", "rounded"), [((0, 1, 2), False), ((0, 1, 2), True)])
def test_ipus_come_in_powers_of_two(poptorch, line, ipus, rounded):
    def change(options):
        options.setExecutionStrategy(poptorch.ShardedExecution()).autoRoundNumIPUs(rounded)

    if rounded:
        line(change, ipus=ipus)(SCANS)
        return
    with pytest.raises(poptorch.Error, match="3 IPUs"):
        line(change, ipus=ipus)(SCANS)


def test_one_process_has_64_ipus_at_most(poptorch, line):
    with pytest.raises(poptorch.Error, match="64"):
        line(lambda options: options.replicationFactor(128))(torch.ones(128))


def test_an_offline_target_compiles_and_never_runs(line, tmp_path):
    run = line(lambda options: options.useOfflineIpuTarget(2), model=False)
    run.compileAndExport(str(tmp_path / "line.poptorch"), SCANS)
    assert run.isCompiled()
    assert not run.isAttachedToDevice()
    with pytest.raises(AssertionError, match="offline device"):
        run(SCANS)


def test_an_offline_target_is_no_ipu_model(poptorch, line, monkeypatch):
    with pytest.raises(poptorch.Error, match="not supported for the IPU model"):
        line(lambda options: options.useOfflineIpuTarget(2)).compile(SCANS)
    monkeypatch.setenv("POPTORCH_IPU_MODEL", "1")
    with pytest.raises(poptorch.Error, match="not supported for the IPU model"):
        line(lambda options: options.useOfflineIpuTarget(2), model=False).compile(SCANS)
    line(lambda options: options.useIpuModel(False).useOfflineIpuTarget(2), model=False).compile(SCANS)


def test_an_executable_is_loaded_into_the_model_it_was_made_of(poptorch, line, tmp_path):
    kept = str(tmp_path / "line.poptorch")
    line().compileAndExport(kept, SCANS)
    again = line()
    again.loadExecutable(kept)
    assert again.isCompiled()
    assert again(SCANS)[1].item() == 4.5
    with pytest.raises(poptorch.Error, match="Invalid file"):
        line(lambda options: options.deviceIterations(2)).loadExecutable(kept)


def test_an_executable_is_cached_once_for_each_graph(line, tmp_path):
    for scans in (SCANS, SCANS, SCANS[:4]):
        line(lambda options: options.enableExecutableCaching(str(tmp_path)))(scans)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_device_is_let_go_and_taken_again(poptorch, line):
    run = line()
    with pytest.raises(poptorch.Error, match="not been compiled"):
        run.copyWeightsToHost()
    run(SCANS)
    assert run.isAttachedToDevice()
    run.detachFromDevice()
    assert not run.isAttachedToDevice()
    run(SCANS)
    run.destroy()
    assert not run.isCompiled()


def test_popart_is_told_only_what_it_knows(poptorch, line):
    line(lambda options: options._Popart.set("autoRecomputation", 1))(SCANS)
    with pytest.raises(poptorch.Error, match="Unknown option autoRecompute"):
        line(lambda options: options._Popart.set("autoRecompute", 1))(SCANS)
    with pytest.raises(poptorch.Error, match="BOOL is wanted"):
        line(lambda options: options._Popart.set("enableOutlining", "yes"))(SCANS)
    with pytest.raises(NotImplementedError, match="changes numbers"):
        line(lambda options: options._Popart.set("accumulationFactor", 4))(SCANS)


def test_cycles_are_not_invented(poptorch, line):
    run = line(lambda options: options.logCycleCount(True))
    run(SCANS)
    with pytest.raises(NotImplementedError):
        run.cycleCount()
    assert len(run.getLatency()) == 3


def test_named_buffers_are_updated_where_asked_for(poptorch, line):
    run = line()
    run(SCANS)
    with pytest.raises(poptorch.Error, match="updatableNamedBuffers"):
        run.copyNamedBuffersToDevice()

    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("one", torch.zeros(1))
            self.register_buffer("two", torch.zeros(1))

        def forward(self, scan):
            return scan + self.one + self.two

    model = Shifted()
    run = poptorch.inferenceModel(model, poptorch.Options().useIpuModel(True).updatableNamedBuffers(["two"]))
    run(torch.zeros(1))
    model.one += 1
    model.two += 10
    run.copyNamedBuffersToDevice()
    assert run(torch.zeros(1)).item() == 10
