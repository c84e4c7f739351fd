"""`dpmed train`: its JSON, its refusals with a cure, and Ctrl-C."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dpmed.cli.main import main

KEYS = {
    "schema",
    "status",
    "dpmed_version",
    "run",
    "steps",
    "epsilon",
    "delta",
    "noise_multiplier",
    "sample_rate",
    "clip_norm",
    "unit",
    "neighbouring",
    "device",
    "engine",
    "seconds",
    "patients_per_second",
    "valid",
}
QUICK = [
    *("--set", "data.image_size=[32,32]", "--set", "data.draws_per_patient=1", "--set", "model.width=8"),
    *("--set", "privacy.expected_batch_size=4", "--set", "privacy.noise_multiplier=2.0"),
]


def _words(data: Path, run: Path, *more: str) -> list[str]:
    return ["train", "covid-ct-tiny", "--data", str(data), "--run", str(run), "--device", "cpu", *QUICK, *more]


def test_a_run_prints_one_object_with_the_promised_keys(covid_dataset, tmp_path, capsys):
    assert main(_words(covid_dataset, tmp_path / "run", "--steps", "3", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.keys() >= KEYS
    assert answer["schema"] == "dpmed.train/1" and answer["valid"] and answer["steps"] == 3
    assert answer["epsilon"] > 0 and answer["unit"] == "patient"


def test_dry_run_costs_nothing_and_writes_nothing(covid_dataset, tmp_path, capsys):
    assert main(_words(covid_dataset, tmp_path / "run", "--dry-run", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.keys() >= KEYS and answer["dry_run"]
    assert not (tmp_path / "run").exists()


def test_the_human_answer_says_what_is_promised_and_what_comes_next(covid_dataset, tmp_path, capsys):
    assert main(_words(covid_dataset, tmp_path / "run", "--steps", "2")) == 0
    said = capsys.readouterr()
    shown = " ".join(said.out.split())
    assert "add-or-remove-one" in shown and "does not cover" in shown and "dpmed evaluate" in said.err


@pytest.mark.parametrize(
    ("more", "code", "cause"),
    [
        (["--epsilon", "0"], 2, "epsilon"),
        (["--delta", "2"], 2, "delta"),
        (["--steps", "0"], 2, "steps"),
        (["--set", "privacy.clip_nrm=1"], 2, "did you mean 'privacy.clip_norm'"),
        (["--set", "nonsense"], 2, "KEY=VALUE"),
        (["--set", "privacy.expected_batch_size=1000"], 2, "training patients"),
        (["--set", "model.name=resnet99"], 2, "resnet99"),
        (["--set", "data.modalities=['t1']"], 2, "t1"),
        (["--epsilon", "3"], 2, "both set the noise"),
        (["--device", "ipu"], 7, "IPU"),
        (["--init", "nowhere.safetensors"], 2, "--init"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line_with_a_hint(covid_dataset, tmp_path, capsys, more, code, cause):
    assert main(_words(covid_dataset, tmp_path / "run", *more)) == code
    said = capsys.readouterr()
    assert cause in said.err and "hint: " in said.err and not said.out
    assert not (tmp_path / "run").exists()


def test_a_recipe_of_another_task_and_a_missing_dataset_are_refused(covid_dataset, tmp_path, capsys):
    assert main(["train", "brats-tiny", "--data", str(covid_dataset), "--run", str(tmp_path / "run")]) == 2
    assert main(["train", "covid-ct-tiny", "--data", str(tmp_path), "--run", str(tmp_path / "run")]) == 3
    assert main(["train", "covid-ct-tin", "--data", str(covid_dataset), "--run", str(tmp_path / "run")]) == 2
    assert "did you mean 'covid-ct-tiny'" in capsys.readouterr().err


def test_a_run_that_would_pass_the_lifetime_budget_does_not_start(covid_source, tmp_path, capsys):
    data = tmp_path / "data"
    labels = str(covid_source / "labels.csv")
    words = ["ingest", str(covid_source), "--labels", labels, "--task", "covid-ct", "--out", str(data)]
    assert main([*words, "--lifetime-epsilon", "0.5", "--lifetime-delta", "1e-3"]) == 0
    assert main(_words(data, tmp_path / "run", "--steps", "30")) == 6
    assert "is spent" in capsys.readouterr().err
    assert not (tmp_path / "run" / "release" / "ledger.jsonl").exists()


@pytest.mark.slow
def test_ctrl_c_finishes_the_step_and_resumes(covid_dataset, tmp_path):
    run = tmp_path / "run"
    steps = 60
    words = [sys.executable, "-m", "dpmed", *_words(covid_dataset, run, "--steps", str(steps), "--seed", "1")]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ledger = run / "release" / "ledger.jsonl"
    deadline = time.monotonic() + 120
    while not ledger.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "--resume" in said
    paid = len(ledger.read_text().splitlines())
    assert 0 < paid < steps
    assert main(["epsilon", str(run), "--verify", "--quiet"]) == 0
    line = shlex.split(said.splitlines()[-1].removeprefix("hint: dpmed "))
    assert main([*line, "--quiet"]) == 0  # the hint, typed as it stands
    assert len(ledger.read_text().splitlines()) == steps
