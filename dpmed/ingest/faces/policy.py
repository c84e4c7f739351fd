"""What is to be done about a face in a scan: hold the scan back, take the face away, or let it be."""

from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from dpmed.ingest.faces.removal import remove_face
from dpmed.ingest.faces.state import FaceState, face_state
from dpmed.ingest.nifti import Volume
from dpmed.ingest.reasons import Reason, Refused

HEADS = frozenset({"ct", "mr", "t1", "t1ce", "t2", "flair"})
REMOVED = "face removed"
DECLARED = "a face cleaned before, says the header"
NOT_LOOKED_AT = "not looked at, as asked"


class FacePolicy(StrEnum):
    """What `--faces` says."""

    GATE = "gate"
    REMOVE = "remove"
    IGNORE = "ignore"


def without_faces(
    volumes: Mapping[str, Volume], policy: FacePolicy, *, is_declared: bool = False
) -> tuple[dict[str, Volume], str]:
    """The images of one case, by modality, on one grid; and what was found, in words. Raises `Refused` under the gate.

    A face that one sequence shows is taken out of all: they are of one head. `is_declared`: the headers say that the
    face was cleaned before; a face is then one that nobody has, put there by re-facing software.
    """
    if policy is FacePolicy.IGNORE:
        return dict(volumes), NOT_LOOKED_AT
    found = {name: _state(name, volume) for name, volume in volumes.items() if name in HEADS}
    faces = [name for name, state in found.items() if state is FaceState.FACE]
    if not faces:
        return dict(volumes), next(iter(found.values())).value if found else ""
    if is_declared:
        return dict(volumes), DECLARED
    if policy is FacePolicy.GATE:
        raise Refused(Reason.FACE)
    cleaned = dict(volumes)
    for name in faces:
        kind = "CT" if name == "ct" else "MR"
        defaced = remove_face(cleaned[name].voxels, cleaned[name].affine, modality=kind)
        for other, volume in cleaned.items():
            voxels = defaced.voxels if other == name else _emptied(volume.voxels, defaced.removed)
            cleaned[other] = Volume(voxels, volume.affine)
    return cleaned, REMOVED


def _state(name: str, volume: Volume) -> FaceState:
    return face_state(volume.voxels, volume.affine, modality="CT" if name == "ct" else "MR")


def _emptied(voxels: np.ndarray, where: np.ndarray) -> np.ndarray:
    emptied = voxels.copy()
    emptied[where] = voxels.min()
    return emptied
