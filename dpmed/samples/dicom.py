"""One CT slice as a DICOM file, with an invented patient's identifiers wherever scanners and archives leave them."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from jaxtyping import UInt16
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from dpmed.samples.identities import (
    DEVICE_SERIAL,
    INSTITUTION,
    PHYSICIAN,
    PRIVATE_CREATOR,
    SOURCE_ENTITY,
    STATION,
    UID_PREFIX,
    Identity,
    dicom_date,
)

RESCALE_INTERCEPT = -1024


@dataclass(frozen=True)
class Slice:
    """Where one image belongs: `position_mm` is the centre of its first pixel, x y z in patient coordinates (LPS)."""

    patient: Identity
    series: int
    instance: int
    studied: date
    position_mm: tuple[float, float, float]
    pixel_mm: float
    thickness_mm: float
    pixels: UInt16[np.ndarray, "row column"]


def write_slice(path: Path, image: Slice) -> None:
    """Write the slice; equal slices give equal bytes."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = uid(image.patient, image.series, image.instance)
    data.file_meta.SourceApplicationEntityTitle = SOURCE_ENTITY
    data.preamble = f"exported for {image.patient.patient_id}".encode().ljust(128, b"\0")
    _identify(data, image)
    _nest(data, image)
    _picture(data, image)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def uid(patient: Identity, series: int = 0, instance: int = 0) -> UID:
    """The UID of a study (no series), a series (no instance) or an instance of an invented patient."""
    return UID(f"{UID_PREFIX}{patient.number:04d}{series:03d}{instance:04d}")


def _identify(data: Dataset, image: Slice) -> None:
    patient, day = image.patient, dicom_date(image.studied)
    time = f"{8 + patient.number % 9:02d}{(17 * patient.number) % 60:02d}{image.instance % 60:02d}.250000"
    data.SpecificCharacterSet = "ISO_IR 192"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.InstanceCreationDate = data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = day
    data.InstanceCreationTime = data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = time
    data.AcquisitionDateTime = day + time
    data.AccessionNumber = patient.accession
    data.Modality = "CT"
    data.Manufacturer, data.ManufacturerModelName = "Phantom Works", "Sampler 16"
    data.InstitutionName = INSTITUTION
    data.InstitutionAddress = "1 Gallowtree Lane, Larkmoor"
    data.ReferringPhysicianName = data.OperatorsName = PHYSICIAN
    data.StationName, data.DeviceSerialNumber = STATION, DEVICE_SERIAL
    data.StudyDescription = f"Chest CT for {patient.plain_name.replace('_', ' ')}"
    data.SeriesDescription = f"Thorax {image.thickness_mm:g}mm"
    data.PatientName, data.PatientID = patient.name, patient.patient_id
    data.PatientBirthDate = dicom_date(patient.born)
    data.PatientSex = "FMO"[patient.number % 3]
    data.PatientAge = f"{(image.studied - patient.born).days // 365:03d}Y"
    data.PatientAddress = patient.address
    data.PatientTelephoneNumbers = patient.phone
    data.ImageComments = f"{patient.plain_name} born {dicom_date(patient.born)}"
    data.BodyPartExamined = "CHEST"
    data.StudyID = f"S{patient.accession}"


def _nest(data: Dataset, image: Slice) -> None:
    patient = image.patient
    other, request, study, person = Dataset(), Dataset(), Dataset(), Dataset()
    other.PatientID, other.IssuerOfPatientID = patient.other_id, INSTITUTION
    data.OtherPatientIDsSequence = [other]
    person.PersonIdentificationCodeSequence = []
    person.InstitutionName, person.PersonTelephoneNumbers = INSTITUTION, patient.phone
    data.ReferringPhysicianIdentificationSequence = [person]
    request.ScheduledProcedureStepDescription = f"CT of {patient.plain_name}"
    request.RequestedProcedureID = patient.accession
    data.RequestAttributesSequence = [request]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", uid(patient)
    data.ReferencedStudySequence = [study]
    private = data.private_block(0x0029, PRIVATE_CREATOR, create=True)
    private.add_new(0x01, "LO", patient.name.partition("=")[0])
    private.add_new(0x02, "UN", f"{patient.patient_id} {patient.phone}".encode())
    private.add_new(0x03, "SQ", [other])


def _picture(data: Dataset, image: Slice) -> None:
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = uid(image.patient, image.series, image.instance)
    data.StudyInstanceUID = uid(image.patient)
    data.SeriesInstanceUID = uid(image.patient, image.series)
    data.FrameOfReferenceUID = uid(image.patient, 900 + image.series)
    data.SeriesNumber, data.InstanceNumber, data.KVP = image.series, image.instance, 120
    data.PatientPosition = "HFS"
    data.ImagePositionPatient = [round(value, 4) for value in image.position_mm]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [image.pixel_mm, image.pixel_mm]
    data.SliceThickness = data.SpacingBetweenSlices = image.thickness_mm
    data.SliceLocation = round(image.position_mm[2], 4)
    data.Rows, data.Columns = image.pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = RESCALE_INTERCEPT, 1, "HU"
    data.WindowCenter, data.WindowWidth = -500, 1500
    data.PixelData = image.pixels.astype("<u2").tobytes()
