"""The page says all of a study, what did not help and what failed too."""

import json
import re

import pytest
from PIL import Image

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.study.plan import CellKey, load_study
from dpmed.study.result import FailedCell
from dpmed.study.summary import summarised
from dpmed.study.verdict import verdict

VARIANTS = {"better": 0.35, "worse": -0.35, "alike": 0.0}


@pytest.fixture
def result(write_study, make_cell):
    """A base at three epsilons, three variants beside it at epsilon 8."""
    more = "".join(f'[variants.{name}]\nabout = "it is | {name}"\nepsilons = [8]\n' for name in VARIANTS)
    study = load_study(write_study(more, epsilons='["inf", 8, 3]', seeds="[0, 1, 2]"))
    rows = [("base", epsilon, gap) for epsilon, gap in ((None, 0.4), (8.0, 0.1), (3.0, 0.05))]
    rows += [(name, 8.0, 0.1 + gain) for name, gain in VARIANTS.items()]
    cells = [
        make_cell(
            variant,
            epsilon,
            seed=seed,
            fold=fold,
            positives=[0.02 * ((7 * place) % 20) + gap + 0.002 * seed for place in range(20)],
            negatives=[0.02 * ((3 * place) % 20) for place in range(20)],
        )
        for variant, epsilon, gap in rows
        for seed in range(3)
        for fold in range(2)
    ]
    failed = FailedCell(key=CellKey(variant="no-ema", epsilon=8.0, seed=0, fold=1), reason="it was too large")
    return summarised(study, cells, [failed])


@pytest.fixture
def page(result, tmp_path):
    (tmp_path / "tried").mkdir()
    (tmp_path / "tried" / "study.json").write_text(result.to_json())
    assert main(["study", "page", str(tmp_path / "tried"), "--to", str(tmp_path / "docs" / "results.md")]) == 0
    return tmp_path / "docs" / "results.md"


def test_every_row_is_on_the_page_with_its_number(page, result):
    lines = page.read_text().splitlines()
    for row in result.rows:
        told = [line for line in lines if line.startswith(f"| {row.variant} |") and f"{row.value:.3f}" in line]
        assert told, (row.variant, row.epsilon)
    assert all(f"| {row.gain:+.3f} |" in page.read_text() for row in result.rows if row.gain is not None)


def test_what_helps_what_hurts_and_what_makes_no_difference_is_said(page, result):
    said = {row.variant: verdict(row) for row in result.rows if row.gain is not None}
    assert said == {"better": "helps", "worse": "hurts", "alike": "no clear difference"}
    for variant, words in said.items():
        assert re.search(rf"^\| {variant} \|.*\| {words} \|", page.read_text(), flags=re.MULTILINE)


def test_the_page_says_who_how_and_what_it_may_not_be_taken_for(page, result):
    text = page.read_text()
    assert "80 patients, of whom 40 are positive, in 2 folds by patient and label" in text
    assert "looking at the results of these very patients" in text
    assert f"30 private trainings together epsilon {result.cost:.1f} at delta 0.01" in text  # and six without
    assert "a machine, 2 cores" in text
    assert "Failed: no-ema, epsilon 8, seed 0, fold 1: it was too large." in text
    assert "6 trainings of the study are not done" in text
    assert "dpmed study run study.toml" in text


def test_a_word_of_the_study_cannot_break_a_table(page):
    rows = [line for line in page.read_text().splitlines() if line.startswith("| better | it is")]
    assert rows and all("it is \\| better" in row for row in rows)


def test_pictures_lie_beside_the_page_and_are_shown(page):
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())
    assert shown == ["results-tried-frontier.png", "results-tried-gains.png"]
    for name in shown:
        with Image.open(page.parent / name) as picture:
            assert min(picture.size) > 150


def test_several_studies_are_one_page(page, result, tmp_path, capsys):
    other = result.model_copy(update={"name": "another", "title": "Another thing"})
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "study.json").write_text(other.to_json())
    folders = [str(tmp_path / name) for name in ("tried", "another")]
    assert main(["study", "page", *folders, "--to", str(page), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["pictures"]) == 4
    assert re.findall(r"^## (.*)$", page.read_text(), flags=re.MULTILINE) == [
        "A tried thing",
        "Another thing",
        "Once more",
    ]


def test_no_place_of_this_machine_is_on_the_page(page, tmp_path):
    assert str(tmp_path) not in page.read_text()


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    assert main(["study", "page", str(tmp_path), "--to", str(tmp_path / "r.md")]) == ExitCode.NO_INPUT
    assert "dpmed study run" in capsys.readouterr().err
