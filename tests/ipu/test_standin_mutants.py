"""Each misbehaviour really happens, so that a self-test that lets it pass has been seen to let it pass."""

import importlib
import runpy
import sys
from pathlib import Path

import pytest
import torch

STANDIN = Path(__file__).with_name("standin")
README = STANDIN / "README.md"


def names(kind):
    """Read the table of mutants without importing the stand-in, which the tests below do on their own terms."""
    return sorted(runpy.run_path(str(STANDIN / "poptorch" / "_mutants.py"))[kind])


def two_batches(design_p, patients, mode="Sum"):
    """Train two batches as a worker would, the second with other frozen weights; keep all that is seen of them."""
    made = design_p(mode=mode)
    start = [tensor.clone() for tensor in made.model.buffers()]
    seen = [made.run(*patients)]
    made.run.copyWeightsToHost()
    seen += [probe.detach().clone() for probe in made.model.parameters()]
    with torch.no_grad():
        for probe in made.model.parameters():
            probe.zero_()
        for frozen in made.model.buffers():
            frozen.copy_(start.pop(0) * 0.5)
    made.run.copyWeightsToDevice()
    seen.append(made.run(*patients))
    made.run.copyWeightsToHost()
    return [*seen, *(tensor.detach().clone() for tensor in [*made.model.parameters(), *made.model.buffers()])]


def differ(first, second):
    def unlike(one, two):
        return one.shape != two.shape or not torch.allclose(one, two, rtol=1e-5, atol=1e-7)

    return len(first) != len(second) or any(map(unlike, first, second))


def test_without_a_mutant_two_runs_agree(design_p, patients):
    assert not differ(two_batches(design_p, patients), two_batches(design_p, patients))


LATE = {"no-clip-later": 10, "eight-iterations": 1}
NUMERIC = sorted({*names("ARITHMETIC"), *names("TRAFFIC"), "nan"} - set(LATE))


@pytest.mark.parametrize("name", NUMERIC)
def test_each_mutant_changes_what_two_batches_show(design_p, patients, monkeypatch, name):
    mode = "All" if name == "shuffled-outputs" else "Sum"
    honest = two_batches(design_p, patients, mode)
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", name)
    assert differ(two_batches(design_p, patients, mode), honest)


@pytest.mark.parametrize("name", LATE)
def test_a_mutant_that_shows_late(design_p, patients, monkeypatch, name):
    """From the tenth call on, or past the eighth patient of one call: a short self-test at the start sees neither."""
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", name)
    many = [torch.cat([tensor, tensor]) for tensor in patients]
    made = design_p(patients=12)
    norms = []
    for _ in range(LATE[name]):
        before = [probe.detach().clone() for probe in made.model.parameters()]
        made.run(*many)
        moved = map(lambda probe, old: ((probe.detach() - old) ** 2).sum(), made.model.parameters(), before)
        norms.append(float(torch.sqrt(sum(moved))))
    monkeypatch.delenv("DPMED_STANDIN_MUTANT")
    honest = design_p(patients=12)
    honest.run(*many)
    norm = float(torch.sqrt(sum((probe.detach() ** 2).sum() for probe in honest.model.parameters())))
    assert all(abs(early - norm) < 1e-6 for early in norms[:-1])
    assert abs(norms[-1] - norm) > 1e-3


class Tally(torch.nn.Module):
    """Two sums of one shape that stay on the device."""

    def __init__(self):
        super().__init__()
        self.register_buffer("once", torch.zeros(1))
        self.register_buffer("squared", torch.zeros(1))

    def forward(self, scan):
        self.once.add_(scan)
        self.squared.add_(scan * scan)
        return scan + 0


def tallied(poptorch):
    model = Tally()
    run = poptorch.inferenceModel(model, poptorch.Options().useIpuModel(True).deviceIterations(10))
    run(torch.arange(10) + 0.123456)
    run.copyWeightsToHost()
    return [tensor.clone() for tensor in model.buffers()]


@pytest.mark.parametrize("name", names("BUFFERS"))
def test_each_mutant_of_buffers_changes_what_they_hold(poptorch, monkeypatch, name):
    honest = tallied(poptorch)
    torch.testing.assert_close(honest, [torch.tensor([46.23456]), torch.tensor([296.263466])])
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", name)
    assert differ(tallied(poptorch), honest)


def test_a_mutant_that_does_not_exist_is_an_error(poptorch, design_p, patients, monkeypatch):
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", "clip-before-breakfast")
    with pytest.raises(ValueError, match="there is no such mutant"):
        design_p().run(*patients)


def test_every_mutant_is_told_of(poptorch):
    text = README.read_text()
    for kind in ("ARITHMETIC", "BUFFERS", "TRAFFIC", "FAILURES"):
        for name in names(kind):
            assert f"| `{name}` |" in text


def never(*args):
    raise InterruptedError(*args)


def test_a_device_that_cannot_be_had(poptorch, design_p, patients, monkeypatch):
    for name, words in {"no-device": "Failed to acquire", "out-of-memory": "Out of memory on tile"}.items():
        monkeypatch.setenv("DPMED_STANDIN_MUTANT", name)
        with pytest.raises(poptorch.Error, match=words):
            design_p().run(*patients)


def test_a_device_that_does_not_come_back(design_p, patients, monkeypatch):
    monkeypatch.setattr("time.sleep", never)
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", "hangs-at-compile")
    with pytest.raises(InterruptedError, match="1000000"):
        design_p().run(*patients)
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", "hangs")
    made = design_p()
    made.run(*patients)
    with pytest.raises(InterruptedError, match="1000000"):
        made.run(*patients)


def test_a_device_that_takes_the_process_with_it(design_p, patients, monkeypatch):
    monkeypatch.setattr("os._exit", never)
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", "dies")
    made = design_p()
    made.run(*patients)
    with pytest.raises(InterruptedError, match="139"):
        made.run(*patients)


def test_poptorch_that_cannot_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(STANDIN))
    for name in [name for name in sys.modules if name.split(".")[0] == "poptorch"]:
        monkeypatch.delitem(sys.modules, name)
    failing = {
        "no-sdk": (ImportError, "active Poplar SDK"),
        "wrong-torch": (AssertionError, "only works with torch==2.0.1"),
    }
    for name, (kind, words) in failing.items():
        monkeypatch.setenv("DPMED_STANDIN_MUTANT", name)
        with pytest.raises(kind, match=words):
            importlib.import_module("poptorch")
        for left in [name for name in sys.modules if name.split(".")[0] == "poptorch"]:
            del sys.modules[left]
