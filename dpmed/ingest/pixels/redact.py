"""Painting over: the boxes of a frame are filled, every other pixel stays as it is, to the bit."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from dpmed.core.files import written_aside
from dpmed.ingest.pixels.text import Box
from dpmed.ingest.quiet import reading

LOSSLESS = frozenset({RLELossless, JPEGLSLossless, JPEG2000Lossless})
"""Syntaxes in which pixels can be written back as they were compressed."""
CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")


def fill(frame: np.ndarray, boxes: Iterable[Box], *, photometric: str = "MONOCHROME2") -> np.ndarray:
    """A copy with the boxes black: the frame's darkest value, its brightest where low values are bright."""
    filled = frame.copy()
    blank: Any = frame.max() if photometric == "MONOCHROME1" else frame.min()
    if photometric.startswith("YBR") and frame.ndim == 3:
        blank = (0, 128, 128)  # no light, no colour
    for box in boxes:
        filled[box.top : box.bottom, box.left : box.right] = blank
    return filled


def redact_file(path: Path, boxes: Mapping[int, Sequence[Box]]) -> None:
    """Fill boxes, by frame number, in a DICOM object that is already scrubbed; old or new is on the disk, never half.

    Compressed without loss it is compressed so again; otherwise it is written uncompressed, and a loss of the past
    stays declared (Lossy Image Compression). Raises `Refused` where its pixels cannot be decoded.
    """
    with reading():
        data = pydicom.dcmread(path)
        syntax = UID(data.file_meta.TransferSyntaxUID)
        # Uncompressed colours stay in their own space, so that no pixel outside the boxes is rounded.
        is_plain = not syntax.is_compressed
        photometric = str(data.PhotometricInterpretation)
        if not is_plain and photometric.startswith("YBR"):
            photometric = "RGB"
        frames = [
            fill(frame, boxes.get(number, ()), photometric=photometric)
            for number, frame in enumerate(iter_pixels(path, raw=is_plain))
        ]
        data.PhotometricInterpretation = photometric
        _store(data, frames, syntax if syntax in LOSSLESS else ExplicitVRLittleEndian)
        data.BurnedInAnnotation = "NO"
        _say_so(data)
    with written_aside(path) as aside:
        data.save_as(aside, enforce_file_format=True)


def _store(data: pydicom.Dataset, frames: Sequence[np.ndarray], syntax: UID) -> None:
    pixels = np.stack(frames) if len(frames) > 1 else frames[0]
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    if syntax == ExplicitVRLittleEndian:
        content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        data.PixelData = content + b"\0" * (len(content) % 2)
        data["PixelData"].VR = "OB" if data.BitsAllocated <= 8 else "OW"
        data["PixelData"].is_undefined_length = False
    else:
        encoder = get_encoder(syntax)
        content_frames = [encoder.encode(frame, **_options(data)) for frame in frames]
        data.PixelData = encapsulate(content_frames)
        data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = syntax


def _options(data: pydicom.Dataset) -> dict[str, Any]:
    return {
        "rows": data.Rows,
        "columns": data.Columns,
        "number_of_frames": 1,
        "samples_per_pixel": data.SamplesPerPixel,
        "bits_allocated": data.BitsAllocated,
        "bits_stored": data.BitsStored,
        "pixel_representation": data.PixelRepresentation,
        "photometric_interpretation": data.PhotometricInterpretation,
        **({"planar_configuration": 0} if data.SamplesPerPixel > 1 else {}),
    }


def _say_so(data: pydicom.Dataset) -> None:
    codes = data.get("DeidentificationMethodCodeSequence") or []
    if CLEAN_PIXELS[0] in {code.get("CodeValue") for code in codes}:
        return
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = CLEAN_PIXELS[0], "DCM", CLEAN_PIXELS[1]
    data.DeidentificationMethodCodeSequence = [*codes, code]
