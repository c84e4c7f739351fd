"""Text inside compressed pictures: comments, application data and what stands after the end. Blanked, lengths kept.

Offsets to frames stay valid and the picture decodes to the same pixels, since decoders skip all of this.
"""

import struct
from collections.abc import Iterator

RLE = "1.2.840.10008.1.2.5"
RLE_HEADER = 64
JPEG_START, J2K_START, JP2_START = b"\xff\xd8", b"\xff\x4f", b"\0\0\0\x0cjP  "
END = b"\xff\xd9"
COMMENT, SCAN = 0xFE, 0xDA
KEPT_APPLICATION = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12), 0xE8: (b"mrfx", 16)}
"""Application segments that tell the decoder about colour: how they begin and how many bytes of them are fixed."""
J2K_COMMENT, J2K_TILE, J2K_DATA = 0x64, 0x90, 0x93
JP2_NEEDED = frozenset({b"jP  ", b"ftyp", b"jp2h", b"jp2c", b"ihdr", b"colr", b"pclr", b"cmap", b"cdef", b"bpcc"})


def blank_text(fragment: bytes, syntax: str, plane_bytes: int) -> bytes:
    """One fragment of encapsulated pixel data, without text that is no part of the picture.

    `plane_bytes` is rows times columns: what one run-length segment decodes to.
    """
    content = bytearray(fragment)
    if syntax == RLE:
        spans = _rle_gaps(fragment, plane_bytes)
    elif fragment.startswith(JPEG_START):
        spans = _jpeg_text(fragment)
    elif fragment.startswith(J2K_START):
        spans = _j2k_text(fragment, 2)
    elif fragment.startswith(JP2_START):
        spans = _jp2_text(fragment)
    else:
        spans = iter(())
    for start, end in spans:
        content[start:end] = bytes(end - start)
    if syntax != RLE:
        last = content.rfind(END)
        if last >= 0:
            content[last + 2 :] = bytes(len(content) - last - 2)
    return bytes(content)


def _jpeg_text(data: bytes) -> Iterator[tuple[int, int]]:
    """Comment and application segments before the first scan (ITU-T T.81 B.1.1; JPEG-LS is laid out alike)."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == SCAN or marker == END[1]:
            return
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body, end = position + 4, min(position + 2 + max(length, 2), len(data))
        if marker == COMMENT or 0xE0 <= marker <= 0xEF:
            start, fixed = KEPT_APPLICATION.get(marker, (b"", 0))
            yield (body + fixed if start and data.startswith(start, body) else body), end
        position = end


def _j2k_text(data: bytes, position: int) -> Iterator[tuple[int, int]]:
    """Comment segments of the main header and of each tile part (ITU-T T.800 A.9)."""
    tile = tile_end = 0
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == END[1]:
            return
        if marker == J2K_DATA:
            if tile_end <= position:
                return
            position = tile_end
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == J2K_TILE:
            tile = position
            size = int.from_bytes(data[position + 6 : position + 10], "big")
            tile_end = tile + size if size else len(data)
        elif marker == J2K_COMMENT:
            yield position + 6, min(position + 2 + length, len(data))
        position += 2 + max(length, 2)


def _jp2_text(data: bytes) -> Iterator[tuple[int, int]]:
    """Boxes of a JP2 file that no decoder needs, and the text of the code stream within."""
    position = 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">L4s", data, position)
        end = len(data) if length == 0 else min(position + length, len(data))
        if length == 1 or end <= position + 8:
            return
        if name == b"jp2c":
            yield from _j2k_text(data, position + 10)
        elif name not in JP2_NEEDED:
            yield position + 8, end
        position = end


def _rle_gaps(data: bytes, plane_bytes: int) -> Iterator[tuple[int, int]]:
    """What lies between the end of one run-length segment and the next (PS3.5 annex G)."""
    if len(data) < RLE_HEADER:
        return
    count, *offsets = struct.unpack_from("<16L", data)
    segments = [offset for offset in offsets[: min(count, 15)] if RLE_HEADER <= offset <= len(data)]
    yield 4 + 4 * len(segments), RLE_HEADER
    end = RLE_HEADER
    for start in segments:
        yield end, max(start, end)
        end = _rle_end(data, start, plane_bytes)
    yield end, len(data)


def _rle_end(data: bytes, position: int, wanted: int) -> int:
    """Where a segment has given all its bytes: literal runs, repeated bytes, and 128, which does nothing."""
    while wanted > 0 and position < len(data):
        control = data[position]
        if control < 128:
            position += control + 2
            wanted -= control + 1
        elif control > 128:
            position += 2
            wanted -= 257 - control
        else:
            position += 1
    return min(position, len(data))
