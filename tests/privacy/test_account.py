"""What a run folder says of itself is checked against itself: any damage is named, none lowers an epsilon."""

import json

import pytest

from dpmed.cli.main import main
from dpmed.core.errors import MismatchError
from dpmed.core.folders import DatasetFolder, RunFolder
from dpmed.core.recipe import load_recipe
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import ClippingSpec, ModelSpec, PrivacySpec, TaskSpec
from dpmed.privacy import account
from dpmed.privacy.account import of_trained
from dpmed.privacy.budget import Budget
from dpmed.privacy.ledger import Ledger
from dpmed.privacy.mechanisms import run_of
from dpmed.privacy.statement import statement

SPEC = PrivacySpec(
    epsilon=None,
    delta=1e-3,
    clipping=ClippingSpec(l2_clip_norm=1.0),
    sample_rate=0.1,
    expected_batch_size=20,
    steps=6,
    noise_multiplier=2.0,
)


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A finished run of six steps, without its weights."""
    folder = RunFolder(tmp_path / "run")
    config = RunConfig(
        run="0" * 32,
        dpmed_version="0",
        recipe=load_recipe("covid-ct"),
        model=ModelSpec(name="resnet10-gn", spatial_dims=2, in_channels=1, out_channels=1, width=4),
        task=TaskSpec(kind="classification", outputs=("covid",)),
        label_scheme=None,
        privacy=SPEC,
        patients=200,
        seed=0,
        demo_seed=None,
        init_sha256=None,
        device="cpu",
        engine="nano",
    )
    book = Ledger(folder.ledger)
    for step in range(SPEC.steps):
        book.append(SPEC.entry(step))
    folder.config.write_text(config.to_json())
    folder.statement.write_text(statement(config, book.entries).to_json())
    return folder


def _verify(run: RunFolder, capsys) -> tuple[int, dict]:
    code = main(["epsilon", str(run.root), "--verify", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_whole_run_is_verified(run, capsys):
    code, answer = _verify(run, capsys)
    assert (code, answer["verified"], answer["warnings"]) == (0, True, [])


def test_any_flipped_byte_of_the_ledger_is_detected(run, capsys):
    content = run.ledger.read_bytes()
    for position in range(0, len(content), 29):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        run.ledger.write_bytes(damaged)
        code, answer = _verify(run, capsys)
        assert code == 8 and "ledger.jsonl is damaged at line" in answer["error"], position


def test_a_half_written_last_line_is_named_and_counted(run, capsys):
    whole = of_trained([run])
    lines = run.ledger.read_bytes().splitlines(keepends=True)
    run.ledger.write_bytes(b"".join(lines[:-1]) + lines[-1][:50])
    code, answer = _verify(run, capsys)
    assert code == 0 and answer["epsilon"] == whole.epsilon and answer["steps"] == SPEC.steps
    assert "cut off" in answer["warnings"][0]


def test_lines_missing_at_the_end_are_detected(run, capsys):
    lines = run.ledger.read_bytes().splitlines(keepends=True)
    run.ledger.write_bytes(b"".join(lines[:-2]))
    code, answer = _verify(run, capsys)
    assert code == 8 and "does not follow from the ledger" in answer["error"]


@pytest.mark.parametrize("change", [{"noise_multiplier": 3.0}, {"sample_rate": 0.05}])
def test_a_configuration_that_differs_from_the_ledger_is_detected(run, capsys, change):
    config = RunConfig.load(run)
    run.config.write_text(
        config.model_copy(update={"privacy": SPEC.model_copy(update=change)}).to_json(),
    )
    code, answer = _verify(run, capsys)
    assert code == 8 and "release/config.json" in answer["error"]


def test_a_statement_that_says_less_is_detected(run, capsys):
    said = json.loads(run.statement.read_text())
    run.statement.write_text(json.dumps(said | {"epsilon": said["epsilon"] / 2}))
    code, answer = _verify(run, capsys)
    assert code == 8 and "statement.json" in answer["error"]


def test_accountants_that_disagree_are_named_and_fail_the_command(run, capsys, monkeypatch):
    monkeypatch.setattr(account, "second_opinions", lambda runs, delta: {"prv": 0.9, "rdp": 1.0})
    code, answer = _verify(run, capsys)
    assert code == 8 and "the accountants disagree: PLD" in answer["error"] and "PRV 0.9000" in answer["error"]


def test_any_flipped_byte_of_the_budget_is_detected(tmp_path, capsys):
    budget = Budget(DatasetFolder(tmp_path))
    budget.set_limit(8.0, 1e-3)
    budget.reserve("one", [run_of(SPEC)], delta=1e-3, private=True)
    budget.settle("one", steps=6)
    path = DatasetFolder(tmp_path).budget
    content = path.read_bytes()
    for position in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(MismatchError, match=r"budget\.jsonl is damaged at line"):
            budget.lifetime()


def test_several_runs_cost_more_than_each_and_less_than_their_sum(run, capsys):
    one = of_trained([run]).epsilon
    assert one < of_trained([run, run]).epsilon < 2 * one
