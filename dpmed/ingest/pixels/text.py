"""Finding lines of text in one picture, with the networks that come with rapidocr (PP-OCR; nothing is downloaded).

What helped most on tissue was to look at the enlarged picture with its contrast evened out: letters of either colour
stand out as much on bone as in air.
"""

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from dpmed.core.errors import ConfigError
from dpmed.ingest.memory import give_back

if TYPE_CHECKING:
    from dpmed.ingest.pixels.letters import Recogniser
    from dpmed.ingest.pixels.lines import Detector

Picture = UInt8[np.ndarray, "row column"]
LONG_SIDE, LEAST_SCALE, MOST_SCALE = 1280, 0.5, 2.5
"""Pixels to which a picture is brought, within bounds: small letters need the size."""
LOWEST_LETTERS, SHORTEST_LINE = 6, 12
"""Pixels: in a smaller picture three letters cannot be read by anybody."""
MOST_SIDE = 4096
"""Pixels: no picture is larger when it is looked at."""
AROUND = 25
"""Pixels of a neighbourhood that holds a few letters of small print and the tissue around them."""
NOISE, MIDDLE, SPREAD = 8, 128, 50
"""Grey levels: what counts as flat, and the mean and spread to which every neighbourhood is brought."""
STROKE = 9
"""Pixels: wider structures are no strokes of small letters."""
LEAST_SCORE, LEAST_CHARACTERS = 0.5, 3
FAINT_SHARE = 0.25
"""Of a box's strokes, at which a stroke still counts: a line that runs from lung into bone fades."""
SAME_DENSITY = 0.5
"""Of the share of strokes in a box, up to which its neighbourhood is taken for the same line."""
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


class TextFinder:
    """Reads lines. Each network is loaded with the first picture that needs it, in the process that needs it."""

    def find(self, picture: Picture, *, long_side: int = LONG_SIDE, is_even: bool = False) -> tuple[Box, ...]:
        """Lines of at least three letters or digits, white or black, marks left out, in pixels of `picture`.

        A smaller `long_side` is quicker, and enough where the background is smooth. `is_even`: it is black already.
        """
        rows, columns = picture.shape
        if rows < LOWEST_LETTERS or columns < SHORTEST_LINE:
            return ()
        longest = max(rows, columns)
        scale = min(max(long_side / longest, LEAST_SCALE), MOST_SCALE, MOST_SIDE / longest)
        larger = _resized(picture, scale)
        boxes = self._lines(larger if is_even else _evened(larger, scale), larger, scale)
        if not any(sum(map(str.isalnum, box.text)) >= LEAST_CHARACTERS for box in boxes):
            return ()
        # Where there is text, a second look at the picture itself finds what the first caught by half, and what is
        # too short to be taken for text elsewhere belongs to it.
        boxes += [] if is_even else self._lines(larger, larger, scale)
        return tuple(box.grown((rows, columns)) for box in boxes)

    def rest(self) -> None:
        """Give the memory of the networks back until the next picture; loading them anew takes 0.1 s."""
        self.__dict__.clear()
        give_back()

    def _lines(self, seen: Picture, larger: Picture, scale: float) -> list[Box]:
        """What is read in `seen`, a version of `larger`; with the whole of the line there. Marks are left out."""
        thickest = max(THICKEST * max(larger.shape), SURELY_A_LINE * scale)
        lines = []
        for corners in self._detector.lines(seen):
            left, top = corners.min(0).astype(int).tolist()
            right, bottom = np.ceil(corners.max(0)).astype(int).tolist()
            # A whole picture without text is often taken for one line: that is seen without reading.
            if min(right - left, bottom - top) > thickest:
                continue
            text, score = self._recogniser.read(seen, corners)
            if score >= LEAST_SCORE and any(map(str.isalnum, text)) and not is_mark(text):
                left, right = _whole_line(larger, (left, top, right, bottom), round(STROKE * scale) | 1)
                first, last = np.floor(np.array((left, top)) / scale), np.ceil(np.array((right, bottom)) / scale)
                lines.append(Box(int(first[0]), int(first[1]), int(last[0]), int(last[1]), score, text))
        return lines

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


def thin_in(picture: np.ndarray, *, stroke: int = STROKE) -> np.ndarray:
    """The thin bright structures of a picture: its white top-hat (of a negative, the black ones)."""
    import cv2

    thin: np.ndarray = cv2.morphologyEx(picture, cv2.MORPH_TOPHAT, np.ones((stroke, stroke), np.uint8))
    return thin


def _resized(picture: Picture, scale: float) -> Picture:
    import cv2

    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized: Picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)
    return resized


def _evened(picture: Picture, scale: float) -> Picture:
    """Every neighbourhood brought to the same mean and spread, unless it is flat."""
    import cv2

    values, side = picture.astype(np.float32), round(AROUND * scale) | 1
    mean = cv2.blur(values, (side, side))
    spread = np.sqrt(np.maximum(cv2.blur(values * values, (side, side)) - mean * mean, 0)) + NOISE
    evened: Picture = np.clip(MIDDLE + (values - mean) / spread * SPREAD, 0, 255).astype(np.uint8)
    return evened


def _whole_line(picture: Picture, box: tuple[int, int, int, int], stroke: int) -> tuple[int, int]:
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
