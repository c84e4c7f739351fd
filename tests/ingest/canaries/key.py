"""The answer key: for every instance, what must be gone, what must have changed, and what must have stayed.

The actions are those of the MIDI-B benchmark (MICCAI 2024; arXiv 2507.23608), in its words, and `tag_removed` for
what has no place in an output at all. An instance that was not written fails whatever asks for something to stay.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from .kept import listed
from .pairing import OWN, Pair
from .planting import Canaries, Planted
from .references import reference_places
from .words import UID_ROOTS, WORD


class Action(StrEnum):
    """What a check asks of a de-identifier."""

    TAG_RETAINED = "tag_retained"
    TAG_REMOVED = "tag_removed"
    TEXT_NOTNULL = "text_notnull"
    TEXT_RETAINED = "text_retained"
    TEXT_REMOVED = "text_removed"
    DATE_SHIFTED = "date_shifted"
    UID_CHANGED = "uid_changed"
    UID_CONSISTENT = "uid_consistent"
    PATID_CONSISTENT = "patid_consistent"
    PIXELS_RETAINED = "pixels_retained"
    PIXELS_HIDDEN = "pixels_hidden"


@dataclass(frozen=True)
class Check:
    """One thing to look at in one instance. `planted` or `value` is what it is about; it is never shown."""

    instance: int
    action: Action
    category: str
    place: str
    value: str = ""
    planted: Planted | None = None

    def __repr__(self) -> str:
        return f"file {self.instance}: {self.action} at {self.place} [{self.category}]"


NOT_NULL = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "Modality")
DAYS = ("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDate", "AcquisitionDateTime")
TYPE_2 = ("PatientName", "PatientBirthDate", "PatientSex", "StudyTime", "StudyID", "AccessionNumber")
TYPE_2 += (
    "ReferringPhysicianName",
    "SeriesNumber",
    "InstanceNumber",
    "PatientOrientation",
    "PositionReferenceIndicator",
)
VALUES = frozenset(listed("values"))
"""What a training set lives on: kept wherever it stands in a place that is kept, unless a name stands in it."""

SEQUENCES = frozenset(listed("sequences"))
"""Sequences that are kept; what is in another may go."""

DESCRIPTIONS = ("StudyDescription", "ROIName", "SegmentLabel", "Radiopharmaceutical", "ConvolutionKernel")
STANDARD_SCHEMES = ("SCT", "DCM", "UCUM", "SCPECG")
GONE = re.compile(r"\((50[0-9A-F]{2}|0006|0016|0026|0056|1234|4320|7FD0|FFFC),|^(DataSetTrailing|DigitalSignatures)")
GONE_NAMES = ("EncryptedAttributesSequence", "IconImageSequence", "OriginalAttributesSequence", "CurveData")


def answer_key(pair: Pair, canaries: Canaries) -> Iterator[Check]:
    """All checks of one instance."""
    yield from _removals(pair, canaries)
    if not (pair.instance.held_back or pair.instance.burned_in):
        yield from _identity(pair, canaries)
        yield from _retentions(pair)
    if pair.instance.burned_in:
        yield Check(pair.instance.number, Action.PIXELS_HIDDEN, "HIPAA-A", "burned-in lines")


def _removals(pair: Pair, canaries: Canaries) -> Iterator[Check]:
    number = pair.instance.number
    name = next(one.file for one in canaries.planted if one.value == pair.instance.sop_uid)
    person = next(one.file for one in canaries.planted if one.value == pair.instance.patient)
    for one in canaries.planted:
        if one.file in (name, person) and not one.place.startswith("file name"):
            action, category = {
                "token": (Action.TEXT_REMOVED, category_of(one.place)),
                "date": (Action.DATE_SHIFTED, "HIPAA-C"),
                "uid": (Action.UID_CHANGED, "HIPAA-R"),
            }[one.kind]
            yield Check(number, action, category, one.place, planted=one)
    if pair.before.values.get("PatientAge") == "094Y":
        yield Check(number, Action.TEXT_REMOVED, "HIPAA-C", "PatientAge", value="094Y")
    for place in pair.before.values:
        if "[" not in place and (GONE.match(place) or place in GONE_NAMES):
            yield Check(number, Action.TAG_REMOVED, "DICOM-P15-BASIC-X", place)


def _identity(pair: Pair, canaries: Canaries) -> Iterator[Check]:
    number, before = pair.instance.number, pair.before.values
    yield Check(number, Action.PATID_CONSISTENT, "DICOM-P15-BASIC-C", "PatientID", value=pair.instance.patient)
    known = frozenset(canaries.uids | {before.get(keyword, "") for keyword in OWN}) - {""}
    known &= {one.sop_uid for one in canaries.instances} | {before[keyword] for keyword in OWN if keyword in before}
    for place in reference_places(pair, known):
        yield Check(number, Action.UID_CONSISTENT, "DICOM-P15-BASIC-U", place, value=before[place])


def _retentions(pair: Pair) -> Iterator[Check]:
    number, before = pair.instance.number, pair.before.values
    for place in (*NOT_NULL, *DAYS):
        if before.get(place) and not WORD.search(before[place].lower()):
            yield Check(number, Action.TEXT_NOTNULL, "DICOM-IOD-1", place)
    yield Check(number, Action.TEXT_NOTNULL, "DICOM-IOD-1", "PatientID")
    yield from (Check(number, Action.TAG_RETAINED, "DICOM-IOD-2", place) for place in TYPE_2 if place in before)
    for place, value in before.items():
        *outer, last = re.sub(r"\[\d+\]", "", place).split(".")
        if any(step not in SEQUENCES for step in outer) or not value:
            continue
        if last in VALUES and not WORD.search(value.lower()) and not value.startswith(UID_ROOTS):
            yield Check(number, Action.TEXT_RETAINED, "TCIA-P15", place, value=value)
        elif last in DESCRIPTIONS and len(value.split()) <= 5:
            words = " ".join(word for word in value.split() if not WORD.search(word.lower()))
            yield Check(number, Action.TEXT_RETAINED, "TCIA-REV", place, value=words)
        elif last in SEQUENCES:
            yield Check(number, Action.TAG_RETAINED, "DICOM-IOD-1", place)
    yield from _codes(number, before)
    if "PixelData" in before:
        yield Check(number, Action.PIXELS_RETAINED, "TCIA-P15-PIX-K", "PixelData")


def _codes(number: int, before: dict[str, str]) -> Iterator[Check]:
    """Standard codes inside what is kept."""
    for place, scheme in before.items():
        base, _, last = place.rpartition(".")
        if last == "CodingSchemeDesignator" and scheme in STANDARD_SCHEMES and base.split("[")[0] in SEQUENCES:
            yield Check(
                number, Action.TEXT_RETAINED, "DICOM-IOD-1", f"{base}.CodeValue", value=before[f"{base}.CodeValue"]
            )
            yield Check(number, Action.TEXT_RETAINED, "DICOM-IOD-1", place, value=scheme)


def category_of(place: str) -> str:
    """The Safe Harbor identifier that a planted word stands for, by its place."""
    last = place.rsplit(" > ", 1)[-1]
    for category, words in (
        ("HIPAA-D", "elephone"),
        ("HIPAA-B", "Address|Institution|Residence|Location|Organization|Region|Country|Department"),
        ("HIPAA-A", "Name|name|Physician|Person|Operator|Observer|Author|PNAME|given"),
        ("HIPAA-M", "Serial|Device|Station|Machine|Detector|Gantry"),
        ("HIPAA-H", "PatientID|AdmissionID|MedicalRecord"),
        ("HIPAA-N", "URL|URN"),
    ):
        if re.search(words, last):
            return category
    return "HIPAA-R"
