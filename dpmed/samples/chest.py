"""A chest in Hounsfield units: body, bones, lungs with vessels, heart, table. Axes z (up), y (back), x (left)."""

from dataclasses import dataclass

import numpy as np

from dpmed.samples.opacities import Opacity, draw_opacities, paint_opacities
from dpmed.samples.shapes import Grid, Volume, paint, soft

EDGE_MM = 4.0
AIR, FAT, MUSCLE, BLOOD, SPONGY, CORTICAL = -1000.0, -100.0, 48.0, 45.0, 180.0, 420.0


@dataclass(frozen=True)
class Chest:
    """One patient's build and disease, drawn once and seen in every series; `level_mm` is the height of interest."""

    half_width_mm: float
    half_depth_mm: float
    fat_mm: float
    heart: float
    level_mm: float
    contrast_hu: float
    seed: int
    opacities: tuple[Opacity, ...]


def draw_chest(rng: np.random.Generator, *, positive: bool) -> Chest:
    """A patient with (positive) or without ground-glass opacities; some without have something like them."""
    width, depth = rng.uniform(148, 170), rng.uniform(102, 122)
    level = rng.uniform(-40, 40)
    return Chest(
        half_width_mm=width,
        half_depth_mm=depth,
        fat_mm=rng.uniform(6, 20),
        heart=rng.uniform(0.85, 1.15),
        level_mm=level,
        contrast_hu=rng.choice([0.0, 0.0, 130.0]),
        seed=int(rng.integers(2**31)),
        opacities=draw_opacities(rng, (level, depth, width), positive=positive),
    )


def render_chest(chest: Chest, grid: Grid) -> Volume:
    """The chest on a grid, without noise."""
    rng = np.random.default_rng(chest.seed)
    volume = np.full(grid.shape, AIR)
    _table(volume, grid, chest)
    _body(volume, grid, chest)
    lungs = _lungs(grid, chest, rng)
    _mediastinum(volume, grid, chest)
    paint(volume, lungs, -865 + 55 * grid.axes[1] / chest.half_depth_mm + 18 * grid.texture(rng, 14))
    _vessels(volume, grid, chest, lungs, rng)
    paint_opacities(volume, grid, lungs, chest.opacities, rng)
    _airways(volume, grid)
    _bones(volume, grid, chest)
    return volume


def _ellipse(grid: Grid, y: float, x: float, half_depth: float, half_width: float, *, power: float = 2.0) -> Volume:
    """A column along z: an ellipse in every slice."""
    return soft(grid.outside((0, y, x), (1e9, half_depth, half_width), power=power), EDGE_MM)


def _table(volume: Volume, grid: Grid, chest: Chest) -> None:
    _, y, x = grid.axes
    top = chest.half_depth_mm + 9 - x**2 / 1100
    for depth, value in ((0, -120.0), (22, -350.0)):
        shell = np.abs(y - top - depth + 0 * volume) - 1.5
        paint(volume, soft(shell, EDGE_MM) * (np.abs(x) < 205), value)


def _body(volume: Volume, grid: Grid, chest: Chest) -> None:
    a, b, fat = chest.half_width_mm, chest.half_depth_mm, chest.fat_mm
    paint(volume, _ellipse(grid, 0, 0, b, a, power=2.5), FAT)
    paint(volume, _ellipse(grid, 0, 0, b - fat * 0.8, a - fat, power=2.4), MUSCLE)


def _lungs(grid: Grid, chest: Chest, rng: np.random.Generator) -> Volume:
    a, b = chest.half_width_mm - chest.fat_mm, chest.half_depth_mm - chest.fat_mm * 0.8
    rough = 1.5 * grid.texture(rng, 25)
    sides = [
        soft(grid.outside((10, 0.02 * b, side * 0.46 * a), (190, 0.77 * b, 0.385 * a), power=2.3) + rough, EDGE_MM)
        for side in (-1, 1)
    ]
    lungs: Volume = np.maximum(*sides)
    for hole in (_heart(grid, chest), _ellipse(grid, 0.5 * b, 0, 26, 25), _ellipse(grid, 0.36 * b, 22, 14, 14)):
        lungs = lungs * (1 - hole)
    return lungs


