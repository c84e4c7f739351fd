"""Two pictures of a series that hold the text of all its slices: their mean, and what is new anywhere.

A maximum of what is new would pile the vessels, folds and noise of all slices up around a line that only one has. So
each neighbourhood is shown as one slice has it: the one whose new strokes there are most like a line of letters.
Letters have strokes in every direction; a rim of bone, a fold or a vessel has one.
"""

import numpy as np

from dpmed.ingest.pixels.strokes import Part, Picture, thin_in

LOWEST, HIGHEST, NOISE_SHARE = 0.5, 99.95, 50
"""Percentiles of values that become black and white."""
EVERY = 4
"""Of rows and columns, one in so many tells the range of a frame's values."""
COARSE = 4
"""Pixels of one cell in which directions are counted."""
LEAST_IN_MEAN, LEAST_NEW = 0.002, 0.008
"""Of the range of values: where strokes are less like letters, they are letters of a contrast below a twelfth of it."""
ROOM = 32
"""Pixels around what may be letters, for the detector to see them on their ground."""
BAND = 128
"""Rows looked at together: what is calculated from them stays in the fast memory of a core."""
AROUND, WITH = (15, 3), (5, 3)
"""Cells along and across a line whose strokes are weighed together, a short word of small print; and those that are
shown with its middle: a line that lies on the tissue of its slice is read better than one cut out of it."""


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
    low, high = _ends(values, lowest)
    scale = 255 / max(high - low, 1e-6)
    levels = values * np.float32(scale)
    levels -= np.float32(low * scale)
    np.clip(levels, 0, 255, out=levels)
    picture: Picture = levels.astype(np.uint8)
    return picture


def _ends(values: np.ndarray, lowest: float) -> tuple[float, float]:
    low, high = np.percentile(values[::EVERY, ::EVERY], (lowest, HIGHEST))
    return float(low), float(high)


class Projections:
    """What is kept of the frames of one kind while they go by, in stored units: an empty slice is no louder then."""

    def __init__(self) -> None:
        self.count = 0
        self._total = self._new = self._most = self._before = self._shown = np.zeros(0, np.float32)

    def add(self, frame: np.ndarray, number: int) -> None:
        """Take in the next frame, known by a number; the first is new as a whole."""
        import cv2

        values = _values(frame)
        thin = _unsigned(thin_in(values))
        if not self.count:
            self._total, self._new, self._most = values.astype(np.float32), thin.copy(), _letterness(thin)
            self._shown = np.full(self._most.shape, number, np.int32)
        else:
            self._total += values
            # Smaller than before is not new: unsigned numbers stop at 0 here, floating ones have to be told.
            new = cv2.subtract(thin, self._before)
            new = new if new.dtype.kind == "u" else np.maximum(new, 0)
            here = _letterness(new)
            if (is_more := here > self._most).any():
                cv2.copyTo(thin, _enlarged(is_more, new.shape), self._new)
                np.maximum(self._most, here, out=self._most)
                self._shown[is_more] = number
        self._before = thin
        self.count += 1

    @property
    def mean(self) -> Picture:
        """What stands in most frames."""
        return levels(self._total / self.count, LOWEST)

    @property
    def new(self) -> Picture:
        """White strokes of frames where they have some that the one before has not; half is noise, and left dark."""
        return levels(self._new, NOISE_SHARE)

    @property
    def in_mean(self) -> Part:
        """Where `mean` has anything like letters."""
        mean = self.mean
        return _where(_letterness(np.maximum(thin_in(mean), thin_in(255 - mean))), LEAST_IN_MEAN * 255, mean.shape)

    @property
    def in_new(self) -> Part:
        """Where `new` has anything like letters."""
        low, high = _ends(self._total / self.count, LOWEST)
        return _where(self._most, LEAST_NEW * (high - low), self._new.shape)

    def shown(self, part: Part) -> list[int]:
        """The numbers of the frames that are seen in a part of `new`, those with the most of it first."""
        cells, sides = self._shown.shape, self._new.shape
        inside = tuple(
            slice(span.start * count // side, -(-span.stop * count // side))
            for span, count, side in zip(part, cells, sides, strict=True)
        )
        numbers, counts = np.unique(self._shown[inside], return_counts=True)
        most: list[int] = numbers[np.argsort(-counts, kind="stable")].tolist()
        return most


def _unsigned(thin: np.ndarray) -> np.ndarray:
    """Strokes, which are never negative, in a type that says so, where they are whole numbers."""
    return thin.view(f"u{thin.itemsize}") if thin.dtype.kind == "i" else thin


def _letterness(strokes: np.ndarray) -> np.ndarray:
    """How strong strokes are in the direction in which they are weakest, by cells of a coarse grid.

    The smaller eigenvalue of the structure tensor. Roots make it a matter of how many strokes rather than how bright.
    """
    import cv2

    # A rim for the slopes at the edges: one column at each side, and two rows below.
    rimmed = cv2.copyMakeBorder(strokes, 0, 2, 1, 1, cv2.BORDER_REPLICATE)
    bands = [_products(rimmed[top : top + BAND + 2]) for top in range(0, len(strokes), BAND)]
    first, mixed, last = (cv2.blur(np.concatenate(cells), AROUND) for cells in zip(*bands, strict=True))
    weakest = (first + last) / 2 - cv2.magnitude((first - last) / 2, mixed)
    with_it: np.ndarray = cv2.dilate(weakest, np.ones(WITH[::-1], np.uint8))
    return with_it


def _products(rimmed: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means of products of slopes by cells: along twice, along and down, down twice. Every other row tells enough."""
    import cv2

    roots = cv2.sqrt(rimmed.astype(np.float32))
    along = cv2.subtract(roots[1:-1:2, 2:], roots[1:-1:2, :-2])
    down = cv2.subtract(roots[2::2, 1:-1], roots[:-2:2, 1:-1])
    rows, columns = (max((side - 2) // COARSE, 1) for side in rimmed.shape)
    means = []
    for one, other in ((along, along), (along, down), (down, down)):
        # In two steps, each a mean of two by two or of two, which is quicker than one of any size.
        half = cv2.resize(cv2.multiply(one, other), (max(along.shape[1] // 2, 1), rows), interpolation=cv2.INTER_AREA)
        means.append(cv2.resize(half, (columns, rows), interpolation=cv2.INTER_LINEAR))
    return tuple(means)


def _where(cells: np.ndarray, least: float, shape: tuple[int, ...]) -> Part:
    """The pixels of a picture around the cells that have more: none, if none has."""
    spans = []
    for axis, side in ((1, shape[0]), (0, shape[1])):
        some = np.flatnonzero((cells > least).any(axis))
        if not some.size:
            return np.s_[0:0, 0:0]
        count = cells.shape[1 - axis]
        first, last = some[0] * side // count, -(-(some[-1] + 1) * side // count)
        spans.append(slice(max(int(first) - ROOM, 0), min(int(last) + ROOM, side)))
    return spans[0], spans[1]


def _enlarged(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Cells as a mask of pixels."""
    import cv2

    mask: np.ndarray = cv2.resize(cells.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return mask
