"""Where lines of text stand in a picture: the detector that comes with rapidocr (PP-OCR), run tile by tile.

rapidocr itself is not imported. It takes 0.6 s and 33 MiB with what is not used here (downloads, drawings, settings),
and looks at a picture whole, for which the network needs some 350 bytes a pixel. It runs in OpenCV, in two thirds of
the time that onnxruntime needs. Likely pixels become lines as in Liao et al., Real-time Scene Text Detection with
Differentiable Binarization (2020).
"""

from itertools import pairwise, product
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from dpmed.ingest.pixels.strokes import Picture

Corners = Float[np.ndarray, "corner 2"]
"""Top left, top right, bottom right, bottom left of a line as (column, row)."""
GRID = 32
"""Pixels: the network halves a picture five times."""
TILE_PIXELS, WIDEST, OVERLAP = 640 * 256, 640, 64
"""Of a tile: its area bounds the memory; small print and its surroundings fit twice into what two tiles share."""
LIKELY, LEAST_MEAN = 0.3, 0.5
"""Of a pixel to belong to a line, and of a line's pixels on average."""
THINNEST, GROWN = 3, 1.6
"""Pixels; and how much of area over length a line is grown by, since the network marks its core."""
MOST = 1000
"""Lines of one picture."""


class Detector:
    """Finds lines of text, of whatever script. `model` is the network's file."""

    def __init__(self, model: Path) -> None:
        # Work is shared out by processes; threads within would get in each other's way.
        cv2.setNumThreads(1)
        self._network = cv2.dnn.readNetFromONNX(str(model))

    def lines(self, picture: Picture) -> list[Corners]:
        """The corners of each line, which may be slanted."""
        likely = self._likely(picture)
        mask = cv2.dilate((likely > LIKELY).astype(np.uint8), np.ones((2, 2), np.uint8))
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        found = (_line(contour, likely) for contour in contours[:MOST])
        return [corners for corners in found if corners is not None]

    def _likely(self, picture: Picture) -> Float[np.ndarray, "row column"]:
        """How likely each pixel belongs to a line. Of what two tiles share, each gives the half that is farther in."""
        rows, columns = picture.shape
        padded = cv2.copyMakeBorder(picture, 0, -rows % GRID, 0, -columns % GRID, cv2.BORDER_REPLICATE)
        wide, across = _tiles(padded.shape[1], WIDEST)
        high, down = _tiles(padded.shape[0], TILE_PIXELS // wide)
        likely = np.empty(padded.shape, np.float32)
        for (top, upper, lower), (left, first, last) in product(down, across):
            tile = self._run(padded[top : top + high, left : left + wide])
            likely[upper:lower, first:last] = tile[upper - top : lower - top, first - left : last - left]
        return likely[:rows, :columns]

    def _run(self, tile: Picture) -> Float[np.ndarray, "row column"]:
        self._network.setInput(as_input(tile))
        out: Float[np.ndarray, "row column"] = self._network.forward()[0, 0]
        return out


def as_input(picture: Picture) -> Float[np.ndarray, "1 3 row column"]:
    """Three equal colours from -1 to 1, as both networks want them."""
    return np.broadcast_to(picture * np.float32(2 / 255) - 1, (1, 3, *picture.shape)).copy()


def _tiles(length: int, most: int) -> tuple[int, list[tuple[int, int, int]]]:
    """Tiles of at most `most` pixels along a side: their size; where each begins, and from where to where it counts."""
    count = 1 if length <= most else -(-(length - OVERLAP) // (most - OVERLAP))
    size = -(-(length + (count - 1) * OVERLAP) // count // GRID) * GRID
    starts = [number * (length - size) // max(count - 1, 1) // GRID * GRID for number in range(count)]
    cuts = [0, *((then + first + size) // 2 for first, then in pairwise(starts)), length]
    return size, list(zip(starts, cuts[:-1], cuts[1:], strict=True))


def _line(contour: np.ndarray, likely: np.ndarray) -> Corners | None:
    """The corners around pixels that hang together; None where they are too few or too unlikely."""
    middle, size, angle = cv2.minAreaRect(contour)
    if min(size) < THINNEST or _mean_inside(cv2.boxPoints((middle, size, angle)), likely) < LEAST_MEAN:
        return None
    margin = GROWN * size[0] * size[1] / (size[0] + size[1])
    points = cv2.boxPoints((middle, (size[0] + margin, size[1] + margin), angle))
    points = np.clip(np.round(points), 0, np.array(likely.shape[::-1]) - 1)
    order = np.argsort(points[:, 0], kind="stable")
    left, right = (side[np.argsort(side[:, 1], kind="stable")] for side in (points[order[:2]], points[order[2:]]))
    corners: Corners = np.array([left[0], right[0], right[1], left[1]], np.float32)
    sides = np.linalg.norm(corners[0] - corners[1]), np.linalg.norm(corners[0] - corners[3])
    return corners if min(sides) > THINNEST else None


def _mean_inside(points: np.ndarray, likely: np.ndarray) -> float:
    top_left = np.maximum(np.floor(points.min(0)), 0).astype(int)
    end = np.ceil(points.max(0)).astype(int) + 1
    part = likely[top_left[1] : end[1], top_left[0] : end[0]]
    inside = cv2.fillPoly(np.zeros(part.shape, np.uint8), [(points - top_left).astype(np.int32)], 1)
    return float(cv2.mean(part, inside)[0])
