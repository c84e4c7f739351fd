"""The doctor tells what is there, why the rest is not, and exits so that a script can tell."""

import json

import pytest
import torch

from dpmed.backends.devices import device_states
from dpmed.cli.main import main
from dpmed.core import machine
from dpmed.core.errors import ExitCode


def test_json_names_every_device_with_its_reason(capfd):
    assert main(["doctor", "--json"]) == ExitCode.DONE
    answer = json.loads(capfd.readouterr().out)
    assert answer["schema"] == "dpmed.doctor/1"
    assert answer["devices"].keys() == {"cpu", "cuda", "ipu"}
    assert all(device.keys() == {"available", "reason"} and device["reason"] for device in answer["devices"].values())
    assert answer["devices"]["cpu"]["available"]
    assert answer["devices"]["cuda"]["available"] == torch.cuda.is_available()
    assert not answer["devices"]["ipu"]["available"]
    assert answer["versions"]["torch"] == torch.__version__
    assert {"python", "dpmed", "monai", "opacus", "dp_accounting"} <= answer["versions"].keys()
    assert answer["cores"] >= 1


def test_people_get_a_table_and_the_next_command(capfd):
    assert main(["doctor"]) == ExitCode.DONE
    shown, talk = capfd.readouterr()
    assert {"cpu", "cuda", "ipu", "torch", "entropy"} <= {word for line in shown.splitlines() for word in line.split()}
    assert "next: dpmed demo" in talk


def test_a_missing_library_is_named_with_its_cure(capfd, monkeypatch):
    real = machine.packages()
    lacking = real.model_copy(update={"versions": real.versions | {"opacus": None}})
    monkeypatch.setattr(machine, "packages", lambda: lacking)
    assert main(["doctor"]) == ExitCode.USAGE
    shown, talk = capfd.readouterr()
    assert "not installed" in shown
    assert "pip install" in talk


def test_without_torch_the_doctor_still_answers(capfd, monkeypatch):
    real = machine.packages()
    lacking = real.model_copy(update={"versions": real.versions | {"torch": None}})
    monkeypatch.setattr(machine, "packages", lambda: lacking)
    assert main(["doctor", "--json"]) == ExitCode.USAGE
    answer = json.loads(capfd.readouterr().out)
    assert (answer["status"], answer["missing"], answer["devices"]) == ("partial", ["torch"], {})


@pytest.mark.parametrize(("sdk", "words"), [("1", "is enabled"), ("", "no Poplar SDK")])
def test_the_ipu_is_refused_with_the_true_reason(monkeypatch, sdk, words):
    monkeypatch.setenv("POPLAR_SDK_ENABLED", sdk)
    state = device_states()["ipu"]
    assert not state.available
    assert words in state.reason


def test_a_gpu_is_named_where_there_is_one(monkeypatch):
    class Gpu:
        name = "A GPU"
        total_memory = 8 * 2**30

    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Gpu)
    assert device_states()["cuda"].reason == "A GPU, 8 GiB"
