"""`--faces` where DICOM stays DICOM: a head is held back whole or loses its face slice by slice, and says so."""

import json

import numpy as np
import pydicom
import pytest
from pydicom.uid import MRImageStorage, RLELossless

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.ingest.faces.state import FaceState
from dpmed.ingest.reasons import Reason
from dpmed.samples import write_covid_ct
from tests.ingest.phantom_heads import MR, phantom

STEP = 2.5
LEFT_POSTERIOR = [-1, -1, 1]


@pytest.fixture(scope="module")
def head():
    return phantom(MR, spacing=(STEP, STEP, STEP))


@pytest.fixture
def series(head, make, tmp_path):
    """The head as an axial MR series, each slice with its number along the body in its name."""

    def write(folder=tmp_path / "in", leave_out=(), compressed=False, flat=1.0, **values):
        for number in range(head.voxels.shape[2]):
            if number in leave_out:
                continue
            corner = head.affine @ [0, 0, number, 1]
            data = make.dataset(
                head.voxels[:, :, number].T.copy(),
                position=(corner[:3] * LEFT_POSTERIOR * [1, 1, flat]).tolist(),
                SOPClassUID=MRImageStorage,
                Modality="MR",
                ImageOrientationPatient=[-1, 0, 0, 0, -1, 0],
                PixelSpacing=[STEP, STEP],
                SliceThickness=str(STEP),
                InstanceNumber=number + 1,
                RescaleSlope=None,
                RescaleIntercept=None,
                **values,
            )
            data.file_meta.MediaStorageSOPClassUID = MRImageStorage
            if compressed:
                data.compress(RLELossless)
            folder.mkdir(parents=True, exist_ok=True)
            data.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
        return folder

    return write


def ingest(source, out, *options):
    code = main(["ingest", str(source), "--out", str(out), "--format", "dicom", "--json", *options])
    report = out / "scrub-report.json"
    return code, json.loads(report.read_text()) if report.exists() else {}


def slices(out):
    found = [pydicom.dcmread(path) for path in out.rglob("*.dcm")]
    return sorted(found, key=lambda data: data.InstanceNumber)


def codes(data):
    return {code.CodeValue for code in data.DeidentificationMethodCodeSequence}


def cleaned():
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
        "113102",
        "DCM",
        "Clean Recognizable Visual Features",
    )
    return [code]


def test_a_head_with_a_face_is_held_back_whole(series, tmp_path, capsys):
    code, _ = ingest(series(), tmp_path / "out")
    assert code == ExitCode.NO_INPUT
    answer = json.loads(capsys.readouterr().out)
    assert Reason.FACE.value in answer["error"] and "--faces" in answer["hint"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scrub-report.json", "scrub-report.html"}


def test_the_face_goes_slice_by_slice_and_all_else_keeps_its_bits(series, head, tmp_path):
    code, report = ingest(series(), tmp_path / "out", "--faces", "remove")
    assert code == ExitCode.DONE
    assert (report["face_policy"], report["faces"]) == ("remove", {"face removed": 1})
    written = slices(tmp_path / "out")
    voxels = np.stack([data.pixel_array.T for data in written], axis=-1)
    changed = voxels != head.voxels
    darkest = head.voxels.min(axis=(0, 1), keepdims=True)
    assert (voxels[changed] == np.broadcast_to(darkest, voxels.shape)[changed]).all()
    assert changed[head.nose].mean() > 0.99
    assert not changed[head.brain].any()
    for data, touched in zip(written, changed.any(axis=(0, 1)), strict=True):
        assert ("113102" in codes(data)) == (data.get("RecognizableVisualFeatures") == "NO")
        assert not touched or "113102" in codes(data)
        assert "113101" not in codes(data) and "BurnedInAnnotation" not in data


def test_what_was_compressed_and_written_has_no_face_left(series, tmp_path):
    ingest(series(compressed=True), tmp_path / "out", "--faces", "remove")
    for data in slices(tmp_path / "out"):
        del data.DeidentificationMethodCodeSequence
        (tmp_path / "again").mkdir(exist_ok=True)
        data.save_as(tmp_path / "again" / f"{data.InstanceNumber}.dcm")
    code, report = ingest(tmp_path / "again", tmp_path / "second")
    assert (code, report["faces"]) == (ExitCode.DONE, {FaceState.DEFACED.value: 1})


def test_a_face_that_the_header_declares_clean_passes_and_stays_declared(series, tmp_path):
    source = series(DeidentificationMethodCodeSequence=cleaned())
    code, report = ingest(source, tmp_path / "out")
    assert (code, report["faces"]) == (ExitCode.DONE, {"a face cleaned before, says the header": 1})
    assert all("113102" in codes(data) for data in slices(tmp_path / "out"))


def test_missing_slices_hide_no_face(series, tmp_path, capsys):
    source = series(leave_out=range(30, 33))
    for policy in ("gate", "remove"):
        code, _ = ingest(source, tmp_path / policy, "--faces", policy)
        assert code == ExitCode.NO_INPUT
        assert "face" in json.loads(capsys.readouterr().out)["error"]


def test_a_head_whose_header_makes_it_thin_is_named_in_the_report(series, tmp_path):
    _, report = ingest(series(flat=0.1), tmp_path / "out")
    assert set(report["faces"]) == {FaceState.THIN_HEAD.value}


def test_a_stray_file_in_the_series_hides_no_face(series, make, tmp_path):
    source = series()
    make.slice(source / "scout.dcm", Modality="MR", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    code, _ = ingest(source, tmp_path / "out")
    assert code == ExitCode.NO_INPUT


def test_chests_are_no_heads_and_the_report_counts_them(tmp_path):
    write_covid_ct(tmp_path / "in", patients=2)
    code, report = ingest(tmp_path / "in", tmp_path / "out")
    assert code == ExitCode.DONE
    assert set(report["faces"]) <= {FaceState.NOT_A_HEAD.value, "not looked at: its slices make no volume"}
    assert report["faces"][FaceState.NOT_A_HEAD.value] > 0


def test_ignored_means_not_looked_at_and_the_report_says_so(series, tmp_path):
    code, report = ingest(series(), tmp_path / "out", "--faces", "ignore")
    assert (code, report["faces"]) == (ExitCode.DONE, {"not looked at, as asked": 1})
    assert any("Faces were not looked for" in limit for limit in report["limits"])
