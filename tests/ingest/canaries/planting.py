"""What is planted, and the book that is kept of it."""

import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .words import AGES, Inventor

PART_OF_A_DAY = re.compile(r"\d+[./ ]+\d{2}")
"""Day and month without the year: Safe Harbor takes all elements of a date but the year."""

Kind = Literal["token", "date", "uid"]


@dataclass(frozen=True)
class Planted:
    """One identifying value: its kind, every way it is written, and where it stands."""

    kind: Kind
    value: str
    file: str
    place: str
    forms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Instance:
    """One DICOM file of the set. `number` is its InstanceNumber, by which an output is told to be this one."""

    file: str
    number: int
    patient: str
    modality: str
    sop_class: str
    sop_uid: str
    held_back: bool = False
    burned_in: bool = False


@dataclass(frozen=True)
class Canaries:
    """A written set: the folder, its instances and everything planted in it."""

    folder: Path
    instances: tuple[Instance, ...]
    planted: tuple[Planted, ...]
    references: tuple[tuple[str, str], ...] = ()
    """Pairs of SOP instance UIDs: the first names the second."""

    @property
    def tokens(self) -> frozenset[str]:
        """Every planted word, number and foreign name."""
        return frozenset(one.value for one in self.planted if one.kind == "token")

    @property
    def dates(self) -> frozenset[str]:
        """Every planted day, as YYYYMMDD."""
        return frozenset(one.value for one in self.planted if one.kind == "date")

    @property
    def uids(self) -> frozenset[str]:
        """Every planted UID."""
        return frozenset(one.value for one in self.planted if one.kind == "uid")


@dataclass
class Planter:
    """Invents values and writes down each with its file and place."""

    inventor: Inventor
    file: str = ""
    book: list[Planted] = field(default_factory=list)
    _prefix: str = ""

    @contextmanager
    def inside(self, place: str) -> Iterator[None]:
        """All that is planted meanwhile stands at, or below, this place."""
        before, self._prefix = self._prefix, f"{self._prefix}{place} > "
        yield
        self._prefix = before

    def word(self, place: str) -> str:
        return self._note("token", self.inventor.word(), place)

    def upper(self, place: str) -> str:
        return self.word(place).upper()

    def number(self, place: str, digits: int = 9) -> str:
        return self._note("token", self.inventor.number(digits), place)

    def grouped(self, place: str) -> str:
        """A telephone number as it is written."""
        groups = [self.inventor.number(3), self.inventor.number(4)]
        self._note("token", "0" + "".join(groups), place, forms=(" ".join(groups),))
        return f"030 {' '.join(groups)}"

    def short(self, place: str) -> str:
        """Two letters and two digits: a hospital number that could be the name of a coil."""
        text = f"AX{self.inventor.number(2)}"
        return self._note("token", text, place, forms=(text,))

    def zip_code(self, place: str) -> str:
        """Nine digits of a ZIP code, of which the first five tell a few streets already."""
        five, four = self.inventor.number(5), self.inventor.number(4)
        return self._note("token", f"{five}-{four}", place, forms=(five,))

    def time(self, place: str) -> str:
        """A time of day to the microsecond."""
        pick = self.inventor.random.randrange
        clock = f"{pick(10, 24):02}{pick(60):02}{pick(60):02}"
        return self._note("token", f"{clock}.{self.inventor.number(6)}", place, forms=(f"{clock}.",))

    def age(self, place: str, style: int) -> str:
        """An age of 91 to 119, which is as good as a name."""
        text = AGES[style].format(self.inventor.age())
        return self._note("token", text, place, forms=(text,))

    def name(self, place: str) -> str:
        """A person: family and given name."""
        return f"{self.word(place)}^{self.word(place)}"

    def script(self, place: str, alphabet: str, length: int = 4) -> str:
        return self._note("token", self.inventor.script(alphabet, length), place)

    def uid(self, place: str) -> str:
        return self._note("uid", self.inventor.uid(), place)

    def day(self, place: str, first: int = 2008, last: int = 2017) -> str:
        """A day as DICOM writes it."""
        return self._note("date", self.inventor.day(first, last).strftime("%Y%m%d"), place)

    def moment(self, place: str) -> str:
        """A DT value with a fraction and a zone."""
        pick = self.inventor.random.randrange
        return f"{self.day(place)}{pick(10, 24):02}{pick(60):02}{pick(60):02}.{pick(10**6):06}+0{pick(10)}00"

    def written_day(self, place: str, style: int | str) -> str:
        """A day in a spelling of comments and reports."""
        day, text = self.inventor.spelled_day(1921, 2007, style)
        rest = text.replace(f"{day.year}", "").strip("/. ")
        forms = (text, rest) if PART_OF_A_DAY.fullmatch(rest) else (text,)
        self._note("date", day.strftime("%Y%m%d"), place, forms=forms)
        return text

    def _note(self, kind: Kind, value: str, place: str, forms: tuple[str, ...] = ()) -> str:
        self.book.append(Planted(kind, value, self.file, self._prefix + place, forms))
        return value


def as_date(text: str) -> datetime.date:
    """A DA value as a date."""
    return datetime.datetime.strptime(text[:8], "%Y%m%d").date()
