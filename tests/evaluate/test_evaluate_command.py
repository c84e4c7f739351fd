"""`dpmed evaluate` from the command line: its JSON, its files, its exit codes."""

import gc
import json
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.core.folders import RELEASE_FILES, RunFolder
from dpmed.core.manifest import Manifest
from dpmed.data import PatientDataset
from dpmed.evaluate import Evaluation, evaluate

ALWAYS = {"schema", "status", "dpmed_version", "task", "split", "patients", "epsilon", "delta", "unit", "neighbouring"}
PROMISED = {
    "covid": {"auroc", "auroc_ci", "accuracy", "sensitivity", "specificity", "brier", "ece"},
    "brats": {"dice", "dice_mean", "dice_ci", "hd95"},
}


@pytest.fixture(params=["covid", "brats"])
def judged(request: pytest.FixtureRequest):
    return request.param, request.getfixturevalue(request.param)


def typed(one, *options: str) -> int:
    return main(["evaluate", str(one.run.root), "--data", str(one.data), *options])


def answer(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_json_holds_what_the_contract_names(judged, capsys: pytest.CaptureFixture[str]) -> None:
    task, one = judged
    assert typed(one, "--json") == ExitCode.DONE
    got = answer(capsys)
    assert ALWAYS | PROMISED[task] <= got.keys()
    assert got["schema"] == "dpmed.evaluate/1"
    assert (got["epsilon"], got["delta"], got["unit"]) == (7.5, 1e-3, "patient")
    assert got["patients"] == len(Manifest.load(one.data).patients("test"))
    assert "per_patient" not in got


def test_results_and_pictures_stay_in_curator(judged) -> None:
    _, one = judged
    assert typed(one, "--quiet") == ExitCode.DONE
    folder = one.run.curator / "evaluate-test"
    assert {path.name for path in folder.iterdir()} == {"evaluation.json", "cases.png", "report.html"}
    assert {path.name for path in one.run.release.iterdir()} == RELEASE_FILES


def test_pictures_show_something(judged) -> None:
    _, one = judged
    typed(one, "--quiet")
    with Image.open(one.run.curator / "evaluate-test" / "cases.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 400
    dark = (pixels.max(-1) < 60).mean()  # the background of scans, on a white page
    assert 0.1 < dark < 0.9
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


def test_results_on_disk_can_be_read_back_and_name_each_patient_once(judged) -> None:
    _, one = judged
    *_, evaluation = evaluate(one.run, one.data, split="test")
    read = Evaluation.from_json((one.run.curator / "evaluate-test" / "evaluation.json").read_text())
    assert read == evaluation
    assert tuple(patient.patient for patient in read.per_patient) == Manifest.load(one.data).patients("test")


def test_the_terminal_says_epsilon_with_its_unit_and_who_is_not_covered(judged, capsys) -> None:
    _, one = judged
    assert typed(one) == ExitCode.DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert "epsilon 7.500 at delta 0.001 per patient, add-or-remove-one, PLD, Poisson sampling" in shown
    assert "held-out patients, whom the privacy guarantee does not cover" in shown


def test_a_run_without_a_guarantee_has_no_epsilon(covid, tmp_path: Path, make_run, capsys) -> None:
    run = make_run(tmp_path / "open", covid.data, private=False)
    assert main(["evaluate", str(run.root), "--data", str(covid.data), "--json"]) == ExitCode.DONE
    got = answer(capsys)
    assert got["epsilon"] is None
    assert got["valid"] is False
    assert "No guarantee" in run.card.read_text()
    assert "Not to be released" in run.card.read_text()


def test_volumes_are_judged_by_sliding_a_window(brats, tmp_path: Path, make_run) -> None:
    run = make_run(tmp_path / "volumes", brats.data, dims=3)
    *_, evaluation = evaluate(run, brats.data, split="test")
    assert set(evaluation.scores.dice) == {"whole_tumour", "tumour_core", "enhancing_tumour"}
    assert (run.curator / "evaluate-test" / "cases.png").exists()


def test_ct_volumes_are_judged_patch_by_patch(covid, tmp_path: Path, make_run) -> None:
    run = make_run(tmp_path / "volumes", covid.data, dims=3)
    *_, evaluation = evaluate(run, covid.data, split="test")
    assert all(0 < patient.probability < 1 for patient in evaluation.per_patient)


def test_evaluating_twice_gives_the_same_numbers(covid) -> None:
    first, second = ([*evaluate(covid.run, covid.data, split="test")][-1] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("before", ["no card", "a card"])
def test_results_on_validation_patients_never_reach_the_card(covid, before: str, capsys) -> None:
    if before == "a card":
        covid.run.card.write_text("results on test patients")
    assert typed(covid, "--split", "val", "--json") == ExitCode.DONE
    assert answer(capsys)["split"] == "val"
    assert ("Not evaluated yet" if before == "no card" else "results on test patients") in covid.run.card.read_text()


def test_results_may_go_elsewhere_but_not_into_release(covid, tmp_path: Path) -> None:
    assert typed(covid, "--out", str(tmp_path / "results"), "--quiet") == ExitCode.DONE
    assert (tmp_path / "results" / "cases.png").exists()
    for place in (covid.run.release, covid.run.release / "results"):
        assert typed(covid, "--out", str(place)) == ExitCode.USAGE
    assert {path.name for path in covid.run.release.iterdir()} == RELEASE_FILES


def test_the_split_that_was_trained_on_is_not_offered(covid) -> None:
    assert typed(covid, "--split", "train") == ExitCode.USAGE


@pytest.mark.parametrize("device", ["cuda", "ipu"])
def test_a_missing_device_is_refused(covid, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert typed(covid, "--device", device) == ExitCode.DEVICE
    assert not (covid.run.curator / "evaluate-test").exists()


def test_no_input_and_no_run_have_their_exit_codes(covid, tmp_path: Path) -> None:
    run = str(covid.run.root)
    assert main(["evaluate", run, "--data", str(tmp_path / "nothing")]) == ExitCode.NO_INPUT
    assert main(["evaluate", str(tmp_path), "--data", str(covid.data)]) == ExitCode.MISMATCH


def test_an_image_that_changed_is_refused_by_name_of_its_case_alone(covid, tmp_path: Path, capsys) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(covid.data, copy, ignore=shutil.ignore_patterns("cache"))
    case = next(case for case in Manifest.load(copy).cases if case.split == "test")
    next(copy / path for path in case.images.values()).write_bytes(b"another image")
    assert main(["evaluate", str(covid.run.root), "--data", str(copy)]) == ExitCode.MISMATCH
    assert str(copy) not in capsys.readouterr().err


def test_progress_counts_every_patient(covid) -> None:
    counted = [event.done for event in evaluate(covid.run, covid.data, split="test") if _counts_patients(event)]
    assert counted == list(range(1, len(Manifest.load(covid.data).patients("test")) + 1))


def _counts_patients(event: object) -> bool:
    return getattr(event, "what", "") == "patients"


def test_one_case_is_held_at_a_time(brats, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref] = []
    most: list[int] = []
    whole = PatientDataset.whole

    def watched(self, patient):
        for case in whole(self, patient):
            alive.append(weakref.ref(case.image))
            gc.collect()
            most.append(sum(ref() is not None for ref in alive))
            yield case

    monkeypatch.setattr(PatientDataset, "whole", watched)
    for _ in evaluate(RunFolder(brats.run.root), brats.data, split="test"):
        pass
    assert len(most) >= 2
    assert max(most) <= 2  # the one in hand and the one just read
