import nibabel as nib
import numpy as np
import pytest

from dpmed.core.errors import ConfigError, NoInputError


def labels_file(folder, text):
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def reasons(result):
    return result.quarantined_by_reason


def test_a_series_becomes_a_volume_in_hounsfield_units(make, tmp_path):
    make.series(tmp_path / "in" / "a", heights=(5.0, 0.0, 2.5))
    got = make.run(tmp_path / "in", tmp_path / "out", task="brats")
    (case,) = got.manifest.cases
    image = nib.load(tmp_path / "out" / case.images["ct"])
    voxels = np.asarray(image.dataobj)
    # Stored 1024, 1025, 1026 in the order written (heights 5, 0, 2.5) minus 1024, sorted by height.
    assert voxels[0, 0].tolist() == [1, 2, 0]
    assert (voxels.dtype, voxels.shape, case.intensity) == (np.int16, (5, 4, 3), "hounsfield")
    assert case.geometry.spacing_mm == (0.5, 0.8, 2.5)
    assert case.geometry.orientation == "LPS"
    np.testing.assert_allclose(image.affine[:3, 3], [10, 20, 0])


def test_another_unit_than_hounsfield_is_not_called_so(make, tmp_path):
    make.slice(tmp_path / "in" / "x", RescaleType="US")
    assert make.run(tmp_path / "in", tmp_path / "out", task="brats").manifest.cases[0].intensity == "arbitrary"


def test_fractional_rescale_is_kept_as_float(make, tmp_path):
    make.slice(tmp_path / "in" / "x", RescaleSlope="0.5", RescaleIntercept="-0.25")
    got = make.run(tmp_path / "in", tmp_path / "out", task="brats")
    voxels = np.asarray(nib.load(tmp_path / "out" / got.manifest.cases[0].images["ct"]).dataobj)
    assert voxels.dtype == np.float32
    assert voxels[1, 0, 0] == 0.25


def test_series_of_one_patient_are_cases_of_one_patient(make, tmp_path):
    make.series(tmp_path / "in" / "a", series="1.2.3")
    make.series(tmp_path / "in" / "b", series="1.2.4")
    got = make.run(tmp_path / "in", tmp_path / "out", task="brats")
    assert (got.result.cases, got.result.patients) == (2, 1)
    assert len({case.split for case in got.manifest.cases}) == 1


def test_the_same_number_at_another_hospital_is_another_patient(make, tmp_path):
    make.series(tmp_path / "in" / "a", series="1.2.3", IssuerOfPatientID="NORTH")
    make.series(tmp_path / "in" / "b", series="1.2.4", IssuerOfPatientID="SOUTH")
    assert make.run(tmp_path / "in", tmp_path / "out", task="brats").result.patients == 2


def test_labels_go_by_original_patient_id(make, tmp_path):
    make.series(tmp_path / "in" / "a", patient="ONE", series="1.2.3")
    make.series(tmp_path / "in" / "b", patient="TWO", series="1.2.4")
    csv = labels_file(tmp_path, "patient,label,split\nONE,1,test\nTWO,0,train\n")
    got = make.run(tmp_path / "in", tmp_path / "out", labels=csv)
    assert {(case.label, case.split) for case in got.manifest.cases} == {(1, "test"), (0, "train")}
    assert got.result.is_complete


def test_labels_go_by_path_of_file_or_folder(make, tmp_path):
    make.series(tmp_path / "in" / "a", patient="", series="1.2.3")
    make.slice(tmp_path / "in" / "single", PatientID="", series="1.2.4")
    csv = labels_file(tmp_path, "image,patient,label\na,ONE,1\nsingle,TWO,0\n")
    got = make.run(tmp_path / "in", tmp_path / "out", labels=csv)
    assert (got.result.patients, got.result.labels_unmatched) == (2, 0)
    assert {case.label: case.geometry.shape[2] for case in got.manifest.cases} == {1: 3, 0: 1}


