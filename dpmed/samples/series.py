"""One long chest CT series at the size of a scanner's, for measuring: 512 by 512, as many slices as are asked for."""

from pathlib import Path

import numpy as np

from dpmed.samples.chest import draw_chest, render_chest
from dpmed.samples.covid_ct import stored_values
from dpmed.samples.dicom import Slice, write_slice
from dpmed.samples.identities import identity
from dpmed.samples.shapes import Grid

ROWS, PIXEL_MM, STEP_MM = 512, 0.7, 1.25
DRAWN = 6
"""Slices that are rendered; the others repeat them with noise of their own, so that no two files are alike."""


def write_ct_series(folder: Path, *, slices: int = 300, seed: int = 0) -> None:
    """Write one series of an invented patient into `folder`, one file a slice (half a MiB each)."""
    rng = np.random.default_rng(seed)
    chest = draw_chest(rng, positive=False)
    grid = Grid((DRAWN, ROWS, ROWS), (40.0, PIXEL_MM, PIXEL_MM), (chest.level_mm, 0.0, 0.0))
    drawn = render_chest(chest, grid)
    patient = identity(0)
    for number in range(slices):
        pixels = stored_values(drawn[number % DRAWN] + rng.normal(0, 12, (ROWS, ROWS)))
        image = Slice(
            patient=patient,
            series=1,
            instance=number + 1,
            studied=patient.studied,
            position_mm=(-ROWS / 2 * PIXEL_MM, -ROWS / 2 * PIXEL_MM, number * STEP_MM),
            pixel_mm=PIXEL_MM,
            thickness_mm=STEP_MM,
            pixels=pixels,
        )
        write_slice(folder / f"{patient.patient_id}_{number:04d}.dcm", image)
