"""Finding lines of text in one picture, with the networks that come with rapidocr (PP-OCR; nothing is downloaded).

What helped most on tissue was to look at the enlarged picture with its contrast evened out: letters of either colour
stand out as much on bone as in air.
"""

import importlib.util
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dpmed.core.errors import ConfigError
from dpmed.ingest.memory import give_back, giving_back
from dpmed.ingest.pixels.strokes import STROKE, Picture, evened, resized, whole_line

if TYPE_CHECKING:
    from dpmed.ingest.pixels.letters import Recogniser
    from dpmed.ingest.pixels.lines import Detector

LONG_SIDE, LEAST_SCALE, MOST_SCALE = 1280, 0.5, 2.5
"""Pixels to which a picture is brought, within bounds: small letters need the size."""
LOWEST_LETTERS, SHORTEST_LINE = 6, 12
"""Pixels: in a smaller picture three letters cannot be read by anybody."""
MOST_SIDE = 4096
"""Pixels: no picture is larger when it is looked at."""
LEAST_SCORE, LEAST_CHARACTERS = 0.5, 3
THICKEST, SURELY_A_LINE = 0.2, 32
"""Of the longer side of a picture: what is thicker is no line of print, unless the picture is of a few letters."""
MARKS = frozenset(
    {"L", "R", "A", "P", "H", "F", "S", "I", "LT", "RT", "LEFT", "RIGHT", "AP", "PA", "LAT", "SUP", "PRONE", "SUPINE"}
    | {"ERECT", "UPRIGHT", "PORTABLE", "CC", "MLO", "LCC", "RCC", "LMLO", "RMLO", "LL", "RL", "LAO", "RAO", "OBL"}
    | {
        "CM",
        "MM",
        "KV",
        "KVP",
        "MA",
        "MAS",
        "WL",
        "WW",
        "SE",
        "IM",
        "INSP",
        "EXP",
        "STANDING",
        "SITTING",
        "HEAD",
        "FEET",
    }
)
"""Marks of side, view and scale: they say how a picture lies, not whose it is."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels, half open; `text` is what was read there and stays in memory."""

    left: int
    top: int
    right: int
    bottom: int
    score: float = 1.0
    text: str = field(default="", repr=False)

    def grown(self, shape: tuple[int, int]) -> "Box":
        """With a margin for strokes that stick out, inside a picture of `shape` (rows, columns)."""
        margin = 2 + (self.bottom - self.top) // 5
        return Box(
            max(self.left - margin, 0),
            max(self.top - margin, 0),
            min(self.right + margin, shape[1]),
            min(self.bottom + margin, shape[0]),
            self.score,
            self.text,
        )


def is_installed() -> bool:
    """Whether the extra `ocr` is there."""
    return importlib.util.find_spec("rapidocr") is not None and importlib.util.find_spec("onnxruntime") is not None


@dataclass(frozen=True)
class Look:
    """A picture to be looked at: a smaller `long_side` is quicker, and enough where the background is smooth.

    `is_even`: it is black already, and its contrast needs no evening out.
    """

    picture: Picture
    long_side: int = LONG_SIDE
    is_even: bool = False

    @property
    def scale(self) -> float:
        """How much it is enlarged."""
        longest = int(max(self.picture.shape))
        return min(max(self.long_side / longest, LEAST_SCALE), MOST_SCALE, MOST_SIDE / longest)


@dataclass(frozen=True)
class _Seen:
    """What may be lines in `version`, the enlarged picture `larger` or one with its contrast evened out."""

    version: Picture
    larger: Picture
    lines: tuple[np.ndarray, ...]


