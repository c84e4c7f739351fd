"""Finding lines of text in one picture, with rapidocr (PP-OCR models that come with it; nothing is downloaded).

What helped most on tissue was to look at the white top-hat of the enlarged picture: strokes stay, anatomy goes.
"""

import importlib.util
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dpmed.core.errors import ConfigError

Picture = UInt8[np.ndarray, "row column"]
LONG_SIDE = 1024
"""Pixels to which a picture is brought, within a factor of two: small letters need the size."""
STROKE = 17
"""Pixels after that: wider structures are no strokes of letters."""
FAINTEST = 60
"""Grey levels of a stroke above which the top-hat is not amplified further, or noise would become text."""
LEAST_SCORE, LEAST_CHARACTERS = 0.5, 3
FAINT_SHARE = 0.25
"""Of a box's strokes, at which a stroke still counts: a line that runs from lung into bone fades."""
BRIGHT = 100
"""Median grey of pictures on which black letters can stand: pages and photographs, not slices."""
SAME_DENSITY = 0.5
"""Of the share of strokes in a box, up to which its neighbourhood is taken for the same line."""
WHOLE = 0.5
"""A box over half of the picture is the picture."""
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
    """Reads lines. The engine is loaded with the first picture, in the process that needs it."""

    def find(self, picture: Picture) -> tuple[Box, ...]:
        """Lines of at least three letters or digits, marks left out, in pixels of `picture`.

        Bright letters are looked for, and black ones too where the picture is bright.
        """
        found = self._bright(picture)
        if np.median(picture) > BRIGHT:
            found += self._bright(255 - picture)
        return found

    def _bright(self, picture: Picture) -> tuple[Box, ...]:
        rows, columns = picture.shape
        scale = min(max(LONG_SIDE / max(rows, columns), 0.5), 2.0)
        larger = _resized(picture, scale)
        boxes = [box for box in self._read(_brightened(thin_in(larger)), scale) if not is_mark(box.text)]
        if boxes:  # where there is text, a second look at the picture itself finds what the first caught by half
            boxes += [box for box in self._read(larger, scale) if not is_mark(box.text)]
        small = (box for box in boxes if (box.right - box.left) * (box.bottom - box.top) < WHOLE * rows * columns)
        return tuple(box.grown((rows, columns)) for box in small)

    def _read(self, picture: Picture, scale: float) -> Iterable[Box]:
        found = self._engine(np.repeat(picture[..., None], 3, axis=-1), use_cls=False)
        if found.boxes is None:
            return
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            if score >= LEAST_SCORE and sum(map(str.isalnum, text)) >= LEAST_CHARACTERS:
                (left, top), (right, bottom) = corners.min(0).astype(int), np.ceil(corners.max(0)).astype(int)
                left, right = _whole_line(picture, max(left, 0), max(top, 0), right, bottom)
                first, last = np.floor(np.array((left, top)) / scale), np.ceil(np.array((right, bottom)) / scale)
                yield Box(int(first[0]), int(first[1]), int(last[0]), int(last[1]), float(score), text)

    @cached_property
    def _engine(self) -> Any:
        if not is_installed():
            raise ConfigError(
                "looking for text in pixels needs the extra `ocr`",
                hint='pip install "dpmed[ocr]", or leave --pixels out',
            )
        from rapidocr import RapidOCR

        logging.getLogger("RapidOCR").disabled = True
        return RapidOCR(params={"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": 1})


def thin_in(picture: Picture, *, stroke: int = STROKE) -> Picture:
    """The thin bright structures of a picture: its white top-hat."""
    import cv2

    thin: Picture = cv2.morphologyEx(picture, cv2.MORPH_TOPHAT, np.ones((stroke, stroke), np.uint8))
    return thin


def _resized(picture: Picture, scale: float) -> Picture:
    import cv2

    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized: Picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)
    return resized


def _brightened(thin: Picture) -> Picture:
    brightest = max(FAINTEST, float(np.percentile(thin, 99.9)))
    bright: Picture = np.clip(thin.astype(np.float32) * (255 / brightest), 0, 255).astype(np.uint8)
    return bright


def _whole_line(picture: Picture, left: int, top: int, right: int, bottom: int) -> tuple[int, int]:
    """The line's ends, wherever strokes as dense as in the box go on: a reader may catch half a name."""
    strip = picture[top:bottom]
    inside = strip[:, left:right]
    strong = strip >= FAINT_SHARE * np.percentile(inside, 95)
    density, step = strong[:, left:right].mean(), max(bottom - top, 4)
    while left > 0 and strong[:, max(left - step, 0) : left].mean() >= SAME_DENSITY * density:
        left = max(left - step, 0)
    while right < strip.shape[1] and strong[:, right : right + step].mean() >= SAME_DENSITY * density:
        right = min(right + step, strip.shape[1])
    return left, right


def is_mark(text: str) -> bool:
    """Whether a line is made of marks of side, view and scale alone, with short numbers."""
    words = re.findall(r"[^\W\d_]+|\d+", text.upper())
    return all(word in MARKS or (word.isdigit() and len(word) <= 2) for word in words) and len(words) <= 4


CONFUSED = str.maketrans("0OQD1ILT5S8B2Z6G", "0000111155882266")
"""Characters that a reader of small print takes for each other, brought to one."""


def matches(text: str, tokens: Iterable[str]) -> bool:
    """Whether a line that was read holds one of the words or numbers, confusions of similar characters allowed."""
    plain = _plain(text)
    return any(len(token := _plain(one)) >= LEAST_CHARACTERS + 1 and token in plain for one in tokens)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).upper().translate(CONFUSED)
