"""Boxes of a frame made black: every other pixel stays as it is, to the bit."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dpmed.ingest.pixels.text import Box


@dataclass(frozen=True)
class Black:
    """What is black in a photometric interpretation (PS3.3 C.7.6.3.1.2)."""

    photometric: str = "MONOCHROME2"

    def of(self, frame: np.ndarray) -> np.ndarray:
        """The darkest that a frame holds; its brightest value where low ones are bright; no light and no colour."""
        if self.photometric.startswith("YBR") and frame.ndim == 3:
            middle = 1 << (8 * frame.dtype.itemsize - 1)
            return np.array([0] * (frame.shape[-1] - 2) + [middle, middle], frame.dtype)
        return np.asarray(frame.max() if self.photometric == "MONOCHROME1" else frame.min())


def fill(frame: np.ndarray, boxes: Iterable[Box], *, black: Black = Black()) -> np.ndarray:
    """A copy of a frame, [row, column] or [row, column, colour], with the boxes black."""
    filled = frame.copy()
    blank = black.of(frame)
    for box in boxes:
        filled[max(box.top, 0) : box.bottom, max(box.left, 0) : box.right] = blank
    return filled
