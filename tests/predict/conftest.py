"""A one-sided phantom on any grid, and finished runs of which only `release/` is left."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from safetensors.torch import save_file

from dpmed.core.folders import RunFolder
from dpmed.core.labels import SCHEMES
from dpmed.core.recipe import Recipe
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import ModelSpec, TaskSpec
from dpmed.models import build
from tests.evaluate.conftest import statement

REGIONS = tuple(SCHEMES["brats"].regions)
AIR_HU, TISSUE_HU = -1000, 300
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def in_phantom(ras: np.ndarray) -> np.ndarray:
    """An L in the patient's right, front, upper part, its foot to the back: no turn or mirror maps it onto itself."""
    x, y, z = ras
    upright = (x > 2) & (x < 14) & (y > 2) & (y < 22) & (z > 0) & (z < 22)
    foot = (x > 2) & (x < 24) & (y > -12) & (y < 2) & (z > 0) & (z < 9)
    return upright | foot


def drawn(shape, affine) -> np.ndarray:
    """The phantom on a grid in Hounsfield units, and where it is."""
    indices = np.indices(shape).reshape(3, -1)
    return in_phantom((affine @ np.vstack([indices, np.ones(indices.shape[1])]))[:3]).reshape(shape)


def hounsfield(inside) -> np.ndarray:
    return np.where(inside, TISSUE_HU, AIR_HU).astype(np.int16)


def write_nifti(path: Path, voxels, affine) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, 1)
    nib.save(image, path)
    return path


def centred(directions, spacing, shape) -> np.ndarray:
    """An affine with these axes and voxel sizes whose grid has its middle at the origin."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions) * spacing
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


def write_series(folder: Path, shape, affine, *, series="1.2.826.0.1.88.1", patient="HOSP-5512", **values) -> Path:
    """The phantom as a DICOM series; `affine` from [column, row, slice] to RAS. Files in no order at all."""
    folder.mkdir(parents=True, exist_ok=True)
    lps = LPS_TO_RAS @ affine
    voxels = hounsfield(drawn(shape, affine))
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    for k in range(shape[2]):
        header = pydicom.Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, f"{series}.{k + 1}"
        header.file_meta.MediaStorageSOPClassUID = CTImageStorage
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.PatientID, header.PatientName = patient, "Quillfeather^Ottoline"
        header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.826.0.1.88.9", series
        header.FrameOfReferenceUID = "1.2.826.0.1.88.8"
        header.Modality, header.ImageType, header.InstanceNumber = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], k + 1
        header.Rows, header.Columns = shape[1], shape[0]
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
        header.RescaleSlope, header.RescaleIntercept = "1", "0"
        header.PixelSpacing = [float(spacing[1]), float(spacing[0])]
        header.SliceThickness = float(spacing[2])
        header.ImagePositionPatient = [float(mm) for mm in (lps @ [0, 0, k, 1])[:3]]
        header.ImageOrientationPatient = [*(lps[:3, 0] / spacing[0]).tolist(), *(lps[:3, 1] / spacing[1]).tolist()]
        header.PixelData = np.ascontiguousarray(voxels[..., k].T).tobytes()
        for keyword, value in values.items():
            setattr(header, keyword, value)
        header.save_as(folder / f"IM{k * 7919 % 9973:04d}", enforce_file_format=True)
    return folder


def recipe(task: str, modalities, *, dims: int, size, spacing=None) -> Recipe:
    data = {"modalities": modalities, "spatial_dims": dims, "image_size": size, "spacing_mm": spacing}
    model = {"name": "unet" if task == "brats" else "resnet10-gn", "width": 4}
    return Recipe.model_validate({"name": "tiny", "summary": "for tests", "task": task, "data": data, "model": model})


@pytest.fixture
def finished_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """A run as it leaves the hospital: `release/` alone, with untrained weights."""

    def made(task: str, modalities=("ct",), *, dims: int = 2, size=(32, 32), spacing=None) -> RunFolder:
        run = RunFolder(tmp_path / "run")
        outputs = REGIONS if task == "brats" else ("covid",)
        written = recipe(task, list(modalities), dims=dims, size=list(size), spacing=spacing)
        spec = ModelSpec(
            name=written.model.name,
            spatial_dims=dims,
            in_channels=len(modalities),
            out_channels=len(outputs),
            width=4,
        )
        config = RunConfig(
            run="0" * 32,
            dpmed_version="0",
            recipe=written,
            model=spec,
            task=TaskSpec(kind="segmentation" if task == "brats" else "classification", outputs=outputs),
            label_scheme=SCHEMES["brats"] if task == "brats" else None,
            privacy=None,
            patients=12,
            seed=0,
            demo_seed=None,
            init_sha256=None,
            device="cpu",
            engine="nano",
        )
        run.release.mkdir(parents=True)
        run.config.write_text(config.to_json())
        run.statement.write_text(statement().to_json())
        torch.manual_seed(0)
        save_file(build(spec).state_dict(), run.model)
        return run

    return made
