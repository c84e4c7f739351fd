"""Words among what is kept: behind a backslash, in cleaned descriptions, in standard codes, in safe private tags."""

from pydicom.dataset import Dataset

from .hidden import raw
from .kept import listed
from .planting import Planter
from .words import AGES, SPELLINGS

DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "StudyDescription", "RequestedProcedureDescription")
DESCRIPTIONS += ("PerformedProcedureStepDescription", "AcquisitionDeviceProcessingDescription", "ContrastBolusAgent")
DESCRIPTIONS += ("SequenceName", "FilterType", "ConvolutionKernel", "ReceiveCoilName", "TransmitCoilName")

SAFE_CREATORS = (
    (0x0019, 0x11, "SIEMENS MR HEADER"),
    (0x0043, 0x10, "GEMS_PARM_01"),
    (0x0019, 0x10, "GEMS_ACQU_01"),
    (0x2001, 0x90, "Philips Imaging DD 001"),
    (0x2005, 0x10, "Philips MR Imaging DD 001"),
    (0x7053, 0x10, "Philips PET Private Group"),
    (0x0099, 0x10, "NQHeader"),
)


def behind_values(planter: Planter, ds: Dataset, number: int) -> None:
    """A second value where one is kept: sex, thickness, voltage, model."""
    for keyword in listed("strings"):
        if ds.get(keyword) not in (None, ""):
            value = "\\".join(map(str, value)) if (value := ds[keyword].value) and ds[keyword].VM > 1 else str(value)
            word = planter.word(f"second value of {keyword}")
            raw(ds, ds[keyword].tag, ds[keyword].VR, f"{value}\\{word}".encode())


def in_descriptions(planter: Planter, ds: Dataset, number: int) -> None:
    """Glued to words that are kept, as numbers in groups, as days in every spelling, as ages past 89."""
    glued = (
        "CT{}",
        "{}CHEST",
        "T1_{}_AX",
        "CHEST-{}",
        "5mm{}",
        "{}.T2",
        "AXIAL/{}",
        "b1000{}",
        "(CHEST {})",
        "W/O {} CONTRAST",
    )
    texts = [pattern.format(planter.word("glued to a word")) for pattern in glued]
    texts += [f"AXIAL {planter.grouped('number in groups')}" for _ in range(3)]
    texts += [f"CHEST {planter.written_day('day in a description', style)}" for style in range(len(SPELLINGS))]
    texts += [f"BRAIN {planter.age('age past 89', style)}" for style in range(len(AGES))]
    for place, text in enumerate(texts):
        keyword = DESCRIPTIONS[place % len(DESCRIPTIONS)]
        ds.add_new(keyword, "LO", f"{ds.get(keyword, '')} {text}".strip())


def in_standard_codes(planter: Planter, ds: Dataset, number: int) -> None:
    """Codes of standard schemes whose meaning, version, value or annotation is somebody's own."""
    items = []
    for value, scheme, version, meaning in (
        ("51185008", "SCT", "", f"Chest of {planter.word('CodeMeaning of SCT')}"),
        (planter.word("CodeValue of SCT"), "SCT", "", "Chest"),
        ("51185008", "SCT", planter.word("CodingSchemeVersion of SCT"), "Chest"),
        (f"{{{planter.word('annotation of a UCUM unit')}}}", "UCUM", "", "no units"),
        (planter.number("CodeValue of DCM", 8), "DCM", "", "Chest"),
    ):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        if version:
            item.CodingSchemeVersion = version
        items.append(item)
    ds.AnatomicRegionSequence = items[:3]
    ds.ProcedureCodeSequence = items[3:]


def in_safe_private(planter: Planter, ds: Dataset, number: int) -> None:
    """Every element of blocks some of whose elements are known to be safe, under any number of block."""
    for group, block, creator in SAFE_CREATORS:
        raw(ds, (group << 16) + block, "LO", creator.encode())
        for element in range(0, 256, 3):
            place = f"element {element:02X} of {creator}"
            vr = ("LO", "IS", "DS", "CS", "SH", "FD", "UN", "OB")[element % 8]
            padding = b"\0" if vr in {"FD", "UN", "OB"} else b" "
            raw(ds, (group << 16) + (block << 8) + element, vr, planter.word(place).encode().ljust(16, padding))


def already_scrubbed(planter: Planter, ds: Dataset, number: int) -> None:
    """A file that calls itself de-identified, in words that are not."""
    ds.PatientIdentityRemoved, ds.BurnedInAnnotation = "YES", "NO"
    ds.DeidentificationMethod = [planter.word("DeidentificationMethod"), "dpmed"]
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = "113100", "DCM"
    item.CodeMeaning = planter.word("DeidentificationMethodCodeSequence")
    ds.DeidentificationMethodCodeSequence = [item]


def below_the_root_of_dicom(planter: Planter, ds: Dataset, number: int) -> None:
    """UIDs that look like the standard's own and end in a hospital number."""
    for tag, branch, name in (
        (0x00081155, "1.2", "ReferencedSOPInstanceUID"),
        (0x00081150, "5.1.4.1.1", "ReferencedSOPClassUID"),
        (0x00200052, "1.4.1", "FrameOfReferenceUID"),
        (0x00080117, "6.1", "ContextUID"),
    ):
        raw(ds, tag, "UI", f"1.2.840.10008.{branch}.{planter.number(f'{name} below the root of DICOM')}".encode())


def character_sets(planter: Planter, ds: Dataset, number: int) -> None:
    """A character set that nobody has registered."""
    raw(ds, 0x00080005, "CS", f"ISO_IR 192\\{planter.upper('SpecificCharacterSet')}".encode())
    ds.PatientName = "Anonymous"


def beyond_the_tables(planter: Planter, ds: Dataset, number: int) -> None:
    """Tables longer than their descriptors say, and offsets that are letters."""
    for tag in (0x00281101, 0x00281102, 0x00281103):
        raw(ds, tag, "US", b"\x04\0\0\0\x10\0")
    for tag in (0x00281201, 0x00281202, 0x00281203):
        raw(ds, tag, "OW", b"\1\0\2\0\3\0\4\0" + planter.word("behind a palette").encode())
    raw(ds, 0x7FE00001, "OV", planter.word("ExtendedOffsetTable").encode().ljust(16, b"\0"))
    raw(ds, 0x7FE00002, "OV", planter.word("ExtendedOffsetTableLengths").encode().ljust(16, b"\0"))


def short_numbers(planter: Planter, ds: Dataset, number: int) -> None:
    """A patient and an order whose numbers are as short as a word of the vocabulary, said again in descriptions."""
    ds.PatientID, ds.AccessionNumber = planter.short("PatientID in a description"), planter.short("AccessionNumber")
    ds.SeriesDescription = f"AXIAL {ds.PatientID} CHEST"
    ds.ReceiveCoilName, ds.SequenceName = ds.PatientID, ds.AccessionNumber
    ds.RequestedProcedureDescription = f"CHEST {ds.AccessionNumber}"
