"""`--pixels`: what has text burned in is held back, painted over or, if asked, let through; never in silence."""

import json

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.ingest.pixels import inspect
from dpmed.samples import write_covid_ct

TEXT = "QUILLFEATHER 7300148"


def ingest(source, out, *options):
    return main(["ingest", str(source), "--out", str(out), "--json", *options])


def write_on(path):
    """A line of text in the pixels of a DICOM slice, brighter than all tissue."""
    data = pydicom.dcmread(path)
    pixels = data.pixel_array.copy()
    large = np.kron(pixels, np.ones((3, 3), pixels.dtype))
    page = Image.new("L", large.shape[::-1], 0)
    ImageDraw.Draw(page).text((12, 8), TEXT, fill=255, font=ImageFont.load_default(16))
    large[np.asarray(page) > 127] = 4000
    data.PixelData, (data.Rows, data.Columns) = large.tobytes(), large.shape
    data.save_as(path)
    return np.asarray(page) > 127


@pytest.fixture
def source(tmp_path):
    """Two patients; the first slice is a series of its own, to be written on."""
    write_covid_ct(tmp_path / "in", patients=2)
    files = sorted(path for path in (tmp_path / "in").rglob("*") if path.is_file() and path.suffix != ".csv")
    data = pydicom.dcmread(files[0])
    data.SeriesInstanceUID = "1.2.3.99"
    data.save_as(files[0])
    return tmp_path / "in", files[0], len(files)


@pytest.fixture
def reader(monkeypatch):
    pytest.importorskip("rapidocr")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(inspect, "is_installed", lambda: True)


def test_a_picture_with_text_is_held_back_with_a_picture_of_the_place(source, tmp_path, reader, capsys):
    folder, marked, files = source
    write_on(marked)
    assert ingest(folder, tmp_path / "out", "--format", "dicom") == ExitCode.PARTIAL
    answer = json.loads(capsys.readouterr().out)
    assert answer["images_out"] == files - 1
    assert answer["quarantined_by_reason"] == {"text burned into its pixels": 1}
    (proof,) = (tmp_path / "out" / "quarantine").iterdir()
    report = json.loads((tmp_path / "out" / "scrub-report.json").read_text())
    assert proof.stem == report["quarantine"][0]["short"]
    assert report["pixels"] == {"looked at, no text": files - 1, "held back": 1}


def test_a_slice_that_no_codec_opens_hides_no_text_in_the_others(source, tmp_path, reader, capsys):
    folder, marked, _ = source
    write_on(marked)
    closed = next(path for path in sorted(folder.rglob("*.dcm")) if path != marked)
    data = pydicom.dcmread(closed)
    data.SeriesInstanceUID = pydicom.dcmread(marked).SeriesInstanceUID
    data.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xf7"])
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
    data.save_as(closed)
    assert ingest(folder, tmp_path / "out", "--format", "dicom") == ExitCode.PARTIAL
    assert json.loads(capsys.readouterr().out)["quarantined_by_reason"] == {"text burned into its pixels": 1}


def test_text_is_painted_over_and_the_object_says_so(source, tmp_path, reader, capsys):
    folder, marked, files = source
    ink = write_on(marked)
    before = pydicom.dcmread(marked).pixel_array
    assert ingest(folder, tmp_path / "out", "--format", "dicom", "--pixels", "redact") == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["images_out"] == files
    (painted,) = (
        data for path in (tmp_path / "out").rglob("*.dcm") if (data := pydicom.dcmread(path)).Rows == ink.shape[0]
    )
    after = painted.pixel_array
    assert (after[ink] == before.min()).mean() > 0.98
    assert (after != before).mean() < 0.1
    assert painted.BurnedInAnnotation == "NO"
    assert "113101" in {code.CodeValue for code in painted.DeidentificationMethodCodeSequence}


def test_for_training_too(source, tmp_path, reader, capsys):
    folder, marked, _ = source
    write_on(marked)
    options = ("--task", "brats")
    assert ingest(folder, tmp_path / "gated", *options) == ExitCode.PARTIAL
    assert "text burned into its pixels" in json.loads(capsys.readouterr().out)["quarantined_by_reason"]
    (proof,) = (tmp_path / "gated" / "quarantine").iterdir()
    gated = json.loads((tmp_path / "gated" / "scrub-report.json").read_text())
    held = gated["quarantine"]
    assert gated["pixels"]["held back"] == 1
    assert [line["short"] for line in held if line["reason"] == "text burned into its pixels"] == [proof.stem]
    ingest(folder, tmp_path / "painted", *options, "--pixels", "redact")
    report = json.loads((tmp_path / "painted" / "scrub-report.json").read_text())
    assert report["pixels"]["painted over"] == 1


def test_without_a_reader_the_kind_of_object_decides_and_says_so(source, tmp_path, capsys):
    folder, marked, files = source
    data = pydicom.dcmread(marked)
    data.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    data.save_as(marked)
    assert ingest(folder, tmp_path / "out", "--format", "dicom") == ExitCode.PARTIAL
    spoken = capsys.readouterr()
    assert "not installed" in spoken.err
    assert json.loads(spoken.out)["images_out"] == files - 1
    assert ingest(folder, tmp_path / "all", "--format", "dicom", "--pixels", "ignore") == ExitCode.DONE


def test_painting_over_needs_a_reader(source, tmp_path, capsys):
    assert ingest(source[0], tmp_path / "out", "--format", "dicom", "--pixels", "redact") == ExitCode.USAGE
    assert "dpmed[ocr]" in json.loads(capsys.readouterr().out)["hint"]


def test_the_crosswalk_leads_back_and_only_with_the_passphrase(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DPMED_CROSSWALK_PASSPHRASE", "correct horse battery staple")
    crosswalk = tmp_path / "study.crosswalk"
    assert ingest(source[0], tmp_path / "out", "--format", "dicom", "--crosswalk", str(crosswalk)) == ExitCode.DONE
    capsys.readouterr()
    assert main(["reidentify", str(crosswalk), "--json"]) == ExitCode.DONE
    patients = json.loads(capsys.readouterr().out)["patients"]
    originals = {
        str(pydicom.dcmread(path).PatientID)
        for path in source[0].rglob("*")
        if path.is_file() and path.suffix != ".csv"
    }
    assert {patient["patient"] for patient in patients} == originals
    written = {str(pydicom.dcmread(path).PatientID) for path in (tmp_path / "out").rglob("*.dcm")}
    assert {patient["pseudonym"] for patient in patients} == written
    monkeypatch.setenv("DPMED_CROSSWALK_PASSPHRASE", "another horse battery")
    assert main(["reidentify", str(crosswalk)]) == ExitCode.MISMATCH
