"""What becomes of one value: each action of the rules, for each value representation, on the bytes of the file."""

import datetime
import re
from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from functools import lru_cache

from pydicom._uid_dict import UID_dictionary
from pydicom.charset import decode_bytes, encode_string
from pydicom.valuerep import TEXT_VR_DELIMS

from dpmed.ingest.objects.codes import is_code
from dpmed.ingest.objects.encoding import Encoding
from dpmed.ingest.quiet import reading
from dpmed.ingest.rules.compile import BULK, WHEN, Action, Entry, Rules
from dpmed.ingest.rules.text import Cleaner

ITEM_BYTES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 4, "SV": 8, "UV": 8}
MULTI_VALUED = frozenset({"LO", "SH", "UC", "CS", "DS", "IS", "DA", "DT", "TM", "UI", "AS"})
LONGEST = {"AS": 4, "CS": 16, "DS": 16, "IS": 12, "LO": 64, "SH": 16, "UI": 64}
DUMMY = {"PN": b"REMOVED", "DA": b"19000101", "TM": b"000000", "DT": b"19000101", "DS": b"0", "IS": b"0", "AS": b"000Y"}
REMOVED = b"REMOVED"
IMPROPER = "improper values"
"""What does not fit its representation: a name where a number belongs."""
NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
LETTERS, FLOAT_LETTERS = re.compile(rb"[A-Za-z0-9 ^.,_-]{8,}"), re.compile(rb"[A-Za-z0-9 ^.,_-]{10,}")
"""Runs that numbers of a usual size do not have: the highest byte of a double is a question mark or an at sign."""
CONTROLS = b"\x1b\t\n\r"
FEW_LETTERS = 6
DAY = re.compile(rb"(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])")
AGE = re.compile(r"(\d{3})([DWMY])")
DATE = re.compile(r"(\d{4})[.\-/]?(\d\d)[.\-/]?(\d\d)")
TIME = re.compile(r"(\d\d):?(?:(\d\d):?(?:(\d\d)(\.\d{1,6})?)?)?")
MAKERS_CLASS = re.compile(rb"[012](?:\.\d{1,6}){3,11}")
"""A kind of object has short numbers, unlike an instance, whose UID holds serial numbers, dates and times."""
TELLING = frozenset({"names", "ids"})
ZIP = re.compile(r"(?<!\d)(\d{3})\d{2}(?:-\d{4})?(?!\d)")
TELLING_NUMBER = 5
"""Digits from which on a number can be a record number of the patient."""
FEW_PEOPLE = frozenset(
    {"036", "059", "063", "102", "203", "205", "369", "556", "692", "753", "772", "790", "821", "823", "830", "831"}
    | {"878", "879", "884", "890", "893"}
)
"""ZIP areas of at most 20,000 people by the census of 2000 or of 2010 (45 CFR 164.514(b)(2)(i)(B))."""


@dataclass(frozen=True)
class Person:
    """What replaces a patient: the pseudonym and how far dates and times of day move."""

    pseudonym: str
    shift_days: int
    shift_seconds: int


