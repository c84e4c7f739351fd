"""DICOM files in which every identifying value is invented, unique and listed, and the search for those that leak."""

from .assembly import write_canaries
from .planting import Canaries, Instance, Planted

__all__ = ["Canaries", "Instance", "Planted", "write_canaries"]
