"""Elements that no list names: private blocks, unknown groups, wrong value representations, the whole dictionary."""

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from .planting import Planter
from .words import SPELLINGS

FILES = 34
TEXT_VRS = {"LO", "SH", "ST", "LT", "UT", "UC", "PN", "AE", "UR", "CS"}
SPARED_GROUPS = {0x0000, 0x0002, 0x0004, 0x7FE0, 0xFFFA, 0xFFFC, 0xFFFE}
SPARED = {
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "PresentationIntentType",
    "PatientSex", "PatientID", "IssuerOfPatientID", "TypeOfPatientID", "ConversionType", "TimezoneOffsetFromUTC",
    "PatientPosition", "BodyPartExamined", "Laterality", "ImageLaterality", "PatientOrientation", "TimeSource",
    "BurnedInAnnotation", "RescaleType", "Units", "CountsSource", "DecayCorrection", "SeriesType",
    "RandomsCorrectionMethod",
    "PositionReferenceIndicator", "FrameOfReferenceUID", "StudyInstanceUID", "SeriesInstanceUID", "CodingSchemeUID",
    "ContextUID", "MappingResourceUID", "ValueType", "ContinuityOfContent", "CompletionFlag", "VerificationFlag",
    "PatientIdentityRemoved", "DeidentificationMethod", "LongitudinalTemporalInformationModified",
    "TransferSyntaxUID", "SOPClassesInStudy", "ContentLabel", "QueryRetrieveLevel", "RetrieveURI",
}  # fmt: skip
"""Attributes that make an object what it is: a token there would be a broken file, not a careless one."""


def raw(ds: Dataset, tag: int, vr: str, value: bytes) -> None:
    """An element with just these bytes, whatever its value representation says."""
    value += b"\0" * (len(value) % 2)
    ds[Tag(tag)] = RawDataElement(BaseTag(tag), vr, len(value), value, 0, False, True)


def share_of_the_dictionary(planter: Planter, ds: Dataset, number: int) -> None:
    """Every attribute of the dictionary that holds text, days or UIDs stands in one file of the set or another."""
    known = [(tag, vr, keyword) for tag, (vr, _, _, _, keyword) in sorted(DicomDictionary.items()) if keyword]
    for place, (tag, vr, keyword) in enumerate(known):
        if place % FILES != number % FILES or tag >> 16 in SPARED_GROUPS or keyword in SPARED or tag in ds:
            continue
        if vr in TEXT_VRS and not (tag >> 16 == 0x0028 and vr in {"CS", "SH"}):
            raw(ds, tag, vr, (planter.upper if vr in {"CS", "AE"} else planter.word)(keyword).encode())
        elif vr == "UI":
            raw(ds, tag, vr, planter.uid(keyword).encode())
        elif vr in {"DA", "DT"}:
            value = planter.day(keyword) if vr == "DA" else planter.moment(keyword)
            raw(ds, tag, vr, value.encode())


def private_blocks(planter: Planter, ds: Dataset, number: int) -> None:
    """Known creators, renumbered ones, a creator that is a name, a block without creator, and one in every encoding."""
    for group, creator in ((0x0009, "GEMS_IDEN_01"), (0x0019, "SIEMENS MR HEADER"), (0x2001, "Philips Imaging DD 001")):
        block = ds.private_block(group, creator, create=True)
        for element, vr in (
            (0x01, "LO"),
            (0x02, "UT"),
            (0x03, "SH"),
            (0x05, "PN"),
            (0x07, "CS"),
            (0x08, "UN"),
            (0x0A, "OB"),
        ):
            word = planter.word(f"private {vr} of a known creator")
            block.add_new(
                element, vr, word.upper() if vr == "CS" else word.encode() + b"\0" if vr in {"UN", "OB"} else word
            )
        block.add_new(0x10, "DA", planter.day("private DA"))
        block.add_new(0x11, "UI", planter.uid("private UI"))
    raw(ds, 0x00110010, "LO", planter.word("private creator").encode())
    raw(ds, 0x00111001, "LO", planter.word("block of such a creator").encode())
    raw(ds, 0x00131077, "LO", planter.word("private element without creator").encode())
    raw(ds, 0x00150001 + number, "LO", planter.word("private element below the creators").encode())
    raw(ds, 0x7FE10010, "LO", b"AFTER THE PIXELS")
    raw(ds, 0x7FE11001, "LO", planter.word("private element after the pixels").encode())
    raw(ds, 0x00290010, "LO", b"SIEMENS CSA HEADER")
    raw(ds, 0x00291010, "OB", _csa(planter.name("CSA image header"), planter.day("CSA image header")))
    raw(ds, 0x00291020, "OB", _csa(planter.name("CSA series header"), planter.uid("CSA series header")))


