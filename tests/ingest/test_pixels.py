"""Text in pixels: found where it is, painted over, and nothing else touched."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from dpmed.ingest.pixels.fill import Black, fill
from dpmed.ingest.pixels.proof import picture_of_boxes
from dpmed.ingest.pixels.redact import redact_file
from dpmed.ingest.pixels.risk import Risk, risk
from dpmed.ingest.pixels.text import Box, TextFinder, is_mark, matches

BOX = Box(2, 1, 9, 5)


def picture(folder, syntax, *, frames=1, samples=1):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    data.Rows, data.Columns, data.SamplesPerPixel = 64, 96, samples
    data.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    data.BitsAllocated = data.BitsStored = 8 * (2 if samples == 1 else 1)
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    if frames > 1:
        data.NumberOfFrames = frames
    if samples == 3:
        data.PlanarConfiguration = 0
    shape = (frames,) * (frames > 1) + (64, 96) + (3,) * (samples == 3)
    kind = np.uint16 if samples == 1 else np.uint8
    pixels = np.random.default_rng(0).integers(10, 250, shape).astype(kind)
    data.PixelData = pixels.tobytes()
    if syntax != ExplicitVRLittleEndian:
        data.compress(syntax)
    data.save_as(folder / "picture.dcm", enforce_file_format=True)
    return folder / "picture.dcm", pixels


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("samples", [1, 3])
def test_only_the_box_of_its_frame_changes(tmp_path, syntax, frames, samples):
    path, before = picture(tmp_path, syntax, frames=frames, samples=samples)
    redact_file(path, {frames - 1: [BOX]})
    written = pydicom.dcmread(path)
    after = written.pixel_array
    wanted = before.copy()
    target = wanted[frames - 1] if frames > 1 else wanted
    target[1:5, 2:9] = target.min()
    np.testing.assert_array_equal(after, wanted)
    assert written.file_meta.TransferSyntaxUID == syntax


def test_boxes_are_black_whatever_black_is_called():
    frame = np.arange(48, dtype=np.uint8).reshape(6, 8)
    assert (fill(frame, [Box(0, 0, 2, 2)])[:2, :2] == 0).all()
    assert (fill(frame, [Box(0, 0, 2, 2)], black=Black("MONOCHROME1"))[:2, :2] == 47).all()
    colour = np.full((4, 4, 3), 9, np.uint8)
    assert fill(colour, [Box(0, 0, 1, 1)], black=Black("YBR_FULL"))[0, 0].tolist() == [0, 128, 128]
    np.testing.assert_array_equal(frame, np.arange(48).reshape(6, 8))


def test_the_picture_for_the_quarantine_shows_where_and_not_what(tmp_path):
    frame = np.zeros((64, 64), np.uint8)
    frame[10:20, 10:40] = np.random.default_rng(1).integers(100, 255, (10, 30))
    shown = np.asarray(Image.open(io.BytesIO(picture_of_boxes(frame, [Box(8, 8, 42, 22)]))))
    assert set(map(tuple, shown[11:19, 12:38].reshape(-1, 3))) == {(0, 0, 0)}
    assert (255, 140, 0) in set(map(tuple, shown.reshape(-1, 3)))


def test_marks_of_side_and_scale_are_no_names():
    assert all(is_mark(text) for text in ("L", "R", "AP", "10 cm", "L PORTABLE", "5", "SE 3 IM 12"))
    assert not any(is_mark(text) for text in ("LEE", "7300148", "L QUILL", "12.03.1961", "12.03.61", "3/12"))


def test_confused_characters_still_match():
    assert matches("QU1LLFEATHER, 0TT0LINE", ["Quillfeather"])
    assert matches("MRN 73OO148", ["7300148"])
    assert not matches("axial chest", ["Quillfeather", "7300148"])


@pytest.mark.parametrize(
    ("header", "level"),
    [
        ({"modality": "CT", "image_type": "ORIGINAL\\PRIMARY\\AXIAL"}, Risk.RARE),
        ({"modality": "CT", "image_type": "DERIVED\\SECONDARY\\SCREEN SAVE"}, Risk.LIKELY),
        ({"modality": "US"}, Risk.LIKELY),
        ({"modality": "CT", "sop_class": "1.2.840.10008.5.1.4.1.1.7"}, Risk.LIKELY),
        ({"modality": "CT", "burned_in": "YES"}, Risk.DECLARED),
    ],
)
def test_kinds_of_pictures_that_carry_text_are_known(header, level):
    assert risk(header) is level


def written_on(tissue, text, *, size, place, contrast):
    font = ImageFont.load_default(size)
    mask = Image.new("L", tissue.shape[::-1], 0)
    ImageDraw.Draw(mask).text(place, text, fill=255, font=font)
    ink = np.asarray(mask) / 255
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    under = tissue[place[1] + top : place[1] + bottom, place[0] + left : place[0] + right]
    value = min(255, float(np.percentile(under, 95)) + contrast)
    return (tissue * (1 - ink) + value * ink).astype(np.uint8), ink > 0.5


@pytest.fixture(scope="module")
def finder():
    pytest.importorskip("rapidocr")
    pytest.importorskip("onnxruntime")
    return TextFinder()


@pytest.fixture(scope="module")
def tissue():
    """A generated chest at 256 by 256, as 8 bits."""
    from dpmed.samples.chest import draw_chest, render_chest
    from dpmed.samples.shapes import Grid

    rng = np.random.default_rng(3)
    chest = draw_chest(rng, positive=True)
    volume = render_chest(chest, Grid((1, 256, 256), (5.0, 1.4, 1.4), (chest.level_mm, 0.0, 0.0)))[0]
    noisy = volume + rng.normal(0, 20, volume.shape)
    return np.clip((noisy + 1000) / 1800 * 255, 0, 255).astype(np.uint8)


def test_tissue_without_text_has_none(finder, tissue):
    assert finder.find(tissue) == ()


@pytest.mark.parametrize(("size", "place"), [(12, (20, 20)), (12, (90, 130)), (16, (60, 60))])
def test_a_name_on_tissue_is_found_and_covered(finder, tissue, size, place):
    picture, ink = written_on(tissue, "QUILLFEATHER^OTTOLINE", size=size, place=place, contrast=90)
    boxes = finder.find(picture)
    covered = np.zeros(picture.shape, bool)
    for box in boxes:
        covered[box.top : box.bottom, box.left : box.right] = True
    assert covered[ink].mean() > 0.95
    assert any(matches(box.text, ["Quillfeather", "Ottoline"]) for box in boxes)


@pytest.mark.parametrize("is_black", [False, True])
def test_small_print_in_a_single_slice_is_found(finder, tissue, is_black):
    from dpmed.ingest.pixels.series import search

    ground = np.pad(tissue, 128, mode="reflect")
    written, ink = written_on(
        255 - ground if is_black else ground, "ID: 44-19-207 F", size=9, place=(260, 290), contrast=60
    )
    frame = 255 - written if is_black else written
    boxes = search(lambda: iter([frame]), finder).get(0, ())
    covered = np.zeros(frame.shape, bool)
    for box in boxes:
        covered[box.top : box.bottom, box.left : box.right] = True
    assert covered[ink].mean() > 0.95


def test_text_of_a_few_slices_is_found_by_the_projection(finder, tissue):
    from dpmed.ingest.pixels.series import search

    written, _ = written_on(tissue, "MRN 7300148 DOE", size=14, place=(30, 20), contrast=120)
    slices = [written if number in {3, 4} else tissue for number in range(12)]
    assert set(search(lambda: iter(slices), finder)) == {3, 4}
