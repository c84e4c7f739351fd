"""Codes: those of public schemes stay, in the form that their scheme gives them; local ones say nobody knows what."""

import re
from collections.abc import Set

SNOMED = re.compile(r"[A-Z]{1,2}\d?-[0-9A-F]{4,6}")
SNOMED_CT = re.compile(r"[1-9]\d{5,17}")
FORMS = {
    "DCM": re.compile(r"\d{6}"),
    "LN": re.compile(r"\d{1,5}-\d"),
    "RADLEX": re.compile(r"RID\d{1,6}"),
    "UMLS": re.compile(r"C\d{7}"),
    "NCIt": re.compile(r"C\d{1,6}"),
    "FMA": re.compile(r"\d{1,6}"),
    "MDC": re.compile(r"\d{1,3}:\d{1,5}|\d{1,5}|MDC_[A-Z0-9_]{1,60}"),
    "SCPECG": re.compile(r"\d(?:\.\d{1,2}){1,3}(?:-\d{1,3}){1,2}"),
    "UCUM": re.compile(
        r"(?:[A-Za-z%]{1,5}\d?|\[[A-Za-z_\x27]{1,8}\]|\{(?:ratio|counts?|pixels?|voxels?|beats?|score|SUVbw|SUVlbm|SUVbsa|index)\}|[./*^-]|\d{1,2}){1,8}"
    ),
    "NEU": re.compile(r"\d{1,4}"),
    "ICD10": re.compile(r"[A-Z]\d\d(?:\.\d{1,2})?"),
    "ICD10CM": re.compile(r"[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?"),
    "I10": re.compile(r"[A-Z]\d\d(?:\.\d{1,2})?"),
    "ICDO3": re.compile(r"[A-Z]\d\d(?:\.\d)?|\d{4}/\d"),
    "ACR": re.compile(r"\d{1,2}\.\d{1,4}"),
    "MSH": re.compile(r"D\d{6}(?:\d{3})?"),
    "IBSI": re.compile(r"[0-9A-Z]{4}"),
    "BI": re.compile(r"\d{1,3}"),
    "ISO639_1": re.compile(r"[a-z]{2}"),
    "ISO639_2": re.compile(r"[a-z]{3}"),
    "ISO3166_1": re.compile(r"[A-Z]{2,3}"),
    "RFC5646": re.compile(r"[a-z]{2,3}(?:-[A-Z]{2})?"),
    "ITIS_TSN": re.compile(r"\d{4,6}"),
    "PUBCHEM_CID": re.compile(r"\d{1,8}"),
    "RXNORM": re.compile(r"\d{1,7}"),
}
"""Coding schemes of public bodies (PS3.16 chapter 8) and what their codes look like."""
TIMES = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
"""Multiplication in the dihedral group of the pentagon, on which Verhoeff's check digit rests."""
STEP = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def is_code(scheme: str, value: str, terms: Set[str]) -> bool:
    """Whether `value` has the form of a code of a public `scheme`; DICOM's own words, such as CT, are in `terms`."""
    if scheme in {"SCT", "SRT", "SNM3", "99SDM"}:
        return bool(SNOMED.fullmatch(value)) or (bool(SNOMED_CT.fullmatch(value)) and has_check_digit(value))
    if scheme == "DCM" and value in terms:
        return True
    return scheme in FORMS and bool(FORMS[scheme].fullmatch(value))


def has_check_digit(digits: str) -> bool:
    """Whether a number ends in its check digit by Verhoeff (1969), as every SNOMED CT identifier does."""
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        for _ in range(place % 8):
            digit = STEP[digit]
        total = TIMES[total][digit]
    return total == 0
