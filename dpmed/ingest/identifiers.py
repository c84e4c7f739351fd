"""Counts what identifies a person in a DICOM header, at every depth, by the classes of rules/ps315.toml.

Works on undecoded elements: a value is looked at only as bytes, so a malformed or mislabelled one cannot hide.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from dpmed.ingest import limits
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.rules import table as rules

PRIVATE = "private tags"
UNKNOWN = "unknown attributes"
FILE_NAMES = "file names"
FREE_TEXT = "free text"
EMBEDDED = "embedded data"
# Classes whose values name a person or a place outright and can be searched for as strings.
SEARCHABLE = frozenset({"names", "dates", "ids", "uids", "addresses", "contacts", "devices", "institutions"})
MIN_TOKEN = 4
# Application entity titles of the file meta group, which table E.1-1 leaves to the writer of the file.
META_TITLES = frozenset({0x00020016, 0x00020017, 0x00020018})


@dataclass
class Findings:
    """What one header holds: how many identifiers of each class, and (if asked for) their values as bytes."""

    removed: Counter[str] = field(default_factory=Counter)
    tokens: set[bytes] = field(default_factory=set)


@cache
def table() -> dict[int, str]:
    """The class of every attribute of E.1-1, by tag."""
    return {tag: rule.kind for tag, rule in rules.table().items()}


def class_of(tag: int) -> str | None:
    """The class of an attribute, or None if it is neither listed, private nor unknown."""
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        return PRIVATE
    if group & 0xFF00 == 0x5000 or (group & 0xFF00 == 0x6000 and element in {0x3000, 0x4000}):
        return EMBEDDED
    if tag in META_TITLES:
        return "devices"
    return table().get(tag) or (UNKNOWN if _vr(tag) is None and element else None)


def findings(header: Dataset, *, harvest: bool = False) -> Findings:
    """Count the identifiers of a header and its sequences. Raises `Refused` past the limits of depth or number."""
    found = Findings()
    for seen, (tag, value) in enumerate(_elements(header, 0), start=1):
        if seen > limits.MAX_ELEMENTS:
            raise Refused(Reason.TOO_LARGE)
        name = class_of(tag)
        if name is None or not value:
            continue
        found.removed[name] += 1
        if harvest and name in SEARCHABLE | {PRIVATE}:
            found.tokens |= _tokens(value, private=name == PRIVATE)
    return found


def _elements(header: Dataset, depth: int) -> Iterator[tuple[int, bytes]]:
    """Every element at every depth as tag and bytes; a sequence comes first as itself, then as its items."""
    if depth > limits.MAX_SEQUENCE_DEPTH:
        raise Refused(Reason.TOO_DEEP)
    for tag in header.keys():  # noqa: SIM118 - iterating the dataset itself would decode every value
        raw = header.get_item(tag)
        if not _is_sequence(tag, raw):
            yield int(tag), _bytes_of(raw)
            continue
        items = header[tag].value or ()
        yield int(tag), b"sequence" if len(items) else b""
        for item in items:
            yield from _elements(item, depth + 1)


def _is_sequence(tag: BaseTag, raw: RawDataElement | DataElement | None) -> bool:
    vr = raw.VR if raw is not None else None
    return (vr or _vr(int(tag))) == "SQ"


def _bytes_of(raw: RawDataElement | DataElement | None) -> bytes:
    value = raw.value if raw is not None else b""
    return value if isinstance(value, bytes) else str(value or "").encode("utf-8", "replace")


@cache
def _vr(tag: int) -> str | None:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _tokens(value: bytes, *, private: bool) -> set[bytes]:
    """The whole value and its parts. Of private values only longer printable ones: the rest is binary chance."""
    parts = {part.strip(b" \0") for part in value.replace(b"^", b"\\").replace(b"=", b"\\").split(b"\\")}
    parts |= {value.strip(b" \0")}
    least = 8 if private else MIN_TOKEN
    return {part for part in parts if least <= len(part) <= 128 and (not private or part.isascii())}
