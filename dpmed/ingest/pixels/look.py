"""A picture, or a part of it, that is to be looked at for text, and in which size."""

from dataclasses import dataclass

from dpmed.ingest.pixels.strokes import Part, Picture, resized

LONG_SIDE, LEAST_SCALE, MOST_SCALE = 1280, 0.5, 2.5
"""Pixels to which a picture is brought, within bounds: small letters need the size."""
LOWEST_LETTERS, SHORTEST_LINE = 6, 12
"""Pixels: in a smaller picture three letters cannot be read by anybody."""
MOST_SIDE = 4096
"""Pixels: no picture is larger when it is looked at."""


@dataclass(frozen=True)
class Look:
    """A picture to be looked at: a smaller `long_side` is quicker, and enough where the background is smooth.

    `is_even`: it is black already, and its contrast needs no evening out. `part`: nothing is outside of it.
    """

    picture: Picture
    long_side: int = LONG_SIDE
    is_even: bool = False
    part: Part | None = None

    @property
    def longest(self) -> int:
        """Pixels of the longer side of the whole picture, whichever part of it is looked at."""
        return int(max(self.picture.shape))

    @property
    def scale(self) -> float:
        """How much it is enlarged."""
        return min(max(self.long_side / self.longest, LEAST_SCALE), MOST_SCALE, MOST_SIDE / self.longest)

    @property
    def is_too_small(self) -> bool:
        """Whether nothing can be read in it."""
        rows, columns = (self.picture[self.part] if self.part else self.picture).shape
        return bool(rows < LOWEST_LETTERS or columns < SHORTEST_LINE)

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column in the picture at which the part begins."""
        return (self.part[0].start, self.part[1].start) if self.part else (0, 0)

    def enlarged(self) -> Picture:
        """What is looked at, in the size in which it is."""
        return resized(self.picture[self.part] if self.part else self.picture, self.scale)
