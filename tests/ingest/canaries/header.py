"""Patients, studies and what a header says of them, in conformant places."""

from dataclasses import dataclass
from functools import cached_property

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from .planting import Planter

VALUES = {
    "PatientBirthName": "name",
    "PatientMotherBirthName": "name",
    "OtherPatientNames": "name",
    "OtherPatientIDs": "word",
    "PatientAddress": "word",
    "PatientTelephoneNumbers": "number",
    "CountryOfResidence": "word",
    "RegionOfResidence": "word",
    "EthnicGroup": "word",
    "Occupation": "word",
    "PatientReligiousPreference": "word",
    "MilitaryRank": "word",
    "BranchOfService": "word",
    "MedicalRecordLocator": "word",
    "AdditionalPatientHistory": "word",
    "PatientComments": "word",
    "MedicalAlerts": "word",
    "Allergies": "word",
    "LastMenstrualDate": "day",
    "AdmissionID": "word",
    "AdmittingDate": "day",
    "AdmittingDiagnosesDescription": "word",
    "AccessionNumber": "word",
    "StudyID": "word",
    "ReferringPhysicianName": "name",
    "ReferringPhysicianAddress": "word",
    "ReferringPhysicianTelephoneNumbers": "number",
    "ConsultingPhysicianName": "name",
    "PhysiciansOfRecord": "name",
    "NameOfPhysiciansReadingStudy": "name",
    "RequestingPhysician": "name",
    "RequestingService": "word",
    "PerformingPhysicianName": "name",
    "OperatorsName": "name",
    "ScheduledPerformingPhysicianName": "name",
    "InstitutionName": "word",
    "InstitutionAddress": "word",
    "InstitutionalDepartmentName": "word",
    "StationName": "word",
    "DeviceSerialNumber": "number",
    "DeviceUID": "uid",
    "DeviceID": "word",
    "DetectorID": "word",
    "GantryID": "word",
    "PlateID": "word",
    "CassetteID": "word",
    "GeneratorID": "word",
    "SecondaryCaptureDeviceID": "word",
    "ProtocolName": "word",
    "SeriesDescription": "word",
    "PerformedProcedureStepID": "word",
    "PerformedProcedureStepDescription": "word",
    "PerformedProcedureStepStartDate": "day",
    "PerformedProcedureStepEndDate": "day",
    "PerformedStationAETitle": "word",
    "PerformedStationName": "word",
    "PerformedLocation": "word",
    "CommentsOnThePerformedProcedureStep": "word",
    "RequestedProcedureDescription": "word",
    "RequestedProcedureID": "word",
    "RequestedProcedureComments": "word",
    "ReasonForStudy": "word",
    "ReasonForTheRequestedProcedure": "word",
    "StudyComments": "word",
    "ImageComments": "word",
    "FrameComments": "word",
    "DerivationDescription": "word",
    "AcquisitionComments": "word",
    "ContrastBolusAgent": "word",
    "CurrentPatientLocation": "word",
    "PatientInstitutionResidence": "word",
    "VisitComments": "word",
    "IssuerOfAdmissionID": "word",
    "PlacerOrderNumberImagingServiceRequest": "word",
    "FillerOrderNumberImagingServiceRequest": "word",
    "ClinicalTrialSubjectID": "word",
    "ClinicalTrialProtocolName": "word",
    "ClinicalTrialSiteName": "word",
    "ClinicalTrialCoordinatingCenterName": "word",
    "DateOfLastCalibration": "day",
    "DateOfSecondaryCapture": "day",
    "IrradiationEventUID": "uid",
    "ConcatenationUID": "uid",
    "SynchronizationFrameOfReferenceUID": "uid",
    "StorageMediaFileSetUID": "uid",
    "ResponsiblePerson": "name",
    "ResponsibleOrganization": "word",
    "TextComments": "word",
    "InterpretationText": "word",
    "InterpretationAuthor": "name",
    "DistributionAddress": "word",
    "TopicTitle": "word",
    "TopicAuthor": "word",
    "IdentifyingComments": "word",
    "Arbitrary": "word",
    "RetrieveAETitle": "word",
    "StationAETitle": "word",
}


@dataclass(frozen=True)
class Patient:
    """One invented person; under the label stands in the book what all their files say."""

    label: str
    name: str
    number: str
    birth: str
    sex: str
    age: str
    charset: str | list[str]
    frame_of_reference: str


@dataclass(frozen=True)
class Study:
    """One visit of a patient."""

    patient: Patient
    uid: str
    date: str
    description: str

    @cached_property
    def series(self) -> dict[str, str]:
        """Series UIDs by a name of ours, filled as series begin."""
        return {}


def patient(
    planter: Planter, label: str, charset: str | list[str], scripts: tuple[str, ...], *, sex: str, age: str, born: int
) -> Patient:
    """A new person, with a name in Latin letters and one in each of these scripts."""
    planter.file = label
    foreign = ["^".join(planter.script("PatientName", script) for _ in range(2)) for script in scripts]
    name = "=".join([planter.name("PatientName"), *foreign])
    number, birth = planter.word("PatientID"), planter.day("PatientBirthDate", born, born)
    return Patient(label, name, number, birth, sex, age, charset, planter.uid("FrameOfReferenceUID"))


def study(planter: Planter, who: Patient, description: str) -> Study:
    """A new visit; the description carries a name among words of the vocabulary."""
    planter.file = who.label
    words = f"{description} {planter.word('StudyDescription')}"
    return Study(who, planter.uid("StudyInstanceUID"), planter.day("StudyDate"), words)


def instance(planter: Planter, visit: Study, sop_class: str, modality: str, series: str, number: int) -> Dataset:
    """A data set with patient, study, series and equipment, and a file meta that says too much."""
    if series not in visit.series:
        visit.series[series] = planter.uid("SeriesInstanceUID")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, planter.uid("SOPInstanceUID")
    ds = Dataset()
    ds.file_meta = meta
    ds.SpecificCharacterSet = visit.patient.charset
    ds.SOPClassUID, ds.SOPInstanceUID = UID(sop_class), meta.MediaStorageSOPInstanceUID
    _patient_module(ds, visit.patient)
    ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime = visit.uid, visit.date, "101112"
    ds.StudyDescription = visit.description
    ds.SeriesInstanceUID, ds.Modality, ds.SeriesNumber = visit.series[series], modality, 1 + len(visit.series)
    ds.SeriesDate = ds.ContentDate = visit.date
    ds.InstanceNumber = number
    ds.InstanceCreatorUID = planter.uid("InstanceCreatorUID")
    ds.InstanceCreationDate = planter.day("InstanceCreationDate")
    ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = "SIEMENS", "Sensation 64", "VB42"
    return ds


def _patient_module(ds: Dataset, who: Patient) -> None:
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = who.name, who.number, who.birth
    ds.PatientSex, ds.PatientAge, ds.PatientSize, ds.PatientWeight = who.sex, who.age, "1.71", "70.5"


def say_too_much(planter: Planter, ds: Dataset, number: int) -> None:
    """A third of the identifying attributes in each file, another third in the next; what stands already stays."""
    for place, (keyword, kind) in enumerate(VALUES.items()):
        if (place + number) % 3 == 0 and keyword not in ds:
            setattr(ds, keyword, getattr(planter, kind)(keyword))
