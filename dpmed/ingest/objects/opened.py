"""A DICOM file, opened: where its data set begins and in which encoding. Deflated files are inflated within bounds."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dpmed.ingest import limits
from dpmed.ingest.objects.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding, Malformed
from dpmed.ingest.objects.walk import Short, Walker
from dpmed.ingest.opened import inflate
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused

PREAMBLE, MAGIC = 128, b"DICM"
FIRST_READ = 64 * 2**10
GROWTH = 8
MAX_HEADER_BYTES = 512 * 2**20
"""Of everything but the pixels; also of a file that has to be rewritten before it can be walked."""
MEDIA_CLASS, MEDIA_INSTANCE, TRANSFER_SYNTAX = 0x00020002, 0x00020003, 0x00020010
PLAIN_SYNTAX = {
    IMPLICIT_LITTLE: ImplicitVRLittleEndian,
    EXPLICIT_LITTLE: ExplicitVRLittleEndian,
    EXPLICIT_BIG: ExplicitVRBigEndian,
}
ENCODINGS = {
    str(ImplicitVRLittleEndian): IMPLICIT_LITTLE,
    str(ExplicitVRBigEndian): EXPLICIT_BIG,
}


@dataclass(frozen=True)
class Meta:
    """What is used of the file meta, and whether the preamble holds anything."""

    syntax: str
    sop_class: str = ""
    instance: str = ""
    has_preamble: bool = False


class Opened:
    """The bytes of one file and how to read them. `buffer` is its beginning, as far as it was needed."""

    def __init__(self, stream: BinaryIO, start: int, encoding: Encoding, meta: "Meta") -> None:
        self.stream = stream
        self.size = stream.seek(0, io.SEEK_END)
        self.start = start
        self.encoding = encoding
        self.meta = meta
        self.buffer = self._read(FIRST_READ)

    def grow(self) -> None:
        """Read further. Raises `Refused` at the end of the file: an element says it is longer than the file."""
        if len(self.buffer) >= self.size:
            raise Refused(Reason.TRUNCATED)
        if len(self.buffer) >= MAX_HEADER_BYTES:
            raise Refused(Reason.TOO_LARGE)
        self.buffer = self._read(min(len(self.buffer) * GROWTH, MAX_HEADER_BYTES))

    def _read(self, count: int) -> bytes:
        self.stream.seek(0)
        return self.stream.read(count)


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a file as it is, or, where it is deflated, as what it inflates to. Raises `Refused`."""
    with path.open("rb") as stream:
        if path.stat().st_size > limits.MAX_FILE_BYTES:
            raise Refused(Reason.TOO_LARGE)
        try:
            start, meta = _meta(stream.read(FIRST_READ))
        except (Short, Malformed):
            yield rewritten(path)
            return
        if meta.syntax == DeflatedExplicitVRLittleEndian:
            stream.seek(start)
            plain = io.BytesIO()
            with reading():
                inflate(stream, plain)
            yield Opened(plain, 0, EXPLICIT_LITTLE, replace(meta, syntax=str(ExplicitVRLittleEndian)))
            return
        yield Opened(stream, start, ENCODINGS.get(meta.syntax, EXPLICIT_LITTLE), meta)


def rewritten(path: Path) -> Opened:
    """The data set as a tolerant reader understands it, written anew to the letter of the standard."""
    if path.stat().st_size > MAX_HEADER_BYTES:
        raise Refused(Reason.TOO_LARGE)
    with reading():
        header = pydicom.dcmread(path, force=True)
        if not header or header.is_implicit_VR is None:
            raise Refused(Reason.UNREADABLE)
        implicit, little = header.original_encoding
        target = DicomBytesIO()
        target.is_implicit_VR, target.is_little_endian = bool(implicit), bool(little)
        write_dataset(target, header)
        meta = _meta_of(header)
    plain = IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE if little else EXPLICIT_BIG
    if ENCODINGS.get(meta.syntax, EXPLICIT_LITTLE) != plain or meta.syntax in {"", DeflatedExplicitVRLittleEndian}:
        meta = replace(meta, syntax=str(PLAIN_SYNTAX[plain]))
    return Opened(io.BytesIO(target.getvalue()), 0, plain, meta)


def _meta_of(header: pydicom.FileDataset) -> Meta:
    meta = getattr(header, "file_meta", None) or {}
    preamble = getattr(header, "preamble", None) or b""
    return Meta(
        syntax=str(meta.get("TransferSyntaxUID", "")),
        sop_class=str(meta.get("MediaStorageSOPClassUID", "")),
        instance=str(meta.get("MediaStorageSOPInstanceUID", "")),
        has_preamble=bool(preamble.strip(b"\0")),
    )


def _meta(head: bytes) -> tuple[int, Meta]:
    """Step over the file meta, group 0002 in explicit little endian; the start of the data set, and what was read.

    Raises `Malformed` where there is none: an object may come without, and then has to be rewritten.
    """
    if head[PREAMBLE : PREAMBLE + len(MAGIC)] != MAGIC:
        raise Malformed
    walker, position = Walker(head, EXPLICIT_LITTLE), PREAMBLE + 4
    found: dict[int, str] = {}
    while head[position : position + 2] == b"\x02\x00":
        element = walker.element(position)
        end = walker.end(element, 0)
        found[element.tag] = head[element.start : end].decode("latin-1").strip(" \0")
        position = end
    if not found.get(TRANSFER_SYNTAX):
        raise Malformed
    has_preamble = bool(head[:PREAMBLE].strip(b"\0"))
    return position, Meta(
        found[TRANSFER_SYNTAX], found.get(MEDIA_CLASS, ""), found.get(MEDIA_INSTANCE, ""), has_preamble
    )
