"""Searches everything that was written and said for everything that was planted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .planting import Canaries, Planted
from .views import views
from .words import SCRIPTS, UID_ROOTS, WORD

WORDS = re.compile(WORD.pattern.encode())
UIDS = re.compile(rb"(?:%s)\.[0-9.]*" % b"|".join(re.escape(root.encode()) for root in UID_ROOTS))
OWN_DIGITS = re.compile(rb"[0-9a-f]{25,}")
OWN_UIDS = re.compile(rb"[0-9.]{38,}")
"""Digests and UIDs of our own, these also byte-swapped: among so many digits some day or other stands by chance."""
DIGITS = re.compile(rb"\d{8,}")
ENCODINGS = (
    "utf-8",
    "utf-16-le",
    "iso2022_jp",
    "shift_jis",
    "euc_jp",
    "gb18030",
    "euc_kr",
    "iso8859_5",
    "iso8859_7",
    "latin-1",
)
ESCAPES = re.compile(rb"\x1b[$()*+,\-.]?[@-~]")


@dataclass(frozen=True)
class Leak:
    """A planted value that came through: its kind, where it was planted and where it was found. Never the value."""

    kind: str
    planted: str
    found: str


class Search:
    """All planted values, arranged for one pass over any content."""

    def __init__(self, canaries: Canaries, allowed: frozenset[str] = frozenset()) -> None:
        """`allowed`: days that are another day of the same patient, shifted as they should be."""
        self._canaries = canaries
        self._words = {one.value.lower().encode(): one for one in canaries.planted if one.kind == "token"}
        self._dates = {
            one.value.encode(): one for one in canaries.planted if one.kind == "date" and one.value not in allowed
        }
        self._uids = {one.value.encode(): one for one in canaries.planted if one.kind == "uid"}
        self._forms = {
            form.encode(encoding, "ignore").lower(): one
            for one in (*self._dates.values(), *self._words.values())
            for form in one.forms
            for encoding in (ENCODINGS if not form.isascii() else ("ascii",))
        }
        self._scripts = dict(self._foreign())

    def _foreign(self) -> Iterator[tuple[bytes, Planted]]:
        letters = frozenset("".join(SCRIPTS.values()))
        for one in self._canaries.planted:
            if one.kind == "token" and one.value[0] in letters:
                for encoding in ENCODINGS:
                    encoded = ESCAPES.sub(b"", one.value.encode(encoding, "ignore"))
                    if len(encoded) >= len(one.value):
                        yield encoded, one

    def inside(self, content: bytes) -> set[Planted]:
        """Every planted value that stands in a content, in whatever way it may be read."""
        found: set[Planted] = set()
        for view in views(content):
            found |= self._in_plain(view)
        return found

    def _in_plain(self, view: bytes) -> set[Planted]:
        lower = view.lower()
        found = {one for form, one in self._scripts.items() if form in view}
        found |= {self._words[word] for word in WORDS.findall(lower) if word in self._words}
        short = OWN_DIGITS.sub(b" ", OWN_UIDS.sub(b" ", lower))
        found |= {one for form, one in self._forms.items() if form in short}
        for uid in UIDS.findall(view):
            found |= {one for value, one in self._uids.items() if value in uid}
        for run in DIGITS.findall(OWN_DIGITS.sub(b" ", lower)):
            if run in self._words:
                found.add(self._words[run])
            if run[:8] in self._dates:
                found.add(self._dates[run[:8]])
        return found


def find_leaks(
    folder: Path, canaries: Canaries, *, said: str = "", allowed: frozenset[str] = frozenset()
) -> list[Leak]:
    """Every planted value in the bytes and names of a folder, and in what was said (stdout, stderr, logs)."""
    search = Search(canaries, allowed)
    leaks = []
    for number, path in enumerate(sorted(folder.rglob("*"))):
        where = f"output {number} ({path.suffix or 'no suffix'})"
        leaks += [
            _leak(canaries, one, f"name of {where}") for one in search.inside(str(path.relative_to(folder)).encode())
        ]
        if path.is_file():
            leaks += [_leak(canaries, one, where) for one in search.inside(path.read_bytes())]
    leaks += [_leak(canaries, one, "what was said") for one in search.inside(said.encode())]
    return sorted(leaks, key=lambda leak: (leak.kind, leak.planted, leak.found))


def _leak(canaries: Canaries, one: Planted, found: str) -> Leak:
    return Leak(one.kind, f"{one.file}: {one.place}", found)
