"""Which output came from which input, and both as plain mappings from place to value."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from .planting import Canaries, Instance

OWN = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
"""Where an object says its own UIDs; everywhere else they are references."""


class Content:
    """One DICOM file as a mapping from place, like `SegmentSequence[0].SegmentLabel`, to text."""

    def __init__(self, path: Path) -> None:
        self.bytes = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.dataset = dcmread(path, force=True)
            if "TransferSyntaxUID" not in self.dataset.file_meta:
                self.dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            self.values = dict(_flat(self.dataset))

    @cached_property
    def pixels(self) -> np.ndarray | None:
        """The bits stored of each pixel; None where there are none."""
        if "PixelData" not in self.dataset:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = self.dataset.pixel_array
        return pixels & ((1 << self.dataset.BitsStored) - 1)


def _flat(ds: Dataset, prefix: str = "") -> Iterator[tuple[str, str]]:
    for tag in ds.keys():  # noqa: SIM118  iterating a data set converts its values, and these are wrong on purpose
        name = prefix + (keyword_for_tag(tag) or f"({tag.group:04X},{tag.element:04X})")
        stored = ds.get_item(tag)
        vr = stored.VR or ("UN" if tag.is_private else _vr(tag))
        if vr == "SQ":
            yield name, "sequence"
            for number, item in enumerate(ds[tag].value or []):
                yield from _flat(item, f"{name}[{number}].")
        elif isinstance(stored.value, bytes) and vr in {"US", "UL", "SS", "SL", "FD", "FL", "AT"}:
            yield name, _number(ds, tag)
        elif isinstance(stored.value, bytes):
            yield name, stored.value.decode("latin-1").strip("\0 ")
        else:
            yield (
                name,
                "\\".join(map(str, stored.value))
                if stored.VM > 1
                else ""
                if stored.value is None
                else str(stored.value),
            )


def _number(ds: Dataset, tag) -> str:
    try:
        value = ds[tag].value
    except Exception:  # bytes that are no number of this representation
        return "?"
    return "\\".join(map(str, value)) if isinstance(value, list) else str(value)


def _vr(tag) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


@dataclass(frozen=True)
class Pair:
    """An input, and its output where one was written."""

    instance: Instance
    before: Content
    after: Content | None


def paired(output: Path, canaries: Canaries) -> list[Pair]:
    """Every instance of the set with its output, told by InstanceNumber (each has its own) and class."""
    written: dict[tuple[str, str], Content] = {}
    for path in sorted(output.rglob("*")):
        if path.is_file() and path.read_bytes()[128:132] == b"DICM":
            content = Content(path)
            if "DirectoryRecordSequence" not in content.values:
                place = (content.values.get("InstanceNumber", ""), content.values.get("SOPClassUID", ""))
                assert place not in written, "two outputs came from one input"
                written[place] = content
    return [
        Pair(one, Content(canaries.folder / one.file), written.get((str(one.number), one.sop_class)))
        for one in canaries.instances
    ]


def mapping(pairs: list[Pair]) -> dict[str, str]:
    """What each original UID of a study, series, object or frame of reference became, by the objects' own word."""
    found: dict[str, str] = {}
    for pair in pairs:
        if pair.after is not None:
            for keyword in OWN:
                if keyword in pair.before.values and pair.after.values.get(keyword):
                    found.setdefault(pair.before.values[keyword], pair.after.values[keyword])
    return found
