"""Enhanced objects and mixed series become the volumes that their headers describe, and never another one."""

import copy

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage, RLELossless

from dpmed.ingest.convert import volume_of
from dpmed.ingest.dicom import scan_dicom
from dpmed.ingest.division import divide
from dpmed.ingest.layout_dicom import dicom_layout
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.sources import Source

AXIAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]
HEIGHTS = (0.0, 2.5, 5.0, 7.5)


def group(**sequences):
    """Functional groups: name of a sequence to the attributes of its one item."""
    made = Dataset()
    for name, values in sequences.items():
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        setattr(made, name, Sequence([item]))
    return made


def frame(height, **sequences):
    return group(PlanePositionSequence={"ImagePositionPatient": [-10.0, -20.0, height]}, **sequences)


SHARED = {
    "PlaneOrientationSequence": {"ImageOrientationPatient": AXIAL},
    "PixelMeasuresSequence": {"PixelSpacing": [0.8, 0.5], "SliceThickness": "2.5"},
    "PixelValueTransformationSequence": {"RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU"},
}


def enhanced(make, frames, pixels=None, shared=None, **values):
    """An enhanced object of 4 x 5 frames; frame n is filled with 1024 + n unless `pixels` says otherwise."""
    pixels = np.stack([np.full((4, 5), 1024 + n, np.uint16) for n in range(len(frames))]) if pixels is None else pixels
    header = make.dataset(pixels[0], series="1.2.3", **values)
    for keyword in ("RescaleSlope", "RescaleIntercept", "PixelSpacing", "SliceThickness"):
        delattr(header, keyword)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
        delattr(header, keyword)
    header.SOPClassUID = EnhancedMRImageStorage if header.Modality == "MR" else EnhancedCTImageStorage
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.NumberOfFrames = len(pixels)
    header.PixelData = pixels.tobytes()
    header.SharedFunctionalGroupsSequence = Sequence([group(**(SHARED if shared is None else shared))])
    header.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return header


def saved(header, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)
    return path


def volumes(*paths):
    """Volumes and reasons of some files, as the layout sees them."""
    headers = {Source(path, path.name, n): scan_dicom(path, harvest=False)[0] for n, path in enumerate(paths, start=1)}
    assert all(isinstance(slices, tuple) for slices in headers.values()), headers.values()
    layout = dicom_layout(headers, None)
    found = [volume_of(candidate.parts[0]) for candidate in layout.candidates]
    return found, [held.reason for held in layout.held]


def firsts(volume):
    """The first voxel of each slice, less the offset that `enhanced` puts in."""
    return volume.voxels[0, 0].tolist()


def reason_of(header, path):
    outcome, _ = scan_dicom(saved(header, path), harvest=False)
    return outcome if isinstance(outcome, Reason) else None


def test_an_enhanced_ct_is_the_same_volume_as_its_single_frames(make, tmp_path, key):
    make.series(tmp_path / "single" / "a", heights=HEIGHTS, series="1.2.3")
    saved(enhanced(make, [frame(height) for height in HEIGHTS]), tmp_path / "multi" / "x")
    for name in ("single", "multi"):
        result = make.run(tmp_path / name, tmp_path / f"out {name}", task="brats", key=key).result
        assert (result.cases, result.quarantined) == (1, 0)
    one, two = (make.snapshot(tmp_path / f"out {name}" / "images") for name in ("single", "multi"))
    assert one == two
    assert len(one) == 1


