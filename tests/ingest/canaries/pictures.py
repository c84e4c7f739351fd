"""Image objects: projections, slices, multi-frame, enhanced, and pictures with words drawn into them."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from .graphics import code
from .header import Study
from .planting import Planter

AXIAL = [1, 0, 0, 0, 1, 0]
SIDE = 32


def grey(ds: Dataset, pixels: np.ndarray, *, stored: int = 16) -> None:
    """Pixels of one sample; frames first where there are several."""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        ds.NumberOfFrames = len(pixels)
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = stored, stored - 1, 0
    ds.PixelData = pixels.tobytes()


def colour(ds: Dataset, pixels: np.ndarray) -> None:
    """RGB pixels; frames first where there are several."""
    grey(ds, pixels[..., 0], stored=8)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.PixelData = pixels.tobytes()


def tissue(number: int, shape: tuple[int, ...] = (SIDE, SIDE), top: int = 4000) -> np.ndarray:
    """A body of a sort: a soft ball with noise."""
    grids = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    ball = np.clip(1.1 - sum(grid**2 for grid in grids), 0, 1)
    noise = np.random.default_rng(number).integers(0, max(top // 40, 1), shape)
    return (ball * top * 0.9 + noise).astype("<u2" if top > 255 else "u1")


def geometry(ds: Dataset, frame_of_reference: str, height: float) -> None:
    """Where a slice lies."""
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = frame_of_reference, ""
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-16.0, -16.0, height], AXIAL
    ds.PixelSpacing, ds.SliceThickness, ds.SliceLocation = [1.0, 1.0], "2.5", str(height)
    ds.PatientPosition, ds.BodyPartExamined = "HFS", "CHEST"


def ct(planter: Planter, ds: Dataset, visit: Study, index: int) -> None:
    """A CT slice with its acquisition."""
    geometry(ds, visit.patient.frame_of_reference, 2.5 * index)
    grey(ds, tissue(index), stored=12)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "-1024", "HU"
    ds.KVP, ds.XRayTubeCurrent, ds.ExposureTime, ds.ConvolutionKernel = "120", "210", "500", "B31f"
    ds.ReconstructionDiameter, ds.GantryDetectorTilt, ds.AcquisitionNumber = "350", "0", 1
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.AcquisitionDate = visit.date
    ds.ScanOptions = "HELICAL"


def mr(planter: Planter, ds: Dataset, visit: Study, index: int) -> None:
    """An MR slice with its sequence parameters."""
    geometry(ds, visit.patient.frame_of_reference, 4.0 * index)
    grey(ds, tissue(100 + index), stored=12)
    ds.BodyPartExamined, ds.ImageType = "BRAIN", ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "SK", "PFP", "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength, ds.FlipAngle = "500", "12", 1, "90"
    ds.MagneticFieldStrength, ds.SequenceName, ds.AcquisitionDate = "1.5", "se2d1", visit.date
    ds.ProtocolName = f"T1 AXIAL BRAIN {planter.word('ProtocolName')}"


def projection(planter: Planter, ds: Dataset, visit: Study, index: int) -> None:
    """CR, DX and mammography."""
    grey(ds, tissue(200 + index), stored=12)
    ds.ImageType, ds.PatientOrientation = ["ORIGINAL", "PRIMARY", ""], ["L", "F"]
    ds.BodyPartExamined, ds.ViewPosition, ds.KVP = "BREAST" if ds.Modality == "MG" else "CHEST", "PA", "70"
    ds.ImagerPixelSpacing, ds.PresentationIntentType = [0.2, 0.2], "FOR PRESENTATION"
    ds.ImageLaterality, ds.WindowCenter, ds.WindowWidth = "L", "2000", "4000"
    ds.ViewCodeSequence = [code(None, "399348003", "SCT", "Antero-posterior projection")]
    ds.AcquisitionDate = visit.date


def frames(planter: Planter, ds: Dataset, visit: Study, index: int) -> None:
    """Multi-frame without functional groups: ultrasound in colour, nuclear medicine."""
    if ds.Modality == "US":
        colour(ds, np.repeat(tissue(300 + index, (2, SIDE, SIDE), 255)[..., None], 3, axis=-1))
        ds.FrameTime, ds.ImageType = "40", ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"]
        region = Dataset()
        region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
        region.PhysicalUnitsXDirection, region.PhysicalDeltaX, region.PhysicalDeltaY = 3, 0.05, 0.05
        ds.SequenceOfUltrasoundRegions = [region]
        ds.TransducerData = planter.word("TransducerData")
    else:
        grey(ds, tissue(300 + index, (2, SIDE, SIDE)), stored=16)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    if ds.Modality == "NM":
        energy = Dataset()
        energy.EnergyWindowName = planter.word("EnergyWindowName")
        ds.EnergyWindowInformationSequence, ds.NumberOfEnergyWindows = [energy], 1
    ds.AcquisitionDate = visit.date


def pet(planter: Planter, ds: Dataset, visit: Study, index: int) -> None:
    """A PET slice with its tracer, given at a moment by somebody."""
    geometry(ds, visit.patient.frame_of_reference, 3.0 * index)
    grey(ds, tissue(400 + index), stored=16)
    ds.Units, ds.CountsSource, ds.DecayCorrection, ds.SeriesType = "BQML", "EMISSION", "START", ["WHOLE BODY", "IMAGE"]
    ds.RescaleSlope, ds.RescaleIntercept, ds.AcquisitionDate = "1.5", "0", visit.date
    tracer = Dataset()
    tracer.Radiopharmaceutical = f"FDG {planter.word('Radiopharmaceutical')}"
    tracer.RadiopharmaceuticalStartDateTime = planter.moment("RadiopharmaceuticalStartDateTime")
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = "350000000", "6586.2"
    tracer.RadiopharmaceuticalRoute = planter.word("RadiopharmaceuticalRoute")
    ds.RadiopharmaceuticalInformationSequence = [tracer]


def capture(planter: Planter, ds: Dataset, visit: Study, index: int) -> None:
    """A secondary capture without words."""
    colour(ds, np.repeat(tissue(500 + index, (SIDE, SIDE), 255)[..., None], 3, axis=-1))
    ds.ConversionType, ds.ImageType = "WSD", ["DERIVED", "SECONDARY"]
    ds.SecondaryCaptureDeviceManufacturer = planter.word("SecondaryCaptureDeviceManufacturer")


def enhanced(planter: Planter, ds: Dataset, visit: Study, index: int) -> None:
    """Enhanced CT and MR: three frames with shared and per-frame functional groups."""
    grey(ds, tissue(600 + index, (3, SIDE, SIDE)), stored=12)
    ds.FrameOfReferenceUID, ds.ImageType = visit.patient.frame_of_reference, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.AcquisitionDateTime, ds.ContentQualification = f"{visit.date}101112.5", "RESEARCH"
    organization = planter.uid("DimensionOrganizationUID")
    ds.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    pointer = _item(DimensionOrganizationUID=organization, DimensionIndexPointer=0x00200032)
    pointer.DimensionDescriptionLabel = planter.word("DimensionDescriptionLabel")
    ds.DimensionIndexSequence = [pointer]
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[1.0, 1.0], SliceThickness="2.5")]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=AXIAL)]
    shared.PixelValueTransformationSequence = [_item(RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU")]
    shared.ReferencedImageSequence = [_item(ReferencedSOPInstanceUID=planter.uid("shared ReferencedImageSequence"))]
    anatomy = _item(AnatomicRegionSequence=[code(None, "51185008", "SCT", "Chest")], FrameLaterality="U")
    shared.FrameAnatomySequence = [anatomy]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [_frame(planter, number) for number in range(3)]


def _frame(planter: Planter, number: int) -> Dataset:
    content = _item(StackID="1", InStackPositionNumber=number + 1, DimensionIndexValues=[number + 1])
    content.FrameComments, content.FrameLabel = planter.word("FrameComments"), planter.word("FrameLabel")
    content.FrameAcquisitionDateTime = planter.moment("FrameAcquisitionDateTime")
    item = _item(FrameContentSequence=[content])
    item.PlanePositionSequence = [_item(ImagePositionPatient=[-16.0, -16.0, 2.5 * number])]
    item.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(
        0x0F, "SQ", [_item(PatientName=planter.name("private sequence of a frame"))]
    )
    return item


def _item(**values) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def burned_in(planter: Planter, ds: Dataset, visit: Study, index: int) -> None:
    """A picture with the patient's name and number drawn into the corner."""
    canvas = Image.fromarray(tissue(700 + index, (240, 320), 120)).convert("RGB")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=18)
    draw.text((8, 6), f"{planter.word('burned in').upper()}, {planter.word('burned in').upper()}", "white", font=font)
    draw.text((8, 30), f"ID {planter.number('burned in', 9)}", "white", font=font)
    ds.BurnedInAnnotation, ds.ConversionType, ds.ImageType = "YES", "WSD", ["DERIVED", "SECONDARY"]
    if ds.Modality == "US":
        colour(ds, np.asarray(canvas)[None].repeat(2, axis=0))
        ds.FrameTime = "40"
    else:
        grey(ds, np.asarray(canvas.convert("L")), stored=8)
