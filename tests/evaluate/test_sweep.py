"""What privacy costs: runs that differ by epsilon alone, on the same patients."""

import json

import pytest
from PIL import Image

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Statement


@pytest.fixture
def runs(make_run, tmp_path, brats_dataset):
    """A run at epsilon 7.5, one at 2, one without a promise."""
    made = []
    for number, epsilon in enumerate((7.5, 2.0, None)):
        run = make_run(tmp_path / f"run-{number}", brats_dataset, private=epsilon is not None)
        config = RunConfig.load(run).model_copy(update={"run": f"{number}" * 32})
        run.config.write_text(config.to_json())
        statement = Statement.from_json(run.statement.read_text()).model_copy(update={"epsilon": epsilon})
        run.statement.write_text(statement.to_json())
        made.append(run)
    return made


def swept(data, first, *others):
    words = [word for run in others for word in ("--sweep", str(run.root))]
    return main(["evaluate", str(first.root), "--data", str(data), *words, "--json"])


def test_runs_stand_by_epsilon_and_the_one_without_a_promise_last(runs, brats_dataset, capsys):
    assert swept(brats_dataset, *runs) == 0
    points = json.loads(capsys.readouterr().out)["sweep"]["points"]
    assert [point["epsilon"] for point in points] == [2.0, 7.5, None]
    for run, point in zip((runs[1], runs[0], runs[2]), points, strict=True):
        alone = json.loads((run.curator / "evaluate-test" / "evaluation.json").read_text())
        assert point["value"] == alone["scores"]["dice_mean"]


def test_the_report_draws_it_and_what_is_released_does_not(runs, brats_dataset):
    assert swept(brats_dataset, *runs) == 0
    folder = runs[0].curator / "evaluate-test"
    with Image.open(folder / "sweep.png") as picture:
        assert min(picture.size) > 300
    assert "What privacy costs" in (folder / "report.html").read_text()
    assert "What privacy costs" not in runs[0].report.read_text()
    assert "What privacy costs" not in runs[0].card.read_text()


def test_runs_of_another_network_are_refused_before_an_image_is_read(runs, brats_dataset, capsys):
    config = RunConfig.load(runs[1])
    model = config.recipe.model.model_copy(update={"width": 8})
    recipe = config.recipe.model_copy(update={"model": model})
    runs[1].config.write_text(config.model_copy(update={"recipe": recipe}).to_json())
    assert swept(brats_dataset, runs[0], runs[1]) == ExitCode.MISMATCH
    assert not (runs[0].curator / "evaluate-test").exists()


def test_a_run_is_swept_once(runs, brats_dataset, capsys):
    assert swept(brats_dataset, runs[0], runs[0]) == ExitCode.USAGE
