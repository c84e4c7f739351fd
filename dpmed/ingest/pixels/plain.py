"""Painting over pixels that are not compressed, in their own bytes: nothing is decoded, so nothing else can change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from dpmed.ingest.objects.pixels import HALF_CHROMA, PixelFacts
from dpmed.ingest.pixels.fill import Black, fill
from dpmed.ingest.pixels.text import Box
from dpmed.ingest.reasons import Reason, Refused

WHOLE_BYTES = frozenset({8, 16, 32, 64})


@dataclass(frozen=True)
class PlainPixels:
    """How the pixels of one object lie in their element. `is_planar`: one colour after the other."""

    facts: PixelFacts
    is_planar: bool
    is_little_endian: bool
    is_words: bool

    def painted(self, source: BinaryIO, boxes: Mapping[int, Sequence[Box]]) -> Iterator[bytes]:
        """The content of the element, frame by frame, with the boxes of each frame black. Raises `Refused`."""
        facts = self.facts
        if facts.bits_allocated == 1:
            yield self._bits(_read(source, facts.bytes), boxes)
            return
        if facts.bits_allocated not in WHOLE_BYTES or (self._is_swapped and self._frame_bytes % 2):
            raise Refused(Reason.UNREADABLE)
        for number in range(facts.frames):
            content = _read(source, self._frame_bytes)
            yield self._frame(content, boxes[number]) if boxes.get(number) else content

    @property
    def _frame_bytes(self) -> int:
        return replace(self.facts, frames=1).bytes

    @property
    def _is_swapped(self) -> bool:
        """Bytes in big-endian words: each pair the wrong way round."""
        return self.facts.bits_allocated == 8 and not self.is_little_endian and self.is_words

    def _frame(self, content: bytes, boxes: Sequence[Box]) -> bytes:
        facts, kind = self.facts, "i" if self.facts.signed else "u"
        dtype = np.dtype(f"{'<' if self.is_little_endian else '>'}{kind}{facts.bits_allocated // 8}")
        values = np.frombuffer(_swapped(content) if self._is_swapped else content, dtype)
        black = Black(facts.photometric)
        if facts.photometric in HALF_CHROMA and facts.samples == 3:
            pairs = values.reshape(facts.rows, facts.columns // 2, 4)  # two of light, one each of blue and red
            halved = [replace(box, left=box.left // 2, right=-(-box.right // 2)) for box in boxes]
            filled = fill(pairs, halved, black=black)
        elif facts.samples == 1:
            filled = fill(values.reshape(facts.rows, facts.columns), boxes, black=black)
        elif self.is_planar:
            planes = values.reshape(facts.samples, facts.rows, facts.columns)
            filled = np.moveaxis(fill(np.moveaxis(planes, 0, -1), boxes, black=black), -1, 0)
        else:
            filled = fill(values.reshape(facts.rows, facts.columns, facts.samples), boxes, black=black)
        return _swapped(filled.tobytes()) if self._is_swapped else filled.tobytes()

    def _bits(self, content: bytes, boxes: Mapping[int, Sequence[Box]]) -> bytes:
        """Frames follow each other to the bit, so all of them are one tall frame."""
        facts = self.facts
        if not self.is_little_endian:
            raise Refused(Reason.UNREADABLE)
        size = facts.rows * facts.columns * facts.frames
        bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
        tall = [
            replace(box, top=box.top + number * facts.rows, bottom=box.bottom + number * facts.rows)
            for number, some in boxes.items()
            for box in some
        ]
        bits[:size] = fill(bits[:size].reshape(-1, facts.columns), tall, black=Black(facts.photometric)).ravel()
        return np.packbits(bits, bitorder="little").tobytes()


def _swapped(content: bytes) -> bytes:
    return np.frombuffer(content, "<u2").byteswap().tobytes()


def _read(source: BinaryIO, size: int) -> bytes:
    content = source.read(size)
    if len(content) < size:
        raise Refused(Reason.TRUNCATED)
    return content
