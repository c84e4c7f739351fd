"""The model card: in release/, so aggregates alone, and no number without what it means."""

import re
from pathlib import Path

import pytest

from dpmed.core.errors import MismatchError
from dpmed.core.manifest import Manifest
from dpmed.evaluate import evaluate, write_card
from dpmed.evaluate.groups import SMALLEST
from dpmed.evaluate.lines import lines


@pytest.fixture(params=["covid", "brats"])
def judged(request: pytest.FixtureRequest):
    return request.getfixturevalue(request.param)


def test_results_on_few_patients_stay_in_curator(judged) -> None:
    *_, evaluation = evaluate(judged.run, judged.data, split="test")
    assert evaluation.patients < SMALLEST
    card = judged.run.card.read_text()
    assert "stay in curator/" in card
    assert not [line.name for line in lines(evaluation) if f"| {line.name} |" in card]


def test_the_card_holds_every_result_with_its_interval(judged) -> None:
    *_, evaluation = evaluate(judged.run, judged.data, split="test")
    write_card(judged.run, evaluation.model_copy(update={"patients": SMALLEST}))
    card = judged.run.card.read_text()
    for line in lines(evaluation):
        assert f"| {line.name} | {line.value} | {line.interval} |" in card


def test_the_card_names_no_patient_case_or_path(judged) -> None:
    list(evaluate(judged.run, judged.data, split="test"))
    card = judged.run.card.read_text()
    assert not re.search(r"\b[pc]-[0-9a-f]{12}\b", card)
    assert str(judged.data) not in card
    assert str(judged.run.root) not in card


def test_the_card_says_what_was_promised_and_what_it_is_not_for(judged) -> None:
    write_card(judged.run, None)
    card = judged.run.card.read_text()
    assert "epsilon 7.5 at delta 0.001, per patient" in card
    assert "an assumption" in card
    assert "Not a medical device" in card
    assert f"| training patients | {len(Manifest.load(judged.data).patients('train'))} |" in card
    assert "Not evaluated yet" in card


def test_an_unfinished_run_has_no_card(covid) -> None:
    covid.run.model.unlink()
    with pytest.raises(MismatchError):
        write_card(covid.run, None)
    assert not Path(covid.run.card).exists()
