"""Original strings, and the places where some content holds one of them.

Words of a text count from four bytes on, strings in binary data from eight: shorter ones occur there by chance. A
number must have six digits and stand alone. It does not count as the fraction of a decimal (0.703125 does not name
patient 703125), inside a digest, or, while shorter than twelve digits, in pixels among grey values that are digits'
neighbours.
The search goes by pairs of bytes, all strings at once, so its cost hardly grows with their number.
"""

import html
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import numpy as np

TEXT_LEAST, BINARY_LEAST = 4, 8
DIGITS_LEAST = 6
"""Shorter numbers occur among counts and sizes."""
UNLIKELY_DIGITS = 12
"""So many digits in a row are no accident of grey values."""
NEAR_DIGITS = frozenset(range(ord("0") - 10, ord("9") + 11))
"""Grey values within ten of a digit's code: what stands beside digits that are a smooth piece of a picture."""
NUMERIC = re.compile(rb"[0-9][0-9 .,:/+-]*")
DECIMAL = re.compile(rb"[+-]?\d{0,5}\.\d*(?:e[+-]?\d+)?")
"""A measure: a place, a direction, a spacing. A time of day has six digits before the point."""
NUMBER = re.compile(rb"[0-9.]*")
NUMBER_BYTES = frozenset(bytes([byte]) for byte in b"0123456789.")
REGISTERED = b"1.2.840.10008."
"""UIDs of the standard itself name a kind of object, not an object (PS3.6 annex A)."""
BLOCK = 2**18
"""Pairs of bytes looked at in one go: small enough for the processor's cache."""
SMALL = np.frombuffer(bytes(range(256)).lower(), dtype=np.uint8).astype(np.uint64)
LOWER = (SMALL[np.newaxis, :] | SMALL[:, np.newaxis] << np.uint64(8)).ravel()
"""Every pair of bytes, the second the higher one, in lower case."""


class Needles:
    """The original strings of one ingest. Holds them in memory; never written, never shown."""

    def __init__(self, tokens: Iterable[bytes], *, known: bytes = b"") -> None:
        """`known` is text of our own (a report about nothing): its words identify nobody and are left out."""
        telling = {token.lower() for token in tokens if _is_telling(token)}
        own = _Index(telling, TEXT_LEAST).find(known)
        self._tokens = telling - {token for place, token in own if _stands_alone(known, place, token)}
        spellings = {spelling for token in self._tokens for spelling in _spellings(token)}
        self._words = _Index(spellings, TEXT_LEAST)
        self._strings = _Index(spellings, BINARY_LEAST)
        self._longest = max((len(spelling) for spelling in spellings), default=0)

    def __len__(self) -> int:
        return len(self._tokens)

    def without(self, known: bytes) -> "Needles":
        """The same strings but those that are words of `known`."""
        return Needles(self._tokens, known=known)

    def in_text(self, content: bytes) -> int:
        """How many places of a text hold an original string as a whole word."""
        return sum(_stands_alone(content, place, token) for place, token in self._words.find(content))

    def in_voxels(self, content: bytes) -> int:
        """How many places of binary data hold an original string."""
        return sum(1 for _ in self._in_binary(content))

    def in_stream(self, read: Callable[[int], bytes], size: int = 2**22) -> tuple[int, int]:
        """The same for data read piece by piece, and how many bytes there were. Nothing is missed at the seams."""
        hits, total, kept, begin = 0, 0, b"", 0
        piece = read(size)
        while piece:
            following = read(size)
            total += len(piece)
            content = kept + piece
            # Decided now: strings that end before the last byte, so that it is known what follows them.
            end = len(content) - self._longest if following else len(content)
            hits += sum(begin <= place < end for place in self._in_binary(content))
            if end > begin:
                kept, begin = content[end - 1 :], 1
            else:
                kept = content
            piece = following
        return hits, total

    def _in_binary(self, content: bytes) -> Iterator[int]:
        for place, token in self._strings.find(content):
            if not NUMERIC.fullmatch(token) or not _is_among_greys(content, place, token):
                yield place


