"""`dpmed doctor --ipu`: exactly which level PopTorch passes here, and that a compiler that has no place says so."""

import json
import os
import sys
from pathlib import Path

import pytest

from dpmed.backends.ipu.levels import OFFLINE_TARGET, SMALL, levels
from dpmed.backends.ipu_backend import IpuBackend
from dpmed.cli.main import main
from dpmed.core.errors import DeviceError
from dpmed.core.specs import HardwareFlags

STANDIN = Path(__file__).parent / "standin"
PYTHON = os.environ.get("DPMED_IPU_PYTHON", sys.executable)
FLAGS = HardwareFlags(device="ipu", ipu_python=PYTHON, ipu_device_iterations=2)


@pytest.fixture(autouse=True)
def _standin(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))


def test_the_doctor_says_which_level_passed(capsys):
    assert main(["doctor", "--ipu", "--ipu-python", PYTHON, "--json"]) == 0
    simulator, offline, device = json.loads(capsys.readouterr().out)["ipu_levels"]
    assert [one["level"] for one in (simulator, offline, device)] == ["2", "2b", "3"]
    assert simulator["passed"] and simulator["patients_per_second"] > 0
    assert offline["passed"] and offline["compile_seconds"] >= 0 and offline["patients_per_second"] is None
    assert not device["passed"] and "acquire" in device["reason"]


def test_with_a_device_all_levels_pass(monkeypatch):
    monkeypatch.setenv("DPMED_STANDIN_IPUS", "1")
    assert [(one.level, one.passed) for one in levels(FLAGS)] == [("2", True), ("2b", True), ("3", True)]


def test_the_simulator_in_the_environment_does_not_take_the_offline_targets_place(monkeypatch):
    monkeypatch.setenv("POPTORCH_IPU_MODEL", "1")
    assert levels(FLAGS)[1].passed


@pytest.mark.parametrize("recipe", ["covid-ct-tiny", "brats-tiny"])
def test_a_recipe_is_compiled_where_one_is_named(capsys, recipe):
    assert main(["doctor", "--ipu", "--ipu-python", PYTHON, "--recipe", recipe]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "IPU 2b compiled for an IPU that is not here: fits, compiled in" in shown and "nothing was run" in shown


def test_what_does_not_fit_is_told_with_what_to_change(monkeypatch, capsys):
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", "out-of-memory")
    assert main(["doctor", "--ipu", "--ipu-python", PYTHON, "--json"]) == 7
    offline = json.loads(capsys.readouterr().out)["ipu_levels"][1]
    assert not offline["passed"] and "refused to compile" in offline["reason"] and "tile" in offline["reason"]
    assert "does not fit" in offline["hint"] and "data.image_size" in offline["hint"]


def test_what_is_compiled_offline_is_kept_for_the_machine_that_has_an_ipu(tmp_path):
    assert levels(FLAGS.model_copy(update={"ipu_cache": str(tmp_path)}))[1].passed
    assert list(tmp_path.glob("*.popef"))


def test_an_offline_target_never_sees_a_patient():
    backend = IpuBackend(offline=OFFLINE_TARGET)
    backend.open(SMALL.model, SMALL.task, SMALL.clipping, FLAGS)
    backend.compile(SMALL.patients(1)[0])
    with pytest.raises(DeviceError, match="offline"):
        backend.clipped_sum(SMALL.patients(1))
    backend.close()


def test_a_recipe_without_ipu_is_refused(capsys):
    assert main(["doctor", "--recipe", "covid-ct"]) == 2
    assert "--ipu" in capsys.readouterr().err


def test_the_doctor_without_an_sdk_ends_with_7(capsys, monkeypatch):
    monkeypatch.delenv("POPLAR_SDK_ENABLED", raising=False)
    assert main(["doctor", "--ipu"]) == 7
    assert "no Poplar SDK" in capsys.readouterr().out
