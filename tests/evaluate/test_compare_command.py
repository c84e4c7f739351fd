"""`dpmed evaluate` beyond the cohort: another run beside this one, groups, a threshold of validation patients."""

import json
import re
import shutil
from pathlib import Path

import pytest

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.core.manifest import Attributes, Manifest
from dpmed.evaluate import evaluate, write_card
from dpmed.evaluate.details import Group, GroupMeasure, Subgroups
from dpmed.evaluate.fit import NO_VALIDATION, VALIDATION_JUDGED, fit

OTHER = "1" * 32


@pytest.fixture(params=["covid", "brats"])
def two(request: pytest.FixtureRequest, tmp_path: Path, make_run):
    one = request.getfixturevalue(request.param)
    return one, make_run(tmp_path / "other", one.data, private=False, name=OTHER)


def typed(one, *options: str) -> int:
    return main(["evaluate", str(one.run.root), "--data", str(one.data), *options])


def test_json_holds_both_runs_and_what_lies_between_them(two, capsys) -> None:
    one, other = two
    assert typed(one, "--compare", str(other.root), "--json") == ExitCode.DONE
    got = json.loads(capsys.readouterr().out)["comparison"]
    assert (got["run"], got["statement"]["valid"]) == (OTHER, False)
    assert {"measure", "region", "this", "other", "difference", "difference_ci", "p", "test"} == set(
        got["differences"][0]
    )
    *_, alone = evaluate(other, one.data)
    main_measure = "auroc" if one.run.root.name == "covid-run" else "dice_mean"
    seen = next(row for row in got["differences"] if row["measure"] == main_measure)
    assert seen["other"] == pytest.approx(getattr(alone.scores, main_measure))


def test_the_terminal_shows_both_runs_and_what_each_promises(two, capsys) -> None:
    one, other = two
    assert typed(one, "--compare", str(other.root)) == ExitCode.DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert "this run other run difference 95 % interval p" in shown
    assert "The weights: epsilon 7.500" in shown
    assert "The other run. No guarantee" in shown


def test_the_other_run_stays_off_the_card(two) -> None:
    one, other = two
    typed(one, "--quiet")
    before = one.run.card.read_text()
    typed(one, "--compare", str(other.root), "--quiet")
    assert one.run.card.read_text() == before
    assert not other.card.exists()


def test_a_run_that_was_trained_on_these_patients_is_no_match(two, capsys) -> None:
    one, other = two
    manifest = Manifest.load(one.data)
    swap = {"train": "test", "test": "train", "val": "val"}
    cases = tuple(case.model_copy(update={"split": swap[case.split]}) for case in manifest.cases)
    other.manifest.write_text(manifest.model_copy(update={"cases": cases}).to_json())
    assert typed(one, "--compare", str(other.root)) == ExitCode.MISMATCH
    said = capsys.readouterr().err
    assert "the run to compare with" in said
    assert "were trained on" in said
    assert not (one.run.curator / "evaluate-test").exists()


def test_a_run_of_another_task_is_no_match(covid, brats, capsys) -> None:
    assert typed(covid, "--compare", str(brats.run.root)) == ExitCode.MISMATCH
    assert "the run to compare with: the run was trained for brats" in capsys.readouterr().err


def test_a_run_is_not_compared_with_itself(covid) -> None:
    assert typed(covid, "--compare", str(covid.run.root)) == ExitCode.USAGE


def test_weights_of_the_other_run_that_are_damaged_are_said_to_be_its(covid, tmp_path: Path, make_run, capsys) -> None:
    other = make_run(tmp_path / "other", covid.data, name=OTHER)
    other.model.write_bytes(other.model.read_bytes()[:-10])
    assert typed(covid, "--compare", str(other.root)) == ExitCode.MISMATCH
    assert "the run to compare with: model.safetensors is damaged" in capsys.readouterr().err


def test_small_groups_are_told_of_by_nobody(covid, capsys) -> None:
    manifest = Manifest.load(covid.data)
    known = {str(value) for case in manifest.cases for _, value in case.attributes if value is not None}
    assert known
    assert typed(covid, "--smallest-group", "5", "--json") == ExitCode.DONE
    found = json.loads(capsys.readouterr().out)["subgroups"]
    assert found["groups"] == []
    assert found["some_are_too_small"]
    assert typed(covid) == ExitCode.DONE
    assert "Groups of fewer than 10 patients are not told" in " ".join(capsys.readouterr().out.split())
    assert "the groups are too small to be told of" in covid.run.card.read_text()


def test_a_minimum_under_five_is_wrong_usage(covid) -> None:
    assert typed(covid, "--smallest-group", "4") == ExitCode.USAGE