def _csa(*values: str) -> bytes:
    """The shape of a maker's own header within the header."""
    text = "".join(f"### ASCCONV BEGIN ###\ntPatientName = ++{value}++\n### ASCCONV END ###\n" for value in values)
    return b"SV10\x04\x03\x02\x01" + text.encode().ljust(400, b"\0")


def deep(planter: Planter, ds: Dataset, number: int) -> None:
    """Nested six deep: standard in standard, private in private, one in the other, of VR UN too."""
    for outer, inside in (
        (0x00082112, "SourceImageSequence"),
        (0x00091099, "private sequence"),
        (0x00880200, "IconImageSequence"),
    ):
        if outer in ds:
            continue
        with planter.inside(inside):
            item = _nest(planter, 6)
        if outer == 0x00091099:
            ds.private_block(0x0009, "GEMS_IDEN_01", create=True).add_new(0x99, "SQ", [item])
        else:
            ds.add_new(outer, "SQ", [item])
    item = Dataset()
    raw(item, 0x00100010, "PN", planter.name("sequence of VR UN").encode())
    raw(item, 0x00080020, "DA", planter.day("sequence of VR UN").encode())
    raw(ds, 0x0040A731 if number % 2 else 0x00091098, "UN", _implicit_sequence(item))


def _nest(planter: Planter, depth: int) -> Dataset:
    item = Dataset()
    item.PatientName, item.PatientID = planter.name("PatientName"), planter.word("PatientID")
    item.StudyDate, item.ReferencedSOPInstanceUID = planter.day("StudyDate"), planter.uid("ReferencedSOPInstanceUID")
    item.CodeMeaning, item.TextValue = planter.word("CodeMeaning"), planter.word("TextValue")
    block = item.private_block(0x0009 + 2 * depth, planter.word("nested private creator"), create=True)
    block.add_new(1, "LO", planter.word("nested private element"))
    if depth > 1:
        with planter.inside("item"):
            below = _nest(planter, depth - 1)
        if depth % 2:
            item.PurposeOfReferenceCodeSequence = [below]
        else:
            block.add_new(2, "SQ", [below])
    return item


def _implicit_sequence(item: Dataset) -> bytes:
    """One item of a sequence, implicit little endian, as PS3.5 6.2.2 has it inside UN."""
    elements = b"".join(
        tag.group.to_bytes(2, "little")
        + tag.element.to_bytes(2, "little")
        + len(e.value).to_bytes(4, "little")
        + e.value
        for tag in sorted(item.keys())
        for e in [item.get_item(tag)]
    )
    return b"\xfe\xff\x00\xe0" + len(elements).to_bytes(4, "little") + elements


