"""What a compressed picture says of its own size, before a codec believes it.

A code stream that unpacks to another size than its header's could ask for any amount of memory or time.
"""

import struct

from dpmed.ingest.reasons import Reason, Refused

MOST_GROWTH = 4
SMALL_CHANGE = 2**16
"""A frame that compression made more than four times larger, and this much, is no picture of its size."""
JPEG_START, JPEG_END, TRAILING = b"\xff\xd8", b"\xff\xd9", 1024
J2K_START, JP2_START = b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG markers that state rows and columns (ITU-T T.81 B.2.2), and that of JPEG-LS (T.87 C.2.2)."""
START_OF_SCAN, EXTENSION, OVERSIZE = 0xDA, 0xF8, 4
"""JPEG-LS may state a size in an extension instead (T.87 C.2.4.1.4), which no medical picture needs."""


def require_size(frame: bytes, size: tuple[int, int], *, bits: int, is_plain: bool) -> None:
    """Refuse a frame that is not of this size, rows first. A `is_plain` one (run lengths) states none."""
    rows, columns = size
    if len(frame) > MOST_GROWTH * rows * columns * bits // 8 + SMALL_CHANGE:
        raise Refused(Reason.TOO_LARGE)
    if is_plain:
        return
    is_jpeg = frame.startswith(JPEG_START)
    if (_jpeg(frame) if is_jpeg else _jpeg_2000(frame)) != {size}:
        raise Refused(Reason.UNREADABLE)
    # A cut JPEG decodes to a picture that is grey from there on, a cut JPEG-LS only after seconds of looking for more.
    if is_jpeg and frame.rfind(JPEG_END, -TRAILING) < 0:
        raise Refused(Reason.TRUNCATED)


def _jpeg_2000(frame: bytes) -> set[tuple[int, int]]:
    """The size of the image area (ITU-T T.800 A.5.1), in a bare code stream or in the file format around it."""
    start = 0 if frame.startswith(J2K_START) else frame.find(J2K_START) if frame.startswith(JP2_START) else -1
    if start < 0 or len(frame) < start + 24:
        return set()
    right, lower, left, upper = struct.unpack_from(">4L", frame, start + 8)
    return {(lower - upper, right - left)}


def _jpeg(frame: bytes) -> set[tuple[int, int]]:
    """Every size stated before the first scan; none where the markers do not follow each other."""
    place = len(JPEG_START)
    found: set[tuple[int, int]] = set()
    while place + 10 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == START_OF_SCAN:
            return found
        if marker == 0xFF or marker in WITHOUT_LENGTH:
            place += 1 if marker == 0xFF else 2
            continue
        if marker in START_OF_FRAME:
            found.add(struct.unpack_from(">HH", frame, place + 5))
        elif marker == EXTENSION and frame[place + 4] == OVERSIZE:
            return set()
        place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
    return set()
