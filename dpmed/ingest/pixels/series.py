"""Text in a series: its projections first, which hold the text of all slices at once, then the slices concerned."""

from collections.abc import Callable, Iterator

import numpy as np

from dpmed.ingest.pixels.text import BRIGHT, Box, Picture, TextFinder, thin_in

Frames = Callable[[], Iterator[np.ndarray]]
"""Gives the frames anew each time: stored values, [row, column] or [row, column, colour]."""
SHARE = 0.7
"""Of the strength of the projection's strokes that a slice must show in a box to be concerned."""
NATIVE = 9
"""Pixels of a stroke at a picture's own size."""
MOST_ALONE = 4
"""Frames up to which each is looked at by itself: a projection of so few saves little and hides some."""


def search(frames: Frames, finder: TextFinder) -> dict[int, tuple[Box, ...]]:
    """The boxes of text of each frame that has any, by its number. Holds one frame and two projections at a time."""
    bright, dark, count = _projections(frames())
    if bright is None or dark is None:
        return {}
    if count <= MOST_ALONE:
        looked = ((number, finder.find(grey(frame))) for number, frame in enumerate(frames()))
        return {number: boxes for number, boxes in looked if boxes}
    candidates = finder.find(_levels(bright))
    if np.median(_levels(dark)) > BRIGHT:  # letters blacker than all tissue are lost in the other projection
        candidates += finder.find(_levels(dark))
    return _concerned(frames(), candidates, _levels(bright), 255 - _levels(dark)) if candidates else {}


def grey(frame: np.ndarray) -> Picture:
    """Stored values as 8 bits over their whole range."""
    return _levels(_flat(frame))


def _projections(frames: Iterator[np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None, int]:
    bright = dark = None
    count = 0
    for frame in frames:
        flat = _flat(frame)
        if bright is None or dark is None:
            bright, dark = flat.copy(), flat.copy()
        elif flat.shape == bright.shape:
            np.maximum(bright, flat, out=bright)
            np.minimum(dark, flat, out=dark)
        count += 1
    return bright, dark, count


def _concerned(
    frames: Iterator[np.ndarray], boxes: tuple[Box, ...], bright: Picture, dark: Picture
) -> dict[int, tuple[Box, ...]]:
    """Which frames show the strokes of which box; a box has white letters or black ones, whichever are stronger."""
    white, black = thin_in(bright, stroke=NATIVE), thin_in(dark, stroke=NATIVE)
    is_white = {box: _strength(white[_place(box)]) >= _strength(black[_place(box)]) for box in boxes}
    projected = {box: (white if is_white[box] else black)[_place(box)] for box in boxes}
    found: dict[int, tuple[Box, ...]] = {}
    for number, frame in enumerate(frames):
        picture = grey(frame)
        if picture.shape != bright.shape:
            continue
        thin = {True: thin_in(picture, stroke=NATIVE), False: thin_in(255 - picture, stroke=NATIVE)}
        shown = tuple(box for box in boxes if _shows(thin[is_white[box]][_place(box)], projected[box]))
        if shown:
            found[number] = shown
    return found


def _place(box: Box) -> tuple[slice, slice]:
    return np.s_[box.top : box.bottom, box.left : box.right]


def _strength(thin: np.ndarray) -> float:
    return float(np.percentile(thin, 95))


def _shows(thin: np.ndarray, projected: np.ndarray) -> bool:
    strong = projected >= np.percentile(projected, 90)
    return bool(thin[strong].mean() >= SHARE * projected[strong].mean())


def _flat(frame: np.ndarray) -> np.ndarray:
    """One value a pixel: of colours the brightest, since text may have any."""
    return frame.max(axis=-1) if frame.ndim == 3 else frame


def _levels(values: np.ndarray) -> Picture:
    """8 bits. Text lies at an end of the range, so the ends are kept; a few outliers may not darken all the rest."""
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.95)))
    scaled = (values.astype(np.float32) - low) * (255 / max(high - low, 1))
    levels: Picture = np.clip(scaled, 0, 255).astype(np.uint8)
    return levels
