"""A line of text that was found, and which frames of a series have it: those whose strokes there are the same."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from dpmed.ingest.pixels.strokes import Picture, thin_in
from dpmed.ingest.pixels.text import Box

ALIKE = 0.35
"""Correlation of a frame's strokes with those of a box from which the frame has the text."""
NEXT_TO_BEST = 0.7
"""Of the best correlation, where even that is lower: what was found stands somewhere."""
MOST = 0.5
"""Share of frames with a box from which all are taken to have it: print of a device stands on each."""
GAP = 2
"""Frames between two with the same text that have it too."""

Strokes = Float[np.ndarray, "row column"]


@dataclass(frozen=True, eq=False)
class Template:
    """A box, its strokes as the picture that it was found in shows them, and whether they are white."""

    box: Box
    strokes: Strokes
    is_white: bool
    sighted: dict[int, float] = field(default_factory=dict)
    """Correlation of each frame that was looked at."""

    def frames(self) -> list[int]:
        """The frames with the text: never none; all if most show it, since tissue hides a line here and there."""
        numbers = list(self.sighted)
        least = min(ALIKE, NEXT_TO_BEST * max(self.sighted.values()))
        places = [place for place, number in enumerate(numbers) if self.sighted[number] >= least]
        if len(places) >= MOST * len(numbers):
            return numbers
        wanted = set(places)
        for first, then in pairwise(places):
            if then - first <= GAP + 1:
                wanted.update(range(first, then))
        return [numbers[place] for place in sorted(wanted)]


def template(box: Box, *, white: Picture, black: Picture) -> Template:
    """Of a box in a picture, given the picture's white strokes and its black ones."""
    is_white = bool(np.percentile(white[box.part], 95) >= np.percentile(black[box.part], 95))
    return Template(box, _centred((white if is_white else black)[box.part]), is_white)


def sight(picture: Picture, number: int, templates: list[Template]) -> None:
    """Note how much a frame's strokes are those of each template."""
    kinds = {one.is_white for one in templates}
    thin = {is_white: thin_in(picture if is_white else 255 - picture) for is_white in kinds}
    for one in templates:
        one.sighted[number] = float((_centred(thin[one.is_white][one.box.part]) * one.strokes).sum())


def _centred(strokes: np.ndarray) -> Strokes:
    """Of mean 0 and length 1, so that a product is a correlation."""
    values = strokes.astype(np.float32) - strokes.mean()
    length = float(np.linalg.norm(values))
    centred: Strokes = values / length if length else values
    return centred
