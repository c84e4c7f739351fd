"""`dpmed predict` from the command line: what it writes, what it refuses, what it never says."""

import csv
import json
import zipfile

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from tests.predict.conftest import centred, drawn, hounsfield, write_nifti, write_series

SHAPE = (24, 20, 10)
AFFINE = centred(np.diag([-1.0, -1.0, 1.0]), (2.0, 2.5, 3.0), SHAPE)
WORDS = ("Quillfeather", "Ottoline", "HOSP-5512", "1.2.826.0.1.88")


def predict(capsys, *arguments):
    code = main(["predict", *(str(one) for one in arguments), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "in" / "Quillfeather_Ottoline", SHAPE, AFFINE)


def test_a_mask_has_the_affine_and_shape_of_its_image(finished_run, tmp_path, capsys):
    run, out = finished_run("brats", ["flair", "t1"]), tmp_path / "out"
    for modality in ("flair", "t1"):
        write_nifti(tmp_path / "in" / "case" / f"case_{modality}.nii.gz", np.ones(SHAPE, np.float32), AFFINE)
    code, said, _ = predict(capsys, run.root, tmp_path / "in", "--out", out)
    assert code == 0
    assert said["status"] == "ok"
    assert said["scans"] == said["patients"] == 1
    image, mask = nib.load(tmp_path / "in/case/case_flair.nii.gz"), nib.load(out / "case/case_seg.nii.gz")
    np.testing.assert_array_equal(mask.affine, image.affine)
    assert mask.shape == image.shape
    assert set(np.unique(mask.dataobj)) <= {0, 1, 2, 4}


def test_the_probability_is_that_of_evaluate(covid_source, covid_dataset, finished_run, tmp_path, capsys):
    """The same weights over the same scans, once from the dataset and once from the scans themselves."""
    from dpmed.backends import open_backend
    from dpmed.core.manifest import Manifest
    from dpmed.core.runconfig import RunConfig
    from dpmed.data import PatientDataset
    from dpmed.evaluate.inference import load_weights, mean_probability, probabilities

    run, out = finished_run("covid-ct"), tmp_path / "out"
    code, said, _ = predict(capsys, run.root, covid_source, "--out", out)
    assert code == 0
    config = RunConfig.load(run)
    backend = open_backend("cpu", model=config.model, task=config.task)
    load_weights(backend, run)
    wanted = []
    for split in ("train", "val", "test"):
        dataset = PatientDataset(Manifest.load(covid_dataset), covid_dataset, config.recipe.data, split=split)
        for patient in dataset.patients:
            cases = dataset.whole(patient)
            rated = [mean_probability(probabilities(backend, case, config.recipe.data), case) for case in cases]
            wanted.append(np.mean(rated))
    found = [row["probability"] for row in json.loads((out / "predictions.json").read_text())["patients"]]
    assert said["patients"] == len(wanted)
    np.testing.assert_allclose(sorted(found), sorted(wanted), rtol=1e-6)


def test_a_report_gives_the_probability_and_names_its_images(finished_run, series, tmp_path, capsys):
    run, out = finished_run("covid-ct"), tmp_path / "out"
    code, *_ = predict(capsys, run.root, series, "--out", out, "--dicom-seg")
    assert code == 0
    report = hd.sr.srread(out / "series-0001_report.dcm")
    (group,) = report.content.get_image_measurement_groups()
    (measured,) = group.get_measurements()
    (row,) = table(out / "scans.csv")
    assert float(measured.value) == pytest.approx(float(row["probability"]), abs=1e-6)
    referenced = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert len(referenced) == SHAPE[2]


def test_no_message_names_a_patient_and_only_the_owner_may_read_the_tables(finished_run, series, tmp_path, capsys):
    run, out = finished_run("covid-ct"), tmp_path / "out"
    (series / "Ottoline.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"HOSP-5512" * 9)
    code, said, err = predict(capsys, run.root, series.parent, "--out", out, "--verbose")
    assert code == ExitCode.PARTIAL
    assert said["refused"] == 1
    assert not [word for word in WORDS if word in json.dumps(said) + err]
    assert (out.stat().st_mode & 0o777) == 0o700
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    assert table(out / "patients.csv")[0]["patient"] == "HOSP-5512"


@pytest.mark.parametrize(
    ("task", "modalities", "dims", "reason"),
    [
        ("brats", ["flair"], 2, "another modality"),
        ("brats", ["flair", "t1"], 2, "another modality"),
        ("covid-ct", ["xray"], 2, "another modality"),
    ],
)
def test_a_series_of_another_modality_is_refused(
    finished_run, series, tmp_path, capsys, task, modalities, dims, reason
):
    run, out = finished_run(task, modalities, dims=dims), tmp_path / "out"
    code, said, _ = predict(capsys, run.root, series, "--out", out)
    assert code == ExitCode.NO_INPUT
    assert reason in said["error"]
    assert said["hint"]
    assert not out.exists()


def test_a_series_alone_is_not_enough_for_a_run_on_several_sequences(finished_run, tmp_path, capsys):
    series = write_series(tmp_path / "in", SHAPE, AFFINE, Modality="MR")
    code, said, _ = predict(capsys, finished_run("brats", ["flair", "t1"]).root, series, "--out", tmp_path / "out")
    assert code == ExitCode.NO_INPUT
    assert "sequence" in said["error"]


def test_an_mr_series_is_what_the_user_declares(finished_run, tmp_path, capsys):
    run = finished_run("brats", ["flair"])
    series = write_series(tmp_path / "in", SHAPE, AFFINE, Modality="MR")
    code, said, _ = predict(capsys, run.root, series, "--out", tmp_path / "out")
    assert code == ExitCode.NO_INPUT
    assert "--modality" in said["hint"]
    assert predict(capsys, run.root, series, "--out", tmp_path / "out", "--modality", "flair")[0] == 0
    code, said, _ = predict(capsys, run.root, series, "--out", tmp_path / "two", "--modality", "t2")
    assert code == ExitCode.USAGE


def test_ct_that_is_not_in_hounsfield_units_is_refused(finished_run, tmp_path, capsys):
    source = write_nifti(tmp_path / "scan.nii.gz", np.full(SHAPE, 100, np.int16), AFFINE)
    code, said, _ = predict(capsys, finished_run("covid-ct").root, source, "--out", tmp_path / "out")
    assert code == ExitCode.NO_INPUT
    assert "Hounsfield" in said["error"]


def test_a_single_slice_is_no_volume(finished_run, tmp_path, capsys):
    source = write_series(tmp_path / "in", (24, 20, 1), AFFINE)
    code, said, _ = predict(
        capsys, finished_run("brats", dims=3, size=(8, 16, 16)).root, source, "--out", tmp_path / "out"
    )
    assert code == ExitCode.NO_INPUT
    assert "single slice" in said["error"]
    assert predict(capsys, finished_run_again(finished_run, tmp_path), source, "--out", tmp_path / "two")[0] == 0


def finished_run_again(finished_run, tmp_path):
    (tmp_path / "run").rename(tmp_path / "volumes")
    return finished_run("covid-ct").root


def test_pictures_are_rated_by_patient(finished_run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "=c"):
        Image.fromarray(rng.integers(0, 255, (40, 50), np.uint8)).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "whose.csv").write_text("image,patient\na.png,one\nb.png,one\n")
    run, out = finished_run("covid-ct"), tmp_path / "out"
    code, said, _ = predict(capsys, run.root, tmp_path / "in", "--out", out, "--patients", tmp_path / "whose.csv")
    assert code == 0
    assert said["patients"] == 2
    rated = {row["patient"]: float(row["probability"]) for row in table(out / "patients.csv")}
    scans = {row["scan"]: float(row["probability"]) for row in table(out / "scans.csv")}
    assert rated["one"] == pytest.approx((scans["a.png"] + scans["b.png"]) / 2, abs=1e-5)
    assert "'=c.png" in scans, "no spreadsheet may compute a name"


def test_a_hostile_zip_writes_nothing_outside_the_output(finished_run, tmp_path, capsys):
    scan = write_nifti(tmp_path / "scan.nii.gz", hounsfield(drawn(SHAPE, AFFINE)), AFFINE).read_bytes()
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name in ("../../evil", "/tmp/evil", "a/../../evil", "EVIL", "..\\..\\evil", "x" * 240):
            archive.writestr(f"{name}.nii.gz", scan)
    before = set(tmp_path.rglob("*"))
    out = tmp_path / "deep" / "er" / "out"
    code, said, _ = predict(capsys, finished_run("brats").root, tmp_path / "in.zip", "--out", out)
    assert code == 0
    assert said["scans"] == 6
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(out) or path.is_relative_to(tmp_path / "run") for path in written)
    assert len([path for path in written if path.name.endswith("_seg.nii.gz")]) == 6


def test_a_folder_that_is_not_empty_is_left_alone(finished_run, series, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "theirs.txt").write_text("kept")
    code, *_ = predict(capsys, finished_run("covid-ct").root, series, "--out", out)
    assert code == ExitCode.USAGE
    assert [path.name for path in out.iterdir()] == ["theirs.txt"]


def test_an_interrupted_prediction_leaves_no_scan_behind(finished_run, tmp_path, monkeypatch):
    from dpmed.core.folders import RunFolder
    from dpmed.predict.request import PredictRequest
    from dpmed.predict.run import predict as answers

    source = write_nifti(tmp_path / "scan.nii.gz", hounsfield(drawn(SHAPE, AFFINE)), AFFINE)
    out = tmp_path / "out"
    events = answers(PredictRequest(RunFolder(finished_run("covid-ct").root), source, out))
    while type(event := next(events)).__name__ != "Progress" or event.what != "views of this scan":
        pass
    events.close()
    assert not out.exists()
