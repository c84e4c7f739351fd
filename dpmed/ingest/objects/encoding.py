"""How a DICOM data set is laid out in bytes (PS3.5, chapters 6 and 7): headers of elements and items."""

import struct
from dataclasses import dataclass
from typing import Literal

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations whose explicit header has a 32-bit length."""
SHORT_FORM = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
SHORT_LIMIT = 0xFFFE


class Malformed(Exception):
    """The bytes are no data set in this encoding. Never carries a value."""


@dataclass(frozen=True)
class Encoding:
    """Explicit or implicit value representations, little (`<`) or big (`>`) endian."""

    explicit: bool
    endian: Literal["<", ">"]

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """A whole element; the value is padded to an even length."""
        if len(value) % 2:
            value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
        return self.header(tag, vr, len(value)) + value

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """The header of an element whose value has this many bytes."""
        group, element = tag >> 16, tag & 0xFFFF
        if not self.explicit:
            return struct.pack(f"{self.endian}HHL", group, element, length)
        code = vr.encode()
        if code in LONG_FORM:
            return struct.pack(f"{self.endian}HH2sHL", group, element, code, 0, length)
        if length > SHORT_LIMIT:
            # A value that outgrew its header, which PS3.5 6.2.2 has written as UN.
            return struct.pack(f"{self.endian}HH2sHL", group, element, b"UN", 0, length)
        return struct.pack(f"{self.endian}HH2sH", group, element, code, length)

    def item(self, content: bytes) -> bytes:
        """One item of a sequence, of defined length."""
        return struct.pack(f"{self.endian}HHL", ITEM >> 16, ITEM & 0xFFFF, len(content)) + content


EXPLICIT_LITTLE = Encoding(explicit=True, endian="<")
IMPLICIT_LITTLE = Encoding(explicit=False, endian="<")
EXPLICIT_BIG = Encoding(explicit=True, endian=">")
