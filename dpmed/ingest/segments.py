"""A DICOM segmentation (PS3.3 A.51) as the mask of the series it refers to: the number of a segment is its label.

Its frames name a place in the patient, not a slice of the image, and empty ones are often left out; so each is laid on
the image's own grid. A segmentation on another grid, of fractions, or with two segments in one voxel is refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Float, UInt16

from dpmed.ingest import limits
from dpmed.ingest.decode import read_frames
from dpmed.ingest.frames import frames_of
from dpmed.ingest.geometry import LPS_TO_RAS, Plane
from dpmed.ingest.reasons import Reason, Refused

SEGMENTATION = "SEG"
SAME_PLACE_MM = 0.05
"""Between a frame and the slice it covers: rounding of positions in either header stays below."""


@dataclass(frozen=True)
class Segments:
    """What a segmentation says about its frames. Holds original identities: stays in memory."""

    patient: str
    issuer: str
    series: str
    """Of the image it was drawn on."""
    rows: int
    columns: int
    planes: tuple[Plane, ...]
    numbers: tuple[int, ...]
    """The segment of each frame; 0 where the pixels hold the numbers (a label map)."""


def segments_of(header: pydicom.Dataset) -> Segments:
    """Read the header of a segmentation. Raises `Refused` where its frames cannot become labels."""
    kind = str(header.get("SegmentationType", "")).strip(" \0")
    if kind not in {"BINARY", "LABELMAP"}:
        raise Refused(Reason.MASK_FRACTIONS)
    rows, columns, frames = int(header.Rows), int(header.Columns), int(header.get("NumberOfFrames") or 1)
    if min(rows, columns, frames) < 1 or max(rows * columns, frames) > limits.MAX_SLICE_PIXELS:
        raise Refused(Reason.TOO_LARGE)
    series = [str(item.get("SeriesInstanceUID", "")) for item in header.get("ReferencedSeriesSequence") or ()]
    planes = tuple(frame.plane for frame in frames_of(header) if frame.plane is not None)
    if len(set(series)) != 1 or len(planes) != frames:
        raise Refused(Reason.NO_IMAGE if len(set(series)) != 1 else Reason.NO_GEOMETRY)
    groups = header.PerFrameFunctionalGroupsSequence
    shared = (header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    numbers = [0 if kind == "LABELMAP" else _number(group, shared) for group in groups]
    return Segments(
        patient=str(header.get("PatientID") or "").strip(" \0"),
        issuer=str(header.get("IssuerOfPatientID") or "").strip(" \0"),
        series=series[0],
        rows=rows,
        columns=columns,
        planes=planes,
        numbers=tuple(numbers),
    )


def _number(group: pydicom.Dataset, shared: pydicom.Dataset) -> int:
    items: Any = group.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence")
    number = int(items[0].ReferencedSegmentNumber)
    if not 0 < number <= np.iinfo(np.uint16).max:
        raise Refused(Reason.UNREADABLE)
    return number


def places(segments: Segments, affine: Float[np.ndarray, "4 4"], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The slice of the image that each frame covers. Raises `Refused` where grids differ."""
    if (segments.columns, segments.rows) != shape[:2]:
        raise Refused(Reason.MASK_GRID)
    found = []
    to_voxels = np.linalg.inv(affine)
    for plane in segments.planes:
        corner = LPS_TO_RAS @ [*plane.position, 1.0]
        place = round(float((to_voxels @ corner)[2]))
        row, column = (np.array(plane.orientation[part]) for part in (slice(3), slice(3, 6)))
        theirs = LPS_TO_RAS[:3, :3] @ np.stack([row * plane.spacing[1], column * plane.spacing[0]], axis=1)
        # How far the frame's own corners lie from those of the slice, with directions taken over its whole width.
        astray = np.abs((theirs - affine[:3, :2]) * shape[:2]).max()
        away = np.abs(affine @ [0, 0, place, 1] - corner).max()
        if not 0 <= place < shape[2] or max(astray, away) > SAME_PLACE_MM:
            raise Refused(Reason.MASK_GRID)
        found.append(place)
    return tuple(found)


def read_mask(
    path: Path, segments: Segments, affine: Float[np.ndarray, "4 4"], shape: tuple[int, ...]
) -> UInt16[np.ndarray, "column row slice"]:
    """The labels on the grid of the image; 0 where no frame says anything."""
    where = places(segments, affine, shape)
    mask = np.zeros(shape, np.uint16, order="F")
    frames = read_frames(path, range(len(where)), (segments.rows, segments.columns))
    for place, number, frame in zip(where, segments.numbers, frames, strict=True):
        labels = (frame.T > 0) * np.uint16(number) if number else frame.T.astype(np.uint16)
        below = mask[..., place]
        if ((labels > 0) & (below > 0) & (labels != below)).any():
            raise Refused(Reason.MASK_OVERLAPS)
        mask[..., place] = np.maximum(below, labels)
    return mask
