"""Text in a series: two pictures that hold the text of all slices first, then the slices concerned.

Anatomy changes from slice to slice, and letters do not. So the mean of all slices shows what stands in most of them on
a smooth ground, and what is new in a slice against the one before shows what begins anywhere. Of a line that only one
slice has, others can cover a part there; so the slices that show the line are looked at themselves, around it.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import chain

import numpy as np

from dpmed.ingest.memory import keep
from dpmed.ingest.pixels.look import LONG_SIDE, Look
from dpmed.ingest.pixels.projections import NOISE_SHARE, Projections, grey, levels
from dpmed.ingest.pixels.strokes import Part, Picture, thin_in
from dpmed.ingest.pixels.templates import Template, sight, template
from dpmed.ingest.pixels.text import Box, TextFinder

Frames = Callable[[], Iterator[np.ndarray]]
"""Gives the frames anew each time: stored values, [row, column] or [row, column, colour]."""
FINE, LEAST_FINE, FINE_ENOUGH = 1.5, 384, 640
"""Scale and least side of the strokes of a picture by itself; on larger pictures no more than `FINE_ENOUGH` needs."""
LARGE, WHOLE, LEAST_WHOLE = 1.25, 0.8, 384
"""Scale that small print needs at the least; scale and least side of the whole, for large letters and print on bars."""
SMOOTH, ROUGH = 512, 640
"""Pixels of the longer side: enough for small letters on a smooth ground, and for those that are new in a frame."""
MOST_ALONE = 4
"""Frames of one kind up to which each is looked at by itself: pictures of so few save little and hide some."""
OWNERS = 3
"""Frames that are looked at themselves around a line."""
AROUND = 24
"""Pixels above and below a line that belong to its surroundings at the least; else its own height."""


def search(frames: Frames, finder: TextFinder) -> dict[int, tuple[Box, ...]]:
    """The boxes of text of each frame that has any, by its number. Holds few frames at a time, whatever their number.

    Frames of one size and type are looked at together; others are never taken for parts of the same picture.
    """
    keep()
    sums: dict[Hashable, Projections] = defaultdict(Projections)
    for number, frame in enumerate(frames()):
        sums[_kind(frame)].add(frame, number)
    looked = {kind: _Looked(one, finder) for kind, one in sums.items() if one.count > MOST_ALONE}
    shown: dict[int, list[Box]] = defaultdict(list)
    is_any = len(looked) < len(sums) or any(one.closer for one in looked.values())
    for number, frame in enumerate(frames() if is_any else ()):
        if (one := looked.get(_kind(frame))) is None:
            shown[number] += _alone(grey(frame), finder)
        elif number in one.closer:
            one.look_closer(grey(frame), number, finder)
    templates = {kind: one.templates() for kind, one in looked.items()}
    for number, frame in enumerate(frames() if any(templates.values()) else ()):
        if some := templates.get(_kind(frame)):
            sight(grey(frame), number, some)
    for line in chain.from_iterable(templates.values()):
        for number in line.frames():
            shown[number].append(line.box)
    return {number: tuple(boxes) for number, boxes in sorted(shown.items()) if boxes}


class _Looked:
    """The lines of one kind of frames, as its two pictures show them and the frames that are looked at closer."""

    def __init__(self, sums: Projections, finder: TextFinder) -> None:
        mean, new = sums.mean, sums.new
        looks = (Look(mean, SMOOTH, part=sums.in_mean), Look(new, ROUGH, part=sums.in_new))
        in_mean, in_new = finder.find_all(looks)
        white, black = thin_in(mean), thin_in(255 - mean)
        self._templates = [template(box, white=white, black=black) for box in in_mean]
        self._new = {box: template(box, white=new, black=np.zeros_like(new)) for box in in_new}
        self.closer: dict[int, list[Box]] = defaultdict(list)
        """Of a frame by its number, the lines around which it is looked at."""
        for box in in_new:
            for number in sums.shown(box.part)[:OWNERS]:
                self.closer[number].append(box)

    def look_closer(self, picture: Picture, number: int, finder: TextFinder) -> None:
        """Take the lines that a frame itself shows for those of `new` that they overlap with."""
        white, black = thin_in(picture), thin_in(255 - picture)
        for part, lines in _strips(self.closer[number], picture.shape):
            found = _alone(picture, finder, part)
            self._templates += [template(box, white=white, black=black) for box in found]
            for line in lines:
                if any(line.overlaps(box) for box in found):
                    self._new.pop(line, None)

    def templates(self) -> list[Template]:
        """All lines, each once or more."""
        return [*self._templates, *self._new.values()]


def _strips(lines: Sequence[Box], shape: tuple[int, int]) -> list[tuple[Part, list[Box]]]:
    """Rows of a picture around lines; those that touch are one."""
    strips: list[tuple[int, int, list[Box]]] = []
    for line in sorted(lines, key=lambda line: line.top):
        around = max(AROUND, line.bottom - line.top)
        top, bottom = max(line.top - around, 0), min(line.bottom + around, shape[0])
        if strips and top <= strips[-1][1]:
            top, end, some = strips.pop()
            strips.append((top, max(end, bottom), [*some, line]))
        else:
            strips.append((top, bottom, [line]))
    return [(np.s_[top:bottom, 0 : shape[1]], some) for top, bottom, some in strips]


def _kind(frame: np.ndarray) -> Hashable:
    return frame.shape, frame.dtype


def _alone(picture: Picture, finder: TextFinder, part: Part | None = None) -> tuple[Box, ...]:
    """A picture by itself: its white strokes, its black ones, and the whole for letters too large to be strokes.

    Of small print on tissue the picture itself, at twice the size, hid a fifth; its strokes hid none of it.
    """
    longest = max(picture.shape)
    fine = min(max(LEAST_FINE, round(FINE * longest)), max(FINE_ENOUGH, round(LARGE * longest)), LONG_SIDE)
    looks = [Look(picture, min(max(LEAST_WHOLE, round(WHOLE * longest)), LONG_SIDE), part=part)]
    for strokes in (thin_in(picture), thin_in(255 - picture)):
        looks.append(Look(levels(strokes, NOISE_SHARE), fine, is_even=True, part=part))
    return sum(finder.find_all(looks), ())
