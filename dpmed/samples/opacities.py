"""What disease looks like in the lungs: ground-glass opacities, and things that are mistaken for them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dpmed.samples.shapes import Grid, Point, Volume, paint, soft

Kind = Literal["ground-glass", "nodule", "dependent"]


@dataclass(frozen=True)
class Opacity:
    """A denser place in a lung. `hu` is its density, `semi_mm` its half axes (z, y, x)."""

    kind: Kind
    centre_mm: Point
    semi_mm: Point
    hu: float


def draw_opacities(rng: np.random.Generator, body: Point, *, positive: bool) -> tuple[Opacity, ...]:
    """Positive: 2 to 8 patches near the pleura. Negative: nothing, a nodule, or density at the back of the lungs.

    `body` is the height of interest and the half depth and half width of the chest.
    """
    if positive:
        return tuple(_ground_glass(rng, body) for _ in range(rng.integers(2, 9)))
    mimic = rng.choice(["none", "none", "nodule", "dependent", "dependent"])
    if mimic == "nodule":
        radius = rng.uniform(5, 10)
        return (Opacity("nodule", _place(rng, body, 0.6), (radius,) * 3, rng.uniform(-150, 40)),)
    if mimic == "dependent":
        return (Opacity("dependent", (0, 0, 0), (rng.uniform(8, 18),) * 3, rng.uniform(-720, -520)),)
    return ()


def _ground_glass(rng: np.random.Generator, body: Point) -> Opacity:
    size = rng.uniform(14, 34)
    semi = (size * rng.uniform(0.8, 1.5), size * rng.uniform(0.8, 1.3), size * rng.uniform(0.7, 1.1))
    return Opacity("ground-glass", _place(rng, body, 0.85), semi, rng.uniform(-640, -290))


def _place(rng: np.random.Generator, body: Point, rim: float) -> Point:
    """A point in either lung, `rim` of the way from its middle to the chest wall, more often at the back."""
    side = rng.choice([-1, 1])
    angle = rng.normal(0.5, 0.8)
    level, half_depth, half_width = body
    x = side * (0.43 + 0.36 * rim * np.cos(angle)) * half_width
    return (level + rng.uniform(-20, 20), 0.66 * rim * np.sin(angle) * half_depth, x)


def paint_opacities(
    volume: Volume, grid: Grid, lungs: Volume, opacities: tuple[Opacity, ...], rng: np.random.Generator
) -> None:
    """Raise the density of the lungs where disease is; vessels stay visible through it."""
    for opacity in opacities:
        coverage = lungs * _coverage(grid, opacity, rng)
        paint(volume, coverage, np.maximum(volume, opacity.hu + 45 * grid.texture(rng, 9)))


def _coverage(grid: Grid, opacity: Opacity, rng: np.random.Generator) -> Volume:
    if opacity.kind == "nodule":
        return soft(grid.outside(opacity.centre_mm, opacity.semi_mm), 4)
    if opacity.kind == "dependent":
        return soft(64 - grid.axes[1] + 5 * grid.texture(rng, 30), 2 * opacity.semi_mm[1])
    ragged = 0.45 * min(opacity.semi_mm) * grid.texture(rng, 16)
    return soft(grid.outside(opacity.centre_mm, opacity.semi_mm) + ragged, 12)
