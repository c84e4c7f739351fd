import gzip
import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.core.labels import LabelScheme
from dpmed.ingest import limits
from dpmed.ingest.nifti import Volume, compact, read_nifti, write_nifti
from dpmed.ingest.pixels import inspect


def load(out, name):
    return np.asarray(nib.load(out / name).dataobj)


def test_brats_folders_keep_images_masks_and_grid(make, tmp_path):
    make.case(tmp_path / "in", "alpha", ("t1", "t1ce", "t2", "flair"), mask=(0, 1, 2, 4))
    got = make.run(tmp_path / "in", tmp_path / "out", label_scheme="brats")
    (case,) = got.manifest.cases
    assert list(case.images) == ["flair", "t1", "t1ce", "t2"]
    np.testing.assert_array_equal(
        load(tmp_path / "out", case.images["t1"]), load(tmp_path / "in", "alpha/alpha_t1.nii.gz")
    )
    np.testing.assert_array_equal(load(tmp_path / "out", case.mask), load(tmp_path / "in", "alpha/alpha_seg.nii.gz"))
    assert case.geometry.spacing_mm == (2, 2, 3)
    assert got.manifest.label_scheme.name == "brats"
    assert got.result.task == "brats"


def test_missing_sequences_are_simply_absent(make, tmp_path):
    make.case(tmp_path / "in", "alpha", ("t1", "flair"))
    make.case(tmp_path / "in", "beta", ("t2",))
    got = make.run(tmp_path / "in", tmp_path / "out", label_scheme="binary")
    assert sorted(tuple(case.images) for case in got.manifest.cases) == [("flair", "t1"), ("t2",)]


def test_scans_of_one_patient_are_one_unit_if_the_label_file_says_so(make, tmp_path):
    for name in ("A_pre", "A_post", "B_pre"):
        make.case(tmp_path / "in", name)
    (tmp_path / "scans.csv").write_text("case,patient,timepoint\nA_pre,A,pre\nA_post,A,post\nB_pre,B,pre\n")
    got = make.run(tmp_path / "in", tmp_path / "out", label_scheme="binary", labels=tmp_path / "scans.csv")
    assert (got.result.cases, got.result.patients) == (3, 2)


def test_taking_a_case_for_a_patient_is_said_aloud(make, tmp_path):
    make.case(tmp_path / "in", "alpha")
    got = make.run(tmp_path / "in", tmp_path / "out", label_scheme="binary")
    assert any("taken as one patient" in getattr(event, "text", "") for event in got.events)
    assert "taken as one patient" in (tmp_path / "out" / "scrub-report.json").read_text()


def test_time_points_of_newer_brats_names_are_one_patient(make, tmp_path):
    for name in ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001"):
        make.nifti(tmp_path / "in" / name / f"{name}-t1n.nii.gz", np.zeros((3, 3, 3), np.int16))
    result = make.run(tmp_path / "in", tmp_path / "out").result
    assert (result.cases, result.patients, result.modalities) == (2, 1, {"t1": 2})


