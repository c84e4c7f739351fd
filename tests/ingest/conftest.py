from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from dpmed.core.labels import SCHEMES
from dpmed.core.manifest import Manifest
from dpmed.ingest.request import IngestDone, IngestRequest
from dpmed.ingest.run import ingest

AXIAL = [1, 0, 0, 0, 1, 0]
INVENTED = {
    "PatientName": "Quillfeather^Ottoline",
    "PatientID": "HOSP-778812",
    "PatientBirthDate": "19420713",
    "InstitutionName": "Larkspur Infirmary",
    "ReferringPhysicianName": "Brambleby^Tarquin",
    "PatientTelephoneNumbers": "0171-5550142",
    "StudyDate": "20190304",
    "AccessionNumber": "ACC5512398",
    "DeviceSerialNumber": "SN-44192-X",
}


def slice_dataset(pixels, *, position=(0.0, 0.0, 0.0), series="1.2.826.0.1.77.1", **values):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = pydicom.Dataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    header.SeriesInstanceUID, header.StudyInstanceUID = series, "1.2.826.0.1.77.9"
    header.Modality, header.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.Rows, header.Columns = pixels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, int(pixels.dtype.kind == "i")
    header.RescaleSlope, header.RescaleIntercept = "1", "-1024"
    header.PixelSpacing, header.SliceThickness = [0.8, 0.5], "2.5"
    header.ImagePositionPatient, header.ImageOrientationPatient = list(position), AXIAL
    header.PixelData = pixels.astype("<u2" if pixels.dtype.kind == "u" else "<i2").tobytes()
    for keyword, value in (INVENTED | values).items():
        if value is None:
            if keyword in header:
                del header[keyword]
        else:
            setattr(header, keyword, value)
    return header


def write_slice(path: Path, pixels=None, **values):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(20, dtype=np.uint16).reshape(4, 5) if pixels is None else pixels
    slice_dataset(pixels, **values).save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, heights=(0.0, 2.5, 5.0), *, patient="HOSP-778812", series=None, **values):
    uid = series or f"1.2.826.0.1.77.{sum(folder.name.encode())}"
    for number, height in enumerate(heights):
        pixels = np.full((4, 5), 1024 + number, dtype=np.uint16)
        write_slice(
            folder / f"IM{(number * 7) % 11:04d}",
            pixels,
            position=(-10.0, -20.0, height),
            series=uid,
            PatientID=patient,
            **values,
        )


def write_nifti(path: Path, voxels, *, affine=None, **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0]) if affine is None else affine)
    for name, value in fields.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def write_case(root: Path, name: str, sequences=("t1", "flair"), *, mask=(0, 1), shape=(6, 5, 4)):
    voxels = np.random.default_rng(len(name)).integers(0, 900, shape, dtype=np.int16)
    for sequence in sequences:
        write_nifti(root / name / f"{name}_{sequence}.nii.gz", voxels)
    if mask:
        labels = np.zeros(shape, dtype=np.uint8)
        labels.flat[: len(mask)] = mask
        write_nifti(root / name / f"{name}_seg.nii.gz", labels)


def write_pictures(root: Path, count=6):
    root.mkdir(parents=True, exist_ok=True)
    lines = ["image,patient,label"]
    for number in range(count):
        grey = np.random.default_rng(number).integers(0, 255, (9, 7), dtype=np.uint8)
        Image.fromarray(grey).save(root / f"shot{number}.png")
        lines.append(f"shot{number}.png,PERSON{number // 2},{(number // 2) % 2}")
    (root.parent / "labels.csv").write_text("\n".join(lines) + "\n")
    return root.parent / "labels.csv"


def run(source: Path, out: Path, **options):
    """The result of an ingest, its remarks and (unless dry) its manifest."""
    if isinstance(options.get("label_scheme"), str):
        options["label_scheme"] = SCHEMES[options["label_scheme"]]
    events = list(ingest(IngestRequest(source=source, out=out, workers=options.pop("workers", 1), **options)))
    assert isinstance(events[-1], IngestDone)
    manifest = None if options.get("dry_run") else Manifest.load(out)
    return SimpleNamespace(result=events[-1].result, manifest=manifest, events=events)


def snapshot(folder: Path):
    """Every file of a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def make():
    return SimpleNamespace(
        dataset=slice_dataset,
        slice=write_slice,
        series=write_series,
        nifti=write_nifti,
        case=write_case,
        pictures=write_pictures,
        run=run,
        snapshot=snapshot,
        invented=INVENTED,
    )


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "shared.key"
    path.write_text("ab" * 32 + "\n")
    path.chmod(0o600)
    return path
