"""One DICOM file: its header as plain facts, and its pixels as physical values. Nothing else leaves this module."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Float, Int16
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from dpmed.ingest import limits
from dpmed.ingest.detect import MEDIA_DIRECTORY
from dpmed.ingest.geometry import Plane
from dpmed.ingest.identifiers import Findings, findings
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused

MODALITIES = {"CT": "ct", "MR": "mr", "CR": "xray", "DX": "xray"}
"""DICOM modality to dpmed modality. Which MR sequence a series is, its header does not say reliably: `mr`."""
PROJECTIONS = frozenset({"xray"})
PICTURES_WITH_TEXT = frozenset({"US", "IVUS", "OT", "SC", "XC", "ES", "GM", "SM", "OP"})
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PIXELS = 0x7FE00010


@dataclass(frozen=True)
class SliceHeader:
    """What sorting and stacking need. Holds original identities: stays in memory."""

    patient: str
    issuer: str
    series: str
    modality: str
    rows: int
    columns: int
    plane: Plane | None
    rescale: tuple[float, float] | None
    is_hounsfield: bool = False
    brightest: int | None = None
    """The largest stored value, where an X-ray counts downwards (MONOCHROME1)."""


def is_media_directory(path: Path) -> bool:
    """A DICOMDIR, under any name: an index, not a picture."""
    with reading():
        return str(read_file_meta_info(path).get("MediaStorageSOPClassUID", "")) == MEDIA_DIRECTORY


def scan_dicom(path: Path, *, harvest: bool) -> tuple[SliceHeader | Reason, Findings]:
    """Read one header. A file that cannot be used still has its identifiers counted where they can be read."""
    found = Findings()
    try:
        with reading():
            _require_readable(path)
            header = pydicom.dcmread(path, stop_before_pixels=True)
            found = findings(header, harvest=harvest)
            meta = findings(header.file_meta, harvest=harvest)
            found.removed += meta.removed
            found.tokens |= meta.tokens
            if header.preamble and header.preamble.strip(b"\0"):
                found.removed["embedded data"] += 1
            return _header(path, header), found
    except Refused as refused:
        return refused.reason, found


def _require_readable(path: Path) -> None:
    if path.stat().st_size > limits.MAX_FILE_BYTES:
        raise Refused(Reason.TOO_LARGE)
    syntax = UID(str(read_file_meta_info(path).get("TransferSyntaxUID", "")))
    if syntax == DeflatedExplicitVRLittleEndian:
        raise Refused(Reason.DEFLATED)
    if syntax.is_transfer_syntax and syntax.is_compressed and not _can_decode(syntax):
        raise Refused(Reason.COMPRESSED)


def _can_decode(syntax: UID) -> bool:
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _header(path: Path, header: pydicom.Dataset) -> SliceHeader:
    _require_picture(header)
    rows, columns = int(header.Rows), int(header.Columns)
    if min(rows, columns) < 1 or rows * columns > limits.MAX_SLICE_PIXELS:
        raise Refused(Reason.TOO_LARGE)
    _require_whole_pixels(path, header, rows * columns)
    modality = MODALITIES[str(header.Modality)]
    series = _text(header, "SeriesInstanceUID")
    if not series:
        raise Refused(Reason.NO_SERIES)
    rescale = _rescale(header)
    if modality == "ct" and rescale is None:
        raise Refused(Reason.NO_RESCALE)
    return SliceHeader(
        patient=_text(header, "PatientID"),
        issuer=_text(header, "IssuerOfPatientID"),
        series=series,
        modality=modality,
        rows=rows,
        columns=columns,
        plane=_plane(header, modality),
        rescale=rescale,
        is_hounsfield=modality == "ct" and _text(header, "RescaleType") in {"", "HU"},
        brightest=_brightest(header, modality),
    )


def _require_picture(header: pydicom.Dataset) -> None:
    """Order matters: the first reason that applies is the one the user can act on."""
    if "Rows" not in header or "Columns" not in header:
        raise Refused(Reason.NOT_AN_IMAGE)
    modality = _text(header, "Modality")
    burned_in = _text(header, "BurnedInAnnotation").upper() == "YES"
    if burned_in or modality in PICTURES_WITH_TEXT or _text(header, "SOPClassUID").startswith(SECONDARY_CAPTURE):
        raise Refused(Reason.BURNED_IN)
    if modality not in MODALITIES:
        raise Refused(Reason.NOT_AN_IMAGE if modality in {"SEG", "SR", "PR", "RTSTRUCT"} else Reason.MODALITY)
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise Refused(Reason.COLOUR)
    if int(header.get("NumberOfFrames") or 1) != 1:
        raise Refused(Reason.MULTI_FRAME)
    if "LOCALIZER" in _text(header, "ImageType").upper():
        raise Refused(Reason.LOCALISER)


def _require_whole_pixels(path: Path, header: pydicom.Dataset, pixels: int) -> None:
    syntax = header.file_meta.TransferSyntaxUID
    wanted = pixels * int(header.BitsAllocated) // 8
    if not syntax.is_compressed and path.stat().st_size < wanted:
        raise Refused(Reason.TRUNCATED)


def _text(header: pydicom.Dataset, keyword: str) -> str:
    value = header.get(keyword)
    if value is None:
        return ""
    return str(value).strip(" \0")


def _rescale(header: pydicom.Dataset) -> tuple[float, float] | None:
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if slope is None or intercept is None:
        return None
    pair = float(slope), float(intercept)
    if not np.isfinite(pair).all() or pair[0] == 0:
        raise Refused(Reason.NO_RESCALE)
    return pair


def _brightest(header: pydicom.Dataset, modality: str) -> int | None:
    is_inverted = modality in PROJECTIONS and _text(header, "PhotometricInterpretation") == "MONOCHROME1"
    return 2 ** int(header.get("BitsStored") or header.BitsAllocated) - 1 if is_inverted else None


def _plane(header: pydicom.Dataset, modality: str) -> Plane | None:
    position, orientation = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    spacing = header.get("PixelSpacing") or (header.get("ImagerPixelSpacing") if modality in PROJECTIONS else None)
    if modality in PROJECTIONS:
        return Plane((0, 0, 0), (1, 0, 0, 0, 1, 0), _numbers(spacing, 2) if spacing else (1.0, 1.0), 1.0)
    if not position or not orientation or not spacing:
        return None
    thickness = abs(float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 0)) or 1.0
    rows_and_columns = _numbers(spacing, 2)
    if min(rows_and_columns) <= 0 or not np.isfinite(thickness):
        raise Refused(Reason.NO_GEOMETRY)
    return Plane(_numbers(position, 3), _numbers(orientation, 6), rows_and_columns, thickness)


def _numbers(value: object, count: int) -> tuple[float, ...]:
    numbers = tuple(float(number) for number in value)  # type: ignore[attr-defined]
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise Refused(Reason.NO_GEOMETRY)
    return numbers


def read_slice(path: Path, header: SliceHeader) -> Int16[np.ndarray, "column row"] | Float[np.ndarray, "column row"]:
    """The pixels of one slice as physical values, indexed [column, row]: int16 where that is exact, else float32."""
    with reading():
        stored = pydicom.dcmread(path).pixel_array
    if stored.shape != (header.rows, header.columns):
        raise Refused(Reason.TRUNCATED)
    if header.brightest is not None:
        stored = header.brightest - stored.astype(np.int64)
    slope, intercept = header.rescale or (1.0, 0.0)
    values = stored.T.astype(np.float64) * slope + intercept
    exact = values.astype(np.int16, copy=False) if np.abs(values).max(initial=0) <= np.iinfo(np.int16).max else None
    if exact is not None and np.array_equal(exact, values):
        return exact
    return values.astype(np.float32)