def test_masks_without_a_scheme_are_refused(make, tmp_path):
    make.case(tmp_path / "in", "alpha")
    with pytest.raises(ConfigError, match="not declared"):
        make.run(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mask_values_outside_the_scheme_hold_the_case_back(make, tmp_path):
    make.case(tmp_path / "in", "alpha", mask=(0, 1))
    make.case(tmp_path / "in", "gamma", mask=(0, 1, 3))
    result = make.run(tmp_path / "in", tmp_path / "out", label_scheme="binary").result
    assert result.quarantined_by_reason == {"mask values outside the label scheme": 3}
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2


def test_a_scheme_of_the_users_own_is_kept_in_the_manifest(make, tmp_path):
    scheme = LabelScheme(name="own", regions={"lesion": (7,)})
    make.case(tmp_path / "in", "alpha", mask=(0, 7))
    assert make.run(tmp_path / "in", tmp_path / "out", label_scheme=scheme).manifest.label_scheme == scheme


def test_a_mask_on_another_grid_is_held_back(make, tmp_path):
    make.case(tmp_path / "in", "alpha")
    make.case(tmp_path / "in", "beta", mask=None)
    shifted = np.diag([2.0, 2.0, 3.0, 1.0])
    shifted[0, 3] = 1.0
    make.nifti(tmp_path / "in" / "beta" / "beta_seg.nii.gz", np.zeros((6, 5, 4), np.uint8), affine=shifted)
    result = make.run(tmp_path / "in", tmp_path / "out", label_scheme="binary").result
    assert result.quarantined_by_reason == {"a mask on another grid than its image": 3}


def test_sequences_on_different_grids_are_held_back(make, tmp_path):
    make.case(tmp_path / "in", "alpha")
    make.case(tmp_path / "in", "beta")
    make.nifti(tmp_path / "in" / "beta" / "beta_t2.nii.gz", np.zeros((6, 5, 3), np.uint8))
    result = make.run(tmp_path / "in", tmp_path / "out", label_scheme="binary").result
    assert result.quarantined_by_reason == {"images of one case on different grids": 4}


def test_decathlon_channels_become_sequences(make, tmp_path):
    root = tmp_path / "Task01"
    voxels = np.arange(2 * 3 * 4 * 2, dtype=np.float32).reshape(2, 3, 4, 2)
    make.nifti(root / "imagesTr" / "BRATS_001.nii.gz", voxels)
    make.nifti(root / "labelsTr" / "BRATS_001.nii.gz", np.ones((2, 3, 4), np.uint8))
    make.nifti(root / "imagesTs" / "BRATS_900.nii.gz", voxels)
    (root / "dataset.json").write_text(json.dumps({"modality": {"0": "FLAIR", "1": "T1w"}}))
    got = make.run(tmp_path / "Task01", tmp_path / "out", label_scheme="binary")
    (case,) = got.manifest.cases
    np.testing.assert_array_equal(load(tmp_path / "out", case.images["t1"]), voxels[..., 1])
    assert case.mask is not None
    assert any("left out" in getattr(event, "text", "") for event in got.events)


def test_nnunet_files_of_one_case_come_together(make, tmp_path):
    root = tmp_path / "Dataset007"
    for channel in range(2):
        make.nifti(root / "imagesTr" / f"case_7_{channel:04d}.nii.gz", np.full((2, 2, 2), channel, np.int16))
    make.nifti(root / "labelsTr" / "case_7.nii.gz", np.zeros((2, 2, 2), np.uint8))
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T2", "1": "T1ce"}}))
    (case,) = make.run(root, tmp_path / "out", label_scheme="binary").manifest.cases
    assert load(tmp_path / "out", case.images["t1ce"]).max() == 1
    assert set(case.images) == {"t2", "t1ce"}


@pytest.mark.parametrize("number", ["²", "9" * 5000, "-1", ""])
def test_a_channel_that_is_no_number_is_told(make, tmp_path, number):
    root = tmp_path / "Task01"
    make.nifti(root / "imagesTr" / "BRATS_001.nii.gz", np.zeros((2, 2, 2), np.int16))
    (root / "dataset.json").write_text(json.dumps({"modality": {number: "FLAIR"}}))
    with pytest.raises(ConfigError, match="names no channels"):
        make.run(root, tmp_path / "out", label_scheme="binary")


def test_a_huge_description_is_not_read(make, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_JSON_BYTES", 10)
    root = tmp_path / "Task01"
    make.nifti(root / "imagesTr" / "BRATS_001.nii.gz", np.zeros((2, 2, 2), np.int16))
    (root / "dataset.json").write_text(json.dumps({"modality": {"0": "FLAIR"}}))
    with pytest.raises(ConfigError, match="plain NIfTI files"):
        make.run(root, tmp_path / "out", task="brats")


def test_plain_files_need_a_declared_sequence(make, tmp_path):
    make.nifti(tmp_path / "in" / "scan7.nii", np.zeros((2, 2, 2), np.int16))
    (tmp_path / "a.csv").write_text("image,patient\nscan7.nii,A\n")
    with pytest.raises(ConfigError, match="cannot be told"):
        make.run(tmp_path / "in", tmp_path / "out", labels=tmp_path / "a.csv", task="brats")
    (tmp_path / "b.csv").write_text("image,patient,modality\nscan7,A,T2\n")
    got = make.run(tmp_path / "in", tmp_path / "out", labels=tmp_path / "b.csv", task="brats")
    assert got.result.modalities == {"t2": 1}


def test_a_ct_without_air_does_not_count_as_hounsfield(make, tmp_path):
    make.nifti(tmp_path / "in" / "windowed.nii", np.full((2, 2, 2), 7, np.uint8))
    make.nifti(tmp_path / "in" / "real.nii", np.full((2, 2, 2), -1000, np.int16))
    (tmp_path / "a.csv").write_text("image,patient,label\nwindowed.nii,A,0\nreal.nii,B,1\n")
    got = make.run(tmp_path / "in", tmp_path / "out", labels=tmp_path / "a.csv")
    assert {case.label: case.intensity for case in got.manifest.cases} == {0: "arbitrary", 1: "hounsfield"}


def test_headers_are_fresh(make, tmp_path):
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4))
    for field, word in {"descrip": "Quillfeather", "aux_file": "SN-44192", "db_name": "Larkspur"}.items():
        image.header[field] = word
    image.header["intent_name"] = "Brambleby"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Ottoline was here"))
    (tmp_path / "in" / "a").mkdir(parents=True)
    nib.save(image, tmp_path / "in" / "a" / "a_t1.nii")
    got = make.run(tmp_path / "in", tmp_path / "out")
    name = got.manifest.cases[0].images["t1"]
    compressed = (tmp_path / "out" / name).read_bytes()
    content = gzip.decompress(compressed)
    for word in (b"Quillfeather", b"SN-44192", b"Larkspur", b"Brambleby", b"Ottoline"):
        assert word not in content
    assert len(content) == 352 + 27 * 2
    assert compressed[3] == 0  # no name in the gzip member
    assert compressed[4:8] == bytes(4)  # and no time
    assert got.result.identifiers_removed["free text"] == 4


