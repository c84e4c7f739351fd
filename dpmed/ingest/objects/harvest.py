"""What to search the output for: the values of one object that its rules take away. For --verify; memory only.

What the rules let stay (a maker's name, a safe private attribute, a word of imaging) is no leak where it stands. What
can stand in another patient's object by right, a date that moved onto a true one or a surname that is a word of
imaging, is searched in the patient's own objects alone.
"""

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from dpmed.ingest.identifiers import PRIVATE, class_of
from dpmed.ingest.objects.values import Person
from dpmed.ingest.opened import open_dicom
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Refused
from dpmed.ingest.rules.compile import WHEN, Action, Rules
from dpmed.ingest.rules.table import terms, vocabulary
from dpmed.ingest.verify import usual_vr

OF_PEOPLE = frozenset({"names", "ids", "uids", "addresses", "contacts"})
OF_THINGS = frozenset({"devices", "institutions", PRIVATE})
STAYS = frozenset({Action.KEEP, Action.AS_IS, Action.CLEAN, Action.CLASS, Action.CAP, Action.ZIP3, Action.DESCEND})
SHORT_NUMBER = 8
"""Digits below which a number can be a true exposure or dose of somebody else."""
LEAST, LEAST_PRIVATE, MOST = 4, 8, 128


@dataclass(frozen=True)
class Harvest:
    """Original strings: to be searched `everywhere`, or only in the patient's `own` objects.

    What `stays` by the rules may stand anywhere, and in the patient's objects the `moved` dates may.
    """

    everywhere: frozenset[bytes] = field(default=frozenset(), repr=False)
    own: frozenset[bytes] = field(default=frozenset(), repr=False)
    stays: frozenset[bytes] = field(default=frozenset(), repr=False)
    moved: frozenset[bytes] = field(default=frozenset(), repr=False)

    def joined(self, others: Iterable["Harvest"]) -> "Harvest":
        """All of them as one."""
        several = (self, *others)
        return Harvest(
            frozenset().union(*(each.everywhere for each in several)),
            frozenset().union(*(each.own for each in several)),
            frozenset().union(*(each.stays for each in several)),
            frozenset().union(*(each.moved for each in several)),
        )


@dataclass(frozen=True)
class Harvester:
    """How to harvest under one profile."""

    rules: Rules

    def __call__(self, path: Path, person: Person) -> Harvest:
        """The strings of one file; none of one that cannot be read, since it cannot be written either."""
        try:
            with open_dicom(path) as file, reading():
                header = file.header()
                values = [*_values(header), *_values(header.file_meta)]
        except Refused:
            return Harvest()
        people, things, stays, times = set(), set(), set(), set()
        for tag, creator, vr, value in values:
            kind, kept = class_of(tag), self._stays(tag, creator)
            if vr in WHEN:
                times |= _parts(value)
            elif kind == "dates":
                continue
            elif kept and kind not in OF_PEOPLE and kind != "free text":
                stays |= {part.lower() for part in _parts(value)}
            elif kind in OF_PEOPLE and not kept:
                people |= _parts(value)
            elif kind in OF_THINGS:
                least = LEAST_PRIVATE if kind == PRIVATE else LEAST
                things |= {part for part in _parts(value) if len(part) >= least and part.isascii()}
        told = people | {part for part in things if not self._is_word(part)}
        ambiguous = {part for part in told if self._is_ambiguous(part)}
        days = {day for value in times if (day := value.replace(b".", b"")[:8]).isdigit() and len(day) == 8}
        return Harvest(
            frozenset(told - ambiguous),
            frozenset(ambiguous | self._searchable(days, times)),
            frozenset(stays),
            frozenset(_moved(day, person.shift_days) for day in days),
        )

    def of_name(self, name: str) -> Harvest:
        """The parts of a file's path that are no words of imaging."""
        parts = (part.split(".")[0].encode("utf-8", "surrogateescape") for part in name.split("/"))
        telling = {part for part in parts if len(part) > LEAST and not self._is_word(part)}
        ambiguous = {part for part in telling if self._is_ambiguous(part)}
        return Harvest(frozenset(telling - ambiguous), frozenset(ambiguous))

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(vocabulary() | {term.lower() for term in terms()} | set(self.rules.profile.vocabulary))

    def _is_word(self, part: bytes) -> bool:
        return part.decode("latin-1").lower() in self._words

    def _is_ambiguous(self, part: bytes) -> bool:
        """What can stand in others' objects by right: words of imaging, short numbers, and what reads as a date."""
        return self._is_word(part) or (part.isdigit() and (len(part) < SHORT_NUMBER or _moved(part, 0) == part))

    def _stays(self, tag: int, creator: str) -> bool:
        if creator:
            return (tag >> 16) << 8 | (tag & 0xFF) in self.rules.private.get(creator, {})
        entry = self.rules.entries.get(tag)
        return entry is not None and entry.action in STAYS

    def _searchable(self, days: set[bytes], times: set[bytes]) -> set[bytes]:
        """Dates unless they stay as they are, and times of day where they go."""
        profile = self.rules.profile
        if "retain-full-dates" in profile.options:
            return set()
        return days | ({value for value in times if len(value) != 8} if profile.times == "drop" else set())


def _values(header: pydicom.Dataset) -> Iterator[tuple[int, str, str, bytes]]:
    """Tag, private creator, representation and bytes of every value, at every depth."""
    for tag in header.keys():  # noqa: SIM118 - iterating the data set itself would decode every value
        raw = header.get_item(tag)
        if tag.is_private_creator or raw is None:
            continue
        creator = _creator(header, tag) if tag.is_private else ""
        vr = raw.VR or usual_vr(int(tag))  # not by decoding the value, which may be malformed
        if vr == "SQ":
            yield from (value for item in _items(header, tag) for value in _values(item))
        else:
            yield int(tag), creator, vr, _bytes(raw)


def _items(header: pydicom.Dataset, tag: BaseTag) -> tuple[pydicom.Dataset, ...]:
    try:
        with reading():
            return tuple(header[tag].value or ())
    except Refused:
        return ()


def _creator(header: pydicom.Dataset, tag: BaseTag) -> str:
    raw = header.get_item((tag.group, tag.element >> 8))
    return _bytes(raw).decode("latin-1").strip(" \0") or "?" if raw is not None else "?"


def _bytes(raw: RawDataElement | DataElement) -> bytes:
    return raw.value if isinstance(raw.value, bytes) else str(raw.value or "").encode("utf-8", "replace")


def _parts(value: bytes) -> set[bytes]:
    """The whole value and its parts, where they are long enough to mean someone."""
    parts = {value, *value.replace(b"^", b"\\").replace(b"=", b"\\").split(b"\\")}
    return {part for part in (part.strip(b" \0") for part in parts) if LEAST <= len(part) <= MOST}


def _moved(day: bytes, shift_days: int) -> bytes:
    try:
        moved = datetime.datetime.strptime(day.decode(), "%Y%m%d") - datetime.timedelta(days=shift_days)
    except (ValueError, OverflowError):
        return b""
    return moved.strftime("%Y%m%d").encode()
