"""Painting over in a DICOM object: frame by frame, so that a large one never lies in memory whole."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from dpmed.core.files import written_aside
from dpmed.ingest.codecs import CODECS, decoder_of, encoder_of
from dpmed.ingest.codestream import require_size
from dpmed.ingest.objects.pixels import PixelFacts
from dpmed.ingest.opened import OpenedDicom, open_dicom
from dpmed.ingest.pixels.fill import Black, fill
from dpmed.ingest.pixels.plain import PlainPixels
from dpmed.ingest.pixels.text import Box
from dpmed.ingest.quiet import decoding, reading
from dpmed.ingest.reasons import Reason, Refused

LOSSLESS = frozenset({RLELossless, JPEGLSLossless, JPEG2000Lossless})
"""Syntaxes in which pixels can be written back as they were compressed."""
LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEG2000, JPEGLSNearLossless, HTJ2K})
DEEPEST, SMALLEST = 16, 64 * 64
"""Bits that the encoders take, and pixels: JPEG-LS can be longer than what it packs, and its encoder allows little."""
PIXELS = (0x7FE0, 0x0010)
ITEM, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"
UNDEFINED = 0xFFFFFFFF
Boxes = Mapping[int, Sequence[Box]]
Value = TypeVar("Value")


def redact_file(path: Path, boxes: Boxes) -> None:
    """Fill boxes, by frame number, in a DICOM object whose header says so already: old or new is on disk, never half.

    Guarantees: no pixel outside the boxes changes; where two share their colour, a box takes both.
    Uncompressed stays as it is laid out. Compressed without loss it is
    compressed so again, and frames without a box keep their bytes; what no encoder here writes becomes JPEG-LS without
    further loss, or uncompressed where it is deeper, and a loss of the past is declared (Lossy Image Compression).
    Raises `Refused` where its pixels cannot be decoded.
    """
    with written_aside(path) as aside, aside.open("wb") as target, open_dicom(path) as file:
        for piece in _each(_rewritten(file, boxes)):
            target.write(piece)


def _each(pieces: Iterator[Value]) -> Iterator[Value]:
    """The same, silently, and `Refused` for whatever a codec or parser raises; writing is not done in here."""
    while True:
        with decoding():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _rewritten(file: OpenedDicom, boxes: Boxes) -> Iterator[bytes]:
    with reading():
        header = file.header()
    pixels = _encapsulated(file, header, boxes) if file.syntax.is_encapsulated else _plain(file, header, boxes)
    yield from pixels


def _plain(file: OpenedDicom, header: pydicom.FileDataset, boxes: Boxes) -> Iterator[bytes]:
    yield _encoded(header)
    vr, length = _pixel_element(file)
    facts = _facts(header)
    if length < facts.bytes:
        raise Refused(Reason.TRUNCATED)
    even = facts.bytes + facts.bytes % 2
    yield _element_header(file.syntax, vr, even)
    layout = PlainPixels(
        facts,
        is_planar=header.get("PlanarConfiguration", 0) == 1,
        is_little_endian=file.syntax.is_little_endian,
        is_words=vr == "OW",
    )
    yield from layout.painted(file.stream, boxes)
    yield bytes(even - facts.bytes)


def _encapsulated(file: OpenedDicom, header: pydicom.FileDataset, boxes: Boxes) -> Iterator[bytes]:
    vr, _ = _pixel_element(file)
    options = as_pixel_options(header, transfer_syntax_uid=file.syntax) | {
        "pixel_keyword": "PixelData",
        "pixel_vr": vr,
    }
    offsets = options.pop("extended_offsets", None)
    packed = generate_frames(file.stream, number_of_frames=_facts(header).frames, extended_offsets=offsets)
    target = _target(file.syntax, header)
    numbered = ((number, frame, boxes.get(number, ())) for number, frame in enumerate(packed))
    if target == file.syntax:
        frames = (_painted(frame, some, options, header) if some else frame for _, frame, some in numbered)
        yield from _whole(header, target, frames)
        return
    # Every frame is decoded: the first says in which colours.
    unpacked = (_unpacked(frame, some, options, raw=False) for _, frame, some in numbered)
    yield from _transcoded(header, file.syntax, target, unpacked)


def _transcoded(
    header: pydicom.FileDataset, source: UID, target: UID, unpacked: Iterator[tuple[np.ndarray, str]]
) -> Iterator[bytes]:
    first, photometric = next(unpacked)
    header.PhotometricInterpretation = photometric
    if "PlanarConfiguration" in header:
        header.PlanarConfiguration = 0
    if source in LOSSY and not header.get("LossyImageCompression"):
        header.LossyImageCompression = "01"
    header.file_meta.TransferSyntaxUID = target
    arrays = _chained(first, (frame for frame, _ in unpacked))
    if target.is_encapsulated:
        yield from _whole(header, target, (_packed(array, header, target) for array in arrays))
        return
    yield _encoded(header)
    size = first.nbytes * _facts(header).frames
    yield _element_header(target, "OB" if header.BitsAllocated <= 8 else "OW", size + size % 2)
    yield from (array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays)
    yield bytes(size % 2)


def _chained(first: np.ndarray, others: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from others


def _whole(header: pydicom.FileDataset, syntax: UID, frames: Iterator[bytes]) -> Iterator[bytes]:
    """The object with one fragment a frame and an empty offset table; tables of the old offsets go."""
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in header:
            del header[keyword]
    yield _encoded(header)
    yield _element_header(syntax, "OB", UNDEFINED) + ITEM + bytes(4)
    for frame in frames:
        padded = frame + bytes(len(frame) % 2)
        yield ITEM + struct.pack("<L", len(padded)) + padded
    yield SEQUENCE_END


def _painted(frame: bytes, boxes: Sequence[Box], options: dict[str, Any], header: pydicom.FileDataset) -> bytes:
    array, _ = _unpacked(frame, boxes, options, raw=True)
    return _packed(array, header, options["transfer_syntax_uid"])


def _unpacked(frame: bytes, boxes: Sequence[Box], options: dict[str, Any], *, raw: bool) -> tuple[np.ndarray, str]:
    """One frame with its boxes black, and in which colours it is; `raw` leaves those as they are."""
    syntax = options["transfer_syntax_uid"]
    size = (int(options["rows"]), int(options["columns"]))
    require_size(frame, size, bits=int(options["bits_allocated"]), is_plain=syntax == RLELossless)
    array, meta = decoder_of(syntax).as_array(
        encapsulate([frame], has_bot=False),
        raw=raw,
        decoding_plugin=CODECS.get(syntax, ""),
        **(options | {"number_of_frames": 1}),
    )
    photometric = str(meta["photometric_interpretation"])
    return fill(array, boxes, black=Black(photometric)), photometric


def _packed(frame: np.ndarray, header: pydicom.FileDataset, syntax: UID) -> bytes:
    options = as_pixel_options(header, transfer_syntax_uid=syntax) | {"number_of_frames": 1}
    if frame.ndim == 3:
        options["planar_configuration"] = 0
    packed: bytes = encoder_of(syntax).encode(frame, **options)
    return packed


def _target(syntax: UID, header: pydicom.FileDataset) -> UID:
    """How what was compressed is to be compressed."""
    if not 1 < header.BitsStored <= header.BitsAllocated <= DEEPEST:
        return ExplicitVRLittleEndian
    if syntax in LOSSLESS:
        return syntax
    return JPEGLSLossless if header.Rows * header.Columns >= SMALLEST else ExplicitVRLittleEndian


def _facts(header: pydicom.FileDataset) -> PixelFacts:
    frames = header.get("NumberOfFrames")
    return PixelFacts(
        rows=int(header.Rows),
        columns=int(header.Columns),
        frames=max(int(frames or 1), 1),
        samples=int(header.get("SamplesPerPixel", 1)),
        bits_allocated=int(header.BitsAllocated),
        bits_stored=int(header.get("BitsStored", header.BitsAllocated)),
        signed=header.get("PixelRepresentation", 0) == 1,
        photometric=str(header.get("PhotometricInterpretation", "")),
    )


def _pixel_element(file: OpenedDicom) -> tuple[str, int]:
    """Value representation and length. The stream then stands at the content."""
    endian = "<" if file.syntax.is_little_endian else ">"
    if struct.unpack(f"{endian}HH", file.stream.read(4)) != PIXELS:
        raise Refused(Reason.NOT_AN_IMAGE)
    vr = "OW" if file.syntax.is_implicit_VR else file.stream.read(4)[:2].decode("ascii")
    (length,) = struct.unpack(f"{endian}L", file.stream.read(4))
    return vr, length


def _element_header(syntax: UID, vr: str, length: int) -> bytes:
    endian = "<" if syntax.is_little_endian else ">"
    tag = struct.pack(f"{endian}HH", *PIXELS)
    return tag + (b"" if syntax.is_implicit_VR else vr.encode() + b"\0\0") + struct.pack(f"{endian}L", length)


def _encoded(header: pydicom.FileDataset) -> bytes:
    content = BytesIO()
    header.save_as(content, enforce_file_format=True)
    return content.getvalue()
