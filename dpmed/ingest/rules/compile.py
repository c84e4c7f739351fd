"""A profile and the tables become one look-up: attribute to what is done with it. What is not in it goes.

PS3.15 E.1-1 governs the attributes it lists; the allow-list governs the others. The standard leaves some actions open
(X/Z, X/D, Z/D, X/Z/D: "whichever the object type allows"); here the strongest that keeps every object type
conformant is taken: Z where Z will do, else D.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache

from pydicom.datadict import dictionary_VM, dictionary_VR

from dpmed.ingest.rules.profile import Profile
from dpmed.ingest.rules.table import Rule, allowed, safe_private, table

TEXT = frozenset({"LO", "SH", "ST", "LT", "UT", "UC"})
WHEN = frozenset({"DA", "DT", "TM"})
BULK = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
PATIENT_NAME, PATIENT_ID, PATIENT_AGE, PATIENT_ADDRESS = 0x00100010, 0x00100020, 0x00101010, 0x00101040
ENCAPSULATED_DOCUMENT = 0x00420011
ACQUISITION_CONTEXT = 0x00400555
"""A sequence that may be empty and may not be absent, wherever it stands (PS3.3 C.7.6.14)."""
CLASSES = (0x00080016, 0x0008001A, 0x0008001B, 0x00081150, 0x0008115A)
"""SOP Class UID and those that refer to one."""


class Action(Enum):
    """What is done with a value."""

    KEEP = auto()
    """As it is, if it is a proper value of its representation: a number, a known code."""
    AS_IS = auto()
    """As it is, unchecked: the user's own profile asked for it and took the risk."""
    CLEAN = auto()
    """Words that the vocabulary knows stay, all others go."""
    SHIFT = auto()
    """A date moves by the patient's shift; a time is dropped or moves likewise."""
    REMAP = auto()
    """A new UID in place of the old one, everywhere the same; registered UIDs stay."""
    CLASS = auto()
    """The UID of a kind of object, DICOM's own or a maker's; what is more telling than that is mapped."""
    PSEUDONYM = auto()
    """The patient's pseudonym."""
    CAP = auto()
    """An age, at most the profile's limit."""
    ZIP3 = auto()
    """The first three digits of a ZIP code, if enough people live there."""
    DESCEND = auto()
    """A sequence: the same rules for each item."""
    EMPTY = auto()
    """The attribute stays, its value goes."""
    DUMMY = auto()
    """A value that says nothing."""
    DROP = auto()
    """The attribute goes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is done with an attribute, its value representation, and the class of identifier it is, if any.

    A `required` attribute gets a dummy where its value goes, since objects that must have it exist.
    """

    action: Action
    vr: str
    kind: str = ""
    required: bool = False
    most: int = 0
    """How many numbers a binary value may hold; 0 where the standard sets no limit."""


@dataclass(frozen=True)
class Rules:
    """All that decides what becomes of a data set under one profile."""

    profile: Profile
    entries: Mapping[int, Entry]
    private: Mapping[str, Mapping[int, str]]
    """Safe private attributes: creator to group and low byte of the element to value representation."""


@cache
def rules_for(profile: Profile) -> Rules:
    """Compile a profile."""
    entries = {tag: Entry(_kept(vr), vr, most=_most(tag)) for tag, vr in allowed().items()}
    for rule in table().values():
        vr = _vr(rule.tag)
        entries[rule.tag] = Entry(_governed(rule, vr, profile), vr, rule.kind, required="D" in rule.basic)
    entries |= _special(profile, entries)
    private = safe_private() if "retain-safe-private" in profile.options else {}
    return Rules(profile, entries, private)


def _kept(vr: str) -> Action:
    """An attribute of the allow-list, by its representation."""
    if vr == "SQ":
        return Action.DESCEND
    if vr in TEXT:
        return Action.CLEAN
    if vr in WHEN:
        return Action.SHIFT
    if vr == "UI":
        return Action.REMAP
    return Action.DROP if vr in {"PN", "AE", "UR"} else Action.KEEP


def _governed(rule: Rule, vr: str, profile: Profile) -> Action:
    """An attribute of E.1-1: the options of the profile first, then the Basic Profile."""
    chosen = [rule.options[option] for option in profile.options if option in rule.options]
    if "K" in chosen:
        return _retained(vr, profile)
    if "C" in chosen:
        return _cleaned(rule, vr, profile)
    return _basic(rule.basic, vr)


def _retained(vr: str, profile: Profile) -> Action:
    if vr in WHEN and "retain-full-dates" in profile.options:
        return Action.KEEP
    return Action.KEEP if vr == "UI" else _kept(vr)


def _cleaned(rule: Rule, vr: str, profile: Profile) -> Action:
    if vr in WHEN:
        return Action.SHIFT if "retain-modified-dates" in profile.options else _basic(rule.basic, vr)
    if vr in BULK or vr in {"PN", "AE", "UR"}:
        return _basic(rule.basic, vr)  # nothing here can look into a picture, a stream or a person's name
    return _kept(vr)


def _basic(action: str, vr: str) -> Action:
    if "U" in action:
        return Action.DESCEND if vr == "SQ" else Action.REMAP
    if vr == "":
        return Action.DROP  # not in the installed dictionary: its representation is unknown, so is a fitting dummy
    if "D" in action:
        return Action.DESCEND if vr == "SQ" else Action.DROP if vr in BULK else Action.DUMMY
    # Most object types forbid an empty sequence where they do not demand one.
    return Action.EMPTY if "Z" in action and not (vr == "SQ" and "X" in action) else Action.DROP


def _special(profile: Profile, entries: Mapping[int, Entry]) -> dict[int, Entry]:
    """Attributes that have a treatment of their own, then the user's own wishes."""
    kinds = {tag: entries[tag].kind for tag in (PATIENT_NAME, PATIENT_ID, PATIENT_AGE, PATIENT_ADDRESS)}
    special = {tag: Entry(Action.CLASS, "UI") for tag in CLASSES if tag in entries}
    special |= {
        PATIENT_NAME: Entry(Action.PSEUDONYM, "PN", kinds[PATIENT_NAME]),
        PATIENT_ID: Entry(Action.PSEUDONYM, "LO", kinds[PATIENT_ID]),
    }
    if entries[ACQUISITION_CONTEXT].action is Action.DROP:
        special[ACQUISITION_CONTEXT] = replace(entries[ACQUISITION_CONTEXT], action=Action.EMPTY)
    if entries[PATIENT_AGE].action is Action.KEEP:
        special[PATIENT_AGE] = Entry(Action.CAP, "AS", kinds[PATIENT_AGE])
    if profile.zip3:
        special[PATIENT_ADDRESS] = Entry(Action.ZIP3, "LO", kinds[PATIENT_ADDRESS])
    if profile.documents == "keep":
        special[ENCAPSULATED_DOCUMENT] = Entry(Action.AS_IS, "OB")
    for tag in profile.kept_tags:
        special[tag] = Entry(Action.DESCEND if _vr(tag) == "SQ" else Action.AS_IS, _vr(tag))
    for tag in profile.removed_tags:
        special[tag] = Entry(Action.DROP, _vr(tag), entries[tag].kind if tag in entries else "free text")
    return special


@cache
def _most(tag: int) -> int:
    """The upper end of the value multiplicity in the data dictionary."""
    last = dictionary_VM(tag).split("-")[-1]
    return int(last) if last.isdigit() else 0


@cache
def _vr(tag: int) -> str:
    """The representation in the data dictionary; of several (US or SS) the first, or nothing if unknown."""
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return ""
