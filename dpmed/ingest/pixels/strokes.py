"""Strokes of letters in a picture: what is thin and stands out, and how far a line of them goes."""

import numpy as np
from jaxtyping import UInt8

Picture = UInt8[np.ndarray, "row column"]
Part = tuple[slice, slice]
"""Rows and columns of a picture."""
AROUND = 25
"""Pixels of a neighbourhood that holds a few letters of small print and the tissue around them."""
NOISE, MIDDLE, SPREAD = 8, 128, 50
"""Grey levels: what counts as flat, and the mean and spread to which every neighbourhood is brought."""
STROKE = 9
"""Pixels: wider structures are no strokes of small letters."""
FAINT_SHARE = 0.25
"""Of a box's strokes, at which a stroke still counts: a line that runs from lung into bone fades."""
SAME_DENSITY = 0.5
"""Of the share of strokes in a box, up to which its neighbourhood is taken for the same line."""


def thin_in(picture: np.ndarray, *, stroke: int = STROKE) -> np.ndarray:
    """The thin bright structures of a picture: its white top-hat (of a negative, the black ones)."""
    import cv2

    thin: np.ndarray = cv2.morphologyEx(picture, cv2.MORPH_TOPHAT, np.ones((stroke, stroke), np.uint8))
    return thin


def resized(picture: Picture, scale: float) -> Picture:
    """A picture made larger or smaller."""
    import cv2

    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    other: Picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)
    return other


def evened(picture: Picture, scale: float) -> Picture:
    """Every neighbourhood brought to the same mean and spread, unless it is flat."""
    import cv2

    values, side = picture.astype(np.float32), round(AROUND * scale) | 1
    mean = cv2.blur(values, (side, side))
    spread = np.sqrt(np.maximum(cv2.blur(values * values, (side, side)) - mean * mean, 0)) + NOISE
    even: Picture = np.clip(MIDDLE + (values - mean) / spread * SPREAD, 0, 255).astype(np.uint8)
    return even


def whole_line(picture: Picture, box: tuple[int, int, int, int], stroke: int) -> tuple[int, int]:
    """The line's ends, wherever strokes as dense as in the box go on: a reader may catch half a name."""
    left, top, right, bottom = box
    strip = picture[top:bottom]
    ways = (thin_in(strip, stroke=stroke), thin_in(255 - strip, stroke=stroke))
    strip = max(ways, key=lambda thin: float(np.percentile(thin[:, left:right], 95)))
    strong = strip >= max(FAINT_SHARE * np.percentile(strip[:, left:right], 95), NOISE)
    density, step = strong[:, left:right].mean(), max(bottom - top, 4)
    while left > 0 and strong[:, max(left - step, 0) : left].mean() >= SAME_DENSITY * density:
        left = max(left - step, 0)
    while right < strip.shape[1] and strong[:, right : right + step].mean() >= SAME_DENSITY * density:
        right = min(right + step, strip.shape[1])
    return left, right
