"""`dpmed epsilon`: every form answers with the same keys, and a wrong question gets a cure."""

import json
import resource
import subprocess
import sys

import pytest

from dpmed.cli.main import main

KEYS = {
    "schema",
    "status",
    "dpmed_version",
    "epsilon",
    "delta",
    "accountant",
    "noise_multiplier",
    "sample_rate",
    "steps",
    "unit",
    "neighbouring",
    "valid",
    "verified",
}
NUMBERS = ["--sample-rate", "0.01", "--steps", "10000", "--delta", "1e-5"]


def _ask(capsys, *words: str) -> dict:
    assert main(["epsilon", *words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.keys() >= KEYS
    return answer


def test_the_textbook_setting_gives_the_known_number(capsys):
    answer = _ask(capsys, *NUMBERS, "--noise-multiplier", "4")
    assert answer["epsilon"] == pytest.approx(0.947, abs=1e-3)
    assert (answer["unit"], answer["neighbouring"], answer["accountant"]) == ("patient", "add-or-remove-one", "pld")
    assert answer["verified"] is None


@pytest.mark.parametrize(("accountant", "epsilon"), [("rdp", 1.0355), ("prv", 0.957)])
def test_another_accountant_can_be_asked(capsys, accountant, epsilon):
    answer = _ask(capsys, *NUMBERS, "--noise-multiplier", "4", "--accountant", accountant)
    assert answer["epsilon"] == pytest.approx(epsilon, abs=1e-3)


def test_verify_names_the_second_opinions(capsys):
    answer = _ask(capsys, *NUMBERS, "--noise-multiplier", "4", "--verify")
    assert answer["verified"] is True
    assert answer["second_opinions"].keys() == {"rdp", "prv"}


def test_a_target_gives_the_noise_that_meets_it(capsys):
    answer = _ask(capsys, *NUMBERS, "--target-epsilon", "1")
    assert 1 - 1e-3 <= answer["epsilon"] <= 1
    again = _ask(capsys, *NUMBERS, "--noise-multiplier", str(answer["noise_multiplier"]))
    assert again["epsilon"] == answer["epsilon"]


def test_the_words_around_a_number_say_what_it_means(capsys):
    assert main(["epsilon", *NUMBERS, "--noise-multiplier", "4"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for word in ("per patient", "add-or-remove-one", "delta 1e-05", "PLD", "Poisson", "does not cover"):
        assert word in shown


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--sample-rate", "0.1"],
        [*NUMBERS, "--noise-multiplier", "4", "--target-epsilon", "1"],
        [*NUMBERS, "--target-epsilon", "0"],
        [*NUMBERS, "--noise-multiplier", "0"],
        ["--sample-rate", "1.5", "--steps", "10", "--delta", "1e-5", "--noise-multiplier", "1"],
        ["--sample-rate", "0.5", "--steps", "10", "--delta", "1", "--noise-multiplier", "1"],
        [*NUMBERS, "--noise-multiplier", "4", "--accountant", "gdp"],
        ["--plan", "covid-ct"],
        [*NUMBERS, "--noise-multiplier", "4", "--set-lifetime-epsilon", "8"],
    ],
)
def test_a_wrong_question_gets_exit_code_2_and_a_hint(capsys, words):
    assert main(["epsilon", *words]) == 2
    said = capsys.readouterr()
    assert not said.out and "hint: " in said.err


def test_a_missing_dataset_and_a_missing_run_have_their_codes(capsys, tmp_path):
    assert main(["epsilon", "--data", str(tmp_path)]) == 3
    assert main(["epsilon", str(tmp_path)]) == 8


def test_bare_numbers_are_answered_within_two_seconds():
    """Counted in seconds of computing: how long a busy machine makes it wait is not its doing."""
    words = [sys.executable, "-m", "dpmed", "epsilon", *NUMBERS, "--noise-multiplier", "4"]
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(words, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < 2
