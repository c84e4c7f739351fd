"""Frames of grey pixels that are not compressed, straight from the file: most files are such, and a parser is slow.

Only what leaves no room for doubt is read here; for all else the answer is None, and the tolerant reader is asked.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from dpmed.ingest import limits
from dpmed.ingest.objects.encoding import UNDEFINED, Encoding, Malformed
from dpmed.ingest.objects.opened import PLAIN_SYNTAX, Opened, opened
from dpmed.ingest.objects.walk import Element, Short, Walker
from dpmed.ingest.reasons import Reason, Refused

SAMPLES, PHOTOMETRIC, FRAMES = 0x00280002, 0x00280004, 0x00280008
ROWS, COLUMNS, ALLOCATED, STORED, SIGNED = 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280103
IMAGE_GROUP, PIXELS = 0x0028, 0x7FE00010
GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})


@dataclass(frozen=True)
class StoredFrames:
    """Where the frames of one file lie, one after the other, and how their values are written."""

    path: Path
    place: int
    count: int
    shape: tuple[int, int]
    dtype: np.dtype
    spare_bits: int

    def __iter__(self) -> Iterator[Integer[np.ndarray, "row column"]]:
        """Each frame anew. Raises `Refused` where the file ends early."""
        size = self.shape[0] * self.shape[1] * self.dtype.itemsize
        with self.path.open("rb") as file:
            file.seek(self.place)
            for _ in range(self.count):
                content = file.read(size)
                if len(content) < size:
                    raise Refused(Reason.TRUNCATED)
                yield self._values(content)

    def _values(self, content: bytes) -> Integer[np.ndarray, "row column"]:
        """Bits above the stored ones are no part of a value; a sign goes on into them."""
        values: np.ndarray = np.frombuffer(content, self.dtype).reshape(self.shape)
        if self.spare_bits and self.dtype.kind == "u":
            values = values & self.dtype.type((1 << (8 * self.dtype.itemsize - self.spare_bits)) - 1)
        elif self.spare_bits:
            values = values << self.spare_bits >> self.spare_bits
        return values


def stored_frames(path: Path) -> StoredFrames | None:
    """The frames of a DICOM file; None where it is compressed, in colour, crooked or unusual in any other way."""
    try:
        with opened(path) as file:
            # Deflated or rewritten: what was opened is not the file itself.
            if isinstance(file.stream, io.BytesIO) or file.meta.syntax != PLAIN_SYNTAX[file.encoding]:
                return None
            image, pixels = _image(file)
            return None if pixels is None else _frames(path, image, pixels, file)
    except (Malformed, Refused):
        return None


def _image(file: Opened) -> tuple[dict[int, bytes], Element | None]:
    """The attributes of the image by number, as they are written, and the pixels."""
    image: dict[int, bytes] = {}
    position, walker = file.start, Walker(file.buffer, file.encoding)
    while position < file.size:
        try:
            element = walker.element(position)
            if element.tag >= PIXELS:
                return image, element if element.tag == PIXELS else None
            end = walker.end(element, 0)
        except Short:
            file.grow()
            walker = Walker(file.buffer, file.encoding)
            continue
        if element.tag >> 16 == IMAGE_GROUP:
            image[element.tag] = file.buffer[element.start : end]
        position = end
    return image, None


def _frames(path: Path, image: dict[int, bytes], pixels: Element, file: Opened) -> StoredFrames | None:
    rows, columns, allocated, stored, signed = (
        _number(image, tag, file.encoding) for tag in (ROWS, COLUMNS, ALLOCATED, STORED, SIGNED)
    )
    count = _text(image, FRAMES) or "1"
    is_grey = _number(image, SAMPLES, file.encoding) == 1 and _text(image, PHOTOMETRIC) in GREY
    is_known = (allocated == 8 and file.encoding.endian == "<") or allocated == 16
    is_small = 0 < rows * columns <= limits.MAX_SLICE_PIXELS and count.isdigit() and 0 < int(count) <= limits.MAX_FRAMES
    if not (is_grey and is_known and is_small and 1 < stored <= allocated and signed in {0, 1}):
        return None
    size = rows * columns * int(count) * allocated // 8
    if pixels.length == UNDEFINED or not size <= pixels.length <= file.size - pixels.start:
        return None
    return StoredFrames(
        path,
        pixels.start,
        int(count),
        (rows, columns),
        np.dtype(f"{file.encoding.endian}{'i' if signed else 'u'}{allocated // 8}"),
        allocated - stored,
    )


def _number(image: dict[int, bytes], tag: int, encoding: Encoding) -> int:
    """A number of 16 bits; -1 where there is none, or something else."""
    raw = image.get(tag, b"")
    return int.from_bytes(raw, "little" if encoding.endian == "<" else "big") if len(raw) == 2 else -1


def _text(image: dict[int, bytes], tag: int) -> str:
    return image.get(tag, b"").decode("latin-1").strip(" \0")
