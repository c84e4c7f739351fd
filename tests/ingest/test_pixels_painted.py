"""Painting over in every layout of pixels: only the box changes, and the object stays what it says it is."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate_extended, generate_frames, get_frame
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from dpmed.ingest.pixels.redact import redact_file
from dpmed.ingest.pixels.text import Box
from dpmed.ingest.reasons import Refused

BOX = Box(2, 1, 10, 5)
LAYOUTS = [
    "MR_small_expb.dcm",  # big endian, 16 bits
    "SC_rgb_expb.dcm",  # big endian, 8 bits, in words
    "SC_rgb_expb_32bit_2frame.dcm",
    "MR_small_implicit.dcm",
    "SC_rgb_rle_32bit.dcm",  # deeper than the encoders
    "SC_rgb_small_odd.dcm",  # an odd number of bytes
    "color-pl.dcm",  # one colour after the other
    "MR_small_RLE.dcm",
    "emri_small_RLE.dcm",
    "JPEG2000.dcm",  # with loss
    "examples_ybr_color.dcm",
]


def copied(folder, name):
    source = get_testdata_file(name, download=False)
    if source is None:
        pytest.skip("pydicom's sample is not at hand")
    return Path(shutil.copy(source, folder / "object.dcm"))


def pixels(path):
    return pydicom.dcmread(path).pixel_array


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAYOUTS)
def test_no_pixel_outside_the_box_changes(tmp_path, name):
    path = copied(tmp_path, name)
    before = pydicom.dcmread(path)
    last = int(before.get("NumberOfFrames") or 1) - 1
    stored = before.pixel_array
    redact_file(path, {last: [BOX]})
    after = pixels(path)
    assert after.shape == stored.shape
    outside = np.ones(stored.shape, bool)
    (outside[last] if last else outside)[BOX.top : BOX.bottom, BOX.left : BOX.right] = False
    np.testing.assert_array_equal(after[outside], stored[outside])
    inside = after[~outside].reshape(-1, after.shape[-1]) if before.SamplesPerPixel == 3 else after[~outside]
    assert len(np.unique(inside, axis=0)) == 1


def bitmap(folder):
    """Three frames of single bits that do not end with their bytes."""
    data = pydicom.dcmread(copied(folder, "MR_small.dcm"))
    data.Rows, data.Columns, data.NumberOfFrames = 13, 11, 3
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 1, 1, 0, 0
    bits = np.random.default_rng(0).integers(0, 2, 13 * 11 * 3, dtype=np.uint8)
    bits[:3] = 1
    packed = np.packbits(bits, bitorder="little").tobytes()
    data.PixelData = packed + bytes(len(packed) % 2)
    data["PixelData"].VR = "OB"
    data.save_as(folder / "object.dcm")
    return folder / "object.dcm", bits.reshape(3, 13, 11)


def test_single_bits_stay_where_they_are(tmp_path):
    path, wanted = bitmap(tmp_path)
    redact_file(path, {1: [BOX]})
    wanted[1, BOX.top : BOX.bottom, BOX.left : BOX.right] = 0
    np.testing.assert_array_equal(pixels(path), wanted)


def test_shared_colours_are_black_for_both_of_their_pixels(tmp_path):
    path = copied(tmp_path, "SC_ybr_full_422_uncompressed.dcm")
    before = np.frombuffer(pydicom.dcmread(path).PixelData, np.uint8).reshape(100, 50, 4)
    redact_file(path, {0: [BOX]})
    after = np.frombuffer(pydicom.dcmread(path).PixelData, np.uint8).reshape(100, 50, 4)
    assert (after[1:5, 1:5] == (0, 0, 128, 128)).all()
    changed = (after != before).any(axis=-1)
    changed[1:5, 1:5] = False
    assert not changed.any()


def test_frames_without_a_box_keep_their_bytes_and_old_offsets_go(tmp_path):
    data = pydicom.dcmread(copied(tmp_path, "emri_small_RLE.dcm"))
    frames = list(generate_frames(data.PixelData, number_of_frames=data.NumberOfFrames))
    data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    data.save_as(tmp_path / "object.dcm")
    redact_file(tmp_path / "object.dcm", {0: [BOX]})
    written = pydicom.dcmread(tmp_path / "object.dcm")
    assert "ExtendedOffsetTable" not in written
    kept = [get_frame(written.PixelData, number, number_of_frames=len(frames)) for number in range(1, len(frames))]
    assert kept == frames[1:]
    np.testing.assert_array_equal(written.pixel_array[1:], data.pixel_array[1:])


def test_a_loss_of_the_past_is_declared(tmp_path):
    path = copied(tmp_path, "JPEGLSNearLossless_08.dcm")
    assert "LossyImageCompression" not in pydicom.dcmread(path)
    before = pixels(path)
    redact_file(path, {0: [BOX]})
    written = pydicom.dcmread(path)
    assert written.LossyImageCompression == "01"
    assert written.file_meta.TransferSyntaxUID in {JPEGLSLossless, ExplicitVRLittleEndian}
    np.testing.assert_array_equal(written.pixel_array[5:], before[5:])


@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_RLE.dcm"])
def test_a_cut_object_is_refused_and_left_as_it_was(tmp_path, name):
    path = copied(tmp_path, name)
    path.write_bytes(path.read_bytes()[:2500])
    before = path.read_bytes()
    with pytest.raises(Refused):
        redact_file(path, {0: [BOX]})
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["object.dcm"]
