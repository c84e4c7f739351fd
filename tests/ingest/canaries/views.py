"""Every way in which a file can be read: as it is, unpacked, decoded, swapped, unescaped, bit plane by bit plane."""

import base64
import binascii
import contextlib
import gzip
import html
import io
import re
import urllib.parse
import warnings
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.uid import DeflatedExplicitVRLittleEndian

BASE64 = re.compile(rb"[A-Za-z0-9+/\r\n]{64,}={0,2}")
HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){9,}")
JSON_ESCAPE = re.compile(rb"\\u([0-9a-fA-F]{4})")
PNG = b"\x89PNG\r\n\x1a\n"


def views(content: bytes, depth: int = 3) -> Iterator[bytes]:
    """The content, and all that is inside it."""
    yield content
    yield from _rewritten(content)
    if depth:
        for inner in _unpacked(content):
            yield from views(inner, depth - 1)


def _rewritten(content: bytes) -> Iterator[bytes]:
    if b"\0" in content:
        yield content.replace(b"\0", b"")  # UTF-16 and UTF-32 of either order
        even = np.frombuffer(content[: len(content) // 2 * 2], "<u2")
        yield even.byteswap().tobytes()  # bytes as words of the other order
    if b"\\u" in content:
        yield JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)).encode("utf-8", "surrogatepass"), content)
    if b"%" in content and b"\0" not in content:
        yield urllib.parse.unquote_to_bytes(content)
    if b"&" in content and b"\0" not in content:
        yield html.unescape(content.decode("latin-1")).encode("latin-1", "ignore")
    yield from (binascii.unhexlify(found) for found in HEX.findall(content))


def _unpacked(content: bytes) -> Iterator[bytes]:
    with contextlib.suppress(OSError, EOFError, zlib.error, zipfile.BadZipFile, binascii.Error):
        if content[:2] == b"\x1f\x8b":
            yield content[:512].split(b"\0\0", 1)[-1][:256]  # the file name that gzip may keep
            yield gzip.decompress(content)
        elif content[:4] == b"PK\3\4":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for member in archive.namelist():
                    yield member.encode()
                    yield archive.read(member)
        elif content.startswith(PNG):
            yield from _png_chunks(content)
        elif content[128:132] == b"DICM":
            yield from _inside_dicom(content)
        elif b"base64," in content:
            yield from (base64.b64decode(found) for found in BASE64.findall(content))


def _png_chunks(content: bytes) -> Iterator[bytes]:
    at = len(PNG)
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        body = content[at + 8 : at + 8 + length]
        for start in (0, body.find(b"\0") + 2, body.find(b"\0") + 5):
            with contextlib.suppress(zlib.error):
                yield zlib.decompress(body[start:])
        at += length + 12


def _inside_dicom(content: bytes) -> Iterator[bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            meta = read_partial(io.BytesIO(content), stop_when=lambda *_: True).file_meta
            if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
                length = int.from_bytes(content[140:144], "little")
                yield zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[144 + length :])
            ds = dcmread(io.BytesIO(content))
            if "PixelData" in ds:
                yield from _pixels(ds)
        except Exception:  # what cannot be decoded is searched as it is
            return


def _pixels(ds: Dataset) -> Iterator[bytes]:
    """Decoded pixels, and each bit that lies outside the bits stored, gathered to bytes in both orders."""
    pixels = ds.pixel_array
    if ds.file_meta.TransferSyntaxUID.is_encapsulated:
        yield pixels.tobytes()
    whole = (
        np.frombuffer(ds.PixelData, "<u2")
        if ds.BitsAllocated == 16 and not ds["PixelData"].is_undefined_length
        else None
    )
    if whole is None:
        return
    for bit in set(range(16)) - set(range(ds.HighBit + 1 - ds.BitsStored, ds.HighBit + 1)):
        plane = (whole >> bit & 1).astype("u1")
        for order in ("little", "big"):
            yield np.packbits(plane, bitorder=order).tobytes()
