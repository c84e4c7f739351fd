"""The stand-in has PopTorch's names, signatures, defaults and refusals, and none of its own."""

import inspect
import json
from pathlib import Path

import pytest
import torch
from torch import nn

MANIFEST = json.loads(Path(__file__).with_name("poptorch_manifest.json").read_text())
MODULES = {"enums", "ops", "optim", "options"}


def simulated(poptorch, name):
    """Return what a dotted name stands for, or nothing where the stand-in only knows that it exists."""
    found = poptorch
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except NotImplementedError:
            return None
    return found


class Line(nn.Module):
    """A number times the input, kept on one IPU or spread over several."""

    def __init__(self, poptorch, ipus=()):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.blocks = [poptorch.Block(f"part{ipu}", ipu_id=ipu) for ipu in ipus]
        self.mark = poptorch.identity_loss

    def forward(self, scan, shift=0.0):
        made = scan * self.weight
        for block in self.blocks:
            with block:
                made = made + shift
        return made, self.mark(made, "mean")


@pytest.fixture
def line(poptorch):
    def make(change=None, training=True, ipus=()):
        options = poptorch.Options().useIpuModel(True)
        if change:
            change(options)
        model = Line(poptorch, ipus)
        return poptorch.trainingModel(model, options) if training else poptorch.inferenceModel(model, options)

    return make


def test_public_names_are_the_manifests(poptorch):
    mine = {name for name in vars(poptorch) if not name.startswith("_")} - MODULES
    theirs = {name.split(".")[0] for name in (*MANIFEST["functions"], *MANIFEST["classes"], *MANIFEST["other_classes"])}
    assert mine <= theirs | set(MANIFEST["enums"]) | set(MANIFEST["exceptions"])


def test_every_name_of_the_manifest_is_known(poptorch):
    for name in (*MANIFEST["functions"], *MANIFEST["classes"], *MANIFEST["other_classes"]):
        simulated(poptorch, name)


@pytest.mark.parametrize("name", MANIFEST["enums"])
def test_enumerations_have_the_manifests_values(poptorch, name):
    assert {member.name: member.value for member in getattr(poptorch, name)} == MANIFEST["enums"][name]


def parameters(signature, bound):
    found = list(signature.parameters.values())[1 if bound else 0 :]
    return [(item.name, item.kind, item.default) for item in found]


def test_signatures_are_the_manifests(poptorch):
    signature = simulated(poptorch, "_manifest.signature")
    for name, text in MANIFEST["functions"].items():
        if simulated(poptorch, name):
            mine = inspect.signature(simulated(poptorch, name))
            assert parameters(mine, False) == parameters(signature(text, False), False), name
    for kind, held in MANIFEST["classes"].items():
        for method, text in held["methods"].items():
            mine = inspect.getattr_static(simulated(poptorch, kind), method)
            static = isinstance(mine, staticmethod)
            mine = mine.__func__ if static else mine
            if getattr(mine, "__qualname__", "").startswith("not_simulated"):
                continue
            assert parameters(inspect.signature(mine), not static) == parameters(signature(text), True), (kind, method)


def test_a_name_that_poptorch_lacks_is_an_error(poptorch, line):
    options, run, name = poptorch.Options(), line(), "perSampleClip"
    for place in (poptorch, options, options.Training, options._Popart, options.Precision, options.Distributed):
        with pytest.raises(AttributeError, match="perSampleClip"):
            getattr(place, name)
    for place in (run, poptorch.optim, poptorch.OutputMode, options.Jit, options.TensorLocations):
        with pytest.raises(AttributeError, match="perSampleClip"):
            getattr(place, name)


def test_a_name_that_is_not_acted_out_says_so(poptorch):
    with pytest.raises(NotImplementedError, match=r"poptorch.DataLoader exists"):
        poptorch.DataLoader([])
    with pytest.raises(NotImplementedError, match="enableSyntheticData"):
        poptorch.Options().enableSyntheticData(True)


def test_a_wrong_argument_is_an_error(poptorch):
    with pytest.raises(TypeError, match="max_norm"):
        poptorch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0, max_norm=1.0)
    for call in (
        lambda: poptorch.Options().deviceIterations(iterations=2),
        lambda: poptorch.Options().logDir(),
        lambda: poptorch.trainingModel(Line(poptorch), opts=None),
    ):
        with pytest.raises(TypeError):
            call()


