"""The page about a run: the guarantee first, nothing loaded from anywhere, no patient in what is released."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from dpmed.cli.main import main
from dpmed.core.manifest import Manifest
from dpmed.core.specs import Entry, Statement
from dpmed.evaluate.groups import SMALLEST
from dpmed.evaluate.report.curves import training_curve
from dpmed.evaluate.report.gallery import MOST_SLICES
from dpmed.evaluate.results import Evaluation
from dpmed.privacy.ledger import Ledger

VOID = {"meta", "img", "input", "br"}


def written(one) -> tuple[str, str]:
    assert main(["evaluate", str(one.run.root), "--data", str(one.data), "--quiet"]) == 0
    return (one.run.curator / "evaluate-test" / "report.html").read_text(), one.run.report.read_text()


def pictures(text: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


class Balanced(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass


@pytest.fixture(params=["covid", "brats"])
def judged(request):
    return request.getfixturevalue(request.param)


def test_a_page_is_whole_and_loads_nothing(judged):
    for text in written(judged):
        parser = Balanced()
        parser.feed(text)
        assert parser.open == []
        without_names = re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
        assert "://" not in without_names
        assert re.findall(r'(?:src|href)="(?!data:image/|#)[^"]*"', text) == []
        assert "default-src 'none'" in text


def test_the_guarantee_comes_before_any_result(judged):
    statement = Statement.from_json(judged.run.statement.read_text())
    for text in written(judged):
        assert 0 < text.index(statement.words) < text.index("<h2>Results</h2>")
        assert "held-out patients" in text


def test_what_is_released_shows_no_patient(judged):
    whole, released = written(judged)
    manifest = Manifest.load(judged.data)
    shown = [case.patient for case in manifest.cases if case.patient in whole]
    assert shown
    assert pictures(whole)
    assert pictures(released) == []
    assert re.findall(r"\b[pc]-[0-9a-f]{12}\b", released) == []
    assert "<svg" not in released, "each step of a curve is a patient"
    assert "stays in curator/" not in released.split("</header>")[1].split('class="promise"')[0]


def test_few_patients_are_not_counted_in_what_is_released(judged):
    _, released = written(judged)
    evaluation = json.loads((judged.run.curator / "evaluate-test" / "evaluation.json").read_text())
    assert evaluation["patients"] < SMALLEST
    assert '<table class="numbers">' not in released
    assert "stay in curator/" in released


def test_cases_can_be_scrolled_through_from_the_telling_slice(judged):
    whole, _ = written(judged)
    for figure in re.findall(r"<figure>(.*?)</figure>", whole, flags=re.DOTALL):
        images = re.findall(r'<img alt="slice (\d+)"[^>]*?( hidden)?>', figure)
        assert 1 <= len(images) <= MOST_SLICES + 1
        (visible,) = [number for number, hidden in images if not hidden]
        assert f"<output>slice {visible}</output>" in figure
        assert f'value="{[number for number, _ in images].index(visible)}"' in figure


def test_reference_and_prediction_are_painted_beside_the_image(brats):
    whole, _ = written(brats)
    panels = [np.array_split(one, 3, axis=1) for one in pictures(whole)]
    colourful = [[float((panel.max(-1).astype(int) - panel.min(-1) > 60).mean()) for panel in row] for row in panels]
    assert max(image for image, _, _ in colourful) < 0.01
    assert max(reference for _, reference, _ in colourful) > 0.01


def test_a_patient_who_was_missed_is_named_in_the_curators_page(covid):
    whole, _ = written(covid)
    evaluation = Evaluation.from_json((covid.run.curator / "evaluate-test" / "evaluation.json").read_text())
    wrong = [one.patient for one in evaluation.per_patient if (one.probability >= 0.5) != bool(one.label)]
    failures = whole.split("<h2>Failures</h2>")[1].split("<h2>")[0]
    assert {*re.findall(r"p-[0-9a-f]{12}", failures)} == set(wrong)


def test_the_training_curve_has_what_was_spent_beside_the_loss():
    losses = np.linspace(1, 0.2, 500).tolist()
    private = training_curve(losses, ([0, 250, 500], [0.0, 2.0, 3.0]))
    assert "epsilon spent" in private
    assert "epsilon" not in training_curve(losses, None)


def test_a_torn_line_of_the_metrics_costs_no_report(covid):
    covid.run.metrics.write_text('{"loss": 0.7}\n{"loss": null}\n{"lo')
    whole, released = written(covid)
    assert "training loss" in whole
    assert "training loss" not in released


def test_a_run_without_privacy_has_a_loss_and_no_price(make_run, covid_dataset, tmp_path):
    run = make_run(tmp_path / "plain", covid_dataset, private=False)
    entry = Entry(step=0, mechanism="none", sample_rate=0.5, noise_multiplier=0, clip_norm=None)
    Ledger(run.ledger).append(entry)
    run.metrics.write_text('{"loss": 0.7}\n')
    assert main(["evaluate", str(run.root), "--data", str(covid_dataset), "--quiet"]) == 0
    whole = (run.curator / "evaluate-test" / "report.html").read_text()
    assert "training loss" in whole
    assert "epsilon spent" not in whole
    assert "No privacy guarantee" in whole
