"""A brain with a tumour, stripped of its skull: tissue by tissue, then as MR sequences show it. Axes x, y, z."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from dpmed.samples.shapes import Grid, Point, Volume, paint, soft

NECROTIC, EDEMA, ENHANCING = 1, 2, 4

# How bright each tissue is in each sequence, relative to white matter in t1.
BRIGHTNESS = {
    "t1": {"csf": 0.32, "grey": 0.74, "white": 1.0, EDEMA: 0.66, NECROTIC: 0.42, ENHANCING: 0.68},
    "t1ce": {"csf": 0.34, "grey": 0.76, "white": 0.98, EDEMA: 0.68, NECROTIC: 0.40, ENHANCING: 1.45},
    "t2": {"csf": 1.40, "grey": 0.78, "white": 0.56, EDEMA: 1.12, NECROTIC: 1.25, ENHANCING: 0.92},
    "flair": {"csf": 0.22, "grey": 0.74, "white": 0.58, EDEMA: 1.18, NECROTIC: 0.66, ENHANCING: 0.98},
}


@dataclass(frozen=True)
class Tumour:
    """Where a tumour sits and how far its parts reach, as shares of the edema's half axes."""

    centre_mm: Point
    semi_mm: Point
    core: float
    necrosis: float


@dataclass(frozen=True)
class Brain:
    """Tissue shares per voxel, and the tumour's labels."""

    inside: Volume
    tissues: dict[str, Volume]
    tumour: dict[int, Volume]
    labels: UInt8[np.ndarray, "x y z"]


def draw_tumour(rng: np.random.Generator) -> Tumour:
    """A tumour in either hemisphere; some small, some barely enhancing."""
    size = rng.uniform(13, 30)
    side = rng.choice([-1, 1])
    return Tumour(
        centre_mm=(side * rng.uniform(22, 40), rng.uniform(-45, 40), rng.uniform(-5, 28)),
        semi_mm=(size * rng.uniform(0.75, 1.1), size * rng.uniform(0.9, 1.35), size * rng.uniform(0.75, 1.1)),
        core=rng.uniform(0.45, 0.72),
        necrosis=rng.uniform(0.45, 0.9),
    )


def grow_brain(rng: np.random.Generator, grid: Grid, tumour: Tumour) -> Brain:
    """Grey and white matter, fluid, deep nuclei, cerebellum, and the tumour in its place."""
    hull, depth = _depths(grid, rng)
    inside = (hull > 0).astype(float)
    # A sulcus runs where this texture changes its sign, and reaches 12 to 20 mm deep.
    from_sulcus = 8 * np.abs(grid.texture(rng, 14)) + 1.5 * np.clip(depth - 13, 0, None)
    folded = np.minimum(depth, from_sulcus)
    white = np.clip(0.5 + (folded - 4.6) / 3, 0, 1)
    fluid = np.clip(0.5 + (0.9 - folded) / 2.4, 0, 1)
    deep = [soft(grid.outside((s * 17, 2, 4), (10, 17, 11)), 4) for s in (-1, 1)]
    white = white * (1 - 0.85 * np.maximum(*deep))
    fluid = np.maximum(fluid, _ventricles(grid, rng))
    tissues = {"csf": fluid, "white": (1 - fluid) * white, "grey": (1 - fluid) * (1 - white)}
    parts = _tumour_parts(rng, grid, tumour, inside * (1 - 0.6 * fluid))
    return Brain(inside, tissues, parts, _labels(parts))


def _depths(grid: Grid, rng: np.random.Generator) -> tuple[Volume, Volume]:
    """About how many millimetres below the hull, and below the surface that also follows the midline fissure."""
    x, y, z = grid.axes
    wide, long, high = rng.uniform(61, 68), rng.uniform(78, 86), rng.uniform(56, 62)
    halves = -grid.outside((0, 0, 8), (wide, long, high), power=2.25)
    halves = np.minimum(halves, (z + 34 + 0.10 * np.abs(y)) * 0.9)
    split = np.abs(x) + 30 * (np.abs(y) < 36) * (z < 26) + 30 * (z < -8)
    cerebellum = -grid.outside((0, -46, -40), (46, 30, 21))
    stem = -grid.outside((0, -20, -46), (13, 13, 30))
    hull = np.maximum(np.maximum(halves, 0.8 * cerebellum), stem) + 1.2 * grid.texture(rng, 16)
    return hull, np.minimum(hull, split * 1.2 + 0.2)


def _ventricles(grid: Grid, rng: np.random.Generator) -> Volume:
    size = rng.uniform(0.75, 1.3)
    bodies = []
    for side in (-1, 1):
        for start, end, radius in (
            ((side * 12, 30, 10), (side * 7, 4, 20), 5.5),
            ((side * 7, 4, 20), (side * 17, -32, 14), 6.0),
        ):
            distance, _ = grid.from_segment(start, end)
            bodies.append(soft(distance - radius * size, 4))
    distance, _ = grid.from_segment((0, 6, 4), (0, -14, 2))
    both: Volume = np.maximum.reduce([*bodies, soft(distance - 2.5 * size, 4)])
    return both


def _tumour_parts(rng: np.random.Generator, grid: Grid, tumour: Tumour, room: Volume) -> dict[int, Volume]:
    """Shares of edema, enhancing rim and necrosis; each lies within the one before."""
    reach = grid.outside(tumour.centre_mm, tumour.semi_mm) / min(tumour.semi_mm) + 1
    ragged = grid.texture(rng, 18)
    size = min(tumour.semi_mm)
    whole = soft((reach + 0.22 * ragged - 1) * size, 4) * room
    core = soft((reach + 0.10 * ragged - tumour.core) * size, 3) * room
    dead = soft((reach + 0.10 * grid.texture(rng, 10) - tumour.core * tumour.necrosis) * size, 3) * room
    dead = np.minimum(dead, core)
    return {EDEMA: np.maximum(whole - core, 0), ENHANCING: core - dead, NECROTIC: dead}


def _labels(parts: dict[int, Volume]) -> UInt8[np.ndarray, "x y z"]:
    values = np.array([0, *parts], dtype=np.uint8)
    shares = np.stack([1 - sum(parts.values()), *parts.values()])
    labels: np.ndarray = values[shares.argmax(axis=0)]
    return labels


def sequence(brain: Brain, name: str, rng: np.random.Generator) -> Volume:
    """The brain in one MR sequence, without bias field and noise; contrast differs a little from patient to patient."""
    bright = {tissue: value * rng.uniform(0.93, 1.07) for tissue, value in BRIGHTNESS[name].items()}
    image: Volume = sum(
        (share * bright[tissue] for tissue, share in brain.tissues.items()), np.zeros(brain.inside.shape)
    )
    for part, share in brain.tumour.items():
        paint(image, share, bright[part])
    image *= brain.inside
    return image
