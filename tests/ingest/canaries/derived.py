"""Objects that name other objects: structures, plans, doses, segmentations, presentation states, documents."""

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from .graphics import code
from .header import Study
from .pictures import AXIAL, grey, tissue
from .planting import Planter

Images = Sequence[Dataset]


def item(**values) -> Dataset:
    """A sequence's item of these attributes."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def reference(image: Dataset) -> Dataset:
    """Names one object."""
    return item(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID)


def series_of(images: Images, keyword: str = "ReferencedInstanceSequence") -> Dataset:
    """Names objects by their series."""
    return item(SeriesInstanceUID=images[0].SeriesInstanceUID, **{keyword: [reference(image) for image in images]})


def evidence(images: Images) -> list[Dataset]:
    """Names objects by study and series, as reports do."""
    first = images[0]
    return [
        item(
            StudyInstanceUID=first.StudyInstanceUID,
            ReferencedSeriesSequence=[series_of(images, "ReferencedSOPSequence")],
        )
    ]


def structures(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """RTSTRUCT: regions with names, observers and contours on slices."""
    frame = visit.patient.frame_of_reference
    ds.StructureSetLabel, ds.StructureSetName = planter.word("StructureSetLabel"), planter.word("StructureSetName")
    ds.StructureSetDescription, ds.StructureSetDate = planter.word("StructureSetDescription"), visit.date
    contours = series_of(images, "ContourImageSequence")
    study = item(ReferencedSOPInstanceUID=visit.uid, RTReferencedSeriesSequence=[contours])
    ds.ReferencedFrameOfReferenceSequence = [item(FrameOfReferenceUID=frame, RTReferencedStudySequence=[study])]
    ds.StructureSetROISequence, ds.ROIContourSequence, ds.RTROIObservationsSequence = [], [], []
    for number, label in ((1, "LUNG"), (2, "HEART")):
        roi = item(ROINumber=number, ReferencedFrameOfReferenceUID=frame, ROIGenerationAlgorithm="MANUAL")
        roi.ROIName = f"{label} {planter.word('ROIName')}"
        roi.ROIDescription = planter.word("ROIDescription")
        ds.StructureSetROISequence.append(roi)
        contour = item(ContourImageSequence=[reference(images[number])], ContourGeometricType="CLOSED_PLANAR")
        contour.NumberOfContourPoints, contour.ContourData = 3, [0, 0, 2.5, 1, 0, 2.5, 1, 1, 2.5]
        ds.ROIContourSequence.append(
            item(ReferencedROINumber=number, ContourSequence=[contour], ROIDisplayColor=[9, 9, 9])
        )
        seen = item(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType="ORGAN")
        seen.ROIObservationLabel, seen.ROIInterpreter = (
            planter.word("ROIObservationLabel"),
            planter.name("ROIInterpreter"),
        )
        seen.ROIObservationDescription = planter.word("ROIObservationDescription")
        ds.RTROIObservationsSequence.append(seen)


def plan(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """RTPLAN: labels, beams, machines and who approved it."""
    ds.RTPlanLabel, ds.RTPlanName = planter.word("RTPlanLabel"), planter.word("RTPlanName")
    ds.RTPlanDescription, ds.RTPlanDate, ds.RTPlanGeometry = planter.word("RTPlanDescription"), visit.date, "PATIENT"
    ds.ApprovalStatus, ds.ReviewerName, ds.ReviewDate = (
        "APPROVED",
        planter.name("ReviewerName"),
        planter.day("ReviewDate"),
    )
    ds.FrameOfReferenceUID = visit.patient.frame_of_reference
    ds.ReferencedStructureSetSequence = [reference(images[0])]
    beam = item(BeamNumber=1, BeamType="STATIC", RadiationType="PHOTON", TreatmentDeliveryType="TREATMENT")
    beam.BeamName, beam.BeamDescription = planter.word("BeamName"), planter.word("BeamDescription")
    beam.TreatmentMachineName, beam.DeviceSerialNumber = (
        planter.word("TreatmentMachineName"),
        planter.number("beam's machine"),
    )
    beam.NumberOfControlPoints, beam.SourceAxisDistance = 1, "1000"
    beam.ControlPointSequence = [item(ControlPointIndex=0, NominalBeamEnergy="6", GantryAngle="90")]
    ds.BeamSequence = [beam]
    dose = item(DoseReferenceNumber=1, DoseReferenceUID=planter.uid("DoseReferenceUID"), TargetPrescriptionDose="60")
    dose.DoseReferenceDescription = planter.word("DoseReferenceDescription")
    ds.DoseReferenceSequence = [dose]
    ds.PatientSetupSequence = [item(PatientSetupNumber=1, PatientPosition="HFS")]
    ds.PatientSetupSequence[0].SetupTechniqueDescription = planter.word("SetupTechniqueDescription")


def dose(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """RTDOSE: a grid and the plan it belongs to."""
    grey(ds, tissue(800, (3, 16, 16)))
    ds.FrameOfReferenceUID, ds.GridFrameOffsetVector = visit.patient.frame_of_reference, [0, 2.5, 5]
    ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing = [-16, -16, 0], AXIAL, [2, 2]
    ds.DoseUnits, ds.DoseType, ds.DoseSummationType, ds.DoseGridScaling = "GY", "PHYSICAL", "PLAN", "0.001"
    ds.DoseComment, ds.ReferencedRTPlanSequence = planter.word("DoseComment"), [reference(images[0])]


def segmentation(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """SEG: labelled, tracked segments with the frames they were drawn on."""
    mask = np.zeros((len(images), 32, 32), np.uint8)
    mask[:, 8:20, 8:20] = 1
    grey(ds, mask, stored=8)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0
    ds.PixelData = np.packbits(mask.ravel(), bitorder="little").tobytes()
    ds.SegmentationType, ds.ImageType, ds.LossyImageCompression = "BINARY", ["DERIVED", "PRIMARY"], "00"
    ds.FrameOfReferenceUID, ds.ContentLabel = visit.patient.frame_of_reference, "SEGMENTATION"
    ds.ContentDescription, ds.ContentCreatorName = (
        planter.word("ContentDescription"),
        planter.name("ContentCreatorName"),
    )
    segment = item(SegmentNumber=1, SegmentAlgorithmType="MANUAL", SegmentLabel=f"Lung {planter.word('SegmentLabel')}")
    segment.SegmentDescription = planter.word("SegmentDescription")
    segment.TrackingID, segment.TrackingUID = planter.word("TrackingID"), planter.uid("TrackingUID")
    segment.SegmentedPropertyCategoryCodeSequence = [code(None, "123037004", "SCT", "Anatomical Structure")]
    segment.SegmentedPropertyTypeCodeSequence = [code(None, "39607008", "SCT", "Lung")]
    segment.SegmentAlgorithmName = planter.word("SegmentAlgorithmName")
    ds.SegmentSequence, ds.ReferencedSeriesSequence = [segment], [series_of(images)]
    shared = item(PixelMeasuresSequence=[item(PixelSpacing=[1.0, 1.0], SliceThickness="2.5")])
    shared.PlaneOrientationSequence = [item(ImageOrientationPatient=AXIAL)]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [_segmented(image) for image in images]


def _segmented(image: Dataset) -> Dataset:
    frame = item(PlanePositionSequence=[item(ImagePositionPatient=image.ImagePositionPatient)])
    frame.SegmentIdentificationSequence = [item(ReferencedSegmentNumber=1)]
    frame.DerivationImageSequence = [item(SourceImageSequence=[reference(image)])]
    return frame


def presentation(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """GSPS: words and lines laid over pictures."""
    ds.ContentLabel, ds.ContentDescription = "ANNOTATION", planter.word("ContentDescription")
    ds.ContentCreatorName = planter.name("ContentCreatorName")
    ds.PresentationCreationDate, ds.PresentationCreationTime = visit.date, "101112"
    ds.ReferencedSeriesSequence = [series_of(images, "ReferencedImageSequence")]
    text = item(
        UnformattedTextValue=f"{planter.word('UnformattedTextValue')} {planter.written_day('UnformattedTextValue', 3)}"
    )
    text.AnchorPoint, text.AnchorPointAnnotationUnits, text.AnchorPointVisibility = [4.0, 4.0], "PIXEL", "Y"
    line = item(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=2, GraphicType="POLYLINE")
    line.GraphicData = [1.0, 1.0, 9.0, 9.0]
    layer = planter.upper("GraphicLayer")
    note = item(GraphicLayer=layer, TextObjectSequence=[text], GraphicObjectSequence=[line])
    note.ReferencedImageSequence = [reference(image) for image in images]
    ds.GraphicAnnotationSequence = [note]
    ds.GraphicLayerSequence = [
        item(GraphicLayer=layer, GraphicLayerOrder=1, GraphicLayerDescription=planter.word("layer"))
    ]
    area = item(DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[32, 32])
    area.PresentationSizeMode = "SCALE TO FIT"
    ds.DisplayedAreaSelectionSequence, ds.PresentationLUTShape = [area], "IDENTITY"


def waveform(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """A 12-lead ECG: channel labels and annotations in words."""
    ds.AcquisitionDateTime = f"{visit.date}101112"
    ds.SynchronizationFrameOfReferenceUID = visit.patient.frame_of_reference
    channels = []
    for lead in ("5.6.3-9-1", "5.6.3-9-2"):
        channel = item(ChannelSourceSequence=[code(None, lead, "SCPECG", "Lead")], WaveformBitsStored=16)
        channel.ChannelLabel, channel.ChannelSensitivity = planter.word("ChannelLabel"), "1"
        channels.append(channel)
    group = item(WaveformOriginality="ORIGINAL", NumberOfWaveformChannels=2, NumberOfWaveformSamples=16)
    group.SamplingFrequency, group.WaveformBitsAllocated, group.WaveformSampleInterpretation = "500", 16, "SS"
    group.MultiplexGroupLabel, group.ChannelDefinitionSequence = planter.word("MultiplexGroupLabel"), channels
    group.WaveformData = np.arange(32, dtype="<i2").tobytes() + planter.word("behind the waveform").encode() + b"\0"
    ds.WaveformSequence = [group]
    note = item(UnformattedTextValue=planter.word("UnformattedTextValue"), AnnotationGroupNumber=1)
    note.ReferencedWaveformChannels = [1, 0]
    number = item(ConceptNameCodeSequence=[code(planter, "", "", "")], NumericValue="72", AnnotationGroupNumber=2)
    number.ReferencedWaveformChannels = [1, 0]
    ds.WaveformAnnotationSequence = [note, number]


def raw_data(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """Raw data: a maker's private block and little else."""
    ds.CreatorVersionUID, ds.ContentLabel = planter.uid("CreatorVersionUID"), "RAW"
    ds.private_block(0x7FE1, "SIEMENS SYNGO RAW", create=True).add_new(1, "OB", planter.word("raw data").encode() * 2)
    ds.ReferencedInstanceSequence = [reference(image) for image in images]