@dataclass
class Values:
    """Treats the values of one file. `banned` are words of its header that may stay nowhere."""

    rules: Rules
    cleaner: Cleaner
    person: Person
    remap: Callable[[str], str]
    encoding: Encoding
    banned: Set[str] = frozenset()
    charset: list[str] = field(default_factory=lambda: ["iso8859"])
    removed: Counter[str] = field(default_factory=Counter)
    harvested: set[str] = field(default_factory=set)
    """Words of this header's names and numbers that would otherwise pass as words of imaging or as numbers."""

    def __post_init__(self) -> None:
        self._treatments: dict[Action, Callable[[bytes, str], bytes | None]] = {
            Action.KEEP: self._keep,
            Action.AS_IS: lambda raw, _: raw,
            Action.CLEAN: self._clean,
            Action.SHIFT: self._shift,
            Action.REMAP: lambda raw, _: self._remap(raw),
            Action.CLASS: lambda raw, _: raw if MAKERS_CLASS.fullmatch(raw.strip(b" \0")) else self._remap(raw),
            Action.PSEUDONYM: lambda _, __: self.person.pseudonym.encode(),
            Action.CAP: lambda raw, _: self._cap(raw),
            Action.ZIP3: lambda raw, _: self._zip3(raw),
            Action.EMPTY: lambda _, __: b"",
            Action.DUMMY: lambda _, vr: DUMMY.get(vr, REMOVED),
        }

    def treat(self, entry: Entry, raw: bytes) -> bytes | None:
        """The new value, or None where the attribute goes. `raw` is not empty."""
        if entry.kind in TELLING:
            self.harvest(raw, entry.kind)
        if entry.most and len(raw) > entry.most * ITEM_BYTES.get(entry.vr, len(raw)):
            self.removed[IMPROPER] += 1
            return None
        treated = self._treatments[entry.action](raw, entry.vr)
        if treated == b"" and entry.required:
            treated = DUMMY.get(entry.vr, REMOVED)
        if treated != raw and (entry.kind or treated is None):
            self.removed[entry.kind or IMPROPER] += 1
        return treated

    def harvest(self, raw: bytes, kind: str) -> None:
        """Remember what a name or a number says, where it could be taken for something else."""
        self.harvested |= _ambiguous(self.words(raw), kind, self.cleaner)

    def is_code(self, scheme: bytes, value: bytes) -> bool:
        """Whether this is a code as its public scheme forms them, and no number of this patient's."""
        code = value.decode("latin-1")
        return code.casefold() not in self.banned and is_code(scheme.decode("latin-1"), code, self.cleaner.terms)

    def words(self, raw: bytes) -> str:
        """Bytes of text as characters, in the character sets of the data set."""
        if raw.isascii():
            return raw.decode("ascii")
        with reading():
            return decode_bytes(raw, self.charset, TEXT_VR_DELIMS)

    def _keep(self, raw: bytes, vr: str) -> bytes | None:
        if vr in ITEM_BYTES:
            return raw if _is_binary_number(raw, vr) else None
        if vr in BULK:
            return None if _is_text(raw) else raw
        if vr in {"DS", "IS"}:
            return raw if self._are_numbers(raw) else None
        if vr == "CS":
            return self._codes(raw)
        if vr == "UI":
            return raw if re.fullmatch(rb"[0-9.\\]{1,64}\0?", raw) else None
        if vr in WHEN:
            return raw if re.fullmatch(rb"[0-9.:+\- \\]*\0?", raw) else None
        return self._cap(raw) if vr == "AS" else self._clean(raw, vr)

    def _are_numbers(self, raw: bytes) -> bool:
        for part in raw.rstrip(b"\0").split(b"\\"):
            number = part.strip()
            if number and (len(number) > LONGEST["DS"] + 8 or not NUMBER.fullmatch(number)):
                return False
            if DAY.fullmatch(number) or (len(number) >= TELLING_NUMBER and number.decode() in self.banned):
                return False
        return True

    def _codes(self, raw: bytes) -> bytes:
        """A multi-valued code keeps its places (ImageType has meaning by position): a foreign term becomes empty."""
        parts = self.words(raw.rstrip(b" \0")).split("\\")
        return "\\".join(
            part if not part.strip() or self.cleaner.code(part.strip(), self.banned) else "" for part in parts
        ).encode("ascii", "ignore")

    def _clean(self, raw: bytes, vr: str) -> bytes:
        text = self.words(raw.rstrip(b" \0"))
        parts = text.split("\\") if vr in MULTI_VALUED else [text]
        longest = LONGEST.get(vr, len(text))
        cleaned = "\\".join(self.cleaner.text(part, self.banned)[:longest].rstrip() for part in parts)
        if cleaned.isascii():
            return cleaned.encode("ascii")
        with reading():
            return encode_string(cleaned, self.charset)

    def _remap(self, raw: bytes) -> bytes | None:
        parts = raw.rstrip(b" \0").split(b"\\")
        return b"\\".join(self.remap(part.decode("latin-1").strip()).encode() for part in parts)

    def _cap(self, raw: bytes) -> bytes | None:
        match = AGE.fullmatch(raw.decode("latin-1").strip(" \0"))
        if not match:
            return None
        cap = self.rules.profile.age_cap
        years = int(match[1]) if match[2] == "Y" else 0
        return f"{cap + 1:03d}Y".encode() if years > cap else match[0].encode()

    def _zip3(self, raw: bytes) -> bytes:
        found = ZIP.findall(self.words(raw))
        return ("000" if found[-1] in FEW_PEOPLE else found[-1]).encode() if found else b""

    def _shift(self, raw: bytes, vr: str) -> bytes | None:
        parts = [part.strip() for part in raw.decode("latin-1").rstrip(" \0").split("\\")]
        move = {"DA": self._date, "TM": self._time, "DT": self._moment}[vr]
        return "\\".join(move(part) if part else "" for part in parts).encode()

    def _date(self, text: str) -> str:
        match = DATE.fullmatch(text)
        return _moved(match, self.person.shift_days) if match else ""

    def _time(self, text: str) -> str:
        match = TIME.fullmatch(text)
        if not match or self.rules.profile.times == "drop":
            return ""
        seconds = int(match[1]) * 3600 + int(match[2] or 0) * 60 + int(match[3] or 0) + self.person.shift_seconds
        hours, rest = divmod(seconds % 86400, 3600)
        return f"{hours:02d}{rest // 60:02d}{rest % 60:02d}{match[4] or ''}"

    def _moment(self, text: str) -> str:
        """A DT: its date moves; its time likewise or not at all; its offset from UTC, which tells a place, goes."""
        date = self._date(text[:8])
        return date + self._time(re.sub(r"[+-]\d{4}$", "", text[8:])) if date else ""


