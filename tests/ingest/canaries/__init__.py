"""DICOM files in which every identifying value is invented, unique and listed, and the search for those that leak."""

from .assembly import CORE, write_canaries
from .chance import random_canaries
from .pairing import paired
from .planting import Canaries
from .references import allowed_days, shifts, unresolved
from .score import Score, score
from .search import Leak, Search, find_leaks

__all__ = [
    "CORE",
    "Canaries",
    "Leak",
    "Score",
    "Search",
    "allowed_days",
    "find_leaks",
    "paired",
    "random_canaries",
    "score",
    "shifts",
    "unresolved",
    "write_canaries",
]