class TextFinder:
    """Finds and reads lines. One network at a time is in memory, loaded in the process that needs it."""

    def find(self, picture: Picture, *, long_side: int = LONG_SIDE, is_even: bool = False) -> tuple[Box, ...]:
        """Lines of at least three letters or digits, white or black, marks left out, in pixels of `picture`."""
        return self.find_all((Look(picture, long_side, is_even),))[0]

    def find_all(self, looks: Sequence[Look]) -> list[tuple[Box, ...]]:
        """The same for several pictures: what may be lines is looked for in all before any is read."""
        seen = [self._seen(look) for look in looks]
        if not any(seen):
            return [()] * len(seen)
        self.rest()
        with giving_back():
            return [self._read(look, some) for look, some in zip(looks, seen, strict=True)]

    def rest(self) -> None:
        """Give the memory of the networks back until the next picture; loading them anew takes 0.1 s."""
        self.__dict__.clear()
        give_back()

    def _seen(self, look: Look) -> tuple[_Seen, ...]:
        """What may be lines. Where there are any, the picture itself shows some that the even one has by half."""
        rows, columns = look.picture.shape
        if rows < LOWEST_LETTERS or columns < SHORTEST_LINE:
            return ()
        larger = resized(look.picture, look.scale)
        first = larger if look.is_even else evened(larger, look.scale)
        lines = self._lines(first, look.scale)
        if not lines:
            return ()
        seen = _Seen(first, larger, lines)
        return (seen,) if look.is_even else (seen, _Seen(larger, larger, self._lines(larger, look.scale)))

    def _lines(self, version: Picture, scale: float) -> tuple[np.ndarray, ...]:
        """Lines by their corners. A whole picture without text is often taken for one: that needs no reading."""
        thickest = max(THICKEST * max(version.shape), SURELY_A_LINE * scale)
        lines = self._detector.lines(version)
        return tuple(line for line in lines if min(np.ceil(line.max(0)) - line.min(0).astype(int)) <= thickest)

    def _read(self, look: Look, seen: tuple[_Seen, ...]) -> tuple[Box, ...]:
        boxes = self._boxes(seen[0], look.scale) if seen else []
        if not any(sum(map(str.isalnum, box.text)) >= LEAST_CHARACTERS for box in boxes):
            return ()
        # What is too short to be taken for text elsewhere belongs to it here.
        for other in seen[1:]:
            boxes += self._boxes(other, look.scale)
        return tuple(box.grown(look.picture.shape) for box in boxes)

    def _boxes(self, seen: _Seen, scale: float) -> list[Box]:
        """What is read, each with the whole of its line in the enlarged picture. Marks are left out."""
        boxes = []
        for corners in seen.lines:
            text, score = self._recogniser.read(seen.version, corners)
            if score >= LEAST_SCORE and any(map(str.isalnum, text)) and not is_mark(text):
                left, top = corners.min(0).astype(int).tolist()
                right, bottom = np.ceil(corners.max(0)).astype(int).tolist()
                left, right = whole_line(seen.larger, (left, top, right, bottom), round(STROKE * scale) | 1)
                first, last = np.floor(np.array((left, top)) / scale), np.ceil(np.array((right, bottom)) / scale)
                boxes.append(Box(int(first[0]), int(first[1]), int(last[0]), int(last[1]), score, text))
        return boxes

    @cached_property
    def _detector(self) -> "Detector":
        from dpmed.ingest.pixels.lines import Detector

        return Detector(_model("det"))

    @cached_property
    def _recogniser(self) -> "Recogniser":
        from dpmed.ingest.pixels.letters import Recogniser

        return Recogniser(_model("rec"))


def _model(kind: str) -> Path:
    """The file of a network, in the package that brings it; nothing of that is imported, and nothing is fetched."""
    package = importlib.util.find_spec("rapidocr")
    if not is_installed() or package is None or package.origin is None:
        raise ConfigError(
            "looking for text in pixels needs the extra `ocr`",
            hint='pip install "dpmed[ocr]", or leave --pixels out',
        )
    return next((Path(package.origin).parent / "models").glob(f"*_{kind}_*.onnx"))


def is_mark(text: str) -> bool:
    """Whether a line is made of marks of side, view and scale alone, with short numbers: two in a row may be a day."""
    words = re.findall(r"[^\W\d_]+|\d+", text.upper())
    if any(one.isdigit() and other.isdigit() for one, other in pairwise(words)):
        return False
    return all(word in MARKS or (word.isdigit() and len(word) <= 2) for word in words) and len(words) <= 4


CONFUSED = str.maketrans("0OQD1ILT5S8B2Z6G", "0000111155882266")
"""Characters that a reader of small print takes for each other, brought to one."""


def matches(text: str, tokens: Iterable[str]) -> bool:
    """Whether a line that was read holds one of the words or numbers, confusions of similar characters allowed."""
    plain = _plain(text)
    return any(len(token := _plain(one)) >= LEAST_CHARACTERS + 1 and token in plain for one in tokens)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).upper().translate(CONFUSED)
