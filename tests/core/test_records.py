"""Records are frozen, refuse what they do not know, and quote no value when they are damaged."""

import importlib
import inspect
import pkgutil
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

import dpmed.core
from dpmed.core.errors import MismatchError
from dpmed.core.folders import RELEASE_FILES, DatasetFolder, RunFolder
from dpmed.core.record import Record
from dpmed.core.specs import ClippingSpec, Entry, HardwareFlags, PrivacySpec

MODULES = [importlib.import_module(f"dpmed.core.{module.name}") for module in pkgutil.iter_modules(dpmed.core.__path__)]
RECORDS = sorted(
    {
        record
        for module in MODULES
        for _, record in inspect.getmembers(module, inspect.isclass)
        if issubclass(record, Record)
    },
    key=lambda record: record.__name__,
)


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_is_frozen_and_refuses_unknown_keys(record):
    assert record.model_config["frozen"]
    assert record.model_config["extra"] == "forbid"


def test_a_frozen_record_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        HardwareFlags().nano_batch = 2


def test_what_is_written_is_what_is_read():
    entry = Entry(
        step=3, mechanism="poisson-subsampled-gaussian", sample_rate=0.1, noise_multiplier=1.25, clip_norm=0.1
    )
    assert Entry.from_json(entry.to_json()) == entry


def test_a_damaged_record_is_refused_without_its_values():
    with pytest.raises(MismatchError) as refusal:
        Entry.from_json('{"sample_rate": "DOE^JANE"}')
    assert "sample_rate" in refusal.value.message
    assert "DOE" not in refusal.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": 0},
        {"epsilon": float("inf")},
        {"delta": 0},
        {"delta": 1},
        {"sample_rate": 0},
        {"sample_rate": 1.01},
        {"steps": 0},
        {"noise_multiplier": -0.1},
        {"noise_multiplier": float("nan")},
        {"unit": "slice"},
        {"neighbouring": "replace-one"},
        {"clip": 1.0},
    ],
    ids=str,
)
def test_a_privacy_spec_out_of_range_cannot_be_made(change):
    good = {
        "epsilon": 8.0,
        "delta": 1e-3,
        "clipping": ClippingSpec(l2_clip_norm=1.0),
        "sample_rate": 0.1,
        "expected_batch_size": 16.0,
        "steps": 10,
    }
    assert PrivacySpec(**good).unit == "patient"
    with pytest.raises(ValidationError):
        PrivacySpec(**good | change)


@pytest.mark.parametrize("norm", [0, -1, float("inf"), float("nan")])
def test_a_clip_norm_that_bounds_nothing_cannot_be_made(norm):
    with pytest.raises(ValidationError):
        ClippingSpec(l2_clip_norm=norm)


def test_every_file_that_may_leave_the_hospital_lies_in_release_and_every_other_does_not():
    run = RunFolder(Path("runs/x"))
    released = {run.model, run.config, run.ledger, run.statement, run.card, run.report}
    assert {path.relative_to(run.release).as_posix() for path in released} == RELEASE_FILES
    for path in (run.state, run.manifest, run.metrics):
        assert path.is_relative_to(run.curator)
    assert not run.curator.is_relative_to(run.release)


def test_the_parts_of_a_dataset_lie_where_the_command_line_promises():
    data = DatasetFolder(Path("data"))
    names = [path.name for path in (data.manifest, data.scrub_report, data.budget)]
    assert names == ["manifest.json", "scrub-report.json", "budget.jsonl"]


def test_the_command_promised_by_the_package_is_the_front_door():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"dpmed": "dpmed.cli.main:main"}
