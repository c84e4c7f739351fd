"""Reading the elements of a data set as they lie in the file: where each begins and ends, nothing decoded.

Strict on purpose: what does not parse to the byte is `Malformed`, and the caller has a tolerant reader (pydicom)
rewrite it first. So nothing is guessed here, and nothing can be hidden from the rules by a crooked length.
"""

import struct
from typing import NamedTuple

from dpmed.ingest import limits
from dpmed.ingest.objects.encoding import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG_FORM,
    SEQUENCE_END,
    SHORT_FORM,
    UNDEFINED,
    Encoding,
    Malformed,
)
from dpmed.ingest.reasons import Reason, Refused

MOST_STEPS = 3_000_000
"""Elements and steps over elements: an enhanced object of thousands of frames needs a few hundred thousand."""


class Element(NamedTuple):
    """An element by place: `length` may be `UNDEFINED`; `vr` is empty where the file does not say."""

    tag: int
    vr: bytes
    start: int
    length: int


class Short(Exception):
    """The buffer ends inside an element; with more of the file it may go on."""


class Walker:
    """Elements of one buffer in one encoding, with the bounds against hostile nesting."""

    def __init__(self, buffer: bytes, encoding: Encoding) -> None:
        self.buffer = buffer
        self.encoding = encoding
        self._seen = 0
        self._tag = struct.Struct(f"{encoding.endian}HH").unpack_from
        self._long = struct.Struct(f"{encoding.endian}L").unpack_from
        self._short = struct.Struct(f"{encoding.endian}H").unpack_from

    def element(self, position: int) -> Element:
        """The element that begins at `position`."""
        self._seen += 1
        if self._seen > MOST_STEPS:
            raise Refused(Reason.TOO_LARGE)
        try:
            group, number = self._tag(self.buffer, position)
            tag = group << 16 | number
            if not self.encoding.explicit or group == 0xFFFE:
                return Element(tag, b"", position + 8, self._long(self.buffer, position + 4)[0])
            vr = self.buffer[position + 4 : position + 6]
            if vr in SHORT_FORM:
                return Element(tag, vr, position + 8, self._short(self.buffer, position + 6)[0])
            if vr in LONG_FORM:
                return Element(tag, vr, position + 12, self._long(self.buffer, position + 8)[0])
        except struct.error:
            raise Short from None
        raise Malformed

    def end(self, element: Element, depth: int) -> int:
        """Where the next element begins."""
        if element.length != UNDEFINED:
            end = element.start + element.length
            if end > len(self.buffer):
                raise Short
            return end
        return self._end_of_sequence(element, depth)

    def nested(self, element: Element) -> "Walker":
        """Who walks inside a sequence: UN of undefined length holds implicit little endian (PS3.5 6.2.2)."""
        if element.vr != b"UN" or not self.encoding.explicit:
            return self
        inner = Walker(self.buffer, IMPLICIT_LITTLE)
        inner._seen = self._seen
        return inner

    def item(self, position: int) -> tuple[int, int]:
        """The tag and length of the item or delimiter at `position`."""
        try:
            group, number = self._tag(self.buffer, position)
            return group << 16 | number, self._long(self.buffer, position + 4)[0]
        except struct.error:
            raise Short from None

    def numbers(self, raw: bytes) -> tuple[int, ...]:
        """The unsigned numbers of a value, 16 bits each, or 32 where it is one of four bytes."""
        if len(raw) == 4:
            return self._long(raw, 0)
        return tuple(self._short(raw, place)[0] for place in range(0, len(raw) - 1, 2))

    def _end_of_sequence(self, element: Element, depth: int) -> int:
        """Step over a sequence of undefined length: the only way to its end is through it."""
        if depth >= limits.MAX_SEQUENCE_DEPTH:
            raise Refused(Reason.TOO_DEEP)
        walker, position = self.nested(element), element.start
        while True:
            tag, length = walker.item(position)
            position += 8
            if tag == SEQUENCE_END:
                self._seen = walker._seen
                return position
            if tag != ITEM:
                raise Malformed
            if length != UNDEFINED:
                position += length
                if position > len(self.buffer):
                    raise Short
                continue
            while True:
                inner = walker.element(position)
                if inner.tag == ITEM_END:
                    position = inner.start
                    break
                position = walker.end(inner, depth + 1)
