"""Structured reports: trees of content in which every kind of item tells something."""

from pydicom.dataset import Dataset

from .derived import Images, evidence, item, reference
from .graphics import code
from .header import Study
from .planting import Planter


def report(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """A report with text, people, UIDs, moments, numbers, codes and pictures, nested three deep."""
    ds.ValueType, ds.ContinuityOfContent, ds.CompletionFlag, ds.VerificationFlag = (
        "CONTAINER",
        "SEPARATE",
        "COMPLETE",
        "VERIFIED",
    )
    ds.ContentTime, ds.ConceptNameCodeSequence = "101112", [code(None, "126000", "DCM", "Imaging Measurement Report")]
    ds.VerifyingObserverSequence = [_observer(planter)]
    ds.AuthorObserverSequence = [item(ObserverType="PSN", PersonName=planter.name("AuthorObserverSequence"))]
    ds.ParticipantSequence = [item(PersonName=planter.name("ParticipantSequence"), ParticipationType="ATTEST")]
    ds.CustodialOrganizationSequence = [item(InstitutionName=planter.word("CustodialOrganizationSequence"))]
    ds.PreliminaryFlag, ds.CompletionFlagDescription = "FINAL", planter.word("CompletionFlagDescription")
    ds.CurrentRequestedProcedureEvidenceSequence = evidence(images)
    order = item(AccessionNumber=planter.word("ReferencedRequestSequence"), StudyInstanceUID=visit.uid)
    order.RequestedProcedureID, order.RequestedProcedureDescription = planter.word("order"), planter.word("order")
    ds.ReferencedRequestSequence = [order]
    ds.ContentSequence = [_container(planter, images, depth) for depth in (1, 3)]


def _observer(planter: Planter) -> Dataset:
    person = item(VerifyingObserverName=planter.name("VerifyingObserverName"))
    person.VerifyingOrganization = planter.word("VerifyingOrganization")
    person.VerificationDateTime = planter.moment("VerificationDateTime")
    person.VerifyingObserverIdentificationCodeSequence = [code(planter, "", "", "")]
    return person


def _container(planter: Planter, images: Images, depth: int) -> Dataset:
    with planter.inside(f"ContentSequence at depth {depth}"):
        box = item(RelationshipType="CONTAINS", ValueType="CONTAINER", ContinuityOfContent="SEPARATE")
        box.ConceptNameCodeSequence = [code(None, "121070", "DCM", "Findings")]
        box.ContentSequence = _leaves(planter, images)
    if depth > 1:
        box.ContentSequence.append(_container(planter, images, depth - 1))
    return box


def _leaves(planter: Planter, images: Images) -> list[Dataset]:
    def leaf(kind: str, value: str, meaning: str, **values) -> Dataset:
        concept = [code(None, value, "DCM" if len(value) == 6 else "SCT", meaning)]
        return item(RelationshipType="CONTAINS", ValueType=kind, ConceptNameCodeSequence=concept, **values)

    text = (
        f"Compared with {planter.written_day('TEXT', 3)}: {planter.word('TEXT')}, called {planter.number('TEXT', 10)}"
    )
    measured = item(NumericValue="17.5", MeasurementUnitsCodeSequence=[code(None, "mm", "UCUM", "millimeter")])
    private = code(planter, "", "", "")
    return [
        leaf("TEXT", "121071", "Finding", TextValue=text),
        leaf("PNAME", "121008", "Person Observer Name", PersonName=planter.name("PNAME")),
        leaf("UIDREF", "112040", "Tracking Unique Identifier", UID=planter.uid("UIDREF")),
        leaf("TEXT", "112039", "Tracking Identifier", TextValue=planter.word("Tracking Identifier")),
        leaf("DATETIME", "111526", "DateTime Started", DateTime=planter.moment("DATETIME")),
        leaf("DATE", "122163", "Discharge Date", Date=planter.day("DATE")),
        leaf("CODE", "121071", "Finding", ConceptCodeSequence=[private]),
        leaf("NUM", "410668003", "Length", MeasuredValueSequence=[measured]),
        leaf("IMAGE", "121112", "Source of Measurement", ReferencedSOPSequence=[reference(images[0])]),
    ]


def key_objects(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """A key object selection: why these pictures, in words."""
    ds.ValueType, ds.ContinuityOfContent, ds.ContentTime = "CONTAINER", "SEPARATE", "101112"
    ds.ConceptNameCodeSequence = [code(None, "113000", "DCM", "Of Interest")]
    ds.CurrentRequestedProcedureEvidenceSequence = evidence(images)
    template = item(MappingResource="DCMR", TemplateIdentifier="2010")
    ds.ContentTemplateSequence = [template]
    why = item(RelationshipType="CONTAINS", ValueType="TEXT", TextValue=planter.word("key object description"))
    why.ConceptNameCodeSequence = [code(None, "113012", "DCM", "Key Object Description")]
    ds.ContentSequence = [why] + [
        item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=[reference(image)])
        for image in images
    ]
