"""What a header says about each frame: place, rescale, and what tells it apart from others at the same place.

Single-frame objects say it at the top; enhanced ones in functional groups, for each frame or shared by all (PS3.3
C.7.6.16). Legacy converted objects keep what had no group of its own as unassigned attributes (C.7.6.16.2.25).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pydicom
from pydicom.tag import BaseTag, Tag

from dpmed.ingest import limits
from dpmed.ingest.geometry import Plane
from dpmed.ingest.reasons import Reason, Refused

Path = tuple[str, ...]
"""Keywords of sequences, then of an attribute; one keyword alone stands at the top."""

TRAITS: dict[str, tuple[Path, ...]] = {
    "stack": (("FrameContentSequence", "StackID"),),
    "kind": (
        ("CTImageFrameTypeSequence", "FrameType"),
        ("MRImageFrameTypeSequence", "FrameType"),
        ("ImageType",),
    ),
    "component": (("MRImageFrameTypeSequence", "ComplexImageComponent"), ("ComplexImageComponent",)),
    "echo": (("MREchoSequence", "EffectiveEchoTime"), ("EchoTime",)),
    "inversion": (("MRModifierSequence", "InversionTimes"), ("InversionTime",)),
    "b-value": (("MRDiffusionSequence", "DiffusionBValue"), ("DiffusionBValue",)),
    "direction": (
        ("MRDiffusionSequence", "DiffusionGradientDirectionSequence", "DiffusionGradientOrientation"),
        ("DiffusionGradientOrientation",),
    ),
    "temporal": (("FrameContentSequence", "TemporalPositionIndex"), ("TemporalPositionIdentifier",)),
    "trigger": (("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"), ("TriggerTime",)),
    "energy": (("CTXRayDetailsSequence", "KVP"), ("KVP",)),
    "kernel": (("CTReconstructionSequence", "ConvolutionKernel"), ("ConvolutionKernel",)),
    "acquisition": (("FrameContentSequence", "FrameAcquisitionNumber"), ("AcquisitionNumber",)),
    "dimensions": (),
    "time": (("FrameContentSequence", "FrameAcquisitionDateTime"), ("AcquisitionTime",)),
}
"""What may divide a series, most telling first, and where it is written: in a functional group, else at the top."""
UNASSIGNED = "UnassignedPerFrameConvertedAttributesSequence"
PLACE_POINTERS = frozenset(
    Tag(keyword) for keyword in ("StackID", "InStackPositionNumber", "ImagePositionPatient", "PlanePositionSequence")
)
"""Dimensions that only say where a frame lies (C.7.6.17)."""

SMALLEST_MM, LARGEST_MM = 1e-4, 1e6
LARGEST_RESCALE = 1e12
"""Numbers beyond are damage, and would overflow what is computed from them."""

Lookup = Callable[[Path], Any]


@dataclass(frozen=True)
class Frame:
    """One frame: its number in the object (None where the object is one image), place, rescale and traits."""

    number: int | None
    plane: Plane | None
    rescale: tuple[float, float] | None
    unit: str
    traits: tuple[str, ...]
    """One text for each of `TRAITS`. Original values: stays in memory."""


def frames_of(header: pydicom.Dataset) -> tuple[Frame, ...]:
    """Every frame of an object. Raises `Refused` where there are several and nothing says where they lie."""
    groups = header.get("PerFrameFunctionalGroupsSequence")
    count = int(header.get("NumberOfFrames") or 1)
    if not groups:
        if count != 1:
            raise Refused(Reason.NO_GEOMETRY)
        return (_frame(None, _at_the_top(header)),)
    if not 1 <= count <= limits.MAX_FRAMES:
        raise Refused(Reason.TOO_LARGE)
    if len(groups) != count:
        raise Refused(Reason.UNREADABLE)
    shared = _shared(header)
    pointers = [item.get("DimensionIndexPointer") for item in header.get("DimensionIndexSequence") or ()]
    beside_place = [number for number, pointer in enumerate(pointers) if pointer not in PLACE_POINTERS]
    return tuple(_frame(n, _in_groups(group, shared), beside_place) for n, group in enumerate(groups))


def _at_the_top(header: pydicom.Dataset) -> Lookup:
    return lambda path: _dig(header, path[-1:])


def _in_groups(own: pydicom.Dataset, common: Lookup) -> Lookup:
    """Look in the frame's own groups, then in what all frames share."""

    def find(path: Path) -> Any:
        value = _dig(own, path if len(path) > 1 else (UNASSIGNED, *path))
        return common(path) if value is None else value

    return find


