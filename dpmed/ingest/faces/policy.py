"""What is to be done about a face in a scan: hold the scan back, take the face away, or let it be."""

import importlib.util
from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from dpmed.core.errors import ConfigError
from dpmed.ingest.faces.removal import remove_face
from dpmed.ingest.faces.state import FaceState, face_state
from dpmed.ingest.nifti import Volume
from dpmed.ingest.reasons import Reason, Refused

HEADS = frozenset({"ct", "mr", "t1", "t1ce", "t2", "flair"})
REMOVED = "face removed"


class FacePolicy(StrEnum):
    """What `--faces` says."""

    GATE = "gate"
    REMOVE = "remove"
    IGNORE = "ignore"


def require_tools(policy: FacePolicy) -> None:
    """Raise `ConfigError` where faces are to be removed and the extra `deface` is not installed."""
    if policy is FacePolicy.REMOVE and importlib.util.find_spec("SimpleITK") is None:
        raise ConfigError(
            "--faces remove needs the extra `deface`", hint='pip install "dpmed[deface]", or use --faces gate'
        )


def without_faces(volumes: Mapping[str, Volume], policy: FacePolicy) -> tuple[dict[str, Volume], str]:
    """The images of one case, by modality, on one grid; and what was found, in words. Raises `Refused` under the gate.

    A face that one sequence shows is taken out of all: they are of one head.
    """
    if policy is FacePolicy.IGNORE:
        return dict(volumes), "not looked at, as asked"
    found = {name: _state(name, volume) for name, volume in volumes.items() if name in HEADS}
    faces = [name for name, state in found.items() if state is FaceState.FACE]
    if not faces:
        return dict(volumes), next(iter(found.values())).value if found else ""
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
