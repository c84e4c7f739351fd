"""One DICOM file: its header as plain facts about each of its slices. Nothing else leaves this module."""

from dataclasses import dataclass
from pathlib import Path

import pydicom

from dpmed.ingest import limits
from dpmed.ingest.decode import can_decode
from dpmed.ingest.frames import TRAITS, Frame, frames_of, pixel_spacing
from dpmed.ingest.geometry import Plane
from dpmed.ingest.identifiers import Findings, findings
from dpmed.ingest.opened import OpenedDicom, open_dicom
from dpmed.ingest.origin import NOT_KNOWN, Origin, origin_of
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.segments import SEGMENTATION, Segments, segments_of

MODALITIES = {"CT": "ct", "MR": "mr", "CR": "xray", "DX": "xray"}
"""DICOM modality to dpmed modality. Which MR sequence a series is, its header does not say reliably: `mr`."""
PROJECTIONS = frozenset({"xray"})
PICTURES_WITH_TEXT = frozenset({"US", "IVUS", "OT", "SC", "XC", "ES", "GM", "SM", "OP"})
WITHOUT_PICTURE = frozenset({"SEG", "SR", "PR", "RTSTRUCT"})
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
GREY = frozenset({"MONOCHROME1", "MONOCHROME2", ""})
FACES_CLEANED = "113102"
"""Clean Recognizable Visual Features Option (PS3.16, CID 7050)."""
DEPTHS = frozenset({8, 16, 32})
MASK_DEPTHS = frozenset({1, 8, 16})


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
    frame: int | None = None
    """Its number in an object of several."""
    traits: tuple[str, ...] = ("",) * len(TRAITS)
    origin: Origin = NOT_KNOWN
    is_defaced: bool = False
    """Its recognizable visual features have been cleaned, says the object (PS3.15 E.3.2)."""


def slices_of(path: Path) -> tuple[SliceHeader, ...]:
    """The slices of one file. Raises `Refused` where it cannot be used."""
    with open_dicom(path) as file, reading():
        header = file.header()
        return _slices(file, header, file.remaining)


def scan_dicom(
    path: Path, *, harvest: bool, masks: bool = False
) -> tuple[tuple[SliceHeader, ...] | Segments | Reason, Findings]:
    """Read one header. A file that cannot be used still has its identifiers counted where they can be read.

    With `masks`, segmentations count as usable.
    """
    found = Findings()
    try:
        with open_dicom(path) as file, reading():
            header = file.header()
            remaining = file.remaining
            found = findings(header, harvest=harvest)
            meta = findings(header.file_meta, harvest=harvest)
            found.removed += meta.removed
            found.tokens |= meta.tokens
            if header.preamble and header.preamble.strip(b"\0"):
                found.removed["embedded data"] += 1
            if masks and _text(header, "Modality") == SEGMENTATION:
                _require_pixels(file, header, remaining, depths=MASK_DEPTHS)
                return segments_of(header), found
            return _slices(file, header, remaining), found
    except Refused as refused:
        return refused.reason, found


def _slices(file: OpenedDicom, header: pydicom.Dataset, remaining: int) -> tuple[SliceHeader, ...]:
    _require_picture(header)
    modality = MODALITIES[_text(header, "Modality")]
    series = _text(header, "SeriesInstanceUID")
    if not series:
        raise Refused(Reason.NO_SERIES)
    _require_pixels(file, header, remaining)
    frames = (_projection(header),) if modality in PROJECTIONS else frames_of(header)
    if modality == "ct" and any(frame.rescale is None for frame in frames):
        raise Refused(Reason.NO_RESCALE)
    origin, is_defaced = origin_of(header), _is_defaced(header)
    return tuple(
        SliceHeader(
            patient=_text(header, "PatientID"),
            issuer=_text(header, "IssuerOfPatientID"),
            series=series,
            modality=modality,
            rows=int(header.Rows),
            columns=int(header.Columns),
            plane=frame.plane,
            rescale=frame.rescale,
            is_hounsfield=modality == "ct" and frame.unit in {"", "HU"},
            brightest=_brightest(header, modality),
            frame=frame.number,
            traits=frame.traits,
            origin=origin,
            is_defaced=is_defaced,
        )
        for frame in frames
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
        raise Refused(Reason.NOT_AN_IMAGE if modality in WITHOUT_PICTURE else Reason.MODALITY)
    if int(header.get("SamplesPerPixel") or 1) != 1 or _text(header, "PhotometricInterpretation") not in GREY:
        raise Refused(Reason.COLOUR)
    kinds = _text(header, "ImageType").upper()
    if "LOCALIZER" in kinds:
        raise Refused(Reason.LOCALISER)
    if "MOSAIC" in kinds:
        raise Refused(Reason.MOSAIC)


def _require_pixels(
    file: OpenedDicom, header: pydicom.Dataset, remaining: int, *, depths: frozenset[int] = DEPTHS
) -> None:
    """Sizes within the limits, a codec at hand, and as many bytes as the header promises."""
    rows, columns, bits = int(header.Rows), int(header.Columns), int(header.BitsAllocated)
    frames = int(header.get("NumberOfFrames") or 1)
    if frames < 1 or bits not in depths:
        raise Refused(Reason.DEPTH if frames >= 1 else Reason.UNREADABLE)
    wanted = rows * columns * frames * bits // 8
    if min(rows, columns) < 1 or rows * columns > limits.MAX_SLICE_PIXELS or wanted > limits.MAX_IMAGE_BYTES:
        raise Refused(Reason.TOO_LARGE)
    syntax = file.syntax
    if syntax.is_transfer_syntax and syntax.is_compressed:
        if not can_decode(syntax):
            raise Refused(Reason.COMPRESSED)
    elif remaining < wanted:
        raise Refused(Reason.TRUNCATED)


def _text(header: pydicom.Dataset, keyword: str) -> str:
    value = header.get(keyword)
    if value is None:
        return ""
    return str(value).strip(" \0")


def _is_defaced(header: pydicom.Dataset) -> bool:
    codes = header.get("DeidentificationMethodCodeSequence") or []
    return any(
        _text(code, "CodeValue") == FACES_CLEANED and _text(code, "CodingSchemeDesignator") == "DCM" for code in codes
    )


def _projection(header: pydicom.Dataset) -> Frame:
    """An X-ray: one picture of a plane that lies nowhere in particular."""
    if int(header.get("NumberOfFrames") or 1) != 1:
        raise Refused(Reason.MULTI_FRAME)
    (frame,) = frames_of(header)
    stated = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    # Some devices write zeros for what they do not know.
    spacing = pixel_spacing(stated) if stated and any(float(mm) for mm in stated) else (1.0, 1.0)
    plane = Plane((0, 0, 0), (1, 0, 0, 0, 1, 0), spacing, 1.0)
    return Frame(None, plane, frame.rescale, frame.unit, frame.traits)


def _brightest(header: pydicom.Dataset, modality: str) -> int | None:
    is_inverted = modality in PROJECTIONS and _text(header, "PhotometricInterpretation") == "MONOCHROME1"
    return 2 ** int(header.get("BitsStored") or header.BitsAllocated) - 1 if is_inverted else None
