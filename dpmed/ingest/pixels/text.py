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
from dpmed.ingest.pixels.look import LONG_SIDE, Look
from dpmed.ingest.pixels.strokes import STROKE, Part, Picture, evened, whole_line

if TYPE_CHECKING:
    from dpmed.ingest.pixels.letters import Recogniser
    from dpmed.ingest.pixels.lines import Corners, Detector

LEAST_SCORE, LEAST_CHARACTERS = 0.5, 3
THICKEST, LONGER, SURELY_A_LINE = 0.25, 1.4, 32
"""How thick a line can be, in sides of the picture, and how much longer it then is, both with the room around letters;
and the pixels up to which anything may be one."""
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

    @property
    def part(self) -> Part:
        """The rows and columns of it."""
        return np.s_[self.top : self.bottom, self.left : self.right]

    def overlaps(self, other: "Box") -> bool:
        """Whether both have pixels in common."""
        return max(self.left, other.left) < min(self.right, other.right) and max(self.top, other.top) < min(
            self.bottom, other.bottom
        )

    @property
    def characters(self) -> int:
        """Letters and digits that were read."""
        return sum(map(str.isalnum, self.text))

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
    """Finds and reads lines. One network at a time is in memory, loaded in the process that needs it."""

    def find(self, picture: Picture, *, long_side: int = LONG_SIDE, is_even: bool = False) -> tuple[Box, ...]:
        """Lines of at least three letters or digits, white or black, marks left out, in pixels of `picture`."""
        return self.find_all((Look(picture, long_side, is_even),))[0]

    def find_all(self, looks: Sequence[Look]) -> list[tuple[Box, ...]]:
        """The same for several pictures: what may be lines is looked for in all before any is read."""
        found: list[list[Box]] = [[] for _ in looks]
        large = [number for number, look in enumerate(looks) if not look.is_too_small]
        for number, boxes in zip(large, self._read([(looks[n], _even(looks[n])) for n in large]), strict=True):
            found[number] = boxes if any(box.characters >= LEAST_CHARACTERS for box in boxes) else []
        # Where there is text, the picture itself shows some that the even one has by half. What is too short to be
        # taken for text elsewhere belongs to it here.
        again = [number for number, look in enumerate(looks) if found[number] and not look.is_even]
        for number, boxes in zip(again, self._read([(looks[n], looks[n].enlarged()) for n in again]), strict=True):
            found[number] += boxes
        return [tuple(box.grown(look.picture.shape) for box in boxes) for look, boxes in zip(looks, found, strict=True)]

    def rest(self) -> None:
        """Give the memory of the networks back until the next picture; loading them anew takes 0.1 s."""
        self.__dict__.clear()
        give_back()

    def _read(self, versions: Sequence[tuple[Look, Picture]]) -> list[list[Box]]:
        """The lines of each look, in the version of its picture that is given."""
        lines = [self._lines(look, version) for look, version in versions]
        if not any(lines):
            return [[] for _ in lines]
        self.rest()
        with giving_back():
            found = [self._boxes(*version, some) for version, some in zip(versions, lines, strict=True)]
        self.rest()
        return found

    def _lines(self, look: Look, version: Picture) -> "tuple[Corners, ...]":
        """Lines by their corners. A whole picture without text is often taken for one: that needs no reading."""
        return tuple(corners for corners in self._detector.lines(version) if _is_line(corners, look))

    def _boxes(self, look: Look, version: Picture, lines: "tuple[Corners, ...]") -> list[Box]:
        """What is read, each with the whole of its line in the enlarged picture. Marks are left out."""
        boxes, larger = [], version if look.is_even or not lines else look.enlarged()
        for corners in lines:
            text, score = self._recogniser.read(version, corners)
            if score >= LEAST_SCORE and any(map(str.isalnum, text)) and not is_mark(text):
                left, top = corners.min(0).astype(int).tolist()
                right, bottom = np.ceil(corners.max(0)).astype(int).tolist()
                left, right = whole_line(larger, (left, top, right, bottom), round(STROKE * look.scale) | 1)
                first = np.floor(np.array((left, top)) / look.scale).astype(int) + look.corner[::-1]
                last = np.ceil(np.array((right, bottom)) / look.scale).astype(int) + look.corner[::-1]
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


def _is_line(corners: "Corners", look: Look) -> bool:
    """Whether it is as thin as a line of print, and as long as three letters of its height."""
    thick, long = sorted((np.ceil(corners.max(0)) - np.floor(corners.min(0))).tolist())
    surely, thickest = SURELY_A_LINE * look.scale, THICKEST * look.longest * look.scale
    return bool(thick <= surely or (thick <= thickest and long >= LONGER * thick))


def _even(look: Look) -> Picture:
    return look.enlarged() if look.is_even else evened(look.enlarged(), look.scale)


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