def test_frames_are_ordered_by_place_and_the_affine_is_that_of_the_standard(make, tmp_path):
    path = saved(enhanced(make, [frame(height) for height in (5.0, 0.0, 2.5)]), tmp_path / "x")
    (volume,), _ = volumes(path)
    assert firsts(volume) == [1, 2, 0]
    # Columns 0.5 mm apart along +x, rows 0.8 mm along +y, slices 2.5 mm along +z from (-10, -20, 0), LPS.
    # RAS turns x and y round.
    expected = [[-0.5, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, expected, atol=1e-9)


def test_what_a_frame_says_itself_comes_before_what_all_share(make, tmp_path):
    louder = {"RescaleSlope": "2", "RescaleIntercept": "-2048"}
    frames = [frame(0.0), frame(2.5, PixelValueTransformationSequence=louder), frame(5.0)]
    (volume,), _ = volumes(saved(enhanced(make, frames), tmp_path / "x"))
    assert firsts(volume) == [0, 2, 2]


def test_a_fraction_in_one_frame_makes_the_volume_float_and_loses_nothing(make, tmp_path):
    half = {"RescaleSlope": "0.5", "RescaleIntercept": "0"}
    frames = [frame(0.0), frame(2.5, PixelValueTransformationSequence=half), frame(5.0)]
    (volume,), _ = volumes(saved(enhanced(make, frames), tmp_path / "x"))
    assert volume.voxels.dtype == np.float32
    assert firsts(volume) == [0, 512.5, 2]


TRAITS = [
    ("stack", lambda n: {"FrameContentSequence": {"StackID": str(n)}}),
    ("echo", lambda n: {"MREchoSequence": {"EffectiveEchoTime": 4.6 + n}}),
    ("b-value", lambda n: {"MRDiffusionSequence": {"DiffusionBValue": 1000.0 * n}}),
    ("component", lambda n: {"MRImageFrameTypeSequence": {"ComplexImageComponent": ["MAGNITUDE", "PHASE"][n]}}),
    ("temporal", lambda n: {"FrameContentSequence": {"TemporalPositionIndex": n + 1}}),
    ("trigger", lambda n: {"CardiacSynchronizationSequence": {"NominalCardiacTriggerDelayTime": 40.0 * n}}),
    ("time", lambda n: {"FrameContentSequence": {"FrameAcquisitionDateTime": f"2019030410000{n}"}}),
    ("unassigned", lambda n: {"UnassignedPerFrameConvertedAttributesSequence": {"AcquisitionNumber": n}}),
]


@pytest.mark.parametrize("change", [change for _, change in TRAITS], ids=[name for name, _ in TRAITS])
def test_what_the_header_tells_apart_becomes_volumes_of_their_own(make, tmp_path, change):
    frames = [frame(height, **change(n)) for n in (0, 1) for height in HEIGHTS]
    found, held = volumes(saved(enhanced(make, frames, Modality="MR"), tmp_path / "x"))
    assert held == []
    assert [firsts(volume) for volume in found] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_private_dimension_divides_as_well(make, tmp_path):
    frames = [frame(height, FrameContentSequence={"DimensionIndexValues": [1, place, n]}) for n in (1, 2)
              for place, height in enumerate(HEIGHTS, start=1)]  # fmt: skip
    header = enhanced(make, frames, Modality="MR")
    pointers = [Dataset(), Dataset(), Dataset()]
    for item, pointer in zip(pointers, (0x00209056, 0x00209057, 0x20011002), strict=True):
        item.DimensionIndexPointer = pointer
    header.DimensionIndexSequence = Sequence(pointers)
    found, held = volumes(saved(header, tmp_path / "x"))
    assert (len(found), held) == (2, [])


def test_traits_combine(make, tmp_path):
    """One volume without diffusion weighting, then three directions: four volumes."""
    weights = [(0.0, None), (1000.0, [1.0, 0.0, 0.0]), (1000.0, [0.0, 1.0, 0.0]), (1000.0, [0.0, 0.0, 1.0])]
    frames = []
    for b_value, direction in weights:
        for height in HEIGHTS:
            diffusion = group(MRDiffusionSequence={"DiffusionBValue": b_value})
            if direction:
                inner = group(DiffusionGradientDirectionSequence={"DiffusionGradientOrientation": direction})
                diffusion.MRDiffusionSequence[0].update(inner)
            diffusion.update(frame(height))
            frames.append(diffusion)
    found, held = volumes(saved(enhanced(make, frames, Modality="MR"), tmp_path / "x"))
    assert held == []
    assert sorted(firsts(volume)[0] for volume in found) == [0, 4, 8, 12]


def test_volumes_of_one_file_are_cases_of_one_patient_and_keep_their_names(make, tmp_path, key):
    frames = [frame(height, **TRAITS[1][1](n)) for n in (0, 1) for height in HEIGHTS]
    saved(enhanced(make, frames, Modality="MR"), tmp_path / "in" / "x")
    first = make.run(tmp_path / "in", tmp_path / "one", task="brats", key=key)
    assert (first.result.cases, first.result.patients, first.result.quarantined) == (2, 1, 0)
    make.series(tmp_path / "in" / "another", series="1.2.4")
    second = make.run(tmp_path / "in", tmp_path / "two", task="brats", key=key)
    assert {case.case for case in first.manifest.cases} < {case.case for case in second.manifest.cases}


def test_frames_without_a_place_are_held_back(make, tmp_path):
    frames = [group(FrameContentSequence={"StackID": "1"}) for _ in HEIGHTS]
    _, held = volumes(saved(enhanced(make, frames), tmp_path / "x"))
    assert held == [Reason.NO_GEOMETRY]


def test_groups_that_do_not_match_the_frames_are_held_back(make, tmp_path):
    header = enhanced(make, [frame(height) for height in HEIGHTS])
    del header.PerFrameFunctionalGroupsSequence[-1]
    assert reason_of(header, tmp_path / "x") is Reason.UNREADABLE


def test_an_enhanced_ct_without_rescale_is_held_back(make, tmp_path):
    shared = {name: values for name, values in SHARED.items() if name != "PixelValueTransformationSequence"}
    header = enhanced(make, [frame(height) for height in HEIGHTS], shared=shared)
    assert reason_of(header, tmp_path / "x") is Reason.NO_RESCALE


def compressed(make, frames):
    header = enhanced(make, frames)
    header.compress(RLELossless, generate_instance_uid=False)
    return header


def test_compressed_frames_are_decoded_one_by_one(make, tmp_path):
    (volume,), _ = volumes(saved(compressed(make, [frame(height) for height in (5.0, 0.0, 2.5)]), tmp_path / "x"))
    assert firsts(volume) == [1, 2, 0]


def test_fewer_compressed_frames_than_promised_are_noticed(make, tmp_path):
    header = compressed(make, [frame(height) for height in HEIGHTS])
    some = list(generate_frames(header.PixelData, number_of_frames=4))[:3]
    header.PixelData = encapsulate(some)
    with pytest.raises(Refused) as refusal:
        volumes(saved(header, tmp_path / "x"))
    assert refusal.value.reason in {Reason.TRUNCATED, Reason.UNREADABLE}


def series(make, folder, slices):
    """Single-frame slices of one series, from (height, changes); slice n is filled with 1024 + n."""
    paths = []
    for n, (height, changes) in enumerate(slices):
        pixels = np.full(changes.pop("shape", (4, 5)), 1024 + n, np.uint16)
        position = changes.pop("position", (-10.0, -20.0, height))
        paths.append(make.slice(folder / f"{n:03d}", pixels, position=position, series="1.2.3", **changes))
    return paths


def test_two_acquisitions_of_one_series_are_two_volumes(make, tmp_path):
    chest = [(2.5 * n, {"AcquisitionNumber": 1}) for n in range(4)]
    pelvis = [(41.3 + 2.5 * n, {"AcquisitionNumber": 2}) for n in range(5)]
    found, held = volumes(*series(make, tmp_path, chest + pelvis))
    assert ([volume.voxels.shape[2] for volume in found], held) == ([4, 5], [])


def test_time_points_of_one_series_are_volumes_of_their_own(make, tmp_path):
    slices = [(height, {"TemporalPositionIdentifier": n}) for n in (1, 2, 3) for height in HEIGHTS]
    found, held = volumes(*series(make, tmp_path, slices))
    assert ([firsts(volume)[0] for volume in found], held) == ([0, 4, 8], [])


def test_slices_that_overlap_without_a_word_are_not_divided(make, tmp_path):
    slices = [(height, {"InstanceNumber": str(n)}) for n in (1, 2) for height in HEIGHTS]
    with pytest.raises(Refused) as refusal:
        volumes(*series(make, tmp_path, slices))
    assert refusal.value.reason is Reason.OVERLAPPING


def test_two_passes_of_one_volume_stay_together(make, tmp_path):
    """Even slices first, then odd ones, each pass with its own time, and one slice sent twice: still one volume."""
    slices = [(2.0 * n, {"AcquisitionNumber": 1 + n % 2, "AcquisitionTime": f"10000{n % 2}"}) for n in range(8)]
    paths = series(make, tmp_path, slices)
    again = tmp_path / "again"
    again.write_bytes(paths[3].read_bytes())
    (volume,), held = volumes(*paths, again)
    assert (volume.voxels.shape[2], held) == (8, [])


def test_a_missing_slice_is_not_explained_away_by_two_passes(make, tmp_path):
    """Without slice 7 each pass is regular by itself, at double spacing; that is no reason to believe it."""
    slices = [(2.0 * n, {"AcquisitionNumber": 1 + n % 2}) for n in (0, 1, 2, 3, 4, 5, 6, 8)]
    found, held = volumes(*series(make, tmp_path, slices))
    assert (found, held) == ([], [Reason.MISSING_SLICES])


def test_a_repeated_slice_is_no_volume(make, tmp_path):
    slices = [(height, {"AcquisitionNumber": 1}) for height in HEIGHTS] + [(2.5, {"AcquisitionNumber": 2})]
    with pytest.raises(Refused) as refusal:
        volumes(*series(make, tmp_path, slices))
    assert refusal.value.reason is Reason.OVERLAPPING


def test_lone_slices_of_another_direction_are_held_back_and_the_volume_is_kept(make, tmp_path):
    scout = (0.0, {"ImageOrientationPatient": SAGITTAL})
    found, held = volumes(*series(make, tmp_path, [scout] + [(height, {}) for height in HEIGHTS]))
    assert ([firsts(volume) for volume in found], held) == ([[1, 2, 3, 4]], [Reason.MIXED_ORIENTATION])


def test_volumes_of_two_directions_in_one_series_are_not_chosen_between(make, tmp_path):
    others = [(0.0, {"ImageOrientationPatient": SAGITTAL, "position": (2.5 * n, 0.0, 0.0)}) for n in range(4)]
    found, held = volumes(*series(make, tmp_path, others + [(height, {}) for height in HEIGHTS]))
    assert (found, held) == ([], [Reason.MIXED_ORIENTATION])


def test_a_picture_of_another_size_is_held_back_and_the_volume_is_kept(make, tmp_path):
    page = (0.0, {"shape": (8, 8)})
    found, held = volumes(*series(make, tmp_path, [page] + [(height, {}) for height in HEIGHTS]))
    assert (len(found), held) == (1, [Reason.MIXED_SIZE])


def test_a_slice_without_a_place_is_held_back_and_the_volume_is_kept(make, tmp_path):
    nowhere = (0.0, {"ImagePositionPatient": None})
    found, held = volumes(*series(make, tmp_path, [nowhere] + [(height, {}) for height in HEIGHTS]))
    assert (len(found), held) == (1, [Reason.NO_GEOMETRY])


def test_slopes_that_differ_from_slice_to_slice_are_each_applied(make, tmp_path):
    slopes = [(height, {"RescaleSlope": str(1 + n), "RescaleIntercept": "0"}) for n, height in enumerate(HEIGHTS)]
    (volume,), _ = volumes(*series(make, tmp_path, slopes))
    assert firsts(volume) == [1024, 2 * 1025, 3 * 1026, 4 * 1027]


def test_any_order_of_arrival_gives_the_same_division(make, tmp_path):
    frames = [frame(height, **TRAITS[1][1](n)) for n in (0, 1) for height in HEIGHTS]
    headers, _ = scan_dicom(saved(enhanced(make, frames, Modality="MR"), tmp_path / "x"), harvest=False)
    there, _ = divide(headers)
    back, _ = divide(headers[::-1])
    assert [volume.mark for volume in there] == [volume.mark for volume in back]
    assert [{len(headers) - 1 - n for n in volume.slices} for volume in back] == [set(v.slices) for v in there]


def test_thousands_of_different_slices_end_in_one_reason(make, tmp_path):
    (header,), _ = scan_dicom(make.slice(tmp_path / "x"), harvest=False)
    strangers = []
    for n in range(3000):
        stranger = copy.copy(header)
        object.__setattr__(stranger, "rows", n + 1)
        strangers.append(stranger)
    found, (rest,) = divide(strangers)
    assert (found, rest.reason, len(rest.slices)) == ([], Reason.MIXED_SIZE, 3000)


def converted(paths, target):
    """The same slices as one legacy converted object, made by highdicom."""
    legacy = pytest.importorskip("highdicom").legacy
    slices = [pydicom.dcmread(path) for path in paths]
    for header in slices:
        for keyword in ("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            setattr(header, keyword, header.get(keyword) or "")
        header.Manufacturer, header.PatientSex, header.InstanceNumber = "", "", 1
        header.FrameOfReferenceUID, header.PositionReferenceIndicator = header.get("FrameOfReferenceUID") or "1.2.5", ""
        header.PatientBirthDate, header.Laterality = "", ""
    kind = {"CT": legacy.LegacyConvertedEnhancedCTImage, "MR": legacy.LegacyConvertedEnhancedMRImage}
    made = kind[slices[0].Modality](
        slices, series_instance_uid="1.2.3.1", series_number=1, sop_instance_uid="1.2.3.2", instance_number=1
    )
    made.save_as(target)
    return target


def agrees(path, volume):
    """Whether highdicom, which reads geometry by itself, sees the same voxels in the same places."""
    theirs = pytest.importorskip("highdicom").imread(path).get_volume(apply_voi_transform=False)
    # Theirs is [slice, row, column] in LPS, and may run the other way along the slices.
    ours = nib.Nifti1Image(volume.voxels, volume.affine)
    affine = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ theirs.affine)[:, [2, 1, 0, 3]]
    same = nib.as_closest_canonical(nib.Nifti1Image(theirs.array.transpose(2, 1, 0).astype(np.float32), affine))
    mine = nib.as_closest_canonical(ours)
    np.testing.assert_allclose(same.affine, mine.affine, atol=1e-4)
    np.testing.assert_allclose(np.asarray(same.dataobj), np.asarray(mine.dataobj), atol=1e-3)


@pytest.mark.filterwarnings("ignore")  # of highdicom, about empty values of the samples
def test_geometry_agrees_with_another_reader(make, tmp_path):
    """Oblique slices, read by us and by highdicom."""
    tilt = np.deg2rad(20)
    direction = [1, 0, 0, 0, float(np.cos(tilt)), float(np.sin(tilt))]
    normal = np.cross(direction[:3], direction[3:])
    slices = [
        (0.0, {"ImageOrientationPatient": direction, "position": [float(x) for x in 3.0 * n * normal]})
        for n in range(5)
    ]
    paths = series(make, tmp_path / "single", slices)
    path = converted(paths, tmp_path / "multi.dcm")
    (one,), _ = volumes(*paths)
    (other,), _ = volumes(path)
    np.testing.assert_array_equal(one.voxels, other.voxels)
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-6)
    agrees(path, other)


@pytest.mark.real_images
@pytest.mark.filterwarnings("ignore")
def test_a_real_head_converted_to_one_object_is_the_same_volume(shared_data, tmp_path):
    paths = sorted((shared_data / "dicom" / "studyforrest_t1").glob("*.dcm"))[:20]
    path = converted(paths, tmp_path / "multi.dcm")
    (one,), _ = volumes(*paths)
    (other,), _ = volumes(path)
    np.testing.assert_array_equal(one.voxels, other.voxels)
    agrees(path, other)
