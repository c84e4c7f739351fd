"""A DICOM segmentation becomes the mask of the image it was drawn on, where its frames leave no doubt."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import SegmentationStorage

from dpmed.core.labels import LabelScheme

HEIGHTS = (0.0, 2.5, 5.0)


def item(**values):
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def write_mask(make, path, frames, *, series="1.2.3", kind="BINARY", spacing=(0.8, 0.5), **values):
    """A segmentation of 4 x 5 frames from (height, segment number, pixels)."""
    stack = np.stack([np.asarray(pixels) for _, _, pixels in frames])
    header = make.dataset(stack[0].astype(np.uint16), series="1.2.99", Modality="SEG", RescaleSlope=None)
    for keyword in ("RescaleIntercept", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"):
        delattr(header, keyword)
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    header.SegmentationType, header.NumberOfFrames = kind, len(frames)
    header.BitsAllocated = header.BitsStored = 1 if kind == "BINARY" else 8
    header.HighBit, header.PixelRepresentation = header.BitsStored - 1, 0
    packed = np.packbits(stack.ravel() > 0, bitorder="little") if kind == "BINARY" else stack.astype(np.uint8)
    header.PixelData = packed.tobytes() + bytes(packed.size % 2)
    header.ReferencedSeriesSequence = Sequence([item(SeriesInstanceUID=series)])
    header.SharedFunctionalGroupsSequence = Sequence([item(
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        PixelMeasuresSequence=Sequence([item(PixelSpacing=list(spacing), SliceThickness="2.5")]),
    )])  # fmt: skip
    groups = []
    for height, number, _ in frames:
        group = item(PlanePositionSequence=Sequence([item(ImagePositionPatient=[-10.0, -20.0, height])]))
        if number:
            group.SegmentIdentificationSequence = Sequence([item(ReferencedSegmentNumber=number)])
        groups.append(group)
    header.PerFrameFunctionalGroupsSequence = Sequence(groups)
    for keyword, value in values.items():
        setattr(header, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


def painted(*places):
    pixels = np.zeros((4, 5), np.uint8)
    for row, column in places:
        pixels[row, column] = 1
    return pixels


@pytest.fixture
def scheme():
    return LabelScheme(name="two", regions={"whole": (1, 2), "core": (2,)})


@pytest.fixture
def source(make, tmp_path):
    make.series(tmp_path / "in" / "a", heights=HEIGHTS, series="1.2.3")
    return tmp_path / "in"


def written(got, out):
    (case,) = got.manifest.cases
    return np.asarray(nib.load(out / case.mask).dataobj), case


def test_segments_become_labels_on_the_grid_of_the_image(make, tmp_path, source, scheme):
    """Frames in any order, the empty slice left out: height 5 has segment 1 and 2, height 0 has segment 2."""
    frames = [(5.0, 1, painted((0, 1), (0, 2))), (0.0, 2, painted((3, 4))), (5.0, 2, painted((1, 1)))]
    write_mask(make, source / "seg", frames)
    got = make.run(source, tmp_path / "out", task="brats", label_scheme=scheme)
    mask, case = written(got, tmp_path / "out")
    assert mask.shape == case.geometry.shape == (5, 4, 3)
    # [column, row, slice]
    assert {tuple(int(n) for n in place): int(mask[tuple(place)]) for place in np.argwhere(mask)} == {
        (1, 0, 2): 1,
        (2, 0, 2): 1,
        (4, 3, 0): 2,
        (1, 1, 2): 2,
    }
    assert (got.result.images_in, got.result.quarantined) == (4, 0)


def test_a_label_map_holds_its_numbers_in_its_pixels(make, tmp_path, source, scheme):
    write_mask(make, source / "seg", [(2.5, 0, painted((0, 1)) * 2)], kind="LABELMAP")
    mask, _ = written(make.run(source, tmp_path / "out", task="brats", label_scheme=scheme), tmp_path / "out")
    assert (int(mask[1, 0, 1]), int((mask > 0).sum())) == (2, 1)


def test_without_a_scheme_a_segmentation_is_no_picture(make, tmp_path, source):
    write_mask(make, source / "seg", [(0.0, 1, painted((0, 1)))])
    got = make.run(source, tmp_path / "out", task="brats")
    assert got.manifest.cases[0].mask is None
    assert got.result.quarantined_by_reason == {"DICOM without a picture (report, plan, segmentation, document)": 1}


DOUBTFUL = [
    ({"series": "1.2.4"}, [(0.0, 1, painted((0, 1)))], "a mask without an image"),
    ({"spacing": (0.8, 0.6)}, [(0.0, 1, painted((0, 1)))], "a mask on another grid than its image"),
    ({}, [(1.2, 1, painted((0, 1)))], "a mask on another grid than its image"),
    ({}, [(7.5, 1, painted((0, 1)))], "a mask on another grid than its image"),
    ({"kind": "FRACTIONAL"}, [(0.0, 1, painted((0, 1)))], "a segmentation in fractions, not in labels"),
    ({"PatientID": "SOMEBODY"}, [(0.0, 1, painted((0, 1)))], "two patients in one series"),
]


@pytest.mark.parametrize(("values", "frames", "reason"), DOUBTFUL)
def test_a_doubtful_segmentation_is_held_back_and_its_image_is_kept(
    make, tmp_path, source, scheme, values, frames, reason
):
    write_mask(make, source / "seg", frames, **values)
    got = make.run(source, tmp_path / "out", task="brats", label_scheme=scheme)
    assert got.manifest.cases[0].mask is None
    assert got.result.quarantined_by_reason == {reason: 1}


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([(0.0, 3, painted((0, 1)))], "mask values outside the label scheme"),
        ([(0.0, 1, painted((0, 1))), (0.0, 2, painted((0, 1)))], "a segmentation with two segments in one voxel"),
    ],
)
def test_a_mask_that_is_no_map_of_the_scheme_holds_its_case_back(make, tmp_path, source, scheme, frames, reason):
    make.series(tmp_path / "in" / "other", series="1.2.4")
    write_mask(make, source / "seg", frames)
    got = make.run(source, tmp_path / "out", task="brats", label_scheme=scheme)
    assert (got.result.cases, got.result.quarantined_by_reason) == (1, {reason: 4})


def test_two_masks_for_one_image_are_not_chosen_between(make, tmp_path, source, scheme):
    make.series(tmp_path / "in" / "other", series="1.2.4")
    for name in ("one", "two"):
        write_mask(make, source / name, [(0.0, 1, painted((0, 1)))])
    got = make.run(source, tmp_path / "out", task="brats", label_scheme=scheme)
    assert (got.result.cases, got.result.quarantined_by_reason) == (1, {"several masks for one image": 5})


@pytest.mark.filterwarnings("ignore")  # of highdicom, about empty values of the samples
def test_a_segmentation_by_another_writer_is_read(make, tmp_path, source, scheme):
    hd = pytest.importorskip("highdicom")
    codes = pytest.importorskip("pydicom.sr.codedict").codes
    slices = [pydicom.dcmread(path) for path in sorted((source / "a").iterdir())]
    slices.sort(key=lambda header: header.ImagePositionPatient[2])
    for header in slices:
        for keyword in ("StudyID", "StudyTime", "PatientSex", "PositionReferenceIndicator", "Laterality"):
            setattr(header, keyword, "")
        header.FrameOfReferenceUID, header.InstanceNumber = "1.2.5", 1
    labels = np.random.default_rng(3).integers(0, 3, (3, 4, 5)).astype(np.uint8)
    segments = [
        hd.seg.SegmentDescription(
            n, f"segment {n}", codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for n in (1, 2)
    ]
    made = hd.seg.Segmentation(
        slices, labels, hd.seg.SegmentationTypeValues.BINARY, segments, series_instance_uid="1.2.98", series_number=2,
        sop_instance_uid="1.2.97", instance_number=1, manufacturer="", manufacturer_model_name="",
        software_versions="", device_serial_number="",
    )  # fmt: skip
    made.save_as(source / "seg")
    mask, _ = written(make.run(source, tmp_path / "out", task="brats", label_scheme=scheme), tmp_path / "out")
    np.testing.assert_array_equal(mask, labels.transpose(2, 1, 0))