def test_what_gzip_and_a_sidecar_say_stays_behind(make, tmp_path):
    """Name, comment, extra field and time of the gzip member, and a BIDS sidecar with an institution in it."""
    make.case(tmp_path / "in", "alpha", ("t1",), mask=None)
    path = tmp_path / "in" / "alpha" / "alpha_t1.nii.gz"
    body = gzip.compress(gzip.decompress(path.read_bytes()), mtime=0)[10:]
    extra = b"Ap\x08\0Larkspur"
    member = b"\x1f\x8b\x08\x1c" + (1551661200).to_bytes(4, "little") + b"\0\x03" + len(extra).to_bytes(2, "little")
    path.write_bytes(member + extra + b"Quillfeather.nii\0" + b"Brambleby was here\0" + body)
    path.with_name("alpha_t1.json").write_text('{"InstitutionName": "Larkspur", "PatientName": "Quillfeather"}')
    got = make.run(tmp_path / "in", tmp_path / "out", task="brats")
    out = make.snapshot(tmp_path / "out")
    (image,) = (content for name, content in out.items() if name.startswith("images/"))
    assert image[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x04\x03"
    everything = b"".join(out.values()) + gzip.decompress(image)
    assert [word for word in (b"Larkspur", b"Quillfeather", b"Brambleby") if word in everything] == []
    # The member's name and time, and the name of the file itself.
    assert got.result.identifiers_removed["file names"] == 2


def test_truncated_files_are_held_back_and_the_rest_is_written(make, tmp_path):
    for name in ("alpha", "beta", "gamma"):
        make.case(tmp_path / "in", name, ("t1",), mask=None)
    cut = tmp_path / "in" / "beta" / "beta_t1.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-40])
    short = tmp_path / "in" / "gamma" / "gamma_t1.nii.gz"
    short.write_bytes(gzip.compress(gzip.decompress(short.read_bytes())[:-40]))
    result = make.run(tmp_path / "in", tmp_path / "out").result
    assert (result.cases, result.quarantined_by_reason) == (1, {"shorter than its header says": 2})


def test_bytes_after_the_voxels_do_not_get_through(make, tmp_path):
    path = make.nifti(tmp_path / "in" / "a" / "a_t1.nii", np.zeros((2, 2, 2), np.int16))
    path.write_bytes(path.read_bytes() + b"Ottoline Quillfeather")
    got = make.run(tmp_path / "in", tmp_path / "out")
    assert b"Ottoline" not in gzip.decompress((tmp_path / "out" / got.manifest.cases[0].images["t1"]).read_bytes())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "larger than the limits against hostile files"),
        ({"dim": [3, 0, 2, 2, 1, 1, 1, 1]}, "damaged or malformed"),
        ({"dim": [3, -5, 2, 2, 1, 1, 1, 1]}, "damaged or malformed"),
        ({"vox_offset": 1e30}, "damaged or malformed"),
        ({"vox_offset": np.nan}, "damaged or malformed"),
        ({"datatype": 12345}, "damaged or malformed"),
        ({"srow_x": [0, 0, 0, 0], "srow_y": [0, 0, 0, 0], "srow_z": [0, 0, 0, 0]}, "an affine that is not a grid"),
    ],
)
def test_hostile_headers_are_held_back(make, tmp_path, change, reason):
    make.case(tmp_path / "in", "good", ("t1",), mask=None)
    path = make.nifti(tmp_path / "in" / "bad" / "bad_t1.nii", np.zeros((2, 2, 2), np.int16))
    content = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for field, value in change.items():
        header[field] = value
    path.write_bytes(header.binaryblock + bytes(content[348:]))
    result = make.run(tmp_path / "in", tmp_path / "out").result
    assert result.quarantined_by_reason == {reason: 1}