def _heart(grid: Grid, chest: Chest) -> Volume:
    size = chest.heart
    return soft(grid.outside((-48, -26, 20), (72 * size, 36 * size, 48 * size), power=2.2), EDGE_MM)


def _mediastinum(volume: Volume, grid: Grid, chest: Chest) -> None:
    b = chest.half_depth_mm - chest.fat_mm * 0.8
    blood = BLOOD + chest.contrast_hu
    paint(volume, _ellipse(grid, -0.08 * b, 0, 0.62 * b, 44, power=3), FAT + 20)
    paint(volume, _heart(grid, chest), MUSCLE + 0.4 * chest.contrast_hu)
    rounds = (
        (0.36 * b, 22, 12, blood),
        (-26, -10, 15, blood),
        (-20, 14, 13, blood),
        (-18, -30, 9, blood),
        (26, 6, 7, 30),
    )
    for y, x, radius, value in rounds:  # both aortas, pulmonary trunk, vena cava, oesophagus
        paint(volume, _ellipse(grid, y, x, radius, radius), value)


def _vessels(volume: Volume, grid: Grid, chest: Chest, lungs: Volume, rng: np.random.Generator) -> None:
    for number in range(44):
        side = 1 if number % 2 else -1
        angle, reach = rng.uniform(-np.pi, np.pi), rng.uniform(0.5, 0.95)
        hilum = (rng.uniform(-30, 40), 4.0, side * 30.0)
        tip = (
            hilum[0] + rng.uniform(-70, 70),
            reach * 0.7 * chest.half_depth_mm * np.sin(angle),
            side * (0.45 + 0.36 * reach * np.cos(angle)) * chest.half_width_mm,
        )
        distance, place = grid.from_segment(hilum, tip)
        paint(volume, soft(distance - (4.5 - 3.6 * place), EDGE_MM) * lungs, MUSCLE - 250 * place)


def _airways(volume: Volume, grid: Grid) -> None:
    carina = (20.0, 8.0, 0.0)
    ends = ((160.0, 2.0, 0.0), (-35.0, 14.0, -44.0), (-30.0, 16.0, 46.0))
    for end, radius in zip(ends, (9.0, 7.0, 6.5), strict=True):
        distance, place = grid.from_segment(carina, end)
        narrowing = 0.0 if end[2] == 0 else 4.0
        paint(volume, soft(distance - radius - 1.5 + narrowing * place, EDGE_MM), -20)
        paint(volume, soft(distance - radius + narrowing * place, EDGE_MM), AIR)


def _bones(volume: Volume, grid: Grid, chest: Chest) -> None:
    a, b = chest.half_width_mm - chest.fat_mm, chest.half_depth_mm - chest.fat_mm * 0.8
    spine = 0.55 * b
    for y, x, depth, width, value in (
        (spine, 0, 17, 20, CORTICAL * 0.8), (spine, 0, 13, 16, SPONGY),
        (spine + 25, 0, 13, 14, CORTICAL * 0.7), (spine + 24, 0, 9, 10, 25.0),
        (spine + 42, 0, 13, 4, CORTICAL * 0.7), (spine + 22, -25, 4, 13, SPONGY), (spine + 22, 25, 4, 13, SPONGY),
        (-0.86 * b, 0, 6, 19, SPONGY + 60),
    ):  # fmt: skip
        paint(volume, _ellipse(grid, y, x, depth, width), value)
    _ribs(volume, grid, 0.9 * b, 0.91 * a)


def _ribs(volume: Volume, grid: Grid, half_depth: float, half_width: float) -> None:
    """Twelve hoops that slope down to the front, so that a slice cuts each of them once, as an oval."""
    z, y, x = grid.axes
    ring = np.abs(grid.outside((0, 0, 0), (1e9, half_depth, half_width), power=2.3)) - 4
    height = (z - 55 * y / half_depth + 0 * x) % 27
    hoop = soft(ring, EDGE_MM) * soft(np.abs(height - 13.5) - 6.5, EDGE_MM) * (np.abs(x) > 14)
    paint(volume, hoop, CORTICAL)
