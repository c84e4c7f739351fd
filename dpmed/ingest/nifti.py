"""NIfTI in and out: read within bounds, written with a fresh header that carries a grid and nothing else.

A file is read as far as its header says: bytes after the voxels are left behind, as are header texts, extensions and
what gzip keeps beside the content. BIDS sidecars (.json) are not read: no field of the manifest needs them, and what
is not read cannot get through.
"""

import gzip
import io
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np
from jaxtyping import Float, Num

from dpmed.core.files import written_aside
from dpmed.ingest import limits
from dpmed.ingest.geometry import require_grid
from dpmed.ingest.identifiers import EMBEDDED, FILE_NAMES, FREE_TEXT, Findings
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused

GZIP_MAGIC = b"\x1f\x8b"
HEADER_BYTES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
FREE_FIELDS = ("descrip", "aux_file", "db_name", "intent_name", "data_type")
MAX_OFFSET = 2**24
GZIP_MEMBER = 16
"""Added to the window size, it makes zlib write a gzip member: no name, no comment, time zero."""
PIECE = 2**20
GZIP_SAYS_MORE = 0x04 | 0x08 | 0x10
"""Flags of a member with extra field, name or comment (RFC 1952, 2.3.1)."""
GZIP_LEVEL = 1
"""As nibabel has it: higher levels cost several times the time for a few per cent of a scan."""


@dataclass(frozen=True)
class Volume:
    """Voxels and their grid: `affine` maps voxel indices to RAS millimetres."""

    voxels: Num[np.ndarray, "..."]
    affine: Float[np.ndarray, "4 4"]


def read_nifti(path: Path) -> Volume:
    """Voxels with scaling applied, and the affine. Raises `Refused` for anything damaged, short, huge or odd."""
    with reading(), _opened(path) as file:
        start, header = _header(file)
        wanted = _data_end(header)
        content = start + _exactly(file, wanted - len(start))
        image = (nib.Nifti1Image if isinstance(header, nib.Nifti1Header) else nib.Nifti2Image).from_bytes(content)
        voxels, affine = np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=np.float64)
    if voxels.dtype.kind not in "iuf":
        raise Refused(Reason.COLOUR)
    require_grid(affine)
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise Refused(Reason.NON_FINITE)
    return Volume(compact(voxels), affine)


def scan_nifti(path: Path, *, harvest: bool) -> Findings:
    """Count what a NIfTI file says beside its grid: free text fields, extensions, the names gzip keeps."""
    found = Findings()
    try:
        with reading(), _opened(path) as file:
            start, header = _header(file)
            fields = [header[field].item() for field in FREE_FIELDS if field in header.keys()]  # noqa: SIM118
            texts = [field.decode("latin-1").strip("\0 ") for field in fields]
            counts = {
                FREE_TEXT: sum(bool(text) for text in texts),
                EMBEDDED: int(float(header["vox_offset"]) > len(start) + 4),
                FILE_NAMES: int(_gzip_keeps_a_name(path)),
            }
            found.removed = Counter({name: count for name, count in counts.items() if count})
            if harvest:
                found.tokens = {text.encode("latin-1") for text in texts if len(text) >= 8}
    except Refused:
        pass  # the same damage is met, and given its reason, when the voxels are read
    return found


def _opened(path: Path) -> IO[bytes]:
    if path.stat().st_size > limits.MAX_FILE_BYTES:
        raise Refused(Reason.TOO_LARGE)
    with path.open("rb") as file:
        is_gzip = file.read(2) == GZIP_MAGIC
    return gzip.open(path, "rb") if is_gzip else path.open("rb")  # type: ignore[return-value]


def _gzip_keeps_a_name(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(8)
    return head[:2] == GZIP_MAGIC and (bool(head[3] & GZIP_SAYS_MORE) or head[4:8] != b"\0\0\0\0")


def _header(file: IO[bytes]) -> tuple[bytes, nib.Nifti1Header]:
    start = _exactly(file, 4)
    size = next((n for order in ("little", "big") if (n := int.from_bytes(start, order)) in HEADER_BYTES), 0)
    if not size:
        raise Refused(Reason.UNREADABLE)
    start += _exactly(file, size - 4)
    return start, HEADER_BYTES[size].from_fileobj(io.BytesIO(start), check=False)


def _exactly(file: IO[bytes], count: int) -> bytes:
    """`count` bytes and never more: what a small file inflates to is bounded by what its header may ask for."""
    try:
        content = file.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise Refused(Reason.TRUNCATED) from None
    if len(content) < count:
        raise Refused(Reason.TRUNCATED)
    return content


def _data_end(header: nib.Nifti1Header) -> int:
    offset = float(header["vox_offset"])
    shape = [int(n) for n in header["dim"][1 : 1 + int(header["dim"][0])]]
    if not 1 <= int(header["dim"][0]) <= 7 or min(shape) < 1 or not header["sizeof_hdr"] <= offset <= MAX_OFFSET:
        raise Refused(Reason.UNREADABLE)
    size = math.prod(shape) * header.get_data_dtype().itemsize
    if size > limits.MAX_IMAGE_BYTES:
        raise Refused(Reason.TOO_LARGE)
    return int(offset) + int(size)


def compact(voxels: Num[np.ndarray, "..."]) -> Num[np.ndarray, "..."]:
    """The smallest common type that keeps every value: uint8, int16, int32 or float32.

    Scaled volumes come as float64; where all their values are whole (CT), int16 is exact. Native float32 stays.
    """
    if voxels.dtype in (np.uint8, np.int16, np.float32):
        return voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    low, high = (float(voxels.min()), float(voxels.max())) if voxels.size else (0.0, 0.0)
    is_whole = voxels.dtype.kind in "iu" or bool(np.array_equal(voxels, np.rint(voxels)))
    for kind in (np.int16, np.int32):
        if is_whole and np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return voxels.astype(kind)
    return voxels.astype(np.float32)


def write_nifti(path: Path, volume: Volume) -> None:
    """Write a compressed NIfTI-1 file whose bytes depend on voxels and affine alone.

    The header is new: no description, auxiliary file, intent or extension; the gzip member has no name and no time.
    Voxels are compressed in pieces, so that a large volume is never in memory twice.
    """
    image = nib.Nifti1Image(volume.voxels, volume.affine)
    image.header.set_xyzt_units("mm")
    image.header["vox_offset"], image.header["magic"] = image.header.single_vox_offset, image.header.single_magic
    # As nibabel writes it: not scaled, and four bytes that say no extension follows.
    image.header["scl_slope"], image.header["scl_inter"] = 1, 0
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | GZIP_MEMBER)
    with written_aside(path) as aside, aside.open("wb") as file:
        file.write(packer.compress(image.header.binaryblock + bytes(4)))
        for piece in _pieces(volume.voxels):
            file.write(packer.compress(piece))
        file.write(packer.flush())


def _pieces(voxels: Num[np.ndarray, "..."]) -> Iterator[bytes]:
    """The bytes of an array in NIfTI's order, first index fastest, without a copy of the whole where it has it."""
    flat = voxels.reshape(-1, order="F")
    for start in range(0, len(flat), PIECE):
        yield flat[start : start + PIECE].tobytes()
