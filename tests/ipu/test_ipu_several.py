"""One network over several IPUs, and several copies side by side: the sums stay what they are on one."""

import importlib
import os
import signal
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import fx

from dpmed.backends import open_backend
from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.ipu.anatomy import taken_apart
from dpmed.backends.ipu.graph import graph_of
from dpmed.backends.ipu.memory import Sizes
from dpmed.backends.ipu.placement import placement_on
from dpmed.backends.ipu.worker import network
from dpmed.backends.ipu_backend import IpuBackend
from dpmed.core.errors import ConfigError, DeviceError
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.models import build, catalogue

STANDIN = Path(__file__).parent / "standin"
PYTHON = os.environ.get("DPMED_IPU_PYTHON", sys.executable)
TUMOUR = TaskSpec(kind="segmentation", outputs=("whole", "core"))
TINY_UNET = ModelSpec(name="unet", spatial_dims=2, in_channels=1, out_channels=2, width=4)
FLAGS = HardwareFlags(device="ipu", ipu_python=PYTHON, ipu_device_iterations=2, ipu_model=True)
WORKER = Path(network.__file__).parent
ASKED = {"device_iterations": 2, "ipu_model": True, "cache": "", "memory_proportion": 0.0}
PATIENTS = synthetic_patients(TUMOUR, channels=1, size=[32, 32], draws=2, patients=7)


@pytest.fixture(autouse=True)
def _standin(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))


def _opened(mode="flat", **flags):
    torch.manual_seed(0)
    backend = IpuBackend()
    backend.open(TINY_UNET, TUMOUR, ClippingSpec(mode=mode, l2_clip_norm=0.05), FLAGS.model_copy(update=flags))
    return backend


def _distance_from_plain(got, backend, mode="flat", patients=PATIENTS):
    clipping = ClippingSpec(mode=mode, l2_clip_norm=0.05)
    plain = open_backend("cpu", model=TINY_UNET, task=TUMOUR, clipping=clipping, flags=HardwareFlags(engine="nano"))
    plain.load(backend._model.state_dict())
    want = plain.clipped_sum(patients)
    square = sum(float((got.values[name] - value).double().square().sum()) for name, value in want.values.items())
    return square**0.5 / sum(float(value.double().square().sum()) for value in want.values.values()) ** 0.5


def _processes(backend):
    return [program._worker._process for program in backend._crew._programs]


def _places(model, image, ipus):
    layers = taken_apart(model, "segmentation", image).layers
    return placement_on(layers, Sizes(half=False), ipus=ipus, recompute=False).ipus


@pytest.mark.parametrize("name", [name for name in catalogue() if name == "unet" or name.endswith("-gn")])
@pytest.mark.parametrize("ipus", [1, 2, 4, 8])
def test_every_ipu_gets_a_part_of_the_layers_in_their_order(name, ipus):
    model = build(ModelSpec(name=name, spatial_dims=2, in_channels=1, out_channels=1, width=4))
    places = _places(model, (4, 1, 64, 64), ipus)
    assert len(places) == len(graph_of(model))
    assert set(places) == set(range(ipus))
    assert all(after - before in (0, 1) for before, after in pairwise(places))


def test_the_fullest_ipu_holds_as_little_as_can_be():
    alike = torch.nn.Sequential(*[torch.nn.Conv2d(4, 4, 1) for _ in range(6)])
    assert _places(alike, (1, 4, 8, 8), 2) == [0, 0, 0, 1, 1, 1]
    layers = taken_apart(build(TINY_UNET), "segmentation", (2, 1, 32, 32)).layers
    sizes = Sizes(half=False)
    cuts = [(layers[:n], layers[n:]) for n in range(1, len(layers))]
    least = min(max(sizes.load(part, recompute=False).total for part in cut) for cut in cuts)
    assert placement_on(layers, sizes, ipus=2, recompute=False).fullest.total == least


def test_more_ipus_than_layers_are_refused():
    with pytest.raises(ConfigError, match="2 layers does not fill 4 IPUs"):
        _places(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.ReLU()), (1, 1, 8, 8), 4)


@pytest.mark.parametrize(("mode", "ipus"), [("flat", 4), ("per-layer", 4), ("automatic", 2)])
def test_a_network_over_several_ipus_sums_as_on_one(monkeypatch, mode, ipus):
    """The stand-in has just so many IPUs, wants a power of two, and refuses operators that have no place."""
    monkeypatch.setenv("DPMED_STANDIN_IPUS", str(ipus))
    backend = _opened(mode, ipu_count=ipus, ipu_model=False)
    assert _distance_from_plain(backend.clipped_sum(PATIENTS), backend, mode) < 1e-5
    assert f"{ipus} IPUs" in backend.engine
    backend.close()


