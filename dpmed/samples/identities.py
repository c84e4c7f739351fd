"""Invented people, planted in the sample data so that a test can look for them in everything dpmed writes."""

from dataclasses import dataclass
from datetime import date, timedelta

from dpmed.core.errors import ConfigError

MAX_PATIENTS = 96
"""How many patients one sample set may have."""

INSTITUTION = "Larkmoor Infirmary"
STATION = "KESTREL-CT2"
DEVICE_SERIAL = "DSN-55102-07"
SOURCE_ENTITY = "KESTREL_AE"
PRIVATE_CREATOR = "LARKMOOR PACS 1.0"
PHYSICIAN = "Brackwater^Isambard^^Dr"
UID_PREFIX = "2.25.2718281828459045"
"""Start of every UID of the sample data, under the root that anyone may use (ISO/IEC 9834-8)."""

_FAMILIES = (
    "Quillfeather", "Wennerholt", "Pemberlock", "Ashgrovel", "Tidewhistle", "Marchbrook", "Oakenshade", "Fennimoor",
    "Larchwood", "Zwetschgen", "Dunravelle", "Hollowick", "Brambleton", "Ravenswyck", "Thistlebee", "Vandermoss",
    "Yarrowdale", "Eisenblume", "Capellotti", "Nightjarre", "Gullbrandt", "Sorrelfield", "Juniperus", "Iglooski",
)  # fmt: skip
_GIVENS = (
    "Zephyrine", "Ottoline", "Barnabus", "Celestina", "Dragomira", "Evangelos", "Florizel", "Guinivere",
    "Hyacinthe", "Ingeborga", "Jocasteen", "Kasimiera", "Leopoldyn", "Melisande", "Nikodemia", "Oberonius",
    "Philomene", "Quintella", "Rosamunde", "Sigismund", "Theodosia", "Ulrikette", "Valdemara", "Wilhelmyn",
)  # fmt: skip
_JAPANESE = "Yamahoshi^Shizukae=山星^静香江=やまほし^しずかえ"
_JAPANESE_EVERY = 12


@dataclass(frozen=True)
class Identity:
    """One invented patient. `name` is in DICOM form and may hold ideographic and phonetic groups."""

    name: str
    patient_id: str
    other_id: str
    accession: str
    phone: str
    address: str
    born: date
    studied: date
    number: int

    @property
    def plain_name(self) -> str:
        """Family and given name joined for file names and free text."""
        return self.name.partition("=")[0].replace("^", "_")


def identity(index: int) -> Identity:
    """The invented patient number `index` (0-based); the same whatever the seed."""
    name = f"{_FAMILIES[index % 24]}^{_GIVENS[(7 * index + index // 24) % 24]}"
    return Identity(
        name=_JAPANESE if index % _JAPANESE_EVERY == _JAPANESE_EVERY - 1 else name,
        patient_id=f"LKM-{7300148 + 137 * index}",
        other_id=f"HNR-{8811204 + 211 * index}",
        accession=f"ACN-{5507316 + 173 * index}",
        phone=f"+44 1632 96{1000 + index:04d}",
        address=f"{11 + index} Gallowtree Crescent, Larkmoor",
        born=date(1931, 3, 5) + timedelta(days=101 * index),
        studied=date(2020, 2, 29) + timedelta(days=5 * index),
        number=index,
    )


def follow_up(studied: date) -> date:
    """The date of a second scan; never the date of anyone's first."""
    return studied + timedelta(days=3)


def check_patients(patients: int) -> None:
    """Refuse a number of patients for which there are no invented identities."""
    if not 1 <= patients <= MAX_PATIENTS:
        raise ConfigError(
            f"{patients} sample patients were asked for; 1 to {MAX_PATIENTS} are possible",
            hint="the sample data is for trying dpmed, not for measuring it",
        )


def dicom_date(day: date) -> str:
    """A date as DICOM writes it: YYYYMMDD."""
    return day.strftime("%Y%m%d")


def _planted() -> tuple[str, ...]:
    everyone = [identity(index) for index in range(2 * MAX_PATIENTS)]
    numbers = [text.partition("-")[2] for one in everyone for text in (one.patient_id, one.other_id, one.accession)]
    days = [day for one in everyone for day in (one.born, one.studied, follow_up(one.studied))]
    fixed = (INSTITUTION, STATION, DEVICE_SERIAL, SOURCE_ENTITY, PRIVATE_CREATOR, UID_PREFIX, "1632 96", "Gallowtree")
    people = (
        *_FAMILIES,
        *_GIVENS,
        "Yamahoshi",
        "Shizukae",
        "山星",
        "静香江",
        "やまほし",
        "しずかえ",
        "Brackwater",
        "Isambard",
    )
    return (*fixed, *people, "LKM-7", "HNR-8", "ACN-5", *numbers, *sorted({dicom_date(day) for day in days}))


PLANTED: tuple[str, ...] = _planted()
"""Every invented identifier that the sample data holds; none may be found in anything dpmed writes."""
