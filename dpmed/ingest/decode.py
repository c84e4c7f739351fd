"""Pixels of one DICOM file as physical values, frame by frame, so that a large object never lies in memory whole."""

import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from jaxtyping import Float, Int16, Integer
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import Decoder
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from dpmed.ingest.codecs import CODECS, decoder_of
from dpmed.ingest.codestream import require_size
from dpmed.ingest.opened import OpenedDicom, open_dicom
from dpmed.ingest.quiet import decoding, reading
from dpmed.ingest.reasons import Reason, Refused

if TYPE_CHECKING:
    from dpmed.ingest.dicom import SliceHeader

PIXELS = (0x7FE0, 0x0010)
MOST_WHOLE = 2**24
"""Slope or intercept up to which 64-bit whole numbers hold any product with 32 bits."""
Stored = Integer[np.ndarray, "row column"]
Slice = Int16[np.ndarray, "column row"] | Float[np.ndarray, "column row"]


def can_decode(syntax: UID) -> bool:
    """Whether a codec for a compressed transfer syntax is installed."""
    try:
        decoder = decoder_of(syntax)
        return CODECS[syntax] in decoder.available_plugins if syntax in CODECS else decoder.is_available
    except NotImplementedError:
        return False


def read_slices(path: Path, headers: "Sequence[SliceHeader]") -> Iterator[Slice]:
    """Physical values of the slices of one file, in the order of `headers`, which is that of their frames.

    Indexed [column, row]; int16 where that is exact, else float32.
    """
    size = (headers[0].rows, headers[0].columns)
    frames = read_frames(path, [header.frame or 0 for header in headers], size)
    return (_physical(stored, header) for header, stored in zip(headers, frames, strict=True))


def read_frames(path: Path, wanted: Sequence[int], size: tuple[int, int]) -> Iterator[Stored]:
    """Stored values of some frames of one file, ascending, each of `size` (rows, columns), colours last."""
    with open_dicom(path) as file:
        with reading():
            frames = _frames(file, file.header(), wanted)
        for _ in wanted:
            with decoding():
                stored = next(frames, None)
            if stored is None or stored.shape[:2] != size:
                raise Refused(Reason.TRUNCATED)
            yield stored


def read_slice(path: Path, header: "SliceHeader") -> Slice:
    """The same for one slice."""
    return next(read_slices(path, [header]))


def _physical(stored: np.ndarray, header: "SliceHeader") -> Slice:
    if header.brightest is not None:
        stored = header.brightest - stored.astype(np.int64)
    slope, intercept = header.rescale or (1.0, 0.0)
    is_whole = slope.is_integer() and intercept.is_integer() and max(abs(slope), abs(intercept)) <= MOST_WHOLE
    kind = np.int64 if is_whole else np.float64
    values = stored.T.astype(kind) * kind(slope) + kind(intercept)
    limit = np.iinfo(np.int16).max
    if values.size and -limit <= values.min() and values.max() <= limit:
        exact = values.astype(np.int16)
        if is_whole or np.array_equal(exact, values):
            return exact
    return values.astype(np.float32)


def _frames(file: OpenedDicom, header: pydicom.FileDataset, wanted: Sequence[int]) -> Iterator[Stored]:
    """Stored values of some frames. The stream stands at the pixel element."""
    syntax = file.syntax if file.syntax.is_transfer_syntax else ExplicitVRLittleEndian
    options = as_pixel_options(header, transfer_syntax_uid=syntax) | _pixel_element(file)
    decoder = decoder_of(syntax)
    if not syntax.is_encapsulated:
        return (frame for frame, _ in decoder.iter_array(file.stream, indices=list(wanted), raw=True, **options))
    return _unpacked(file, decoder, options, wanted)


def _pixel_element(file: OpenedDicom) -> dict[str, Any]:
    endian = "<" if file.syntax.is_little_endian else ">"
    tag = struct.unpack(f"{endian}HH", file.stream.read(4))
    if tag != PIXELS:
        raise Refused(Reason.NOT_AN_IMAGE)
    rest = file.stream.read(4 if file.syntax.is_implicit_VR else 8)
    vr = "OW" if file.syntax.is_implicit_VR else rest[:2].decode("ascii")
    return {"pixel_keyword": "PixelData", "pixel_vr": vr}


def _unpacked(file: OpenedDicom, decoder: Decoder, options: dict[str, Any], wanted: Sequence[int]) -> Iterator[Stored]:
    """One compressed frame after the other; each is held against the header before a codec sees it."""
    count, offsets = int(options["number_of_frames"]), options.pop("extended_offsets", None)
    packed = generate_frames(file.stream, number_of_frames=count, extended_offsets=offsets)
    alone = options | {"number_of_frames": 1}
    place = 0
    for number in wanted:
        frame = next(islice(packed, number - place, None), None)
        if frame is None:
            raise Refused(Reason.TRUNCATED)
        place = number + 1
        require_size(
            frame,
            (int(options["rows"]), int(options["columns"])),
            bits=int(options["bits_allocated"]),
            is_plain=file.syntax == RLELossless,
        )
        codec = CODECS.get(file.syntax, "")
        yield decoder.as_array(encapsulate([frame], has_bot=False), raw=True, decoding_plugin=codec, **alone)[0]
