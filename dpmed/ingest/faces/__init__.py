"""Faces in head scans: seen before anything is removed, and removed without touching the brain."""

from dpmed.ingest.faces.removal import Defaced, remove_face
from dpmed.ingest.faces.state import FaceState, face_state

__all__ = ["Defaced", "FaceState", "face_state", "remove_face"]
