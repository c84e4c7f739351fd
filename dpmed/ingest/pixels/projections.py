"""Two pictures of a series that hold the text of all its slices: their mean, and what is new anywhere.

A maximum of what is new would pile the vessels, folds and noise of all slices up around a line that only one has. So
each neighbourhood is shown as one slice has it: the one whose new strokes there are most like letters. Letters have
strokes in every direction; a rim of bone, a fold or a vessel has one.
"""

import numpy as np

from dpmed.ingest.pixels.text import Picture, thin_in

LOWEST, HIGHEST, NOISE_SHARE = 0.5, 99.95, 50
"""Percentiles of values that become black and white."""
EVERY = 4
"""Of rows and columns, one in so many tells the range of a frame's values."""
COARSE = 4
"""Pixels of one cell in which directions are counted."""
BAND = 64
"""Rows looked at together: what is calculated from them stays in the fast memory of a core."""
AROUND = (7, 3)
"""Cells along and across a line whose strokes are weighed together: a few letters of small print."""


def grey(frame: np.ndarray) -> Picture:
    """Stored values as 8 bits over their whole range; of colours, how light they are."""
    return levels(_values(frame), LOWEST)


LIGHT = np.array((0.299, 0.587, 0.114), np.float32)
"""Of red, green and blue in what is seen as light (ITU-R BT.601); colours that differ in nothing else are not seen."""
MORPHED = frozenset("BHhf")
"""Types of values that OpenCV looks for strokes in."""


def _values(frame: np.ndarray) -> np.ndarray:
    """One value a pixel, in a type to calculate in."""
    values = frame @ LIGHT if frame.ndim == 3 else frame
    is_known = values.dtype.char in MORPHED and values.dtype.isnative
    return values if is_known else values.astype(np.float32)


def levels(values: np.ndarray, lowest: float) -> Picture:
    """8 bits. Text lies at an end of the range, so the ends are kept; a few outliers may not darken all the rest."""
    low, high = (float(value) for value in np.percentile(values[::EVERY, ::EVERY], (lowest, HIGHEST)))
    scale = 255 / max(high - low, 1e-6)
    levels = values * np.float32(scale)
    levels -= np.float32(low * scale)
    np.clip(levels, 0, 255, out=levels)
    picture: Picture = levels.astype(np.uint8)
    return picture


class Projections:
    """What is kept of the frames of one kind while they go by, in stored units: an empty slice is no louder then."""

    def __init__(self) -> None:
        self.count = 0
        self._total = self._new = self._most = self._before = np.zeros(0, np.float32)

    def add(self, frame: np.ndarray) -> None:
        """Take in the next frame; the first is new as a whole."""
        import cv2

        values = _values(frame)
        thin = thin_in(values)
        if not self.count:
            self._total, self._new = values.astype(np.float32), thin.astype(np.float32)
            self._most = _letterness(self._new)
        else:
            self._total += values
            # Smaller than before is not new; what may be negative otherwise would wrap round where there is no sign.
            new = (np.maximum(thin, self._before) - self._before).astype(np.float32)
            here = _letterness(new)
            cv2.copyTo(new, _enlarged(here > self._most, new.shape), self._new)
            np.maximum(self._most, here, out=self._most)
        self._before = thin
        self.count += 1

    @property
    def mean(self) -> Picture:
        """What stands in most frames."""
        return levels(self._total / self.count, LOWEST)

    @property
    def new(self) -> Picture:
        """White strokes that a frame has and the one before has not; half of it is noise, which is left dark."""
        return levels(self._new, NOISE_SHARE)


def _letterness(strokes: np.ndarray) -> np.ndarray:
    """How strong strokes are in the direction in which they are weakest, by cells of a coarse grid.

    The smaller eigenvalue of the structure tensor. Roots make it a matter of how many strokes rather than how bright.
    """
    import cv2

    bands = [_products(strokes[top : top + BAND]) for top in range(0, len(strokes), BAND)]
    first, mixed, last = (cv2.blur(np.concatenate(cells), AROUND) for cells in zip(*bands, strict=True))
    weakest: np.ndarray = (first + last) / 2 - np.hypot((first - last) / 2, mixed)
    return weakest


def _products(strokes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means of products of slopes by cells: along twice, along and down, down twice."""
    import cv2

    roots = cv2.sqrt(strokes)
    along, down = (cv2.Sobel(roots, cv2.CV_32F, *way, ksize=1) for way in ((1, 0), (0, 1)))
    size = tuple(max(side // COARSE, 1) for side in strokes.shape[::-1])
    return tuple(
        cv2.resize(cv2.multiply(one, other), size, interpolation=cv2.INTER_AREA)
        for one, other in ((along, along), (along, down), (down, down))
    )


def _enlarged(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Cells as a mask of pixels."""
    import cv2

    mask: np.ndarray = cv2.resize(cells.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return mask
