"""The sample data: what it stands for, what is planted in it, and that it is the same everywhere."""

import csv
import filecmp
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dpmed.core.errors import ConfigError
from dpmed.samples import PLANTED, write_brats, write_covid_ct

COMMITTED = Path(__file__).parents[2] / "sample_data"
IDENTIFYING = (
    *("PatientName", "PatientID", "PatientAddress", "PatientTelephoneNumbers", "PatientBirthDate", "ImageComments"),
    *("AccessionNumber", "InstitutionName", "StationName", "DeviceSerialNumber", "ReferringPhysicianName"),
    *("StudyDescription", "StudyDate", "SOPInstanceUID", "FrameOfReferenceUID"),
    *("RequestAttributesSequence", "ReferencedStudySequence", "OtherPatientIDsSequence"),
)


@pytest.fixture(scope="module")
def covid_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("covid-ct")
    write_covid_ct(folder, patients=4)
    return folder


@pytest.fixture(scope="module")
def brats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brats")
    write_brats(folder, patients=2)
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def labels_of(folder: Path) -> dict[str, str]:
    rows = csv.DictReader((folder / "labels.csv").read_text().splitlines())
    return {row["patient"]: row["label"] for row in rows}


def series_of(folder: Path) -> list[list[Dataset]]:
    folders = sorted({(folder / path).parent for path in files(folder) if path.name != "labels.csv"})
    return [[pydicom.dcmread(path) for path in sorted(one.iterdir())] for one in folders]


def without_pixels(data: Dataset) -> str:
    copy = Dataset({tag: data[tag] for tag in data.keys() if tag != 0x7FE00010})  # noqa: SIM118
    return str(copy)


def test_the_same_seed_gives_the_same_bytes(covid_ct: Path, brats: Path, tmp_path: Path) -> None:
    write_covid_ct(tmp_path / "ct", patients=4)
    write_brats(tmp_path / "mr", patients=2)
    for first, again in ((covid_ct, tmp_path / "ct"), (brats, tmp_path / "mr")):
        assert files(first) == files(again)
        assert filecmp.cmpfiles(first, again, [str(path) for path in files(first)], shallow=False)[1:] == ([], [])


def test_another_seed_gives_other_images_of_the_same_people(brats: Path, tmp_path: Path) -> None:
    write_brats(tmp_path, patients=1, seed=1)
    (image,) = tmp_path.rglob("*_t1.nii.gz")
    other = np.asarray(nib.load(image).dataobj)
    assert not np.array_equal(other, np.asarray(nib.load(brats / image.relative_to(tmp_path)).dataobj))


def test_committed_chest_ct_is_what_the_code_writes(covid_ct: Path) -> None:
    for path in (path for path in files(covid_ct) if path.name != "labels.csv"):
        ours, theirs = pydicom.dcmread(covid_ct / path), pydicom.dcmread(COMMITTED / "covid-ct" / path)
        assert without_pixels(ours) == without_pixels(theirs)
        # A processor may round the last bit of a sine in its own way.
        assert np.abs(ours.pixel_array.astype(int) - theirs.pixel_array.astype(int)).max() <= 1


def test_committed_brains_are_what_the_code_writes(brats: Path) -> None:
    for path in files(brats):
        ours, theirs = nib.load(brats / path), nib.load(COMMITTED / "brats" / path)
        assert ours.header == theirs.header
        difference = np.asarray(ours.dataobj).astype(int) - np.asarray(theirs.dataobj).astype(int)
        assert (np.abs(difference) > 1).mean() < 1e-3


def test_committed_sample_data_stays_small() -> None:
    assert sum(path.stat().st_size for path in COMMITTED.rglob("*") if path.is_file()) <= 5_000_000


def test_labels_are_balanced_and_name_every_patient(covid_ct: Path) -> None:
    labels = labels_of(covid_ct)
    assert set(labels) == {series[0].PatientID for series in series_of(covid_ct)}
    assert sorted(labels.values()) == ["0", "0", "1", "1"]


def test_some_patients_have_two_series(covid_ct: Path) -> None:
    patients = [series[0].PatientID for series in series_of(covid_ct)]
    assert len(patients) == len(set(patients)) + 1


def test_neither_file_names_nor_instance_numbers_give_the_order_of_slices(covid_ct: Path) -> None:
    for series in series_of(covid_ct):
        heights = [float(data.ImagePositionPatient[2]) for data in series]
        by_instance = [
            height
            for _, height in sorted((data.InstanceNumber, height) for data, height in zip(series, heights, strict=True))
        ]
        assert len(heights) >= 3
        assert heights != sorted(heights)
        assert by_instance == sorted(heights, reverse=True)
        assert np.allclose(np.diff(sorted(heights)), series[0].SliceThickness, atol=1e-3)