def test_options_start_as_the_manifest_says(poptorch):
    options = poptorch.Options()
    for key, value in MANIFEST["option_defaults"].items():
        if not (isinstance(value, str) and "." in value[1:]):
            assert getattr(options, key) == value
    assert options.Training.gradient_accumulation == 1
    assert options.Training.accumulation_and_replication_reduction_type == poptorch.ReductionType.Mean
    assert options.Distributed.numProcesses == 1
    assert options.defaultOutputMode()


def test_an_option_keeps_its_type(poptorch):
    with pytest.raises(AssertionError, match="Unexpected type"):
        poptorch.Options().deviceIterations(2.0)
    with pytest.raises(AssertionError, match="Invalid option"):
        poptorch.Options().set(device_iteration=2)
    with pytest.raises(AssertionError):
        poptorch.Options().outputMode(2)


def test_options_freeze_when_a_model_is_made(poptorch):
    options = poptorch.Options()
    poptorch.trainingModel(Line(poptorch), options)
    for change in (
        lambda: options.deviceIterations(2),
        lambda: options.Training.gradientAccumulation(2),
        lambda: options._Popart.set("enableOutlining", True),
        lambda: options.Precision.enableStochasticRounding(False),
        lambda: options.setExecutionStrategy(poptorch.ShardedExecution()),
        lambda: options.logDir("elsewhere"),
        lambda: setattr(options, "device_iterations", 2),
    ):
        with pytest.raises(AttributeError, match="frozen"):
            change()
    options.clone().deviceIterations(2)


def test_the_environment_changes_every_options_made(poptorch, monkeypatch):
    given = {
        "Training.gradientAccumulation": 4,
        "outputMode": "OutputMode.Sum",
        "_Popart.set": ["enableOutlining", True],
    }
    monkeypatch.setenv("POPTORCH_DEFAULT_OPTIONS", json.dumps(given))
    monkeypatch.setenv("POPTORCH_CACHE_DIR", "kept")
    options = poptorch.Options()
    assert options.Training.gradient_accumulation == 4
    assert options.output_mode == poptorch.OutputMode.Sum
    assert options._Popart.options["enableOutlining"] is True
    assert options._Popart.options["cachePath"] == "kept"


def test_an_accumulation_from_the_environment_really_acts(design_p, patients, textbook, apart, monkeypatch):
    monkeypatch.setenv("POPTORCH_DEFAULT_OPTIONS", '{"replicationFactor": 2}')
    made = design_p(patients=3)
    made.run(*patients)
    assert apart(made.model, textbook(patients)) > 0.01


def test_a_launcher_of_processes_really_acts_unless_disabled(design_p, patients, textbook, apart, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    made = design_p()
    assert (made.options.Distributed.numProcesses, made.options.Distributed.processId) == (2, 1)
    made.run(*patients)
    assert apart(made.model, textbook(patients)) > 0.01
    made = design_p(change=lambda options: options.Distributed.disable())
    made.run(*patients)
    assert apart(made.model, textbook(patients)) < 1e-6


def test_dimension_0_holds_all_micro_batches(line):
    run = line(lambda options: options.deviceIterations(3).replicationFactor(2))
    with pytest.raises(AssertionError, match=r"Invalid batch dimension: .*\(9\)"):
        run(torch.ones(9))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda scan: (scan[:2],), "Shape mismatch for scan"),
        (lambda scan: (scan.half(),), "Data type mismatch for scan"),
        (lambda scan: ([scan],), "Type mismatch for scan"),
        (lambda scan: (scan, 1.0), "Value mismatch for shift"),
        (lambda scan: (), "Mandatory parameter scan missing"),
    ],
)
def test_arguments_are_those_of_the_first_call(poptorch, line, change, words):
    run = line()
    run(torch.ones(4))
    with pytest.raises(poptorch.Error, match=words):
        run(*change(torch.ones(4)))


def test_64_bit_numbers_come_back_narrow(poptorch):
    class Both(nn.Module):
        def forward(self, wide, whole):
            return wide * 2, whole + 1

    run = poptorch.inferenceModel(Both(), poptorch.Options().useIpuModel(True))
    wide, whole = run(torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.int64))
    assert (wide.dtype, whole.dtype) == (torch.float32, torch.int32)


def test_inference_refuses_accumulation(poptorch, line):
    with pytest.raises(poptorch.Error, match="gradientAccumulation to 1"):
        line(lambda options: options.Training.gradientAccumulation(2), training=False)
