"""`--verify`: search every byte that was written for every identifier that came in.

Original strings are kept in memory during the ingest. Text (manifest, report, file names, headers) is searched for
those of four bytes and more as whole words; voxels for those of eight and more, since shorter ones occur by chance
among pixel values. The search goes by the first bytes of all strings at once, so its cost does not grow with them.
"""

import gzip
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dpmed.ingest.pictures import read_picture

GZIP_HEADER = 10
HEADER = 352
"""Of NIfTI-1 in one file; what follows are voxels."""
TEXT_LEAST, VOXEL_LEAST = 4, 8
DIGITS_LEAST = 6
"""Shorter numbers occur among counts and sizes."""


class Needles:
    """Original strings, found by their first four or eight bytes."""

    def __init__(self, tokens: Iterable[bytes], *, known: bytes = b"") -> None:
        """`known` is text of our own (a report about nothing): words in it identify nobody."""
        own = known.lower()
        self._tokens = {token.lower() for token in tokens if _is_telling(token)}
        self._tokens = {token for token in self._tokens if token not in own}
        self._by_start = {
            width: _by_start(self._tokens, width, kind)
            for width, kind in ((TEXT_LEAST, np.uint32), (VOXEL_LEAST, np.uint64))
        }

    def __len__(self) -> int:
        return len(self._tokens)

    def in_text(self, content: bytes) -> int:
        """How many places of a text hold an original string as a whole word."""
        return sum(1 for _ in self._hits(content.lower(), TEXT_LEAST, np.uint32, words=True))

    def in_voxels(self, content: bytes) -> int:
        """How many places of binary data hold an original string."""
        return sum(1 for _ in self._hits(content.lower(), VOXEL_LEAST, np.uint64, words=False))

    def _hits(self, content: bytes, width: int, kind: type, *, words: bool) -> Iterator[int]:
        starts = self._by_start[width]
        if not starts:
            return
        wanted: np.ndarray = np.array(sorted(starts), dtype=kind)
        for offset in range(min(width, max(0, len(content) - width + 1))):
            count = (len(content) - offset) // width
            windows: np.ndarray = np.frombuffer(content, dtype=kind, count=count, offset=offset)
            near = np.minimum(np.searchsorted(wanted, windows), len(wanted) - 1)
            for index in np.flatnonzero(wanted[near] == windows):
                place = offset + int(index) * width
                for token in starts[int(windows[index])]:
                    if content.startswith(token, place) and not (words and _is_inside_word(content, place, len(token))):
                        yield place


def search_outputs(out: Path, names: Iterable[str], needles: Needles) -> Iterator[int]:
    """The number of hits of each written image, one by one."""
    for name in names:
        path = out / name
        content = path.read_bytes()
        hits = needles.in_text(name.encode())
        if name.endswith(".gz"):
            inflated = gzip.decompress(content)
            hits += needles.in_text(content[:GZIP_HEADER]) + needles.in_text(inflated[:HEADER])
            hits += needles.in_voxels(inflated[HEADER:])
        else:
            hits += needles.in_voxels(content) + needles.in_voxels(read_picture(path).tobytes())
        yield hits


def _is_telling(token: bytes) -> bool:
    return len(token) >= (DIGITS_LEAST if token.isdigit() else TEXT_LEAST) and len(set(token)) > 1


def _by_start(tokens: Iterable[bytes], width: int, kind: type) -> dict[int, list[bytes]]:
    starts: dict[int, list[bytes]] = defaultdict(list)
    for token in sorted(tokens):
        if len(token) >= width:
            starts[int(np.frombuffer(token[:width], dtype=kind)[0])].append(token)
    return dict(starts)


def _is_inside_word(content: bytes, place: int, length: int) -> bool:
    before, after = content[place - 1 : place] if place else b"", content[place + length : place + length + 1]
    return before.isalnum() or after.isalnum()
