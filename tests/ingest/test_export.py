"""`dpmed ingest --format dicom`: the same objects for any number of workers, whole after any stop."""

import json
import os
import shutil
import signal

import pydicom
import pytest

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.ingest import journal
from dpmed.ingest.rules.table import allowed
from dpmed.samples import PLANTED, write_covid_ct, write_ct_series


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects") / "in"
    write_covid_ct(folder, patients=5)
    return folder


def export(source, out, *options, key=None):
    return main(
        ["ingest", str(source), "--format", "dicom", "--out", str(out), "--key", str(key or out) + ".key", *options]
    )


def contents(out):
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*.dcm")}


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "out"
    assert export(source, out, "-q") == ExitCode.DONE
    return out


def test_every_object_is_written_and_opens(source, exported):
    files = [path for path in source.rglob("*") if path.is_file() and path.suffix != ".csv"]
    written = list(exported.rglob("*.dcm"))
    assert len(written) == len(files) > 10
    assert all(pydicom.dcmread(path).PatientIdentityRemoved == "YES" for path in written)


def test_no_planted_identifier_is_in_any_byte(exported, leaks):
    names = [str(path.relative_to(exported)).encode() for path in exported.rglob("*")]
    held = [path.read_bytes() for path in exported.rglob("*") if path.is_file()]
    assert not leaks(PLANTED, b"\0".join(names + held))


@pytest.mark.parametrize(("stated", "told"), [("M3D", "M3D"), ("QUILLFEATHER", ""), ("../../ct", "")])
def test_a_modality_is_told_if_the_standard_knows_it(make, tmp_path, stated, told):
    path = make.slice(tmp_path / "in" / "one")
    header = pydicom.dcmread(path)
    header.add_new("Modality", "LO", stated)
    header["Modality"].VR = "CS"
    header.save_as(path)
    assert export(tmp_path / "in", tmp_path / "out", "-q") == ExitCode.DONE
    (series,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["series"]
    assert series["modality"] == told


def test_the_report_names_the_rules_of_objects(exported):
    report = json.loads((exported / "scrub-report.json").read_text())
    assert report["rules"].startswith(f"allow-list of {len(allowed())} attributes; DICOM PS3.15 table E.1-1")


def test_patients_studies_and_series_stay_apart_and_together(source, exported):
    before = [pydicom.dcmread(path) for path in source.rglob("*") if path.is_file() and path.suffix != ".csv"]
    after = [pydicom.dcmread(path) for path in exported.rglob("*.dcm")]
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert len({data[keyword].value for data in before}) == len({data[keyword].value for data in after}), keyword
    manifest = json.loads((exported / "manifest.json").read_text())
    assert {series["patient"] for series in manifest["series"]} == {data.PatientID for data in after}
    assert sum(len(series["sha256"]) for series in manifest["series"]) == len(after)


def test_the_same_key_gives_the_same_objects_whatever_the_workers(source, exported, tmp_path):
    assert export(source, tmp_path / "two", "--workers", "2", "-q", key=exported) == ExitCode.DONE
    assert contents(tmp_path / "two") == contents(exported)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_export_goes_on_to_the_same_end(source, exported, tmp_path, monkeypatch, how):
    out, add, calls = tmp_path / "out", journal.Journal.add, []

    def interrupted(self, *arguments):
        add(self, *arguments)
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), how)

    monkeypatch.setattr(journal.Journal, "add", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    try:
        assert export(source, out, "-q", key=exported) == ExitCode.INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)
    monkeypatch.undo()
    assert not (out / "manifest.json").exists()
    assert export(source, out, "-q", key=exported) == ExitCode.USAGE
    assert export(source, out, "--resume", "-q", key=exported) == ExitCode.DONE
    assert contents(out) == contents(exported)
    assert (out / "manifest.json").read_bytes() == (exported / "manifest.json").read_bytes()
    assert not list(out.rglob(".*"))


def test_a_dry_run_writes_nothing(source, tmp_path, capsys):
    assert export(source, tmp_path / "out", "--dry-run", "--json") == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["dry_run"]
    assert not any(tmp_path.iterdir())


def test_a_copy_is_written_once_and_counted(tmp_path, capsys):
    write_ct_series(tmp_path / "in", slices=2)
    first = next((tmp_path / "in").iterdir())
    shutil.copy(first, tmp_path / "in" / "copy.dcm")
    assert export(tmp_path / "in", tmp_path / "out", "--json") == ExitCode.DONE
    answer = json.loads(capsys.readouterr().out)
    assert (answer["images_in"], answer["images_out"], answer["duplicates"]) == (3, 2, 1)


def test_what_is_no_dicom_is_refused_with_a_way_on(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.dcm").write_text("hello")
    assert export(tmp_path / "in", tmp_path / "out") == ExitCode.NO_INPUT
    assert not (tmp_path / "out").exists()
    assert "hint" in capsys.readouterr().err


def test_a_dataset_of_dicom_is_not_trained_on_by_mistake(exported, tmp_path, capsys):
    code = main(["train", "covid-ct-tiny", "--data", str(exported), "--run", str(tmp_path / "run")])
    assert code == ExitCode.USAGE
    assert "--format nifti" in capsys.readouterr().err
