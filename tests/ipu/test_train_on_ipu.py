"""`dpmed train --device ipu`, from the command to the statement; and its refusal where there is no SDK."""

import json
import os
import sys
from pathlib import Path

import pytest

from dpmed.cli.main import main

STANDIN = Path(__file__).parent / "standin"
PYTHON = os.environ.get("DPMED_IPU_PYTHON", sys.executable)
"""That of the worker: `make test-ipu-env` names one that PopTorch could be installed in."""
SMALL = [
    *("--set", "data.image_size=[32,32]", "--set", "data.draws_per_patient=2", "--set", "model.width=4"),
    *("--set", "privacy.expected_batch_size=4", "--set", "privacy.noise_multiplier=2.0", "--steps", "3"),
]


def _words(data, run, *more):
    return ["train", "covid-ct-tiny", "--data", str(data), "--run", str(run), "--device", "ipu", *SMALL, *more]


def test_a_run_ends_with_a_model_a_ledger_and_a_statement_and_says_that_it_was_simulated(
    covid_dataset, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))
    there = ["--set", f"hardware.ipu_python={PYTHON}", "--set", "hardware.ipu_model=true"]
    assert main(_words(covid_dataset, tmp_path / "run", *there, "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["device"], answer["steps"], answer["valid"]) == ("ipu", 3, True)
    assert "simulated" in answer["engine"]
    release = tmp_path / "run" / "release"
    assert (release / "model.safetensors").is_file()
    assert len((release / "ledger.jsonl").read_text().splitlines()) >= 3
    assert json.loads((release / "statement.json").read_text())["epsilon"] == answer["epsilon"] > 0


@pytest.mark.parametrize(
    ("more", "cause"), [([], "no Poplar SDK"), (["--set", "hardware.ipu_python=/none/python"], "no interpreter")]
)
def test_without_an_sdk_it_ends_with_7_at_once_and_writes_nothing(
    covid_dataset, tmp_path, capsys, monkeypatch, more, cause
):
    monkeypatch.delenv("POPLAR_SDK_ENABLED", raising=False)
    assert main(_words(covid_dataset, tmp_path / "run", *more)) == 7
    said = capsys.readouterr().err
    assert cause in said and "hint" in said and "docs/ipu.md" in said
    assert not (tmp_path / "run").exists()


def test_an_sdk_without_poptorch_ends_with_7(covid_dataset, tmp_path, capsys):
    here = ["--set", f"hardware.ipu_python={PYTHON}"]
    assert main(_words(covid_dataset, tmp_path / "run", *here)) == 7
    assert "poptorch" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_over_several_ipus_that_loses_a_worker_takes_no_step_with_it_and_goes_on(
    covid_dataset, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", "dies-later")
    there = ["--set", f"hardware.ipu_python={PYTHON}", "--set", "hardware.ipu_model=true", "--steps", "6"]
    there += ["--set", "hardware.ipu_workers=2", "--set", "hardware.ipu_device_iterations=2"]
    there += ["--set", "hardware.ipu_count=2", "--set", "privacy.clipping=per-layer"]
    words = [*_words(covid_dataset, tmp_path / "run", *there), "--json"]
    assert main(words) == 7
    assert "ended" in json.loads(capsys.readouterr().out)["error"]
    ledger = tmp_path / "run" / "release" / "ledger.jsonl"
    paid, steps = ledger.read_text(), (tmp_path / "run" / "curator" / "metrics.jsonl").read_text()
    assert 0 < paid.count('"step"') == steps.count('"step"') < 6
    monkeypatch.delenv("DPMED_STANDIN_MUTANT")
    assert main([*words, "--resume"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["steps"], answer["valid"]) == (6, True)
    assert "4 simulated IPUs" in answer["engine"]
    assert ledger.read_text().startswith(paid)
