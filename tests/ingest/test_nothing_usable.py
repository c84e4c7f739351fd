"""An ingest of which all is held back: no dataset, but a report that says why, and a folder that can be used again."""

import json
import shutil

import pytest

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.ingest.reasons import Reason
from dpmed.samples import PLANTED, write_ct_series

FORMATS = ("nifti", "dicom")


def ingest(source, out, form, *options):
    key = ("--key", str(out.with_suffix(".key")))
    return main(["ingest", str(source), "--format", form, "--task", "brats", "--out", str(out), *key, *options])


@pytest.fixture
def unusable(make, tmp_path):
    """One object that declares text burned in and shows none, so that neither reading nor its kind lets it pass."""
    make.slice(tmp_path / "in" / "one.dcm", BurnedInAnnotation="YES")
    return tmp_path / "in"


@pytest.mark.parametrize("form", FORMATS)
def test_the_report_says_why_and_how_to_go_on(unusable, tmp_path, capsys, form, leaks):
    assert ingest(unusable, tmp_path / "out", form, "--json") == ExitCode.NO_INPUT
    answer = json.loads(capsys.readouterr().out)
    assert Reason.BURNED_IN.value in answer["error"]
    assert "--format dicom" in answer["hint"] and "scrub-report.html" in answer["hint"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scrub-report.json", "scrub-report.html"}
    report = json.loads((tmp_path / "out" / "scrub-report.json").read_text())
    assert (report["images_in"], report["images_out"], report["quarantined"]) == (1, 0, 1)
    assert [line["reason"] for line in report["quarantine"]] == [Reason.BURNED_IN.value]
    page = (tmp_path / "out" / "scrub-report.html").read_text()
    assert "No dataset was made" in page and "may be used for" not in page
    assert not leaks(PLANTED, page.encode() + json.dumps(report).encode())


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_said_to_have_been_searched(unusable, tmp_path, form):
    assert ingest(unusable, tmp_path / "out", form, "--verify", "-q") == ExitCode.NO_INPUT
    report = json.loads((tmp_path / "out" / "scrub-report.json").read_text())
    assert (report["verified"], report["searched"], report["manifest_sha256"]) == (None, None, "")


@pytest.mark.parametrize("form", FORMATS)
def test_a_dry_run_writes_no_report(unusable, tmp_path, capsys, form):
    assert ingest(unusable, tmp_path / "out", form, "--dry-run") == ExitCode.NO_INPUT
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert "scrub-report" not in capsys.readouterr().err


def test_the_folder_can_be_used_again(unusable, tmp_path):
    assert ingest(unusable, tmp_path / "out", "dicom", "-q") == ExitCode.NO_INPUT
    (tmp_path / "out" / "quarantine").mkdir()
    (tmp_path / "out" / "quarantine" / "f-0123456789ab.png").write_bytes(b"of an earlier try")
    shutil.rmtree(unusable)
    write_ct_series(unusable, slices=2)
    assert ingest(unusable, tmp_path / "out", "dicom", "-q") == ExitCode.DONE
    assert (tmp_path / "out" / "manifest.json").exists()
    assert not (tmp_path / "out" / "quarantine").exists()
    assert json.loads((tmp_path / "out" / "scrub-report.json").read_text())["images_out"] == 2
