"""Chest CT of invented patients, with and without ground-glass opacities, as a hospital might export it."""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import UInt16
from scipy import ndimage

from dpmed.samples.chest import draw_chest, render_chest
from dpmed.samples.dicom import RESCALE_INTERCEPT, Slice, write_slice
from dpmed.samples.identities import Identity, check_patients, dicom_date, follow_up, identity
from dpmed.samples.shapes import Grid, Volume

SIZE = 96
"""Rows and columns of a slice."""


def write_covid_ct(folder: Path, *, patients: int = 24, seed: int = 0) -> None:
    """Write a DICOM tree and `labels.csv` (columns patient, label) into `folder`.

    Each patient has one study folder with one series of 3 to 5 slices, every fifth patient two. A patient is drawn
    from the seed and its own number, so that fewer patients are the first of more.
    """
    check_patients(patients)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(patients):
        positive = is_positive(index, seed)
        _write_patient(folder, index, seed, positive=positive)
        rows.append((identity(index).patient_id, int(positive)))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("patient", "label"), *rows])


def is_positive(index: int, seed: int) -> bool:
    """Whether a patient has the disease: one of each two neighbours, chosen by the seed."""
    first = bool(np.random.default_rng([seed, index // 2, 7]).integers(2))
    return first if index % 2 == 0 else not first


def _write_patient(folder: Path, index: int, seed: int, *, positive: bool) -> None:
    patient = identity(index)
    chest = draw_chest(np.random.default_rng([seed, index, 0]), positive=positive)
    for series in (1, 2) if index % 5 == 3 else (1,):
        rng = np.random.default_rng([seed, index, series])
        step = float(rng.choice([8.0, 10.0]))
        grid = Grid(
            shape=(int(rng.integers(3, 6)), SIZE, SIZE),
            spacing_mm=(step, (pixel := round(float(rng.uniform(3.55, 3.9)), 2)), pixel),
            centre_mm=(
                chest.level_mm + float(rng.uniform(-6, 6)),
                float(rng.uniform(0, 15)),
                float(rng.uniform(-6, 6)),
            ),
        )
        stored = stored_values(scanned(render_chest(chest, grid), rng))
        place = folder / f"{patient.plain_name}_{dicom_date(patient.born)}" / f"{patient.accession}_SE{series}"
        _write_series(place, patient, series, grid, stored)


def scanned(volume: Volume, rng: np.random.Generator) -> Volume:
    """The volume as a scanner sees it: blurred, noisy, and a circle."""
    grain = ndimage.gaussian_filter(rng.standard_normal(volume.shape), (0, 0.55, 0.55))
    image: Volume = ndimage.gaussian_filter(volume, (0, 0.45, 0.45)) + rng.uniform(14, 34) * grain / grain.std()
    rows, columns = np.ogrid[:SIZE, :SIZE]
    middle = (SIZE - 1) / 2
    image[:, (rows - middle) ** 2 + (columns - middle) ** 2 > (SIZE / 2) ** 2] = RESCALE_INTERCEPT
    return image


def stored_values(hounsfield: Volume) -> UInt16[np.ndarray, "slice row column"]:
    """What goes into the file: Hounsfield units minus the rescale intercept, in 12 bits."""
    stored: np.ndarray = np.clip(np.rint(hounsfield - RESCALE_INTERCEPT), 0, 4095).astype(np.uint16)
    return stored


def _write_series(place: Path, patient: Identity, series: int, grid: Grid, stored: np.ndarray) -> None:
    """Slices from feet to head, numbered from head to feet; file names follow neither."""
    z, y, x = (axis.ravel() for axis in grid.axes)
    for number, pixels in enumerate(stored):
        image = Slice(
            patient=patient,
            series=series,
            instance=len(stored) - number,
            studied=patient.studied if series == 1 else follow_up(patient.studied),
            position_mm=(float(x[0]), float(y[0]), float(z[number])),
            pixel_mm=grid.spacing_mm[1],
            thickness_mm=grid.spacing_mm[0],
            pixels=pixels,
        )
        name = f"{patient.patient_id}_{(5 * number + 2) % 7:03d}"
        write_slice(place / (name if patient.number % 4 == 1 else f"{name}.dcm"), image)