def test_labels_for_unknown_patients_are_counted_and_the_rest_is_written(make, tmp_path):
    make.series(tmp_path / "in" / "a", patient="ONE")
    csv = labels_file(tmp_path, "patient,label\nONE,1\nNOBODY,0\n")
    result = make.run(tmp_path / "in", tmp_path / "out", labels=csv).result
    assert (result.cases, result.labels_unmatched, result.is_complete) == (1, 1, False)


def test_a_label_file_and_a_header_that_disagree_hold_the_series_back(make, tmp_path):
    make.series(tmp_path / "in" / "a", patient="ONE", series="1.2.3")
    make.series(tmp_path / "in" / "b", patient="TWO", series="1.2.4")
    csv = labels_file(tmp_path, "image,patient,label\na,SOMEBODY,1\nb,TWO,0\n")
    result = make.run(tmp_path / "in", tmp_path / "out", labels=csv).result
    assert reasons(result) == {"the label file and the header name different patients": 3}


def test_two_patients_in_one_series_are_held_back_and_the_rest_is_written(make, tmp_path):
    make.series(tmp_path / "in" / "good", series="1.2.3")
    make.slice(tmp_path / "in" / "bad" / "x", PatientID="ONE", series="1.2.4")
    make.slice(tmp_path / "in" / "bad" / "y", PatientID="TWO", series="1.2.4", position=(0, 0, 2))
    result = make.run(tmp_path / "in", tmp_path / "out", task="brats").result
    assert (result.cases, result.quarantined) == (1, 2)
    assert reasons(result) == {"two patients in one series": 2}


def test_no_patient_is_ever_invented(make, tmp_path):
    make.series(tmp_path / "in" / "good", series="1.2.3")
    make.series(tmp_path / "in" / "anonymous", patient="", series="1.2.4")
    assert reasons(make.run(tmp_path / "in", tmp_path / "out", task="brats").result) == {
        "no patient is known for it": 3
    }


def test_a_patient_with_both_labels_is_held_back(make, tmp_path):
    for name, patient in (("a", "ONE"), ("b", "ONE"), ("c", "TWO")):
        make.series(tmp_path / "in" / name, patient=patient, series=f"1.2.{ord(name)}")
    csv = labels_file(tmp_path, "image,patient,label\na,ONE,1\nb,ONE,0\nc,TWO,0\n")
    result = make.run(tmp_path / "in", tmp_path / "out", labels=csv).result
    assert reasons(result) == {"its patient has both labels": 6}


def test_cases_without_a_label_are_held_back(make, tmp_path):
    make.series(tmp_path / "in" / "a", patient="ONE", series="1.2.3")
    make.series(tmp_path / "in" / "b", patient="TWO", series="1.2.4")
    csv = labels_file(tmp_path, "patient,label\nONE,1\nTWO,\n")
    assert reasons(make.run(tmp_path / "in", tmp_path / "out", labels=csv).result) == {"no label": 3}


def test_identical_duplicates_are_dropped_and_do_not_count_against_the_input(make, tmp_path):
    make.series(tmp_path / "in" / "a", series="1.2.3")
    make.series(tmp_path / "in" / "copy", series="1.2.3")
    result = make.run(tmp_path / "in", tmp_path / "out", task="brats").result
    assert (result.images_in, result.images_out, result.duplicates, result.is_complete) == (6, 3, 3, True)


