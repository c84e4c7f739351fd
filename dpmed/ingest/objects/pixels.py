"""Pixel data, copied and not decoded: streamed past, cut to what the header says, stripped of text around the codes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np

from dpmed.ingest.objects.codestream import blank_text
from dpmed.ingest.objects.encoding import ITEM, SEQUENCE_END, UNDEFINED, Encoding
from dpmed.ingest.reasons import Reason, Refused

CHUNK = 4 * 2**20
MOST_FRAGMENT = 512 * 2**20
HALF_CHROMA = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
VIDEO = "1.2.840.10008.1.2.4.10"
"""MPEG-2, MPEG-4 and HEVC: .100 to .108."""
ITEM_HEADER = struct.Struct("<HHL")


class Sink(Protocol):
    """Where bytes go."""

    def write(self, content: bytes, /) -> object:
        """Take these bytes."""


@dataclass(frozen=True)
class PixelFacts:
    """What the header says about the pixels."""

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str

    @property
    def bytes(self) -> int:
        """How long the pixels are, uncompressed."""
        values = self.rows * self.columns * self.samples * self.frames
        if self.photometric in HALF_CHROMA and self.samples == 3:
            values = values // 3 * 2
        return (values * self.bits_allocated + 7) // 8


@dataclass(frozen=True)
class PixelSpan:
    """Where the pixels lie in the file."""

    tag: int
    vr: str
    start: int
    length: int

    @property
    def is_encapsulated(self) -> bool:
        """Compressed, in fragments of their own lengths."""
        return self.length == UNDEFINED


def copy_pixels(
    source: BinaryIO, target: Sink, span: PixelSpan, facts: PixelFacts, encoding: Encoding, syntax: str
) -> None:
    """Write the pixel element. Raises `Refused` where the file holds less than its header says."""
    if syntax.startswith(VIDEO):
        raise Refused(Reason.VIDEO)
    source.seek(span.start)
    if span.is_encapsulated:
        target.write(encoding.header(span.tag, "OB", UNDEFINED))
        for fragment in _fragments(source, syntax, facts.rows * facts.columns):
            target.write(ITEM_HEADER.pack(ITEM >> 16, ITEM & 0xFFFF, len(fragment)))
            target.write(fragment)
        target.write(ITEM_HEADER.pack(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0))
        return
    size = facts.bytes
    if span.length < size:
        raise Refused(Reason.TRUNCATED)
    padded = size + size % 2
    # The last of an odd number of big-endian bytes comes after the padding of its word.
    size = padded if encoding.endian == ">" and span.length >= padded else size
    target.write(encoding.header(span.tag, span.vr, padded))
    for chunk in _chunks(source, size):
        target.write(_without_spare_bits(chunk, facts, encoding))
    target.write(bytes(padded - size))


def _chunks(source: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        chunk = source.read(min(CHUNK, size))
        if not chunk:
            raise Refused(Reason.TRUNCATED)
        size -= len(chunk)
        yield chunk


def _fragments(source: BinaryIO, syntax: str, plane_bytes: int) -> Iterator[bytes]:
    """The offset table, then each fragment with the text in its code stream blanked; lengths stay."""
    is_table = True
    while True:
        header = source.read(ITEM_HEADER.size)
        if len(header) < ITEM_HEADER.size:
            raise Refused(Reason.TRUNCATED)
        group, element, length = ITEM_HEADER.unpack(header)
        tag = group << 16 | element
        if tag == SEQUENCE_END:
            return
        if tag != ITEM or length > MOST_FRAGMENT:
            raise Refused(Reason.UNREADABLE)
        fragment = source.read(length)
        if len(fragment) < length:
            raise Refused(Reason.TRUNCATED)
        yield _offsets(fragment) if is_table else blank_text(fragment, syntax, plane_bytes)
        is_table = False


def _offsets(table: bytes) -> bytes:
    """The offset table as it is, if it is one: from 0 upwards. It may be empty (PS3.5 A.4), so what is none goes."""
    offsets = np.frombuffer(table[: len(table) // 4 * 4], dtype="<u4").astype(np.int64)
    is_table = len(table) % 4 == 0 and offsets.size and offsets[0] == 0 and np.all(np.diff(offsets) > 0)
    return table if is_table else b""


def _without_spare_bits(chunk: bytes, facts: PixelFacts, encoding: Encoding) -> bytes:
    """Bits above the stored ones once held drawings and can hold anything: they become what the number implies."""
    if facts.bits_allocated != 16 or not 0 < facts.bits_stored < 16 or len(chunk) % 2:
        return chunk
    values = np.frombuffer(chunk, dtype=f"{encoding.endian}u2")
    spare = 16 - facts.bits_stored
    if facts.signed:
        clean = ((values.astype(np.uint16) << spare).view(np.int16) >> spare).view(np.uint16)
    else:
        clean = values.astype(np.uint16) & np.uint16((1 << facts.bits_stored) - 1)
    return chunk if np.array_equal(clean, values) else clean.astype(values.dtype).tobytes()
