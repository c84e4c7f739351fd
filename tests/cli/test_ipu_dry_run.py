"""`dpmed train --device ipu --dry-run`: a plan, without IPU and without SDK."""

import json

import pytest

from dpmed.cli.main import main
from tests.cli.test_train_command import KEYS


def _words(data, tmp_path, *more):
    words = ["train", "covid-ct-tiny", "--data", str(data), "--run", str(tmp_path / "run"), "--dry-run"]
    return [*words, "--set", "privacy.expected_batch_size=4", "--set", "privacy.noise_multiplier=2.0", *more]


@pytest.fixture(autouse=True)
def _without_sdk(monkeypatch):
    monkeypatch.delenv("POPLAR_SDK_ENABLED", raising=False)


def test_the_plan_needs_no_sdk_and_writes_nothing(covid_dataset, tmp_path, capsys):
    assert main(_words(covid_dataset, tmp_path, "--device", "ipu", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.keys() >= KEYS and answer["dry_run"] and answer["device"] == "ipu" and "estimated" in answer["engine"]
    plan = answer["plan"]
    assert plan["estimated"] and plan["fits"] and plan["ipus_a_copy"] == 1
    assert {(system["chip"], system["ipus"]) for system in plan["systems"]} >= {("Mk2", 4), ("Bow", 256)}
    assert all(figure["source"] for figure in plan["figures"].values())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("columns", ["80", "160"])
def test_people_see_bars_systems_and_that_nothing_was_measured(covid_dataset, tmp_path, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert main(_words(covid_dataset, tmp_path, "--device", "ipu", "--verbose")) == 0
    shown = capsys.readouterr().out
    for words in ("IPU 0", "▒▒▒", "897 MiB", "Mk2 POD4", "Bow POD256", "estimated", "arXiv:2109.12191"):
        assert words in shown
    assert "Nothing was measured on an IPU" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= int(columns)


def test_what_does_not_fit_ends_with_7_and_names_what_does(covid_dataset, tmp_path, capsys):
    large = ["--set", "data.image_size=[4096,4096]", "--set", "model.width=64", "--set", "data.draws_per_patient=8"]
    assert main(_words(covid_dataset, tmp_path, "--device", "ipu", *large)) == 7
    said = capsys.readouterr()
    assert "does not fit" in said.err and "hint: " in said.err and "▶" in said.out


def test_the_plan_is_drawn_where_asked(covid_dataset, tmp_path, capsys):
    picture = tmp_path / "plan.png"
    assert main(_words(covid_dataset, tmp_path, "--device", "ipu", "--plot", str(picture))) == 0
    assert picture.stat().st_size > 10_000
    assert main(_words(covid_dataset, tmp_path, "--device", "ipu", "--plot", str(tmp_path / "plan.doc"))) == 2
    assert main(_words(covid_dataset, tmp_path, "--device", "cpu", "--plot", str(picture))) == 2
    assert "--device ipu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "cause"), [("hardware.precision=bfloat16", "no bfloat16"), ("model.name=resnet99", "resnet99")]
)
def test_what_training_would_refuse_the_plan_refuses(covid_dataset, tmp_path, capsys, setting, cause):
    assert main(_words(covid_dataset, tmp_path, "--device", "ipu", "--set", setting)) == 2
    assert cause in capsys.readouterr().err
