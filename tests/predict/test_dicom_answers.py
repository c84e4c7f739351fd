"""A segmentation in DICOM refers to the right series and frames, and shows each voxel where it lies in the patient."""

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from scipy.spatial.transform import Rotation

from dpmed.core.runconfig import RunConfig
from dpmed.ingest.jobs import jobs
from dpmed.ingest.pseudonyms import Pseudonyms
from dpmed.predict.inputs import look
from dpmed.predict.masks import SCATTERED, with_dicom, with_masks
from dpmed.predict.reading import read
from dpmed.predict.request import Answer, PredictRequest
from tests.predict.conftest import LPS_TO_RAS, centred, drawn, in_phantom, write_series
from tests.predict.test_geometry import yield_value

SHAPE = (40, 36, 14)
TURNED = Rotation.from_euler("xyz", [6, -9, 170], degrees=True).as_matrix() @ np.diag([1.0, -1.0, -1.0])
AFFINE = centred(TURNED, (1.5, 1.2, 4.0), SHAPE)


def answered(source, run, out):
    """The true regions of the phantom, written as if a network had found them: the L, its foot, nothing."""
    config = RunConfig.load(run)
    found = yield_value(look(PredictRequest(run, source, out), config.recipe.data, out))
    ((name, candidate),) = found.scans
    reading = read(jobs([candidate], Pseudonyms(b"\1" * 32))[0], found.kind, config.recipe.data, out)
    whole = drawn(reading.shape, reading.grid)
    foot = whole & (np.indices(reading.shape)[2] < reading.shape[2] // 2)
    regions = np.stack([whole, foot, np.zeros_like(whole)])
    answer = with_masks(Answer(name, candidate), regions, reading, config, out)
    return with_dicom(answer, regions, config, out), regions, candidate


def lps_of_pixels(header) -> np.ndarray:
    """Where the pixels of a slice lie, by the formula of PS3.3 C.7.6.2.1.1."""
    rows, columns = np.indices((header.Rows, header.Columns))
    right, down = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = (float(mm) for mm in header.PixelSpacing)
    place = np.array(header.ImagePositionPatient, float)
    return (
        place[:, None, None]
        + right[:, None, None] * columns * between_columns
        + down[:, None, None] * rows * (between_rows)
    )


def test_every_frame_shows_the_region_where_it_lies_in_the_patient(finished_run, tmp_path):
    source = write_series(tmp_path / "in", SHAPE, AFFINE)
    answer, *_ = answered(source, finished_run("brats"), tmp_path)
    segmentation = hd.seg.segread(tmp_path / answer.files[1])
    headers = [pydicom.dcmread(path) for path in source.iterdir()]
    assert segmentation.StudyInstanceUID == headers[0].StudyInstanceUID
    assert segmentation.PatientID == headers[0].PatientID
    assert segmentation.FrameOfReferenceUID == headers[0].FrameOfReferenceUID
    assert {series for _, series, _ in segmentation.get_source_image_uids()} == {headers[0].SeriesInstanceUID}
    planes = segmentation.get_pixels_by_source_instance(
        [header.SOPInstanceUID for header in headers], assert_missing_frames_are_empty=True
    )
    for header, plane in zip(headers, planes, strict=True):
        truth = in_phantom(np.einsum("ij,jrc->irc", LPS_TO_RAS[:3, :3], lps_of_pixels(header)))
        np.testing.assert_array_equal(plane[..., 0] > 0, truth)
    assert planes[..., 1].any()
    assert not planes[..., 2].any()


def test_a_second_reader_finds_mask_and_segmentation_at_one_place(finished_run, tmp_path):
    source = write_series(tmp_path / "in", SHAPE, AFFINE)
    answer, *_ = answered(source, finished_run("brats"), tmp_path)
    mask = SimpleITK.ReadImage(str(tmp_path / answer.files[0]))
    volume = hd.seg.segread(tmp_path / answer.files[1]).get_volume(combine_segments=False)
    segment = volume.array[..., 0] > 0
    labels = SimpleITK.GetArrayFromImage(mask)
    for index in np.argwhere(segment)[::97]:
        position = (volume.affine @ [*index, 1])[:3]
        column, row, plane = mask.TransformPhysicalPointToIndex([float(mm) for mm in position])
        assert labels[plane, row, column] > 0
    assert segment.sum() == (labels > 0).sum()


def test_frames_of_a_multi_frame_object_are_named_by_number(finished_run, tmp_path):
    write_series(
        tmp_path / "slices", SHAPE, AFFINE, StudyDate="20200101", StudyTime="", AccessionNumber="", StudyID="",
        PatientBirthDate="", PatientSex="", Manufacturer="X", LossyImageCompression="00", PatientPosition="HFS",
        ContentDate="20200101", ContentTime="120000", AcquisitionNumber=1, SeriesNumber=1, BodyPartExamined="CHEST",
    )  # fmt: skip
    (tmp_path / "in").mkdir()
    slices = [pydicom.dcmread(path) for path in sorted((tmp_path / "slices").iterdir())]
    enhanced = LegacyConvertedEnhancedCTImage(slices, hd.UID(), 1, hd.UID(), 1)
    enhanced.save_as(tmp_path / "in" / "enhanced.dcm")
    answer, regions, candidate = answered(tmp_path / "in", finished_run("brats"), tmp_path)
    assert answer.remark == ""
    segmentation = hd.seg.segread(tmp_path / answer.files[1])
    number_of_frames = len(slices)
    planes = segmentation.get_pixels_by_source_frame(
        enhanced.SOPInstanceUID, list(range(1, number_of_frames + 1)), assert_missing_frames_are_empty=True
    )
    part = candidate.parts[0]
    for place, (index,) in enumerate(part.stack.layers):
        frame = planes[part.headers[index].frame]
        np.testing.assert_array_equal(frame[..., 0] > 0, regions[0, ..., place].T)


def test_a_header_that_lacks_its_study_gives_a_mask_and_a_remark(finished_run, tmp_path):
    source = write_series(tmp_path / "in", SHAPE, AFFINE)
    for path in source.iterdir():
        header = pydicom.dcmread(path)
        del header.StudyInstanceUID
        header.save_as(path)
    answer, *_ = answered(source, finished_run("brats"), tmp_path)
    assert len(answer.files) == 1
    assert answer.remark.startswith("no DICOM")
    assert answer.remark != SCATTERED


@pytest.mark.parametrize("missing", ["PatientID", "StudyDate", "AccessionNumber", "ReferringPhysicianName"])
def test_what_may_be_empty_may_be_missing(finished_run, tmp_path, missing):
    source = write_series(tmp_path / "in", SHAPE, AFFINE)
    for path in source.iterdir():
        header = pydicom.dcmread(path)
        header.pop(missing, None)
        header.save_as(path)
    answer, *_ = answered(source, finished_run("brats"), tmp_path)
    assert len(answer.files) == 2
