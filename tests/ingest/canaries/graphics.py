"""What stands beside and behind the picture: overlays, curves, icons, look-up tables, profiles, codes, signatures."""

import numpy as np
from pydicom.dataset import Dataset

from .hidden import raw
from .planting import Planter


def overlays(planter: Planter, ds: Dataset, number: int) -> None:
    """An overlay plane of its own, one in the bits that pixels leave unused, and both their labels."""
    for group in (0x6000, 0x6002 + 2 * (number % 8), 0x60FE):
        tag = group << 16
        bitmap = planter.word("OverlayData").encode() + planter.word("OverlayData").encode()
        for element, vr, value in (
            (0x0010, "US", (16).to_bytes(2, "little")),
            (0x0011, "US", (16).to_bytes(2, "little")),
            (0x0022, "LO", planter.word("OverlayDescription").encode()),
            (0x0040, "CS", b"G"),
            (0x0045, "LO", planter.word("OverlaySubtype").encode()),
            (0x0050, "SS", b"\1\0\1\0"),
            (0x0100, "US", b"\1\0"),
            (0x0102, "US", b"\0\0"),
            (0x1500, "LO", planter.word("OverlayLabel").encode()),
            (0x3000, "OW", bitmap.ljust(32, b"\0")),
            (0x4000, "LT", planter.word("OverlayComments").encode()),
        ):
            raw(ds, tag + element, vr, value)


def curves(planter: Planter, ds: Dataset, number: int) -> None:
    """Retired, and still met: curves with labels, annotations and data that spell something."""
    for group in (0x5000, 0x5010, 0x501E):
        tag = group << 16
        raw(ds, tag + 0x0022, "LO", planter.word("CurveDescription").encode())
        raw(ds, tag + 0x0020, "CS", b"ECG")
        raw(ds, tag + 0x2500, "LO", planter.word("CurveLabel").encode())
        raw(ds, tag + 0x3000, "OW", planter.word("CurveData").encode())
        inner = Dataset()
        inner.PatientName = planter.name("CurveReferencedOverlaySequence")
        ds.add_new(tag + 0x2600, "SQ", [inner])


def icon(planter: Planter, ds: Dataset, number: int) -> None:
    """A thumbnail of the unscrubbed picture, with words in its pixels and sequences of its own."""
    small = Dataset()
    small.SamplesPerPixel, small.PhotometricInterpretation = 1, "MONOCHROME2"
    small.Rows = small.Columns = 8
    small.BitsAllocated = small.BitsStored = 8
    small.HighBit, small.PixelRepresentation = 7, 0
    small.PixelData = planter.word("icon pixels").encode().ljust(64, b"\0")
    small.PatientName = planter.name("icon")
    inner = Dataset()
    inner.InstitutionName = planter.word("icon's own sequence")
    small.ReferencedImageSequence = [inner]
    ds.IconImageSequence = [small]
    if "SourceImageSequence" in ds:
        del ds.SourceImageSequence


def profile(planter: Planter, ds: Dataset, number: int) -> None:
    """An ICC profile with a description text, and tables with explanations."""
    ds.ICCProfile = b"\0\0\1\0ADBE\2\x10\0\0mntrRGB XYZ desc" + planter.word("ICC profile").encode().ljust(112, b"\0")
    ds.ColorSpace = planter.upper("ColorSpace")
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation = [4, 0, 16], planter.word("LUTExplanation")
    item.add_new("LUTData", "OW", np.arange(4, dtype="<u2").tobytes() + planter.word("behind LUTData").encode() + b"\0")
    item.ModalityLUTType = planter.upper("ModalityLUTType")
    ds.VOILUTSequence = [item]
    ds.WindowCenterWidthExplanation = [planter.word("WindowCenterWidthExplanation"), "LUNG"]
    ds.PixelPaddingValue = 0


def code(planter: Planter | None, value: str, scheme: str, meaning: str) -> Dataset:
    """A coded entry; with a planter, one of a private scheme that spells names."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    if planter:
        item.CodeValue = planter.word("private CodeValue")
        item.CodingSchemeDesignator = f"99{planter.upper('private CodingSchemeDesignator')}"
        item.CodingSchemeVersion = planter.word("CodingSchemeVersion")
        item.CodeMeaning = planter.word("private CodeMeaning")
    return item


def codes(planter: Planter, ds: Dataset, number: int) -> None:
    """Codes whose scheme, value, meaning and addresses are a hospital's own."""
    ds.ProcedureCodeSequence = [code(planter, "", "", ""), code(None, "77477000", "SCT", "Computed tomography")]
    ds.AnatomicRegionSequence = [code(None, "51185008", "SCT", "Chest")]
    address = Dataset()
    address.URNCodeValue = f"https://{planter.word('URNCodeValue').lower()}.example/{planter.number('URNCodeValue')}"
    address.LongCodeValue = planter.word("LongCodeValue")
    address.CodeMeaning = f"Chest of {planter.word('CodeMeaning of a URN')}"
    ds.ReasonForRequestedProcedureCodeSequence = [address]
    ds.RetrieveURL = f"http://pacs.{planter.word('RetrieveURL').lower()}.example/wado?id={planter.uid('RetrieveURL')}"
    scheme = Dataset()
    scheme.CodingSchemeDesignator = f"99{planter.upper('CodingSchemeIdentificationSequence')}"
    scheme.CodingSchemeName = planter.word("CodingSchemeName")
    scheme.CodingSchemeResponsibleOrganization = planter.word("CodingSchemeResponsibleOrganization")
    scheme.CodingSchemeUID = planter.uid("CodingSchemeUID")
    ds.CodingSchemeIdentificationSequence = [scheme]
    context = Dataset()
    context.ValueType, context.ConceptNameCodeSequence = "TEXT", [code(planter, "", "", "")]
    context.TextValue = f"seen by {planter.word('AcquisitionContextSequence')}"
    ds.AcquisitionContextSequence = [context]