def _shared(header: pydicom.Dataset) -> Lookup:
    """What holds for every frame: looked up once each, in the shared groups or at the top."""
    groups = (header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    return cache(lambda path: _dig(groups if len(path) > 1 else header, path))


def _dig(place: pydicom.Dataset, path: Path) -> Any:
    """The value at the end of a path of sequences, in the first item of each; None where it breaks off."""
    *sequences, last = _tags(path)
    for tag in sequences:
        items = place[tag].value if tag in place else None
        if not items:
            return None
        place = items[0]
    return place[last].value if last in place else None


@cache
def _tags(path: Path) -> tuple[BaseTag, ...]:
    return tuple(Tag(keyword) for keyword in path)


def _frame(number: int | None, find: Lookup, beside_place: list[int] | None = None) -> Frame:
    traits = [next((text for path in paths if (text := _text(find(path)))), "") for paths in TRAITS.values()]
    indices = find(("FrameContentSequence", "DimensionIndexValues")) if beside_place else None
    if indices is not None and beside_place:
        several = [indices] if isinstance(indices, int) else list(indices)
        traits[list(TRAITS).index("dimensions")] = _text([several[n] for n in beside_place if n < len(several)])
    return Frame(
        number=number,
        plane=_plane(find),
        rescale=_rescale(find),
        unit=_text(find(("PixelValueTransformationSequence", "RescaleType"))),
        traits=tuple(traits),
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    several = [value] if isinstance(value, str | bytes) or not hasattr(value, "__iter__") else value
    return "\\".join(str(each).strip(" \0") for each in several)


def _rescale(find: Lookup) -> tuple[float, float] | None:
    group = "PixelValueTransformationSequence"
    slope, intercept = find((group, "RescaleSlope")), find((group, "RescaleIntercept"))
    if slope is None or intercept is None:
        return None
    pair = float(slope), float(intercept)
    if not np.isfinite(pair).all() or pair[0] == 0 or max(map(abs, pair)) > LARGEST_RESCALE:
        raise Refused(Reason.NO_RESCALE)
    return pair


def _plane(find: Lookup) -> Plane | None:
    position = find(("PlanePositionSequence", "ImagePositionPatient"))
    orientation = find(("PlaneOrientationSequence", "ImageOrientationPatient"))
    spacing = find(("PixelMeasuresSequence", "PixelSpacing"))
    if not position or not orientation or not spacing:
        return None
    apart = find(("PixelMeasuresSequence", "SpacingBetweenSlices")) or find(("PixelMeasuresSequence", "SliceThickness"))
    thickness = abs(float(apart or 0)) or 1.0
    _numbers([thickness], 1)
    return Plane(_numbers(position, 3), _numbers(orientation, 6), pixel_spacing(spacing), thickness)


def pixel_spacing(value: Any) -> tuple[float, ...]:
    """Between rows and between columns, in mm, or `Refused`."""
    spacing = _numbers(value, 2)
    if min(spacing) < SMALLEST_MM:
        raise Refused(Reason.NO_GEOMETRY)
    return spacing


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    """So many finite numbers of a size that lengths in a scanner have."""
    several = tuple(float(number) for number in value)
    if len(several) != count or not np.isfinite(several).all() or max(map(abs, several)) > LARGEST_MM:
        raise Refused(Reason.NO_GEOMETRY)
    return several