def test_different_pictures_at_one_place_are_held_back(make, tmp_path):
    make.series(tmp_path / "in" / "good", series="1.2.9")
    make.slice(tmp_path / "in" / "x", np.zeros((4, 5), np.uint16), series="1.2.3")
    make.slice(tmp_path / "in" / "y", np.ones((4, 5), np.uint16), series="1.2.3")
    result = make.run(tmp_path / "in", tmp_path / "out", task="brats").result
    assert reasons(result) == {"several different slices at one position": 2}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"Modality": "US"}, "a kind of picture that usually has text burned in (ultrasound, screenshots)"),
        ({"BurnedInAnnotation": "YES"}, "a kind of picture that usually has text burned in (ultrasound, screenshots)"),
        ({"Modality": "PT"}, "a modality that no task here uses"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localiser"),
        ({"SamplesPerPixel": 3}, "colour pixels"),
        ({"Modality": "CR", "NumberOfFrames": 2, "PixelData": bytes(80)}, "several frames in one file"),
        ({"NumberOfFrames": 2, "PixelData": bytes(80)}, "no position or orientation"),
        ({"NumberOfFrames": 2}, "shorter than its header says"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "a mosaic: many slices side by side in one picture"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour pixels"),
        ({"RescaleSlope": None}, "CT without rescale slope and intercept"),
        ({"ImagePositionPatient": None}, "no position or orientation"),
        ({"Rows": None}, "DICOM without a picture (report, plan, segmentation, document)"),
        ({"series": ""}, "no series UID"),
        ({"Rows": 60000, "Columns": 60000}, "larger than the limits against hostile files"),
        ({"Rows": 4000, "Columns": 4000}, "shorter than its header says"),
    ],
)
def test_what_cannot_be_used_is_held_back_with_its_reason(make, tmp_path, values, reason):
    make.series(tmp_path / "in" / "good", series="1.2.9")
    make.slice(tmp_path / "in" / "bad", **({"series": "1.2.3"} | values))
    result = make.run(tmp_path / "in", tmp_path / "out", task="brats").result
    assert reasons(result) == {reason: 1}
    assert (result.cases, result.images_in, result.images_out) == (1, 4, 3)


def test_x_rays_keep_their_polarity(make, tmp_path):
    pixels = np.array([[0, 10], [20, 4095]], dtype=np.uint16)
    values = {"Modality": "DX", "PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    gone = {"ImagePositionPatient": None, "RescaleSlope": None, "RescaleIntercept": None}
    make.slice(tmp_path / "in" / "x", pixels, **values, **gone)
    got = make.run(tmp_path / "in", tmp_path / "out", task="brats")
    voxels = np.asarray(nib.load(tmp_path / "out" / got.manifest.cases[0].images["xray"]).dataobj)
    assert voxels[:, :, 0].T.tolist() == [[4095, 4085], [4075, 0]]


def test_dicom_without_a_task_is_refused(make, tmp_path):
    make.series(tmp_path / "in")
    with pytest.raises(ConfigError, match="does not say what it is for"):
        make.run(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_classification_without_labels_is_refused(make, tmp_path):
    make.series(tmp_path / "in")
    with pytest.raises(ConfigError, match="needs a label"):
        make.run(tmp_path / "in", tmp_path / "out", task="covid-ct")


def test_a_text_file_named_dcm_is_held_back(make, tmp_path):
    make.series(tmp_path / "in" / "a")
    (tmp_path / "in" / "notes.dcm").write_text("Dear Dr Brambleby")
    result = make.run(tmp_path / "in", tmp_path / "out", task="brats").result
    assert reasons(result) == {"named like DICOM but is not DICOM": 1}


def test_only_a_text_file_named_dcm_is_no_input(make, tmp_path):
    (tmp_path / "x.dcm").write_text("hello")
    with pytest.raises(NoInputError, match="not DICOM"):
        make.run(tmp_path / "x.dcm", tmp_path / "out", task="brats")


def test_no_attribute_outside_the_allow_list_changes_a_byte(make, tmp_path, key):
    make.series(tmp_path / "a" / "s", series="1.2.3")
    changed = {
        "PatientName": "Other^Name",
        "PatientBirthDate": "19990101",
        "StudyDate": "20200202",
        "InstitutionName": "Elsewhere",
        "AccessionNumber": "Z",
        "ReferringPhysicianName": "A^B",
        "ImageComments": "words",
        "WindowCenter": "40",
    }
    make.series(tmp_path / "b" / "s", series="1.2.3", **changed)
    make.run(tmp_path / "a", tmp_path / "out_a", task="brats", key=key)
    make.run(tmp_path / "b", tmp_path / "out_b", task="brats", key=key)
    one, two = make.snapshot(tmp_path / "out_a"), make.snapshot(tmp_path / "out_b")
    images = {name for name in one if name.startswith("images/")}
    assert images
    assert {name: one[name] for name in images} == {name: two[name] for name in images}