class _Index:
    """Strings by their first bytes, found in any case of letters."""

    def __init__(self, tokens: Iterable[bytes], width: int) -> None:
        self._width = width
        self._starts: dict[bytes, list[bytes]] = defaultdict(list)
        for token in sorted(tokens):
            if len(token) >= width:
                self._starts[token[:width]].append(token)
        self._keys = np.unique(np.array([int.from_bytes(start, "little") for start in self._starts], dtype=np.uint64))
        self._pairs = [_pairs(self._starts, place) for place in range(0, width, 2)]

    def find(self, content: bytes) -> Iterator[tuple[int, bytes]]:
        """Every place where one of the strings begins, and which, in lower case."""
        if not self._starts or len(content) < self._width:
            return
        for parity in (0, 1):
            pairs: np.ndarray = np.frombuffer(content, "<u2", (len(content) - parity) // 2, parity)
            for block in range(0, len(pairs), BLOCK):
                for index in self._near(pairs, block):
                    yield from self._at(content, 2 * int(index) + parity)

    def _near(self, pairs: np.ndarray, block: int) -> np.ndarray:
        """Where a string begins as far as its first bytes go; first a cheap look at pairs, which most places fail."""
        near = np.flatnonzero(np.take(self._pairs[0], pairs[block : block + BLOCK], mode="clip")) + block
        for step, possible in enumerate(self._pairs[1:], start=1):
            near = near[near + step < len(pairs)]
            near = near[possible[pairs[near + step]]]
        keys = np.zeros(len(near), dtype=np.uint64)
        for step in range(len(self._pairs)):
            keys |= LOWER[pairs[near + step]] << np.uint64(16 * step)
        found = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        matched: np.ndarray = near[self._keys[found] == keys]
        return matched

    def _at(self, content: bytes, place: int) -> Iterator[tuple[int, bytes]]:
        for token in self._starts.get(content[place : place + self._width].lower(), ()):
            if content[place : place + len(token)].lower() == token:
                yield place, token


def _pairs(starts: Iterable[bytes], place: int) -> np.ndarray:
    """Which of the 65,536 pairs of bytes stand at `place` in one of the strings, in any case."""
    table = np.zeros(2**16, dtype=bool)
    for start in starts:
        for first in {start[place], *bytes([start[place]]).upper()}:
            for second in {start[place + 1], *bytes([start[place + 1]]).upper()}:
                table[first | second << 8] = True
    return table


def _is_telling(token: bytes) -> bool:
    if len(set(token)) < 2 or token.startswith(REGISTERED):
        return False
    if b"\\" in token:
        return any(_is_telling(part.strip()) for part in token.split(b"\\"))
    if DECIMAL.fullmatch(token):
        return False
    if NUMERIC.fullmatch(token):
        return sum(chr(byte).isdigit() for byte in token) >= DIGITS_LEAST
    return len(token) >= TEXT_LEAST


def _spellings(token: bytes) -> set[bytes]:
    """As it is, and as UTF-8, JSON and HTML would write it."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        text = token.decode("latin-1")
    forms = (text, json.dumps(text)[1:-1].lower(), html.escape(text).lower())
    return {token, *(form.encode() for form in forms)}


def _stands_alone(content: bytes, place: int, token: bytes) -> bool:
    """A whole word; of a number, also neither side of the point in a decimal."""
    before, after = content[max(place - 1, 0) : place], content[place + len(token) : place + len(token) + 1]
    if before.isalnum() or after.isalnum():
        return False
    if not token.isdigit() or b"." not in (before, after):
        return True
    start = place
    while start > 0 and content[start - 1 : start] in NUMBER_BYTES:
        start -= 1
    run = NUMBER.match(content, start)
    whole, _, fraction = (run[0].strip(b".") if run else b"").partition(b".")
    if not fraction or b"." in fraction:
        return True
    return token == whole and not fraction.strip(b"0")


def _is_among_greys(content: bytes, place: int, token: bytes) -> bool:
    """Digits beside bytes that could be their neighbours in a picture."""
    beside = content[max(place - 1, 0) : place] + content[place + len(token) : place + len(token) + 1]
    if sum(chr(byte).isdigit() for byte in token) >= UNLIKELY_DIGITS:
        return any(chr(byte).isdigit() for byte in beside)
    return any(byte in NEAR_DIGITS for byte in beside)
