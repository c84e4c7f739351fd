"""What is to be done about text in the pixels of a series: nothing, hold it back, or paint it over."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np

from dpmed.core.errors import ConfigError
from dpmed.ingest import limits
from dpmed.ingest.decode import read_frames
from dpmed.ingest.opened import open_dicom
from dpmed.ingest.pixels.fill import fill
from dpmed.ingest.pixels.proof import picture_of_boxes
from dpmed.ingest.pixels.risk import Risk
from dpmed.ingest.pixels.series import search
from dpmed.ingest.pixels.stored import stored_frames
from dpmed.ingest.pixels.text import Box, TextFinder, is_installed
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused

Frames = tuple[tuple[int, tuple[Box, ...]], ...]
"""The boxes of a file by frame number, as a value."""


class Policy(StrEnum):
    """What `--pixels` says."""

    GATE = "gate"
    REDACT = "redact"
    IGNORE = "ignore"


class Outcome(StrEnum):
    """What became of one file, for the report."""

    CLEAN = "looked at, no text"
    HELD = "held back"
    PAINTED = "painted over"
    KIND = "not looked at: its kind seldom carries text"
    IGNORED = "not looked at, as asked"
    NO_PIXELS = "without pixels"


@dataclass(frozen=True)
class Verdict:
    """Of one file. `proof` is a picture of the places, without what stands there."""

    outcome: Outcome
    reason: Reason | None = None
    boxes: Frames = ()
    proof: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Inspector:
    """Looks into the pixels of one series. A plain value, so that any process can do it."""

    policy: Policy
    reads: bool
    """Whether the reader of text is installed; without it the kind of object decides alone."""

    def __call__(self, series: Sequence[tuple[Path, Risk, bool]]) -> list[Verdict]:
        """A verdict for each file, given with its risk and whether it has pixels. Never raises for what is in them."""
        if self.policy is Policy.IGNORE:
            return [Verdict(Outcome.IGNORED)] * len(series)
        if not self.reads:
            return [self._by_kind(risk, has_pixels=has_pixels) for _, risk, has_pixels in series]
        found, closed = _found([path for path, _, has_pixels in series if has_pixels])
        # Pixels that no codec decodes cannot be looked at: the kind of object decides, as if nothing could read.
        return [
            self._read(path, risk, found.get(path, {}))
            if has_pixels and path not in closed
            else self._by_kind(risk, has_pixels=has_pixels)
            for path, risk, has_pixels in series
        ]

    def _by_kind(self, risk: Risk, *, has_pixels: bool) -> Verdict:
        if not has_pixels:
            return Verdict(Outcome.NO_PIXELS)
        return Verdict(Outcome.KIND) if risk is Risk.RARE else Verdict(Outcome.HELD, Reason.BURNED_IN)

    def _read(self, path: Path, risk: Risk, boxes: Mapping[int, tuple[Box, ...]]) -> Verdict:
        if boxes and self.policy is Policy.REDACT:
            return Verdict(Outcome.PAINTED, boxes=tuple(sorted(boxes.items())))
        if boxes:
            return Verdict(Outcome.HELD, Reason.TEXT, proof=_proof(path, boxes))
        # Text is declared, and none was found: what cannot be seen cannot be painted over either.
        return Verdict(Outcome.HELD, Reason.BURNED_IN) if risk is Risk.DECLARED else Verdict(Outcome.CLEAN)


class TextFound(Refused):
    """Pixels with text under the gate; `proof` is a picture of the places, without what stands there."""

    def __init__(self, proof: bytes) -> None:
        super().__init__(Reason.TEXT)
        self.proof = proof


def look_through(slices: Sequence[np.ndarray], look: Inspector) -> Outcome:
    """Pixels that are already decoded, [row, column] each: painted over in place. Raises `TextFound`."""
    if look.policy is Policy.IGNORE or not look.reads:
        return Outcome.IGNORED if look.policy is Policy.IGNORE else Outcome.KIND
    found = search(lambda: iter(slices), _finder())
    if found and look.policy is Policy.GATE:
        raise TextFound(picture_of_boxes(slices[first := min(found)], found[first]))
    for number, boxes in found.items():
        slices[number][...] = fill(slices[number], boxes)
    return Outcome.PAINTED if found else Outcome.CLEAN


def inspector(policy: Policy) -> Inspector:
    """For a policy on this machine. Raises `ConfigError` where painting over is asked for and nothing can read."""
    if policy is Policy.REDACT and not is_installed():
        raise ConfigError(
            "--pixels redact needs the extra `ocr`", hint='pip install "dpmed[ocr]", or use --pixels gate'
        )
    return Inspector(policy, reads=is_installed())


def _found(paths: Sequence[Path]) -> tuple[dict[Path, dict[int, tuple[Box, ...]]], set[Path]]:
    """Boxes by file and frame, and the files that cannot be decoded: one of them hides nothing in the others."""
    places: list[tuple[Path, int]] = []
    closed: set[Path] = set()

    def frames() -> Iterator[np.ndarray]:
        places.clear()
        for path in paths:
            if path in closed:
                continue
            try:
                for number, frame in enumerate(frames_of(path)):
                    places.append((path, number))
                    yield frame
            except Refused:
                closed.add(path)

    found: dict[Path, dict[int, tuple[Box, ...]]] = {}
    boxes_of = search(frames, _finder())
    _finder().rest()
    for index, boxes in boxes_of.items():
        path, number = places[index]
        found.setdefault(path, {})[number] = boxes
    return found, closed


def frames_of(path: Path) -> Iterator[np.ndarray]:
    """The frames of a DICOM object as stored, [row, column] or [row, column, colour]. Raises `Refused`."""
    if (plain := stored_frames(path)) is not None:
        yield from plain
        return
    with open_dicom(path) as file, reading():
        header = file.header()
        size, count = (int(header.Rows), int(header.Columns)), int(header.get("NumberOfFrames") or 1)
        if size[0] * size[1] > limits.MAX_SLICE_PIXELS or count > limits.MAX_FRAMES:
            raise Refused(Reason.TOO_LARGE)
    yield from read_frames(path, range(count), size)


@cache
def _finder() -> TextFinder:
    return TextFinder()


def _proof(path: Path, boxes: Mapping[int, tuple[Box, ...]]) -> bytes:
    first = min(boxes)
    for number, frame in enumerate(frames_of(path)):
        if number == first:
            return picture_of_boxes(frame, boxes[first])
    return b""
