"""Is there a face in this scan? Asked before anything is removed, because removal harms a scan that has none."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy
from jaxtyping import Bool, Float, Num

from dpmed.ingest.faces.brain import brain
from dpmed.ingest.faces.cut import was_cut
from dpmed.ingest.faces.grid import PAD, Coarse, coarse
from dpmed.ingest.faces.head import head
from dpmed.ingest.faces.morphology import distance, litres
from dpmed.ingest.faces.pose import pose
from dpmed.ingest.faces.shape import floor_of_head, head_slices, taller
from dpmed.ingest.faces.stripped import is_stripped
from dpmed.ingest.faces.zone import Sides

ATTACHED = 0.08
"""Of a brain's surface: with so much of it under the skin, what was found is more than brain."""
FACE_LITRES = 0.005
"""A nose alone is three times this."""


class FaceState(StrEnum):
    """What a scan shows of a face; the value is what the user reads."""

    FACE = "a head with a face"
    DEFACED = "a head without a face"
    SKULL_STRIPPED = "a brain without its skull"
    THIN_HEAD = "less than 4 cm of a head, says the header: look at it"
    NOT_A_HEAD = "not a head"


@dataclass(frozen=True)
class Look:
    """A scan, looked at: its state and, where a brain was found, what lies around it."""

    state: FaceState
    coarse: Coarse | None = None
    body: Bool[np.ndarray, "x y z"] | None = None
    sides: Sides | None = None


def face_state(voxels: Num[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"], *, modality: str) -> FaceState:
    """Whether a scan shows a face.

    `affine` maps voxel indices to RAS millimetres, in any orientation; `modality` is "CT" or else taken for MR. Where
    there is a head but no certainty about its face, the answer is FACE.

    | case | answer |
    |---|---|
    | a face of which a nose's worth is in the field | FACE |
    | a head in which no brain can be found | FACE |
    | eyes and nose outside the field, or removed | DEFACED |
    | no skin where the face must be, only a cut | DEFACED |
    | the brain alone, its background empty | SKULL_STRIPPED |
    | chest, belly, limb, phantom smaller than a newborn | NOT_A_HEAD |
    | less than four centimetres from top to bottom | no face can be rendered from that, if the header is right: \
THIN_HEAD if there would be a face were the slices further apart, else what there would be |
    | a head whose affine does not give true millimetres | else NOT_A_HEAD where the size is no head's |
    """
    affine = np.asarray(affine, np.float64)
    seen = look(voxels, affine, modality=modality)
    if seen.state is FaceState.NOT_A_HEAD and (stretched := taller(affine, voxels.shape)) is not None:
        state = look(voxels, stretched, modality=modality).state
        return FaceState.THIN_HEAD if state is FaceState.FACE else state
    if seen.state is FaceState.FACE and seen.coarse is not None and seen.body is not None and seen.sides is not None:
        return FaceState.DEFACED if was_cut(voxels, affine, seen.coarse, seen.body, seen.sides) else FaceState.FACE
    return seen.state


def look(voxels: Num[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"], *, modality: str) -> Look:
    """What the anatomy says, and what that rests on. How the surface looks is left out: a cut too shallow is sharp."""
    is_ct = modality.upper().startswith("CT")
    floor_mm = floor_of_head(voxels, affine, is_ct=is_ct)
    grid = None if floor_mm is None else coarse(voxels, affine, floor_mm=floor_mm)
    if grid is None:
        return Look(FaceState.NOT_A_HEAD)
    body = head(grid, is_ct=is_ct)
    levels = head_slices(body, grid.inside)
    if levels is None:
        return Look(FaceState.NOT_A_HEAD)
    box = _around(body, levels)
    grid, body = grid.cut(box), body[box]
    # The field's end is not skin: a slab's brain may reach it.
    depth = distance(body | ~grid.inside)
    if is_stripped(grid, body, depth, is_ct=is_ct):
        return Look(FaceState.SKULL_STRIPPED, grid, body)
    found = brain(grid, body, depth, is_ct=is_ct)
    if found is None or found.bare > ATTACHED:
        return Look(FaceState.FACE, grid, body)
    sides = Sides(found.cells, pose(found.cells, body), depth)
    has_face = litres(sides.face() & body) > FACE_LITRES
    return Look(FaceState.FACE if has_face else FaceState.DEFACED, grid, body, sides)


def _around(body: Bool[np.ndarray, "x y z"], levels: slice) -> tuple[slice, slice, slice]:
    """The head and a rim of background; no rim below, where the shoulders were cut off: a neck is no skin."""
    x, y, _ = (
        slice(max(0, part.start - PAD), part.stop + PAD) for part in scipy.ndimage.find_objects(body.astype(int))[0]
    )
    return x, y, slice(levels.start, levels.stop + PAD)
