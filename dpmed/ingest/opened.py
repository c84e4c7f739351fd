"""A DICOM file, opened whatever its encoding: deflated, big endian, without preamble or without file meta (PS3.10, 7).

Deflated data sets are inflated in memory and within a bound, so that a small file cannot ask for a large machine and
nothing readable is left on a disk. Everything else is read in place.
"""

import io
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.datadict import dictionary_has_tag
from pydicom.filereader import read_dataset, read_partial
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from dpmed.ingest import limits
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused

PREAMBLE, MAGIC = 128, b"DICM"
HEAD = 1024
"""Bytes that tell what a file is."""
META_GROUP, DIRECTORY_GROUP = 0x0002, 0x0004
FIRST_GROUPS = frozenset({META_GROUP, DIRECTORY_GROUP, 0x0008})
LONGEST_FIRST_VALUE = 2**16
PIECE = 2**20
SEARCHED = 32 * 2**20
"""As far as a header reaches; hostile ones are small, large files are so by their pixels."""
ITEM_HEADER = 8
ITEM_MARKS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
VRS = frozenset(vr.value.encode() for vr in VR if len(vr.value) == 2)
LONG_VRS = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32)


@dataclass(frozen=True)
class OpenedDicom:
    """One file, readable. `stream` is the file itself or, where that was deflated, what it inflates to.

    `start` is where the data set begins in `stream`; `syntax` is how it is encoded there.
    """

    stream: BinaryIO
    start: int
    syntax: UID
    was_deflated: bool = False
    has_meta: bool = True

    def header(self) -> pydicom.FileDataset:
        """Everything up to the pixels, where the stream then stands. Call it inside `quiet.reading()`."""
        self.stream.seek(0)
        _require_few_items(self.stream)
        header = read_partial(self.stream, stop_when=_UntilPixels(), force=True)
        if header.original_encoding[0] is None or not len(header):
            raise Refused(Reason.UNREADABLE)
        return header

    @property
    def remaining(self) -> int:
        """Bytes from where the stream stands to its end."""
        here = self.stream.tell()
        end = self.stream.seek(0, io.SEEK_END)
        self.stream.seek(here)
        return end - here


class _UntilPixels:
    """Stops a parser at the pixels, and refuses a header of endless elements."""

    def __init__(self) -> None:
        self._seen = 0

    def __call__(self, tag: int, *_: object) -> bool:
        self._seen += 1
        if self._seen > limits.MAX_ELEMENTS:
            raise Refused(Reason.TOO_LARGE)
        return tag in PIXEL_TAGS