def _moved(match: re.Match[str], days: int) -> str:
    try:
        day = datetime.date(int(match[1]), int(match[2]), int(match[3])) - datetime.timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return day.strftime("%Y%m%d") if day.year >= 1000 else ""


def _is_binary_number(raw: bytes, vr: str) -> bool:
    """Whole numbers of this size, and not letters in disguise; four bytes of a float may look like text by chance."""
    if len(raw) % ITEM_BYTES[vr]:
        return False
    letters = FLOAT_LETTERS if vr == "FL" else LETTERS
    return (vr == "FL" and len(raw) == 4) or not (_is_text(raw) or letters.search(raw))


def _is_text(raw: bytes) -> bool:
    """Whether bytes that should be numbers are letters from end to end, as they stand or with zeros between."""
    content = raw.rstrip(b"\0").translate(None, CONTROLS)
    plain = content.replace(b"\0", b"")
    try:
        text = plain.decode("utf-8")
    except UnicodeDecodeError:
        return False
    least = 4 if len(plain) == len(content) else 8  # small numbers have zeros between them too, and no words
    return len(plain) >= least and text.isprintable() and (least == 4 or sum(map(str.isalpha, text)) >= FEW_LETTERS)


@lru_cache(maxsize=4096)
def _ambiguous(text: str, kind: str, cleaner: Cleaner) -> frozenset[str]:
    """Of a name, the words that are words of imaging too; of a number, the parts that could stand in a description."""
    words = {word.casefold() for word in re.findall(r"[^\W_]+", text) if len(word) > 1}
    if kind == "names":
        return frozenset(word for word in words if cleaner.knows(word))
    numbers = {word for word in words if any(map(str.isdigit, word))}
    return frozenset(word for word in numbers if len(word) >= TELLING_NUMBER or cleaner.text(word) == word)


def remapper(uids: Callable[[str], str]) -> Callable[[str], str]:
    """New UIDs by `uids`, but for those that DICOM itself assigned: classes, syntaxes, coding schemes."""
    return lambda uid: uid if not uid or uid in UID_dictionary else uids(uid)
