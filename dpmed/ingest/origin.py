"""What a header or label file says about a patient that evaluation by subgroup may need, and what of it may stay.

An `Origin` holds original values and stays in memory. `attributes_of` turns origins into the few coarse words that the
profile admits to the manifest: an age becomes a band of ten years, a date a number of days since the patient's first
study, a manufacturer one word of a short list, an institution a keyed pseudonym.
"""

import datetime
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import pydicom

from dpmed.core.manifest import Attributes
from dpmed.ingest.pseudonyms import Pseudonyms

Sex = Literal["F", "M", "O"]
SEXES: Mapping[str, Sex] = {"F": "F", "FEMALE": "F", "M": "M", "MALE": "M", "O": "O", "OTHER": "O"}
YEARS_IN = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
AGE = re.compile(r"^(\d{1,3})([YMWD])$")
OLDEST = 130
MAKERS = {
    "siemens": "siemens",
    "general electric": "ge",
    "ge": "ge",
    "gems": "ge",
    "philips": "philips",
    "canon": "canon",
    "toshiba": "canon",
    "hitachi": "hitachi",
    "fujifilm": "fujifilm",
    "fuji": "fujifilm",
    "united imaging": "united-imaging",
    "uih": "united-imaging",
    "neusoft": "neusoft",
    "carestream": "carestream",
    "kodak": "carestream",
    "agfa": "agfa",
    "konica": "konica",
    "samsung": "samsung",
    "shimadzu": "shimadzu",
    "hologic": "hologic",
    "esaote": "esaote",
    "bruker": "bruker",
    "varian": "varian",
}
"""Words of the attribute Manufacturer to one word each. Toshiba's scanners are Canon's since 2018."""
OTHER_MAKER = "other"


@dataclass(frozen=True)
class Origin:
    """Original facts about the patient and the scan; whatever is unknown is empty. Stays in memory."""

    sex: Sex | None = None
    age: int | None = None
    manufacturer: str = ""
    institution: str = ""
    studied: datetime.date | None = None

    def filled(self, *, sex: Sex | None, age: int | None) -> "Origin":
        """What the header does not say, from the label file."""
        return replace(self, sex=self.sex or sex, age=age if self.age is None else self.age)


NOT_KNOWN = Origin()


def origin_of(header: pydicom.Dataset) -> Origin:
    """The origin of one DICOM object; a value that makes no sense counts as unknown."""
    studied, born = _date(_text(header, "StudyDate")), _date(_text(header, "PatientBirthDate"))
    age = age_in_years(_text(header, "PatientAge"))
    return Origin(
        sex=SEXES.get(_text(header, "PatientSex").upper()),
        age=_years_between(born, studied) if age is None and born and studied else age,
        manufacturer=_text(header, "Manufacturer"),
        institution=" ".join(_text(header, "InstitutionName").casefold().split()),
        studied=studied,
    )


def age_in_years(text: str) -> int | None:
    """Whole years of an age as DICOM (`057Y`, `018M`) or a table (`57`, `57.5`) writes it; None where it is neither."""
    match = AGE.match(text.strip().upper())
    try:
        age = int(float(match[1]) * YEARS_IN[match[2]]) if match else int(float(text.strip().removesuffix("+")))
    except (ValueError, OverflowError):
        return None
    return age if 0 <= age <= OLDEST else None


@dataclass(frozen=True)
class Scan:
    """One case with its original patient and what is known of both."""

    case: str
    identity: str
    origin: Origin


def attributes_of(
    scans: Iterable[Scan], kept: Collection[str], pseudonyms: Pseudonyms, *, age_cap: int = 89
) -> dict[str, Attributes]:
    """The attributes of every case, of those that are `kept`; days count from the patient's first study in `scans`."""
    scans = tuple(scans)
    first: dict[str, datetime.date] = {}
    for scan in scans:
        if scan.origin.studied:
            first[scan.identity] = min(scan.origin.studied, first.get(scan.identity, scan.origin.studied))
    found = {}
    for scan in scans:
        origin = scan.origin
        values = {
            "sex": origin.sex,
            "age_band": None if origin.age is None else age_band(origin.age, cap=age_cap),
            "scanner": maker(origin.manufacturer),
            "site": pseudonyms.site(origin.institution) if origin.institution else None,
            "study_day": (origin.studied - first[scan.identity]).days if origin.studied else None,
        }
        found[scan.case] = Attributes.model_validate({name: value for name, value in values.items() if name in kept})
    return found


def age_band(age: int, *, cap: int = 89) -> str:
    """Ten years, such as 40-49; everyone above the cap is one band, `90+`."""
    low = age // 10 * 10
    return f"{cap + 1}+" if age > cap else f"{low}-{min(low + 9, cap)}"


def maker(manufacturer: str) -> str | None:
    """One word for a maker of scanners, `other` for one that is not on the list, None for no name."""
    words = re.findall(r"[a-z]+", manufacturer.lower())
    if not words:
        return None
    text = f" {' '.join(words)} "
    return next((word for name, word in MAKERS.items() if f" {name} " in text), OTHER_MAKER)


def _text(header: pydicom.Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip(" \0")


def _date(text: str) -> datetime.date | None:
    digits = text.replace(".", "")
    try:
        return datetime.datetime.strptime(digits, "%Y%m%d").date() if len(digits) == 8 else None
    except ValueError:
        return None


def _years_between(born: datetime.date, studied: datetime.date) -> int | None:
    years = studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    return years if 0 <= years <= OLDEST else None