def document(planter: Planter, ds: Dataset, visit: Study, images: Images) -> None:
    """A PDF, a clinical document or a model for printing, each with words inside and around it."""
    word, day = planter.word("inside the document"), planter.written_day("inside the document", 3)
    bodies = {
        "1.2.840.10008.5.1.4.1.1.104.1": (
            "application/pdf",
            f"%PDF-1.4\n1 0 obj<</Title({word} {day})>>endobj\n%%EOF\n",
        ),
        "1.2.840.10008.5.1.4.1.1.104.2": (
            "text/XML",
            f"<ClinicalDocument><given>{word}</given>{day}</ClinicalDocument>",
        ),
        "1.2.840.10008.5.1.4.1.1.104.3": ("model/stl", f"solid {word} {day}".ljust(84)),
    }
    ds.MIMETypeOfEncapsulatedDocument, body = bodies[ds.SOPClassUID]
    ds.EncapsulatedDocument = body.encode() + b"\0" * (len(body.encode()) % 2)
    ds.DocumentTitle, ds.HL7InstanceIdentifier = planter.word("DocumentTitle"), planter.word("HL7InstanceIdentifier")
    ds.ListOfMIMETypes, ds.BurnedInAnnotation = planter.word("ListOfMIMETypes"), "YES"
    ds.SourceInstanceSequence = [reference(image) for image in images]
