"""Brain MR of invented patients in the layout of BraTS: one folder a case, one NIfTI file a sequence."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Int16

from dpmed.samples.brain import BRIGHTNESS, Brain, draw_tumour, grow_brain, sequence
from dpmed.samples.identities import INSTITUTION, MAX_PATIENTS, Identity, check_patients, dicom_date, identity
from dpmed.samples.shapes import Grid, Volume, paint, soft

SHAPE = (42, 52, 36)
SPACING_MM = 3.5


def write_brats(folder: Path, *, patients: int = 16, seed: int = 0) -> None:
    """Write `<case>/<case>_{t1,t1ce,t2,flair,seg}.nii.gz` into `folder`, labels 1, 2 and 4 as in BraTS.

    File names, NIfTI headers and gzip headers hold invented identifiers. Fewer patients are the first of more.
    """
    check_patients(patients)
    grid = Grid(SHAPE, (SPACING_MM,) * 3, (0.0, 0.0, -4.0))
    for index in range(patients):
        patient = identity(MAX_PATIENTS + index)
        case = f"BraTS_{patient.plain_name}_{dicom_date(patient.studied)}"
        rng = np.random.default_rng([seed, index, 1])
        brain = grow_brain(rng, grid, draw_tumour(rng))
        for name in BRIGHTNESS:
            _write(folder / case / f"{case}_{name}.nii.gz", _scanned(brain, name, grid, rng), grid, patient)
        _write(folder / case / f"{case}_seg.nii.gz", brain.labels, grid, patient)


def _scanned(brain: Brain, name: str, grid: Grid, rng: np.random.Generator) -> Int16[np.ndarray, "x y z"]:
    """One sequence as a scanner stores it: spots that are no tumour, coil shading, noise, arbitrary units."""
    image = sequence(brain, name, rng)
    if name in ("flair", "t2"):
        _spots(image, grid, brain, rng)
    shading = np.exp(0.13 * grid.texture(rng, 110))
    spread = rng.uniform(0.02, 0.06)
    real, imaginary = spread * rng.standard_normal((2, *grid.shape))
    magnitude: Volume = np.hypot(image * shading + real, imaginary) * brain.inside
    stored: np.ndarray = np.rint(magnitude * rng.uniform(70, 115)).astype(np.int16)
    return stored


def _spots(image: Volume, grid: Grid, brain: Brain, rng: np.random.Generator) -> None:
    """Bright spots of old age in white matter: to be told from edema."""
    for _ in range(rng.integers(0, 5)):
        centre = (rng.choice([-1, 1]) * rng.uniform(18, 30), rng.uniform(-40, 40), rng.uniform(8, 30))
        radius = rng.uniform(2.5, 6)
        paint(image, soft(grid.outside(centre, (radius,) * 3), 4) * brain.tissues["white"], 1.05)


def _write(path: Path, voxels: np.ndarray, grid: Grid, patient: Identity) -> None:
    """Write NIfTI whose headers name the patient; the same voxels give the same bytes with the same zlib."""
    step = grid.spacing_mm[0]
    x, y, z = (float(axis.ravel()[0]) for axis in grid.axes)
    # As in BraTS, the first two axes point to the left and to the back.
    affine = np.array([[-step, 0, 0, -x], [0, -step, 0, -y], [0, 0, step, z], [0, 0, 0, 1]])
    image = nib.Nifti1Image(voxels[:, ::-1], affine)
    image.set_qform(affine, code=1)
    header = image.header
    header.set_xyzt_units("mm")
    header["descrip"] = f"{patient.plain_name} {dicom_date(patient.born)}".encode()
    header["aux_file"] = patient.patient_id.encode()
    header["db_name"] = INSTITUTION[:17].encode()
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", f"{patient.name} {patient.phone}".encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("wb") as file,
        gzip.GzipFile(path.name.removesuffix(".gz"), "wb", fileobj=file, mtime=0) as packed,
    ):
        packed.write(image.to_bytes())