def _require_few_items(stream: BinaryIO) -> None:
    """Parsing an item takes a thousand times as long as reading it; where a header has too many, it is not begun.

    Read piece by piece: a large file would else lie in memory as far as this looks, each time.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if size <= limits.MAX_ITEMS * ITEM_HEADER:
        return
    found, before = Counter[bytes](), b""
    for _ in range(SEARCHED // PIECE):
        content = before + stream.read(PIECE)
        found.update({mark: content.count(mark) for mark in ITEM_MARKS})
        if max(found.values()) > limits.MAX_ITEMS:
            raise Refused(Reason.TOO_LARGE)
        if len(content) < PIECE:
            break
        # A mark may lie across two pieces. One byte less of it than all is kept, so none is counted twice.
        before = content[-(len(ITEM_MARKS[0]) - 1) :]
    stream.seek(0)


def is_index(path: Path) -> bool:
    """Whether a file is a DICOMDIR, under any name, by its file meta or its first element. Nothing is inflated."""
    with path.open("rb") as file, reading():
        start = _begin(file)
        return start.is_index or (not start.is_deflated and _told(file.read(6))[0] == DIRECTORY_GROUP)


@contextmanager
def open_dicom(path: Path) -> Iterator[OpenedDicom]:
    """Open a file for reading. Raises `Refused`: too large, no DICOM, or deflated data that inflate past the bound."""
    with path.open("rb") as file:
        with reading():
            if path.stat().st_size > limits.MAX_FILE_BYTES:
                raise Refused(Reason.TOO_LARGE)
            opened = _opened(file)
            opened.stream.seek(0)
        yield opened


@dataclass(frozen=True)
class _Start:
    """Where the data set begins, and what the file meta says of it."""

    place: int
    syntax: UID
    is_index: bool

    @property
    def is_deflated(self) -> bool:
        return self.syntax == DeflatedExplicitVRLittleEndian


def _begin(file: BinaryIO) -> _Start:
    head = file.read(HEAD)
    is_whole = head[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC
    if not is_whole and not looks_like_dataset(head):
        raise Refused(Reason.NOT_DICOM)
    file.seek(PREAMBLE + len(MAGIC) if is_whole else 0)
    meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag >> 16 != 2)
    syntax = UID(str(meta.get("TransferSyntaxUID", "")).strip(" \0"))
    return _Start(file.tell(), syntax, str(meta.get("MediaStorageSOPClassUID", "")) == MediaStorageDirectoryStorage)


def _opened(file: BinaryIO) -> OpenedDicom:
    start = _begin(file)
    if start.is_deflated:
        return OpenedDicom(_plain(file, start.place), start.place, ExplicitVRLittleEndian, was_deflated=True)
    _, told = _told(file.read(6))
    return OpenedDicom(file, start.place, start.syntax or told, has_meta=bool(start.syntax))


def _told(first: bytes) -> tuple[int, UID]:
    """Group and encoding of a data set, from the first six bytes of its first element."""
    if len(first) < 6:
        raise Refused(Reason.UNREADABLE)
    group = int.from_bytes(first[:2], "little")
    if first[4:6] not in VRS:
        return group, ImplicitVRLittleEndian
    # Groups start low: one whose low byte is zero and whose high byte is not was written the other way round.
    if group & 0xFF == 0:
        return group >> 8, ExplicitVRBigEndian
    return group, ExplicitVRLittleEndian


def _plain(file: BinaryIO, start: int) -> BinaryIO:
    """The same preamble and file meta with another transfer syntax, of the same length, then the inflated data set."""
    plain = io.BytesIO()
    file.seek(0)
    deflated, explicit = (uid.encode() for uid in (DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian))
    meta = file.read(start).replace(deflated, explicit.ljust(len(deflated), b"\0"))
    plain.write(meta)
    inflate(file, plain)
    return plain


def inflate(source: BinaryIO, target: BinaryIO) -> None:
    """Raw deflate (PS3.5 A.5) from `source` into `target`, never more than `limits.MAX_INFLATED_BYTES`."""
    inflater, written = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflater.eof:
        packed = inflater.unconsumed_tail or source.read(PIECE)
        piece = inflater.decompress(packed, PIECE)
        if not packed and not piece and not inflater.eof:
            raise Refused(Reason.TRUNCATED)
        written += len(piece)
        if written > limits.MAX_INFLATED_BYTES:
            raise Refused(Reason.TOO_LARGE)
        target.write(piece)


def looks_like_dataset(head: bytes) -> bool:
    """Whether bytes without the mark of a DICOM file may begin a data set: two known elements, in order, in a row."""
    for endian in ("<", ">"):
        tags = _tags(head, endian)
        if len(tags) >= 2 and tags[0] >> 16 in FIRST_GROUPS and all(a < b for a, b in pairwise(tags)):
            return all(dictionary_has_tag(tag) or tag & 0xFFFF == 0 for tag in tags)
    return False


def _tags(head: bytes, endian: str) -> list[int]:
    """Tags of the first elements, as far as each gives a believable length that leads to the next; two are enough."""
    tags: list[int] = []
    place = 0
    while len(tags) < 2 and place + 12 <= len(head):
        group, element, vr = struct.unpack_from(f"{endian}HH2s", head, place)
        if vr in VRS:
            is_long = vr in LONG_VRS
            (length,) = struct.unpack_from(f"{endian}{'L' if is_long else 'H'}", head, place + (8 if is_long else 6))
            place += 12 if is_long else 8
        else:
            (length,) = struct.unpack_from(f"{endian}L", head, place + 4)
            place += 8
        if length > LONGEST_FIRST_VALUE:
            break
        tags.append(group << 16 | element)
        place += length
    return tags
