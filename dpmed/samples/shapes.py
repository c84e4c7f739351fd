"""Soft-edged shapes on a voxel grid: the clay of both phantoms."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy import ndimage

Volume = Float[np.ndarray, "d h w"]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """A regular voxel grid centred on `centre_mm`; all triples are in array order."""

    shape: tuple[int, int, int]
    spacing_mm: Point
    centre_mm: Point = (0.0, 0.0, 0.0)

    @cached_property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The millimetre coordinates along each axis, shaped to broadcast to a volume."""
        first, second, third = (
            (np.arange(size) - (size - 1) / 2) * step + centre
            for size, step, centre in zip(self.shape, self.spacing_mm, self.centre_mm, strict=True)
        )
        return first[:, None, None], second[None, :, None], third[None, None, :]

    def outside(self, centre: Point, semi: Point, *, power: float = 2.0) -> Volume:
        """About how many millimetres each voxel lies outside a superellipsoid; negative inside."""
        terms = (np.abs((axis - c) / s) ** power for axis, c, s in zip(self.axes, centre, semi, strict=True))
        radius: Volume = sum(terms, np.zeros(self.shape)) ** (1 / power)
        outside: Volume = (radius - 1) * min(semi)
        return outside

    def from_segment(self, start: Point, end: Point) -> tuple[Volume, Volume]:
        """Distance of each voxel to a line segment in millimetres, and where along it (0 to 1) it is nearest."""
        offsets = [axis - s for axis, s in zip(self.axes, start, strict=True)]
        along = np.subtract(end, start)
        place = sum(o * a for o, a in zip(offsets, along, strict=True)) / float(along @ along)
        place = np.clip(place, 0, 1)
        squares = ((o - place * a) ** 2 for o, a in zip(offsets, along, strict=True))
        return np.sqrt(sum(squares, np.zeros(self.shape))), place

    def texture(self, rng: np.random.Generator, scale_mm: float) -> Volume:
        """Smooth random bumps about `scale_mm` wide, of zero mean and unit spread."""
        sigma = [scale_mm / step / 2 for step in self.spacing_mm]
        bumps = ndimage.gaussian_filter(rng.standard_normal(self.shape), sigma, mode="wrap")
        unit: Volume = (bumps - bumps.mean()) / bumps.std()
        return unit


def soft(outside_mm: Volume, edge_mm: float) -> Volume:
    """Coverage between 0 and 1 of a shape whose border is `edge_mm` wide."""
    return np.clip(0.5 - outside_mm / edge_mm, 0, 1)


def paint(volume: Volume, coverage: Volume, value: Volume | float) -> None:
    """Replace the covered share of each voxel by `value`."""
    volume += coverage * (value - volume)