def provenance(planter: Planter, ds: Dataset, number: int) -> None:
    """Who made it, who changed it, who ordered it, who signed it."""
    with planter.inside("OriginalAttributesSequence"):
        before, original = Dataset(), Dataset()
        original.PatientName, original.PatientID = planter.name("PatientName"), planter.word("PatientID")
        original.IssuerOfPatientID, original.StudyDate = planter.word("IssuerOfPatientID"), planter.day("StudyDate")
        before.ModifiedAttributesSequence = [original]
        before.ModifyingSystem, before.SourceOfPreviousValues = planter.word("system"), planter.word("source")
        before.AttributeModificationDateTime = planter.moment("AttributeModificationDateTime")
        before.ReasonForTheAttributeModification = "CORRECT"
        ds.OriginalAttributesSequence = [before]
    with planter.inside("ContributingEquipmentSequence"):
        maker = Dataset()
        maker.Manufacturer, maker.InstitutionName = planter.word("Manufacturer"), planter.word("InstitutionName")
        maker.StationName, maker.OperatorsName = planter.word("StationName"), planter.name("OperatorsName")
        maker.ContributionDateTime = planter.moment("ContributionDateTime")
        maker.ContributionDescription = planter.word("ContributionDescription")
        maker.DeviceUID = planter.uid("DeviceUID")
        ds.ContributingEquipmentSequence = [maker]
    with planter.inside("RequestAttributesSequence"):
        order = Dataset()
        order.RequestedProcedureID = planter.word("RequestedProcedureID")
        order.ScheduledProcedureStepDescription = f"CT CHEST {planter.word('ScheduledProcedureStepDescription')}"
        order.ScheduledProcedureStepID = planter.word("ScheduledProcedureStepID")
        order.StudyInstanceUID, order.AccessionNumber = planter.uid("StudyInstanceUID"), planter.word("AccessionNumber")
        ds.RequestAttributesSequence = [order]
    with planter.inside("person identification"):
        person = Dataset()
        person.PersonIdentificationCodeSequence = [code(planter, "", "", "")]
        person.PersonAddress, person.InstitutionName = planter.word("PersonAddress"), planter.word("InstitutionName")
        person.PersonTelephoneNumbers = planter.number("PersonTelephoneNumbers", 10)
        ds.ReferringPhysicianIdentificationSequence = [person]
        other = Dataset()
        other.PatientID, other.IssuerOfPatientID = planter.word("OtherPatientIDsSequence"), planter.word("issuer")
        ds.OtherPatientIDsSequence = [other]


def signatures(planter: Planter, ds: Dataset, number: int) -> None:
    """Certificates name people and hospitals; encrypted attributes hold the originals."""
    signature = Dataset()
    signature.MACIDNumber, signature.DigitalSignatureUID = 1, planter.uid("DigitalSignatureUID")
    signature.DigitalSignatureDateTime = planter.moment("DigitalSignatureDateTime")
    signature.CertificateType = "X509_1993_SIG"
    signature.CertificateOfSigner = b"0\x82\x01CN=" + planter.word("CertificateOfSigner").encode()
    signature.Signature = planter.word("Signature").encode() + b"\0"
    ds.DigitalSignaturesSequence = [signature]
    parameters = Dataset()
    parameters.MACIDNumber, parameters.MACAlgorithm = 1, "SHA256"
    parameters.MACCalculationTransferSyntaxUID = "1.2.840.10008.1.2.1"
    parameters.DataElementsSigned = [0x00100010]
    ds.MACParametersSequence = [parameters]
    encrypted = Dataset()
    encrypted.EncryptedContentTransferSyntaxUID = "1.2.840.10008.1.2.1"
    encrypted.EncryptedContent = planter.word("EncryptedContent").encode() + b"\0"
    ds.EncryptedAttributesSequence = [encrypted]
