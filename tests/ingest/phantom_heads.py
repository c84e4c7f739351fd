"""Heads made by code: skin, skull, brain, eyes, nose and jaw, as CT or MR see them, in any pose and on any grid."""

from dataclasses import dataclass

import numpy as np

MR = {"air": 0, "skin": 170, "bone": 12, "fluid": 35, "brain": 110, "flesh": 120, "hole": 6, "eye": 30}
CT = {"air": -1000, "skin": 20, "bone": 900, "fluid": 10, "brain": 35, "flesh": 50, "hole": -950, "eye": 15}


@dataclass
class Phantom:
    voxels: np.ndarray
    affine: np.ndarray
    brain: np.ndarray
    nose: np.ndarray


def turned(yaw=0.0, nod=0.0, roll=0.0):
    y, n, r = np.radians([yaw, nod, roll])
    about_z = [[np.cos(y), -np.sin(y), 0], [np.sin(y), np.cos(y), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(n), -np.sin(n)], [0, np.sin(n), np.cos(n)]]
    about_y = [[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]]
    return np.array(about_z) @ np.array(about_x) @ np.array(about_y)


def phantom(values, *, spacing=(2.0, 2.0, 2.0), pose=None, low=(-100, -125, -115), high=(100, 125, 105), table=False):
    """A head looking along +y, its brain's middle near the origin, seen in the field from `low` to `high`."""
    axes = [np.arange(a, b, step) for a, b, step in zip(low, high, spacing, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    at = grid if pose is None else grid @ pose
    parts, brain, nose = _anatomy(at)
    voxels = np.full(grid.shape[:3], values["air"], np.float32)
    for name, mask in parts:
        voxels[mask] = values[name]
    if table:
        voxels[(grid[..., 1] < -112) & (grid[..., 1] > -117)] = values["flesh"]
    rng = np.random.default_rng(7)
    voxels += rng.normal(0, 4, voxels.shape).astype(np.float32)
    if values["air"] == 0:
        voxels = np.abs(voxels) * (1 + 0.15 * np.sin(grid[..., 0] / 60) + 0.15 * np.cos(grid[..., 2] / 80))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    return Phantom(voxels.astype(np.int16), affine, brain, nose)


def ball(at, centre, radii):
    return (((at - np.array(centre)) / np.array(radii)) ** 2).sum(axis=-1) < 1


def _anatomy(at):
    x, y, z = np.moveaxis(at, -1, 0)
    base = z > -22 - 0.3 * (y < 0) * np.minimum(-y, 40)
    cerebellum = ball(at, (0, -42, -38), (44, 28, 20))
    brain = (ball(at, (0, 0, 8), (60, 78, 66)) & base) | cerebellum | ball(at, (0, -12, -30), (12, 14, 28))
    inside = (ball(at, (0, 0, 8), (63, 81, 69)) & (z > -25)) | ball(at, (0, -42, -38), (47, 31, 23)) | brain
    bone = (ball(at, (0, 0, 8), (69, 87, 75)) & (z > -33)) | ball(at, (0, -42, -38), (53, 37, 29))
    face = ball(at, (0, 42, -58), (58, 52, 62)) & (z < 10)
    nose = ball(at, (0, 97, -52), (11, 17, 20))
    jaw = ball(at, (0, 58, -100), (42, 38, 18))
    neck = (x / 56) ** 2 + ((y + 25) / 60) ** 2 < 1
    flesh = face | nose | jaw | (neck & (z < -20))
    eyes = ball(np.stack([np.abs(x), y, z], axis=-1), (31, 74, -40), (12, 12, 12))
    sinus = ball(at, (0, 55, -55), (16, 25, 14))
    scalp = ball(at, (0, 0, 8), (76, 94, 82))
    parts = [("flesh", flesh), ("skin", scalp), ("bone", bone), ("flesh", flesh & ~bone & (z < -25))]
    parts += [("hole", sinus), ("eye", eyes), ("fluid", inside), ("brain", brain)]
    return parts, brain, nose