def test_the_card_shows_groups_and_no_sites_name(covid) -> None:
    *_, evaluation = evaluate(covid.run, covid.data)
    measure = GroupMeasure(measure="accuracy", value=0.75, value_ci=(0.5, 0.9), gap=0.1, gap_ci=(-0.1, 0.3))
    groups = tuple(
        Group(column=column, value=value, patients=20, measures=(measure,))
        for column, value in (("site", "s-0123456789ab"), ("sex", "F"))
    )
    told = Subgroups(smallest=10, columns=("site", "sex"), groups=groups, some_are_too_small=True)
    write_card(covid.run, evaluation.model_copy(update={"subgroups": told, "patients": 40}))
    card = covid.run.card.read_text()
    assert "| site A | 20 | 0.750 | 0.500 to 0.900 | +0.100 | -0.100 to 0.300 |" in card
    assert "| sex F | 20 |" in card
    assert not re.search(r"s-[0-9a-f]{12}", card)
    assert "Nothing was measured by sex" not in card


def test_a_dataset_without_attributes_is_said_to_hold_none(covid, other_dataset) -> None:
    manifest = Manifest.load(covid.data)
    cases = tuple(case.model_copy(update={"attributes": Attributes()}) for case in manifest.cases)
    *_, evaluation = evaluate(covid.run, covid.data)
    bare = fit(covid.run, other_dataset(manifest, cases=cases), split="test")
    assert not any(value for case in bare.manifest.cases for _, value in case.attributes)
    nothing = Subgroups(smallest=10, columns=(), groups=(), some_are_too_small=False)
    write_card(covid.run, evaluation.model_copy(update={"subgroups": nothing}))
    assert "the dataset holds none of them" in covid.run.card.read_text()


def test_points_of_curves_are_in_the_curators_file_alone(covid, capsys) -> None:
    assert typed(covid, "--json") == ExitCode.DONE
    assert "curves" not in json.loads(capsys.readouterr().out)
    written = json.loads((covid.run.curator / "evaluate-test" / "evaluation.json").read_text())
    assert written["curves"]["reliability"]


def test_validation_patients_of_both_classes_choose_a_threshold(covid, tmp_path: Path, capsys) -> None:
    manifest, copy = Manifest.load(covid.data), tmp_path / "copy"
    shutil.copytree(covid.data, copy)
    second = {
        label: next(c.patient for c in manifest.cases if c.split == "train" and c.label == label) for label in (0, 1)
    }
    cases = tuple(c.model_copy(update={"split": "val"}) if c.patient in second.values() else c for c in manifest.cases)
    for folder in (copy, covid.run.curator):
        (folder / "manifest.json").write_text(manifest.model_copy(update={"cases": cases}).to_json())
    assert main(["evaluate", str(covid.run.root), "--data", str(copy), "--json"]) == ExitCode.DONE
    got = json.loads(capsys.readouterr().out)
    chosen = got["at_chosen_threshold"]
    assert chosen["chosen_on"] == len(Manifest.load(copy).patients("val"))
    assert got["threshold"] == 0.5
    report = covid.run.curator / "evaluate-test" / "report.html"
    assert f"sensitivity at {chosen['threshold']:.3g}<" in report.read_text()


def test_validation_patients_of_one_class_choose_nothing(covid, other_dataset) -> None:
    manifest = Manifest.load(covid.data)
    cases = tuple(c for c in manifest.cases if c.split != "val" or c.label == 1)
    subject = fit(covid.run, other_dataset(manifest, cases=cases), split="test")
    assert (subject.validation, subject.no_threshold) == (None, NO_VALIDATION)


def test_validation_patients_who_were_trained_on_choose_nothing(covid, other_dataset) -> None:
    manifest = Manifest.load(covid.data)
    cases = tuple(c.model_copy(update={"split": "val"}) if c.split == "train" else c for c in manifest.cases)
    subject = fit(covid.run, other_dataset(manifest, cases=cases), split="test")
    assert (subject.validation, subject.no_threshold) == (None, NO_VALIDATION)


def test_validation_patients_who_are_judged_choose_nothing(covid) -> None:
    subject = fit(covid.run, covid.data, split="val")
    assert (subject.validation, subject.no_threshold) == (None, VALIDATION_JUDGED)
    *_, evaluation = evaluate(covid.run, covid.data, split="val")
    assert VALIDATION_JUDGED in evaluation.notes


def test_a_segmentation_needs_no_threshold(brats) -> None:
    subject = fit(brats.run, brats.data, split="test")
    assert (subject.validation, subject.no_threshold) == (None, None)
