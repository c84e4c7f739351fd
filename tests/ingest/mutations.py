"""Damage to files, as chance and malice do it: bytes turned, runs cut, doubled, moved, lengths that lie."""

import random
import struct
from collections.abc import Callable

HEAD = 2048
"""Bytes in which most of a header lies, and in which most of the damage is done."""
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
VRS = (b"SQ", b"UN", b"OB", b"OW", b"UT", b"PN", b"LO", b"UI", b"DA", b"DS", b"IS", b"US", b"FD", b"AT", b"??", b"\0\0")
MARKS = (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xff\xff\xff", b"\xe0\x7f\x10\x00")
"""Item, its end, the end of a sequence, an undefined length, the pixels."""


def mutated(content: bytes, other: bytes, draw: random.Random) -> bytes:
    """`content` after one to four kinds of damage; `other` lends it pieces."""
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        draw.choice(KINDS)(damaged, other, draw)
    return bytes(damaged)


def _place(content: bytearray, draw: random.Random) -> int:
    end = len(content) if draw.random() < 0.3 else min(HEAD, len(content))
    return draw.randrange(end) if end else 0


def _turn(content: bytearray, other: bytes, draw: random.Random) -> None:
    for _ in range(draw.randint(1, 12)):
        if content:
            content[_place(content, draw)] = draw.randrange(256)


def _cut(content: bytearray, other: bytes, draw: random.Random) -> None:
    del content[_place(content, draw) :]


def _drop(content: bytearray, other: bytes, draw: random.Random) -> None:
    start = _place(content, draw)
    del content[start : start + draw.randint(1, 64)]


def _double(content: bytearray, other: bytes, draw: random.Random) -> None:
    start = _place(content, draw)
    content[start:start] = content[start : start + draw.randint(1, 512)] * draw.choice((1, 1, 1, 50))


def _move(content: bytearray, other: bytes, draw: random.Random) -> None:
    start = _place(content, draw)
    piece = content[start : start + draw.randint(1, 256)]
    del content[start : start + len(piece)]
    place = _place(content, draw)
    content[place:place] = piece


def _graft(content: bytearray, other: bytes, draw: random.Random) -> None:
    start = draw.randrange(len(other)) if other else 0
    place = _place(content, draw)
    content[place:place] = other[start : start + draw.randint(1, 1024)]


def _lie(content: bytearray, other: bytes, draw: random.Random) -> None:
    """A number at an end of what it can be, of two bytes or four, in either order."""
    form = draw.choice(("<H", ">H", "<L", ">L"))
    size = struct.calcsize(form)
    place = _place(content, draw) & ~1
    if place + size <= len(content):
        struct.pack_into(form, content, place, draw.choice(EXTREMES) & ((1 << 8 * size) - 1))


def _rename(content: bytearray, other: bytes, draw: random.Random) -> None:
    """Another representation, or a delimiter, where one stands or might."""
    place, mark = _place(content, draw) & ~1, draw.choice(VRS + MARKS)
    content[place : place + len(mark)] = mark


KINDS: tuple[Callable[[bytearray, bytes, random.Random], None], ...] = (
    _turn,
    _cut,
    _drop,
    _double,
    _move,
    _graft,
    _lie,
    _lie,
    _rename,
    _rename,
)
