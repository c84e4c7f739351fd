"""A study is trained cell by cell: what is done stays done, what fails is told, and private patients are left alone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from dpmed.cli.main import main
from dpmed.core.errors import ConfigError, ExitCode
from dpmed.core.folders import DatasetFolder, RunFolder
from dpmed.core.manifest import Manifest
from dpmed.evaluate import evaluate
from dpmed.privacy.budget import Budget
from dpmed.study.crew import Failed, trained
from dpmed.study.folds import write_fold
from dpmed.study.plan import load_study
from dpmed.study.run import StudyRequest, plan
from dpmed.study.work import work


def words(file, data, out, *more):
    return ["study", "run", str(file), "--data", str(data), "--out", str(out), "--workers", "1", *more]


def files(out):
    return {path.relative_to(out / "cells").as_posix(): path.stat().st_mtime_ns for path in out.rglob("cells/*/*.json")}


def planned(file, data, out, **more):
    return plan(StudyRequest(load_study(file), data, out, **more))


@pytest.fixture
def done(write_study, data, tmp_path):
    """A study of which every cell is trained, in this process."""
    for task in planned(write_study(), data, tmp_path / "out").tasks:
        work(task)
    return tmp_path / "out"


def test_a_cell_is_one_small_file_of_the_held_out_patients(done, write_study, data):
    asked = planned(write_study(), data, done)
    assert not asked.tasks
    assert len(files(done)) == 6
    assert not list((done / "scratch").iterdir()), "runs are removed"
    for cell in asked.found:
        assert len(cell.scores) == 12 == cell.patients
        assert {one.patient for one in cell.scores} <= {f"p-{number:012x}" for number in range(24)}
        assert sum(one.positive for one in cell.scores) == 4
        assert 0 <= cell.metric <= 1
        assert (cell.epsilon is None) == (cell.asked.key.epsilon is None)
        assert cell.epsilon is None or 7.9 < cell.epsilon <= 8.0
    by_fold = [{one.patient for one in cell.scores} for cell in asked.found[:2]]
    assert not by_fold[0] & by_fold[1]


def test_nothing_is_charged_to_the_dataset_and_nothing_of_it_is_changed(done, data):
    assert not DatasetFolder(data).budget.exists()
    assert {path.name for path in data.iterdir()} == {"images", "manifest.json", "cache"}


def test_only_what_changed_is_trained_again(done, write_study, data):
    def left(file):
        return {(task.asked.key.variant, task.asked.key.epsilon) for task in planned(file, data, done).tasks}

    assert not left(write_study())
    assert not left(write_study(title='"another word"', settings='{ "hardware.nano_batch" = 2 }'))
    assert left(write_study(epsilons="[8, 3]")) == {("base", 3.0)}
    assert left(write_study('[variants.new]\nsettings = { "optimizer.momentum" = 0.5 }')) == {
        ("new", None),
        ("new", 8.0),
    }
    assert left(write_study(delta="2e-2")) == {("base", None), ("base", 8.0), ("no-ema", 8.0)}
    assert left(write_study(fold_seed="1")) == {("base", None), ("base", 8.0), ("no-ema", 8.0)}


def test_a_damaged_cell_is_trained_again(done, write_study, data):
    damaged = next((done / "cells" / "base").glob("*.json"))
    damaged.write_text(damaged.read_text()[:-100])
    assert len(planned(write_study(), data, done).tasks) == 1


def test_kept_runs_are_whole_runs_that_did_not_see_the_fold(write_study, data, tmp_path):
    task = planned(write_study(), data, tmp_path / "out", keep=True).tasks[0]
    for _ in range(2):  # what a kill left of it does not stand in the way
        work(task)
    run = RunFolder(tmp_path / "out" / "runs" / "base" / task.asked.key.name)
    assert run.model.is_file()
    assert set(Manifest.from_json(run.manifest.read_text()).patients("test")) == task.held_out


@pytest.mark.parametrize("task", ["covid-ct", "brats"])
def test_patients_are_judged_as_evaluate_judges_them(request, task, write_study, tmp_path):
    dataset = request.getfixturevalue(f"{task.replace('-ct', '')}_dataset")
    settings = '{ "privacy.expected_batch_size" = 2, "privacy.steps" = 2, "data.image_size" = [32, 32] }'
    file = write_study(recipe=f'"{task}-tiny"', settings=settings)
    asked = planned(file, dataset, tmp_path / "out", keep=True).tasks[0]
    cell = work(asked)
    write_fold(tmp_path / "fold", dataset, asked.held_out)
    run = RunFolder(tmp_path / "out" / "runs" / "base" / asked.asked.key.name)
    *_, found = evaluate(run, tmp_path / "fold", split="test")
    if task == "covid-ct":
        wanted = [(one.patient, one.label == 1, one.probability) for one in found.per_patient]
        assert cell.metric == pytest.approx(found.scores.auroc)
    else:
        wanted = [(one.patient, True, sum(one.dice.values()) / len(one.dice)) for one in found.per_patient]
        assert cell.metric == pytest.approx(found.scores.dice_mean)
    assert [(one.patient, one.positive, pytest.approx(one.score)) for one in cell.scores] == wanted


@pytest.mark.slow
def test_a_run_trains_adds_up_and_goes_on_where_it_was(write_study, data, tmp_path, capsys):
    more = '[variants.too-large]\nsettings = { "privacy.expected_batch_size" = 99 }\nepsilons = [8]'
    file, out = write_study(more), tmp_path / "out"
    assert main(words(file, data, out, "--only", "base", "--json")) == 0
    first, found = files(out), json.loads(capsys.readouterr().out)
    assert {name.partition("/")[0] for name in first} == {"base"}
    assert [row["epsilon"] for row in found["rows"]] == [None, 8.0]
    assert main(words(file, data, out, "--json")) == ExitCode.PARTIAL
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "partial"
    assert {(one["key"]["variant"], one["key"]["fold"]) for one in found["failed"]} == {
        ("too-large", 0),
        ("too-large", 1),
    }
    assert "expected_batch_size 99" in found["failed"][0]["reason"]
    assert {(row["variant"], row["epsilon"]) for row in found["rows"]} == {
        ("base", None),
        ("base", 8.0),
        ("no-ema", 8.0),
    }
    assert first.items() <= files(out).items(), "what was done is not trained again"
    assert {"study.json", "frontier.png", "gains.png"} <= {path.name for path in out.iterdir()}


@pytest.mark.slow
def test_a_killed_study_loses_what_was_at_work_and_no_more(write_study, data, tmp_path, capsys):
    file, out = write_study(epsilons='["inf"]', seeds="[0, 1, 2, 3]"), tmp_path / "out"
    command = words(file, data, out, "--only", "base", "--json")
    study = subprocess.Popen([sys.executable, "-m", "dpmed", *command], stderr=subprocess.DEVNULL)
    while len(files(out)) < 3:
        assert study.poll() is None
        time.sleep(0.05)
    children = psutil.Process(study.pid).children(recursive=True)
    for process in (*children, study):
        os.kill(process.pid, signal.SIGKILL)
    study.wait()
    kept = files(out)
    assert 3 <= len(kept) < 8
    assert main(command) == 0
    assert len(files(out)) == json.loads(capsys.readouterr().out)["cells"] == 8
    assert kept.items() <= files(out).items()
    assert not (out / "scratch").exists()


@pytest.mark.slow
def test_ctrl_c_keeps_and_adds_up_what_is_there(write_study, data, tmp_path):
    file, out = write_study(epsilons='["inf"]', seeds="[0, 1, 2, 3]"), tmp_path / "out"
    command = words(file, data, out, "--only", "base")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    try:
        study = subprocess.Popen([sys.executable, "-m", "dpmed", *command], stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    while len(files(out)) < 3:
        assert study.poll() is None
        time.sleep(0.05)
    study.send_signal(signal.SIGINT)
    _, said = study.communicate(timeout=60)
    assert study.returncode == ExitCode.INTERRUPTED
    assert "the same command goes on" in said
    assert json.loads((out / "study.json").read_text())["cells"] == len(files(out))


def workers():
    """Processes that train; not the one with which Python keeps count of what they share."""
    return [one for one in psutil.Process().children() if "spawn_main" in "".join(one.cmdline())]


@pytest.mark.slow
def test_a_process_that_dies_is_told_and_replaced(write_study, data, tmp_path):
    tasks = planned(write_study(), data, tmp_path / "out").tasks[:2]  # without privacy
    outcomes = trained(tasks, workers=1)
    before = workers()

    def kill():
        while not (started := [one for one in workers() if one not in before]):
            time.sleep(0.02)
        started[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    first, second = outcomes
    killer.join()
    assert isinstance(first, Failed)
    assert "its process died (-9)" in first.reason
    assert second.asked == tasks[1].asked


def test_without_a_word_that_the_data_are_public_nothing_is_trained(write_study, data, tmp_path, capsys):
    assert main(words(write_study(public='""'), data, tmp_path / "out")) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "4 private runs together would cost each patient epsilon 1" in said  # two of eight, for each patient
    assert "public = ..." in said
    assert not (tmp_path / "out").exists()


def test_a_dataset_with_a_lifetime_budget_is_not_public(write_study, data, tmp_path):
    Budget(DatasetFolder(data)).set_limit(8.0, 1e-3)
    with pytest.raises(ConfigError, match="lifetime budget"):
        planned(write_study(), data, tmp_path / "out")


def test_a_dry_run_says_what_is_there_and_what_is_not(done, write_study, data, capsys):
    file = write_study('[variants.new]\nsettings = { "optimizer.momentum" = 0.5 }')
    before = files(done)
    assert main(words(file, data, done, "--dry-run", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["trainings"], found["there"], found["variants"]) == (10, 6, {"new": 4})
    assert files(done) == before


def test_a_study_for_another_task_is_refused(write_study, data, tmp_path):
    with pytest.raises(ConfigError, match="the recipe is for task brats"):
        planned(write_study(recipe='"brats-tiny"'), data, tmp_path / "out")