def test_a_chest_is_in_hounsfield_units(covid_ct: Path) -> None:
    for series in series_of(covid_ct):
        data = series[0]
        hounsfield = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
        tenth = len(hounsfield) // 10
        middle = hounsfield[3 * tenth : 6 * tenth, tenth:-tenth]
        assert -900 < np.percentile(middle, 25) < -700  # lung
        assert ((hounsfield > 0) & (hounsfield < 120)).mean() > 0.05  # muscle
        assert (hounsfield > 250).mean() > 0.005  # bone
        assert hounsfield[1, len(hounsfield) // 2] < -900  # air in front of the body


def lung_density(series: list[Dataset]) -> float:
    values = np.stack([data.pixel_array for data in series]).astype(float) - 1024
    return float(((values > -700) & (values < -300)).sum() / (values < -300).sum())


def test_positive_patients_have_denser_lungs_but_not_always() -> None:
    labels = labels_of(COMMITTED / "covid-ct")
    density: dict[str, list[float]] = {"0": [], "1": []}
    for series in series_of(COMMITTED / "covid-ct"):
        density[labels[series[0].PatientID]].append(lung_density(series))
    assert np.median(density["1"]) > 1.1 * np.median(density["0"])
    assert min(density["1"]) < max(density["0"])


def test_identifiers_are_planted_where_scanners_leave_them(covid_ct: Path) -> None:
    data = pydicom.dcmread(covid_ct / files(covid_ct)[0])
    for keyword in IDENTIFYING:
        assert any(token in str(data[keyword].value) for token in PLANTED), keyword
    private = data.private_block(0x0029, "LARKMOOR PACS 1.0")
    assert all(any(token in str(private[place].value) for token in PLANTED) for place in (1, 2, 3))
    assert any(token.encode() in data.preamble for token in PLANTED)


def test_every_planted_identifier_of_a_brain_is_in_name_and_header(brats: Path) -> None:
    for path in files(brats):
        image = nib.load(brats / path)
        assert any(token in path.parts[0] for token in PLANTED)
        assert any(token.encode() in image.header["descrip"].tobytes() for token in PLANTED)
        assert any(
            token.encode() in extension.get_content() for extension in image.header.extensions for token in PLANTED
        )
        assert any(token.encode() in (brats / path).read_bytes()[:80] for token in PLANTED)  # gzip's own header


def test_an_ideographic_name_is_planted(tmp_path: Path) -> None:
    write_covid_ct(tmp_path, patients=12)
    path = next(path for path in files(tmp_path) if path.parts[0].startswith("Yamahoshi"))
    assert "山星" in pydicom.dcmread(tmp_path / path).PatientName.ideographic


def test_planted_identifiers_cannot_be_met_by_chance() -> None:
    assert all(len(token.encode()) >= 5 for token in PLANTED)
    assert len(PLANTED) == len(set(PLANTED))
    own_words = Path(__file__).parents[2].joinpath("pyproject.toml").read_text()
    assert not any(token in own_words for token in PLANTED)


def test_a_brain_has_the_labels_and_sequences_of_brats(brats: Path) -> None:
    for case in brats.iterdir():
        names = {re.sub(rf"^{case.name}_|\.nii\.gz$", "", path.name) for path in case.iterdir()}
        assert names == {"t1", "t1ce", "t2", "flair", "seg"}
        image = {name: nib.load(case / f"{case.name}_{name}.nii.gz") for name in names}
        assert len({(one.shape, one.affine.tobytes()) for one in image.values()}) == 1
        assert nib.aff2axcodes(image["t1"].affine) == ("L", "P", "S")
        labels = np.asarray(image["seg"].dataobj)
        assert set(np.unique(labels)) == {0, 1, 2, 4}


def test_a_tumour_is_bright_where_it_should_be(brats: Path) -> None:
    for case in brats.iterdir():
        voxels = {path.name.split("_")[-1][:-7]: np.asarray(nib.load(path).dataobj) for path in case.iterdir()}
        seg, brain = voxels["seg"], voxels["t1"] > 0
        healthy = brain & (seg == 0)
        assert np.median(voxels["flair"][seg == 2]) > 1.3 * np.median(voxels["flair"][healthy])
        assert np.median(voxels["t1ce"][seg == 4]) > np.median(voxels["t1ce"][healthy])
        assert not (voxels["t1"][0] > 0).any()  # no skull, no air


@pytest.mark.parametrize("patients", [0, 97])
def test_a_number_of_patients_without_identities_is_refused(tmp_path: Path, patients: int) -> None:
    for write in (write_brats, write_covid_ct):
        with pytest.raises(ConfigError):
            write(tmp_path / "out", patients=patients)
    assert not (tmp_path / "out").exists()
