"""The same picture in any encoding of the standard is the same image; hostile encodings are held back in time."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.fileset import FileSet
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from dpmed.ingest import limits
from dpmed.ingest.decode import can_decode, read_slice
from dpmed.ingest.detect import FileKind, file_kind
from dpmed.ingest.dicom import scan_dicom
from dpmed.ingest.opened import inflate, looks_like_dataset, open_dicom
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.sources import Source

PIXELS = np.arange(20, dtype=np.uint16).reshape(4, 5) * 50
CONTAINERS = ("deflated", "implicit", "big endian", "no meta", "no meta implicit", "no meta big endian", "no preamble")


def encoded(header, container):
    """A slice as bytes of a file in one of `CONTAINERS`."""
    syntax = {
        "deflated": DeflatedExplicitVRLittleEndian,
        "implicit": ImplicitVRLittleEndian,
        "no meta implicit": ImplicitVRLittleEndian,
        "big endian": ExplicitVRBigEndian,
        "no meta big endian": ExplicitVRBigEndian,
    }.get(container, ExplicitVRLittleEndian)
    header.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        header.PixelData = np.frombuffer(header.PixelData, "<u2").astype(">u2").tobytes()
    target = io.BytesIO()
    header.save_as(target, enforce_file_format=True)
    content = target.getvalue()
    if container == "no preamble":
        return content[132:]
    if container.startswith("no meta"):
        (length,) = struct.unpack_from("<L", content, 140)
        return content[144 + length :]
    return content


def reason_of(path):
    outcome, _ = scan_dicom(path, harvest=False)
    return outcome if isinstance(outcome, Reason) else None


def read(path):
    (header,), _ = scan_dicom(path, harvest=False)
    return read_slice(path, header)


@pytest.mark.parametrize("container", CONTAINERS)
def test_any_container_gives_the_same_image(make, tmp_path, key, container):
    for name in ("plain", container):
        (tmp_path / name).mkdir()
        header = make.dataset(PIXELS, series="1.2.3")
        content = encoded(header, name)
        (tmp_path / name / "x").write_bytes(content)
        make.run(tmp_path / name, tmp_path / f"out {name}", task="brats", key=key)
    one, two = (make.snapshot(tmp_path / f"out {name}" / "images") for name in ("plain", container))
    assert one == two
    assert len(one) == 1


@pytest.mark.parametrize("container", CONTAINERS)
def test_any_container_has_its_identifiers_counted(make, tmp_path, container):
    (tmp_path / "x").write_bytes(encoded(make.dataset(PIXELS), container))
    _, found = scan_dicom(tmp_path / "x", harvest=True)
    assert {value.encode() for name, value in make.invented.items() if name != "PatientName"} <= found.tokens
    assert found.removed["names"] == 2


@pytest.mark.parametrize(
    "variant", ["RLE", "jp2klossless", "jpeg_ls_lossless", "bigendian", "expb", "implicit", "padded"]
)
def test_real_variants_of_one_picture_are_equal(variant):
    expected = pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array.T
    np.testing.assert_array_equal(read(Path(get_testdata_file(f"MR_small_{variant}.dcm"))), expected)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_lossless_compression_changes_no_pixel(make, tmp_path, syntax):
    pixels = np.random.default_rng(5).integers(0, 4000, (32, 48)).astype(np.uint16)
    header = make.dataset(pixels)
    header.compress(syntax, generate_instance_uid=False)
    header.save_as(tmp_path / "x")
    np.testing.assert_array_equal(read(tmp_path / "x"), pixels.T.astype(np.int16) - 1024)


def test_every_lossless_syntax_of_the_standard_has_a_codec():
    assert can_decode(HTJ2KLossless)
    assert can_decode(JPEGBaseline8Bit)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"patient,label\nONE,1\nTWO,0\n" * 20,
        struct.pack("<L", 348) + bytes(344),
        b"\x08\x00\x05\x00CS" + b"\xff\xff" + bytes(600),
        b"\x08\x00\x05\x00" + bytes(40),
        b"",
        bytes(2000),
        b"\xff" * 2000,
    ],
)
def test_other_files_are_not_taken_for_headless_dicom(content):
    assert not looks_like_dataset(content[:1024])


def test_headless_files_are_told_by_content_under_any_name(make, tmp_path):
    (tmp_path / "IM0001").write_bytes(encoded(make.dataset(PIXELS), "no meta"))
    assert file_kind(Source(tmp_path / "IM0001", "IM0001", 1)) is FileKind.DICOM
    (tmp_path / "x.dcm").write_bytes(b"not a picture at all" * 30)
    assert file_kind(Source(tmp_path / "x.dcm", "x.dcm", 1)) is FileKind.FALSE_DICOM
    assert reason_of(tmp_path / "x.dcm") is Reason.NOT_DICOM


def deflated_file(make, tmp_path, inflated):
    """A DICOM file whose deflated data set is followed, once inflated, by `inflated` zero bytes."""
    header = make.dataset(PIXELS)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    plain = encoded(make.dataset(PIXELS), "plain")
    (length,) = struct.unpack_from("<L", plain, 140)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(plain[144 + length :])
    for _ in range(inflated >> 20):
        packed += packer.compress(bytes(2**20))
    target = io.BytesIO()
    pydicom.filewriter.write_file_meta_info(target, header.file_meta)
    path = tmp_path / "x"
    path.write_bytes(bytes(128) + b"DICM" + target.getvalue() + packed + packer.flush())
    return path


class Counted(io.RawIOBase):
    written = 0

    def write(self, piece):
        self.written += len(piece)
        return len(piece)


def test_what_a_small_file_inflates_to_is_bounded(make, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_INFLATED_BYTES", 4 * 2**20)
    path = deflated_file(make, tmp_path, 64 * 2**20)
    assert path.stat().st_size < 2**17
    assert reason_of(path) is Reason.TOO_LARGE
    target = Counted()
    with pytest.raises(Refused):
        inflate(io.BytesIO(zlib.compress(bytes(64 * 2**20), wbits=-15)), target)
    assert target.written <= limits.MAX_INFLATED_BYTES


def test_a_deflated_file_cut_short_is_held_back(make, tmp_path):
    path = deflated_file(make, tmp_path, 0)
    path.write_bytes(path.read_bytes()[:-40])
    assert reason_of(path) is Reason.TRUNCATED


def test_a_deflated_file_is_never_written_to_disk(make, tmp_path):
    path = deflated_file(make, tmp_path, 0)
    with open_dicom(path) as file:
        assert isinstance(file.stream, io.BytesIO)
        assert (file.was_deflated, file.syntax) == (True, ExplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        # JPEG 2000: SIZ with 60000 x 60000; JPEG: SOF0 with 65535 x 65535, after a comment.
        (JPEG2000Lossless, b"\xff\x4f\xff\x51\x00\x29\x00\x00" + struct.pack(">4L", 60000, 60000, 0, 0) + bytes(40)),
        (JPEG2000Lossless, b"\0\0\0\x0cjP  " + bytes(60)),
        (JPEGLSLossless, b"\xff\xd8\xff\xf8\x00\x09\x04\x03" + b"\0\xff\xff\0\xff\xff" + bytes(40)),
        (JPEGLSLossless, b"\xff\xd8" + 2 * b"\xff\xf7\x00\x0b\x10\x00\x04\x00\x05\x01\x01\x11\x00" + bytes(40)),
        (JPEGBaseline8Bit, b"\xff\xd8\xff\xfe\x00\x04hi\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00"),
    ],
)
def test_a_code_stream_of_another_size_never_reaches_its_codec(make, tmp_path, monkeypatch, syntax, frame):
    header = make.dataset(PIXELS)
    header.PixelData = encapsulate([frame])
    header["PixelData"].VR = "OB"
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = syntax
    header.save_as(tmp_path / "x", enforce_file_format=True)
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.as_array", lambda *a, **k: pytest.fail("was decoded"))
    with pytest.raises(Refused) as refusal:
        read(tmp_path / "x")
    assert refusal.value.reason is Reason.UNREADABLE


ITEM, SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE000, 0), struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize(
    "padding",
    [
        struct.pack("<HH2sHL", 0x08, 0x1115, b"SQ", 0, 0xFFFFFFFF) + ITEM * 3000 + SEQUENCE_END,
        b"".join(struct.pack("<HH2sH", 0x09, 0x1000 + n, b"LO", 0) for n in range(3000)),
    ],
    ids=["items", "elements"],
)
def test_endless_headers_are_refused_before_they_are_parsed(make, tmp_path, monkeypatch, padding):
    monkeypatch.setattr(limits, "MAX_ITEMS", 2000)
    monkeypatch.setattr(limits, "MAX_ELEMENTS", 2000)
    content = encoded(make.dataset(PIXELS), "plain")
    place = content.index(b"\x10\x00\x10\x00PN")
    (tmp_path / "x").write_bytes(content[:place] + padding + content[place:])
    monkeypatch.setattr("dpmed.ingest.dicom.findings", lambda *a, **k: pytest.fail("was parsed"))
    assert reason_of(tmp_path / "x") is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ImagePositionPatient": ["1e300", "-1e300", "0"]}, Reason.NO_GEOMETRY),
        ({"PixelSpacing": ["1e-300", "1"]}, Reason.NO_GEOMETRY),
        ({"SliceThickness": "1e300"}, Reason.NO_GEOMETRY),
        ({"RescaleSlope": "1e300"}, Reason.NO_RESCALE),
        ({"BitsAllocated": 64}, Reason.DEPTH),
        ({"BitsAllocated": 1}, Reason.DEPTH),
    ],
)
def test_numbers_that_no_scanner_has_are_refused(make, tmp_path, values, reason):
    assert reason_of(make.slice(tmp_path / "x", PIXELS, **values)) is reason


def test_a_compressed_picture_cut_short_is_not_half_a_picture(make, tmp_path):
    pixels = np.random.default_rng(5).integers(0, 4000, (32, 48)).astype(np.uint16)
    header = make.dataset(pixels)
    header.compress(JPEGLSLossless, generate_instance_uid=False)
    (frame,) = generate_frames(header.PixelData, number_of_frames=1)
    header.PixelData = encapsulate([frame[: len(frame) // 4 * 2]])
    header.save_as(tmp_path / "x")
    with pytest.raises(Refused) as refusal:
        read(tmp_path / "x")
    assert refusal.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_damaged_code_streams_end_in_a_picture_or_a_reason(make, tmp_path, syntax):
    chance = np.random.default_rng(11)
    header = make.dataset(chance.integers(0, 4000, (32, 48)).astype(np.uint16))
    header.compress(syntax, generate_instance_uid=False)
    (frame,) = generate_frames(header.PixelData, number_of_frames=1)
    reasons = set()
    for _ in range(60):
        damaged = bytearray(frame)
        for place in chance.integers(0, len(frame), 4):
            damaged[place] = chance.integers(256)
        header.PixelData = encapsulate([bytes(damaged)])
        header.save_as(tmp_path / "x")
        try:
            assert read(tmp_path / "x").shape == (48, 32)
        except Refused as refused:
            reasons.add(refused.reason)
    assert reasons <= {Reason.UNREADABLE, Reason.TRUNCATED, Reason.TOO_LARGE}


def test_an_index_is_passed_over_in_a_folder_and_in_a_zip(make, tmp_path, key):
    make.series(tmp_path / "loose", series="1.2.3")
    listed = FileSet()
    for path in sorted((tmp_path / "loose").iterdir()):
        header = pydicom.dcmread(path)
        header.StudyTime, header.StudyID, header.SeriesNumber, header.InstanceNumber = "1200", "1", 1, 1
        listed.add(header)
    listed.write(tmp_path / "disc")
    listed._stage["t"].cleanup()  # pydicom leaves its staging folder to the garbage collector, with a warning
    with zipfile.ZipFile(tmp_path / "disc.zip", "w") as archive:
        for path in (tmp_path / "disc").rglob("*"):
            archive.write(path, path.relative_to(tmp_path))
    for name in ("loose", "disc", "disc.zip"):
        result = make.run(tmp_path / name, tmp_path / "out" / name, task="brats", key=key).result
        assert (result.cases, result.images_in, result.quarantined) == (1, 3, 0)
    loose, disc, packed = (make.snapshot(tmp_path / "out" / n / "images") for n in ("loose", "disc", "disc.zip"))
    assert loose == disc == packed
