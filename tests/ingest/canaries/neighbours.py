"""What lies around the objects: names of files, names in other scripts, a DICOMDIR, texts that were copied along."""

import gzip
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from .hidden import raw
from .planting import Instance, Planter
from .words import JAPANESE


def in_script(planter: Planter, ds: Dataset, alphabet: str) -> None:
    """People, places and remarks in the script of the patient, at the top and in a sequence."""

    def say(place: str) -> str:
        return planter.script(f"{place} in {alphabet}", alphabet, 6)

    ds.InstitutionName, ds.ReferringPhysicianName = (
        say("InstitutionName"),
        f"{say('ReferringPhysicianName')}^{say('given')}",
    )
    ds.SeriesDescription, ds.OperatorsName = (
        f"T1 {say('SeriesDescription')}",
        [say("OperatorsName"), say("OperatorsName")],
    )
    ds.DerivationDescription, ds.OtherPatientNames = say("DerivationDescription"), say("OtherPatientNames")
    if alphabet == "kanji":
        ds.StudyComments = f"初回 {planter.written_day('Japanese day in text', JAPANESE)}"
    inner = Dataset()
    inner.CodeMeaning, inner.CodeValue, inner.CodingSchemeDesignator = say("CodeMeaning"), "1", "99LOCAL"
    ds.RequestedProcedureCodeSequence = [inner]
    ds.private_block(0x0033, "LOCAL NAMES", create=True).add_new(1, "PN", say("private PN"))


def file_name(planter: Planter, name: str, day: str, number: int) -> str:
    """Folders named after people, files after days, as they come out of a hospital."""
    with planter.inside("file name"):
        if number % 4 == 0:
            return f"{planter.script('folder', 'kanji')}/検査/{planter.word('file')}.dcm"
        if number % 4 == 1:
            return f"{planter.word('folder')}, {planter.word('folder')}/{day}/IM{number:04}"
        if number % 4 == 2:
            return f"exports/{planter.word('file')}_{planter.written_day('file', 0)}_{number}.dcm"
        return f"{name[:2]}/{planter.uid('file')}"


def write_texts(planter: Planter, root: Path) -> None:
    """Letters, lists, archives and leftovers beside the images."""
    planter.file = "neighbours"
    lines = "\n".join(f"{planter.name('text')}; {planter.written_day('text', style)}" for style in range(14))
    (root / f"letter {planter.word('text file name')}.txt").write_text(lines)
    (root / "worklist.csv").write_text(f"name,born\n{planter.name('worklist')},{planter.day('worklist')}\n")
    (root / "notes.json").write_text(f'{{"doctor": "{planter.name("notes")}", "uid": "{planter.uid("notes")}"}}')
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" + planter.word("leftover").encode("utf-16-be"))
    (root / "log.txt.gz").write_bytes(gzip.compress(planter.name("zipped log").encode(), mtime=0))


def write_dicomdir(planter: Planter, root: Path, instances: Sequence[Instance], objects: Sequence[Dataset]) -> None:
    """A directory of all objects, with names of people; its offsets are set by reading what was written."""
    planter.file = "DICOMDIR"
    directory = _directory(planter)
    directory.DirectoryRecordSequence = _records(planter, instances, objects)
    _link(directory, _write(directory))
    (root / "DICOMDIR").write_bytes(_write(directory))


def _directory(planter: Planter) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    ds.file_meta.MediaStorageSOPInstanceUID = planter.uid("MediaStorageSOPInstanceUID")
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.FileSetID, ds.FileSetConsistencyFlag = planter.upper("FileSetID"), 0
    ds.FileSetDescriptorFileID = planter.upper("FileSetDescriptorFileID")
    ds.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    ds.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    return ds


def _record(kind: str, **values) -> Dataset:
    ds = Dataset()
    ds.OffsetOfTheNextDirectoryRecord, ds.RecordInUseFlag, ds.OffsetOfReferencedLowerLevelDirectoryEntity = 0, 0xFFFF, 0
    ds.DirectoryRecordType = kind
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _records(planter: Planter, instances: Sequence[Instance], objects: Sequence[Dataset]) -> list[Dataset]:
    """Patients, their studies, their series, their objects: each a level below the one before."""
    records, seen = [], set()
    order = sorted(
        zip(instances, objects, strict=True),
        key=lambda one: (one[1].PatientID, one[1].StudyInstanceUID, one[1].SeriesInstanceUID),
    )
    for one, ds in order:
        for uid, make in (
            (ds.PatientID, _patient_record),
            (ds.StudyInstanceUID, _study_record),
            (ds.SeriesInstanceUID, _series_record),
        ):
            if uid not in seen:
                seen.add(uid)
                records.append(make(planter, ds))
        image = _record(
            "IMAGE", ReferencedSOPClassUIDInFile=ds.SOPClassUID, ReferencedSOPInstanceUIDInFile=ds.SOPInstanceUID
        )
        image.SpecificCharacterSet, image.InstanceNumber = "ISO_IR 192", ds.InstanceNumber
        raw(image, 0x00041500, "CS", "\\".join(Path(one.file).parts).encode())
        image.ReferencedTransferSyntaxUIDInFile = ds.file_meta.TransferSyntaxUID
        image.ImageComments = planter.word("record")
        records.append(image)
    return records


def _patient_record(planter: Planter, ds: Dataset) -> Dataset:
    return _record("PATIENT", PatientName=planter.name("record"), PatientID=ds.PatientID)


def _study_record(planter: Planter, ds: Dataset) -> Dataset:
    values = {"StudyInstanceUID": ds.StudyInstanceUID, "StudyDate": ds.StudyDate, "StudyTime": ds.StudyTime}
    return _record(
        "STUDY", StudyDescription=planter.word("record"), AccessionNumber=planter.word("record"), StudyID="1", **values
    )


def _series_record(planter: Planter, ds: Dataset) -> Dataset:
    values = {"SeriesInstanceUID": ds.SeriesInstanceUID, "SeriesNumber": ds.SeriesNumber, "Modality": ds.Modality}
    return _record(
        "SERIES", InstitutionName=planter.word("record"), PerformingPhysicianName=planter.name("record"), **values
    )


def _write(directory: Dataset) -> bytes:
    buffer = io.BytesIO()
    directory.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")


def _link(directory: Dataset, content: bytes) -> None:
    """Offsets to the next record of a level and to the first one below."""
    places = [record.seq_item_tell for record in dcmread(io.BytesIO(content)).DirectoryRecordSequence]
    records = directory.DirectoryRecordSequence
    levels = [LEVELS.index(record.DirectoryRecordType) for record in records]
    for number, record in enumerate(records):
        for other in range(number + 1, len(records)):
            if levels[other] == levels[number]:
                record.OffsetOfTheNextDirectoryRecord = places[other]
            if levels[other] <= levels[number]:
                break
        if number + 1 < len(records) and levels[number + 1] > levels[number]:
            record.OffsetOfReferencedLowerLevelDirectoryEntity = places[number + 1]
    directory.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = places[0]
    directory.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = places[
        max(i for i, one in enumerate(levels) if one == 0)
    ]


def zipped(folder: Path) -> bytes:
    """A folder as one zip, names and all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, str(path.relative_to(folder)))
    return buffer.getvalue()