def test_a_gzip_bomb_is_read_no_further_than_its_header_allows(tmp_path):
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_bytes()
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(image + bytes(50_000_000)))
    assert read_nifti(tmp_path / "bomb.nii.gz").voxels.shape == (2, 2, 2)


def test_voxels_that_are_not_numbers_are_held_back(make, tmp_path):
    make.case(tmp_path / "in", "good", ("t1",), mask=None)
    make.nifti(tmp_path / "in" / "bad" / "bad_t1.nii", np.full((2, 2, 2), np.nan, np.float32))
    result = make.run(tmp_path / "in", tmp_path / "out").result
    assert result.quarantined_by_reason == {"voxels that are not numbers": 1}


@pytest.mark.parametrize(
    ("voxels", "kind"),
    [
        (np.array([0, 255], np.uint8), np.uint8),
        (np.array([-3, 3], ">i2"), np.int16),
        (np.array([0, 40000], np.uint16), np.int32),
        (np.array([0, 3000], np.int64), np.int16),
        (np.array([-1024.0, 3071.0]), np.int16),
        (np.array([0.5, 1.0]), np.float32),
        (np.array([1.0, 2.0], np.float32), np.float32),
    ],
)
def test_voxels_keep_their_values_in_a_common_type(voxels, kind):
    small = compact(voxels)
    assert small.dtype == kind
    np.testing.assert_array_equal(small, voxels)


def test_equal_volumes_are_equal_bytes(tmp_path):
    volume = Volume(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.eye(4))
    for name in ("one.nii.gz", "two.nii.gz"):
        write_nifti(tmp_path / name, volume)
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()


def test_an_empty_folder_is_no_input(make, tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(NoInputError):
        make.run(tmp_path / "in", tmp_path / "out")


def printed(voxels, affine):
    """A line of text on every slice as a viewer shows it: the patient's left is on the right, the face on top."""
    turned = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(("L", "P", "I"))
    )
    shown = nib.orientations.apply_orientation(voxels, turned)
    page = Image.new("L", shown.shape[:2], 0)
    ImageDraw.Draw(page).text((12, 30), "QUILLFEATHER 7300148", fill=255, font=ImageFont.load_default(12))
    shown[np.asarray(page).T > 127] = 4000


@pytest.fixture(scope="module")
def head():
    """Twelve thick slices of something round with texture and no text."""
    rng = np.random.default_rng(5)
    x, y, z = np.meshgrid(np.arange(192), np.arange(192), np.arange(12), indexing="ij")
    inside = (x - 96) ** 2 + (y - 96) ** 2 + 40 * (z - 6) ** 2 < 80**2
    smooth = 600 + 200 * np.sin(x / 13 + z) * np.cos(y / 17)
    return (inside * smooth + rng.normal(0, 15, inside.shape)).clip(0).astype(np.int16)


AXES = {"by dcm2niix": (-1, 1, 1), "as DICOM": (-1, -1, 1), "turned to the standard": (1, 1, 1)}


@pytest.mark.parametrize("signs", AXES.values(), ids=AXES)
@pytest.mark.parametrize("pixels", ["gate", "redact", "ignore"])
def test_text_in_a_volume_is_met_by_the_same_policy(make, tmp_path, head, signs, pixels, monkeypatch):
    pytest.importorskip("rapidocr")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(inspect, "is_installed", lambda: True)
    affine = np.diag([signs[0], signs[1], 5.0 * signs[2], 1.0])
    marked = head.copy()
    printed(marked, affine)
    make.nifti(tmp_path / "in" / "marked" / "marked_t1.nii.gz", marked, affine=affine)
    make.nifti(tmp_path / "in" / "plain" / "plain_t1.nii.gz", head, affine=affine)
    got = make.run(tmp_path / "in", tmp_path / "out", pixels=pixels, faces="ignore", task="brats")
    report = json.loads((tmp_path / "out" / "scrub-report.json").read_text())["pixels"]
    if pixels == "gate":
        assert got.result.quarantined_by_reason == {"text burned into its pixels": 1}
        assert got.result.cases == 1
        assert len(list((tmp_path / "out" / "quarantine").glob("*.png"))) == 1
    elif pixels == "redact":
        assert report == {"looked at, no text": 1, "painted over": 1}
        written = [load(tmp_path / "out", case.images["t1"]) for case in got.manifest.cases]
        (painted,) = (one for one in written if not np.array_equal(one, head))
        assert (painted == 4000).sum() < 0.02 * (marked == 4000).sum()
    else:
        assert report == {"not looked at, as asked": 2}