@pytest.mark.parametrize("mode", ["flat", "per-layer"])
def test_fewer_ipus_than_asked_for_are_told_of(monkeypatch, mode):
    monkeypatch.setenv("DPMED_STANDIN_IPUS", "2")
    backend = _opened(mode, ipu_count=4, ipu_model=False)
    with pytest.raises(DeviceError, match="Failed to acquire 4") as told:
        backend.clipped_sum(PATIENTS)
    assert "ask for fewer" in told.value.hint
    backend.close()


@pytest.fixture
def session(poptorch):
    """The worker's module as its own interpreter has it, over the stand-in."""
    own = [path.stem for path in WORKER.glob("*.py")]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(WORKER))
        yield importlib.import_module("session")
    for name in own:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("again", "kept"), [(True, 1), (False, None)])
def test_popart_is_told_to_make_activations_again(session, poptorch, again, kept):
    options = session._options(ASKED | {"recompute": again, "ipu_count": 2})
    assert options._Popart.options.get("autoRecomputation") == kept
    assert not options._execution_strategy.pipelined
    assert [options._execution_strategy.stage(f"backward-{ipu}")._ipu for ipu in (0, 1)] == [0, 1]


def test_activations_made_again_change_no_sum():
    kept, again = _opened(), _opened(ipu_recompute=True)
    one, other = kept.clipped_sum(PATIENTS).values, again.clipped_sum(PATIENTS).values
    assert all(torch.equal(one[name], other[name]) for name in one)
    kept.close()
    again.close()


@pytest.mark.parametrize("workers", [2, 3])
def test_so_many_workers_sum_what_one_does(workers, tmp_path):
    backend = _opened(ipu_workers=workers, ipu_cache=str(tmp_path) if workers == 2 else "")
    for count in (7, 1, 0):
        got = backend.clipped_sum(PATIENTS[:count])
        assert got.notes.patients == count
        if count:
            assert _distance_from_plain(got, backend, patients=PATIENTS[:count]) < 1e-5
        else:
            assert not any(value.any() for value in got.values.values())
    again = [backend.clipped_sum(PATIENTS).values for _ in range(2)]
    assert all(torch.equal(again[0][name], again[1][name]) for name in again[0])
    backend.close()


def test_the_network_is_traced_before_its_copies_work_side_by_side(monkeypatch):
    """While torch.fx traces, no other thread may run any network."""
    tracing, trace = [], fx.symbolic_trace
    monkeypatch.setattr(fx, "symbolic_trace", lambda model: tracing.append(threading.current_thread()) or trace(model))
    backend = _opened(ipu_workers=2)
    backend.clipped_sum(PATIENTS[:1])
    backend.close()
    assert set(tracing) == {threading.main_thread()}


def test_a_worker_that_dies_takes_the_step_with_it():
    backend = _opened(ipu_workers=2)
    backend.clipped_sum(PATIENTS[:4])
    _processes(backend)[1].kill()
    with pytest.raises(DeviceError, match="ended"):
        backend.clipped_sum(PATIENTS)
    with pytest.raises(DeviceError):  # nor is there a next one with half of the workers
        backend.clipped_sum(PATIENTS)
    backend.close()
    assert all(process.poll() is not None for process in _processes(backend))


def test_a_worker_that_hangs_ends_all_others(monkeypatch):
    backend = _opened(ipu_workers=2)
    backend.clipped_sum(PATIENTS[:4])
    monkeypatch.setattr("dpmed.backends.ipu.program.CALL_SECONDS", 3.0)
    os.kill(_processes(backend)[0].pid, signal.SIGSTOP)  # stopped, so that it neither answers nor ends
    with pytest.raises(DeviceError, match="did not answer"):
        backend.clipped_sum(PATIENTS[:4])
    backend.close()
    assert all(process.poll() is not None for process in _processes(backend))


def test_a_worker_that_fails_its_self_test_lets_no_other_train(monkeypatch):
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", "no-clip")
    backend = _opened(ipu_workers=2)
    with pytest.raises(DeviceError, match="self-test"):
        backend.clipped_sum(PATIENTS)
    backend.close()
