"""Text in a series: two pictures that hold the text of all slices first, then the slices concerned.

Anatomy changes from slice to slice, and letters do not. So the mean of all slices shows what stands in most of them on
a smooth ground, and what is new in a slice against the one before shows what begins anywhere.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dpmed.ingest.pixels.projections import NOISE_SHARE, Projections, grey, levels
from dpmed.ingest.pixels.strokes import Picture, thin_in
from dpmed.ingest.pixels.text import LONG_SIDE, Box, Look, TextFinder

Frames = Callable[[], Iterator[np.ndarray]]
"""Gives the frames anew each time: stored values, [row, column] or [row, column, colour]."""
ALIKE = 0.35
"""Correlation of a slice's strokes with those of a box from which the slice has the text."""
NEXT_TO_BEST = 0.7
"""Of the best correlation, where even that is lower: what was found stands somewhere."""
MOST = 0.5
"""Share of slices with a box from which all are taken to have it: print of a device stands on each."""
GAP = 2
"""Slices between two with the same text that have it too."""
FINE, LEAST_FINE, FINE_ENOUGH = 1.5, 384, 640
"""Scale and least side of the strokes of a picture by itself; on larger pictures no more than `FINE_ENOUGH` needs."""
LARGE, WHOLE, LEAST_WHOLE = 1.25, 0.8, 384
"""Scale that small print needs at the least; scale and least side of the whole, for large letters and print on bars."""
SMOOTH, ROUGH = 512, 640
"""Pixels of the longer side: enough for small letters on a smooth ground, and for those that are new in a frame."""
MOST_ALONE = 4
"""Frames of one kind up to which each is looked at by itself: pictures of so few save little and hide some."""


def search(frames: Frames, finder: TextFinder) -> dict[int, tuple[Box, ...]]:
    """The boxes of text of each frame that has any, by its number. Holds few frames at a time, whatever their number.

    Frames of one size and type are looked at together; others are never taken for parts of the same picture.
    """
    sums: dict[Hashable, Projections] = {}
    for frame in frames():
        sums.setdefault(_kind(frame), Projections()).add(frame)
    found = {kind: _templates(one, finder) for kind, one in sums.items() if one.count > MOST_ALONE}
    alone = {kind for kind, one in sums.items() if one.count <= MOST_ALONE}
    shown: dict[int, tuple[Box, ...]] = {}
    sightings: dict[_Template, dict[int, float]] = {one: {} for templates in found.values() for one in templates}
    for number, frame in enumerate(frames() if alone or sightings else ()):
        kind = _kind(frame)
        if kind in alone:
            shown[number] = _alone(grey(frame), finder)
        elif found[kind]:
            _sight(grey(frame), number, found[kind], sightings)
    for template, sighted in sightings.items():
        for number in _shown(sighted):
            shown[number] = (*shown.get(number, ()), template.box)
    return {number: boxes for number, boxes in sorted(shown.items()) if boxes}


@dataclass(frozen=True, eq=False)
class _Template:
    """A box, its strokes as the picture that it was found in shows them, and whether they are white."""

    box: Box
    strokes: np.ndarray
    is_white: bool


def _kind(frame: np.ndarray) -> Hashable:
    return frame.shape, frame.dtype


def _templates(sums: Projections, finder: TextFinder) -> list[_Template]:
    mean = sums.mean
    white, black = thin_in(mean), thin_in(255 - mean)
    in_mean, in_new = finder.find_all((Look(mean, SMOOTH), Look(sums.new, ROUGH)))
    templates = []
    for box in in_mean:
        place = _place(box)
        is_white = np.percentile(white[place], 95) >= np.percentile(black[place], 95)
        templates.append(_Template(box, _centred((white if is_white else black)[place]), bool(is_white)))
    new = sums.new
    return templates + [_Template(box, _centred(new[_place(box)]), True) for box in in_new]


def _alone(picture: Picture, finder: TextFinder) -> tuple[Box, ...]:
    """A picture by itself: its white strokes, its black ones, and the whole for letters too large to be strokes.

    Of small print on tissue the picture itself, at twice the size, hid a fifth; its strokes hid none of it.
    """
    longest = max(picture.shape)
    fine = min(max(LEAST_FINE, round(FINE * longest)), max(FINE_ENOUGH, round(LARGE * longest)), LONG_SIDE)
    looks = [Look(picture, min(max(LEAST_WHOLE, round(WHOLE * longest)), LONG_SIDE))]
    for strokes in (thin_in(picture), thin_in(255 - picture)):
        looks.append(Look(levels(strokes, NOISE_SHARE), fine, is_even=True))
    return sum(finder.find_all(looks), ())


def _sight(
    picture: Picture, number: int, templates: list[_Template], sightings: dict[_Template, dict[int, float]]
) -> None:
    """Note how much the frame's strokes are those of each template."""
    thin = {is_white: thin_in(picture if is_white else 255 - picture) for is_white in {t.is_white for t in templates}}
    for template in templates:
        strokes = _centred(thin[template.is_white][_place(template.box)])
        sightings[template][number] = float((strokes * template.strokes).sum())


def _shown(sighted: dict[int, float]) -> list[int]:
    """The frames with the text of a box: never none; all if most show it, since tissue hides a line here and there."""
    numbers = list(sighted)
    least = min(ALIKE, NEXT_TO_BEST * max(sighted.values()))
    places = [place for place, number in enumerate(numbers) if sighted[number] >= least]
    if len(places) >= MOST * len(numbers):
        return numbers
    wanted = set(places)
    for first, then in pairwise(places):
        if then - first <= GAP + 1:
            wanted.update(range(first, then))
    return [numbers[place] for place in sorted(wanted)]


def _place(box: Box) -> tuple[slice, slice]:
    return np.s_[box.top : box.bottom, box.left : box.right]


def _centred(strokes: np.ndarray) -> np.ndarray:
    """Of mean 0 and length 1, so that a product is a correlation."""
    values = strokes.astype(np.float32) - strokes.mean()
    length = float(np.linalg.norm(values))
    centred: np.ndarray = values / length if length else values
    return centred