def wrong_vrs(planter: Planter, ds: Dataset, number: int) -> None:
    """Names and numbers where their representation does not allow them, in attributes that are kept."""
    raw(ds, 0x00181400, "LO", f"CHEST {'x' * 60} {planter.word('LO too long')}".encode())
    raw(ds, 0x00185101, "CS", planter.upper("name in CS").encode())
    raw(ds, 0x00180060, "DS", planter.word("name in DS").encode())
    raw(ds, 0x00181150, "IS", planter.word("name in IS").encode())
    raw(ds, 0x00189073, "FD", f"{planter.word('name in FD')}\0\0\0\0\0\0\0".encode())
    raw(ds, 0x00189219, "SS", f"{planter.word('name in SS')}\0".encode())
    raw(ds, 0x00083010, "UI", planter.word("name in UI").encode())
    raw(ds, 0x00080022, "DA", planter.word("name in DA").encode())
    raw(ds, 0x00080032, "TM", planter.word("name in TM").encode())
    raw(
        ds,
        0x00101010 if number % 4 == 0 else 0x00181191,
        "AS" if number % 4 == 0 else "CS",
        planter.word("name in AS").encode(),
    )
    raw(ds, 0x00080008, "CS", f"ORIGINAL\\PRIMARY\\AXIAL\\{planter.upper('fourth value of ImageType')}".encode())
    raw(ds, 0x00181020, "LO", f"VB42\\{planter.word('second value of SoftwareVersions')}".encode())
    raw(ds, 0x00181210, "SH", f"B31f {planter.word('ConvolutionKernel')}".encode())
    raw(ds, 0x00080201, "SH", planter.word("TimezoneOffsetFromUTC").encode())
    raw(ds, 0x00321060, "UN", f"CT CHEST {planter.word('RequestedProcedureDescription of VR UN')}".encode())
    raw(ds, 0x00102160, "SH", planter.written_day("date in SH", 9).encode())


def unknown(planter: Planter, ds: Dataset, number: int) -> None:
    """Even groups that no edition of the standard knows, in text, in bytes and as sequences."""
    for group, vr in (
        (0x0006, "LO"),
        (0x0016, "UN"),
        (0x0026, "UT"),
        (0x1234, "LO"),
        (0x4321 & ~1, "UN"),
        (0x7FD0, "OB"),
    ):
        raw(ds, (group << 16) + 0x0100 + number, vr, planter.word(f"unknown group, {vr}").encode())
    inner = Dataset()
    inner.PatientName = planter.name("unknown sequence")
    ds.add_new((0x0056 << 16) + 0x0200 + number, "SQ", [inner])
    raw(ds, 0x00189999, "LO", planter.word("unknown element of a known group").encode())
    raw(ds, 0xFFFCFFFC, "OB", planter.word("DataSetTrailingPadding").encode())


def written_days(planter: Planter, ds: Dataset, number: int) -> None:
    """Days and ages in words, in the descriptions that are cleaned."""
    texts = [f"FOLLOW UP {planter.written_day('day in text', number + step)}" for step in range(len(SPELLINGS))]
    ds.StudyComments = " ".join(texts[:5])
    ds.PerformedProcedureStepDescription = f"AXIAL T2 {texts[5]}"
    ds.ProtocolName = f"CHEST {texts[6]}"
    ds.ImageComments = f"94-year-old, {texts[7]}, called {planter.number('telephone number in text', 10)}"
    ds.AcquisitionDateTime = planter.moment("AcquisitionDateTime")
    ds.FrameReferenceDateTime = planter.moment("FrameReferenceDateTime")
    ds.PatientComments = " / ".join(texts[8:])


def zip_codes(planter: Planter, ds: Dataset, number: int) -> None:
    """In addresses, where they belong, and in what is cleaned word by word."""
    ds.PatientAddress = f"{planter.word('PatientAddress')} Street 7, {planter.zip_code('PatientAddress')}"
    ds.InstitutionAddress = planter.zip_code("InstitutionAddress")
    ds.RegionOfResidence = planter.zip_code("RegionOfResidence")
    ds.AcquisitionDeviceProcessingDescription = f"CHEST {planter.zip_code('ZIP code in a description')}"
    ds.RequestedProcedureDescription = f"MA {planter.zip_code('ZIP code in a description')} CT CHEST"


def times(planter: Planter, ds: Dataset, number: int) -> None:
    """Of day, by which a visit is found in the hospital's own books; at the top and in a sequence."""
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime"):
        setattr(ds, keyword, planter.time(keyword))
    inner = Dataset()
    inner.ScheduledProcedureStepStartTime = planter.time("ScheduledProcedureStepStartTime")
    ds.RequestAttributesSequence = [inner]
