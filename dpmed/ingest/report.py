"""The scrub report: what came in, what was removed, what was kept and why, what is held back. Counts, never values."""

import hashlib
from collections.abc import Collection, Mapping
from typing import Literal

from pydantic import Field

from dpmed import __version__
from dpmed.core.record import Record
from dpmed.ingest.allowed import GROUPING, KEPT
from dpmed.ingest.identifiers import table
from dpmed.ingest.linkage import Anonymity
from dpmed.ingest.rules.profile import Profile
from dpmed.ingest.rules.table import edition
from dpmed.ingest.verify import Searched

OPTIONS_EDITION = "2024b"
"""Of PS3.15 E.1-1, for the columns of options in rules/ps315.toml."""
PSEUDONYMS = "HMAC-SHA-256 under a key that lies outside the dataset, a subkey for each purpose; files likewise"
KEY_LIMIT = "Pseudonyms can be traced back by whoever holds the key file. Keep it apart from the dataset."
RARE_LIMIT = "A picture can be known to those who treated the patient. No software changes that."
NOT_LOOKED_AT = "not looked at"
"""How outcomes begin that stand for pictures nobody and nothing looked into."""
PIXELS_BY_KIND = (
    "Text burned into pixels was not looked for in some or all pictures. Kinds that usually carry it (ultrasound,"
    " screenshots, secondary captures) and files that declare it are held back: look at a sample of the others."
)
PIXELS_IGNORED = "Text burned into pixels was not looked for, as asked: it may stand in any picture."
PIXELS_READ = "Text burned into pixels was looked for by software, which can miss some: look at a sample."
FACES_NOT_LOOKED_FOR = "Faces were not looked for: a head scan shows its owner's face. Deface head images first."
FACES_LOOKED_FOR = "Faces were looked for by software, which can miss some: look at a sample of heads."


class HeldLine(Record):
    """One line of the quarantine, by place in the input."""

    what: str
    short: str
    files: int
    reason: str


class ScrubReport(Record):
    """The audit of one ingest. What is None was not asked for or does not apply.

    `pixels` and `faces` count outcomes in words (`series with text, held back`: 3) under the policy named beside them.
    """

    schema_: Literal["dpmed.scrub/1"] = Field(default="dpmed.scrub/1", alias="schema")
    dpmed_version: str = __version__
    profile: str = "training"
    profile_sha256: str = ""
    rules: str = ""
    manifest_sha256: str = ""
    kind: str = ""
    task: str = ""
    files: int = 0
    ignored: int = 0
    images_in: int = 0
    images_out: int = 0
    duplicates: int = 0
    quarantined: int = 0
    patients: int = 0
    cases: int = 0
    labels_unmatched: int = 0
    identifiers_removed: dict[str, int] = Field(default_factory=dict)
    kept: dict[str, str] = Field(default_factory=dict)
    pseudonyms: str = PSEUDONYMS
    dates: str = ""
    crosswalk: bool = False
    pixel_policy: str = ""
    pixels: dict[str, int] | None = None
    face_policy: str = ""
    faces: dict[str, int] | None = None
    linkage: Anonymity | None = None
    generalised: tuple[str, ...] = ()
    patients_suppressed: int = 0
    quarantine: tuple[HeldLine, ...] = ()
    limits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    verified: bool | None = None
    searched: Searched | None = None

    def to_json(self) -> str:
        """JSON text, with the schema under its public name."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def rules(kept: Collection[object] = KEPT) -> str:
    """Which rule set was applied, in one phrase; `kept` is its allow-list."""
    return (
        f"allow-list of {len(kept)} attributes; DICOM PS3.15 table E.1-1, Basic Profile of edition {edition()}"
        f" ({len(table())} attributes), options of edition {OPTIONS_EDITION}"
    )


def sha256(text: str) -> str:
    """What the report quotes of a profile or manifest, so that the signature covers it."""
    return hashlib.sha256(text.encode()).hexdigest()


def dates_in_manifest(*, counted: bool) -> str:
    """What became of dates and times in a dataset to train on."""
    days = "; the manifest counts days from each patient's first study" if counted else ""
    return f"No date and no time is kept{days}."


def dates_in_objects(profile: Profile) -> str:
    """What became of dates and times in headers."""
    if "retain-full-dates" in profile.options:
        return "Dates and times are kept as they were."
    if "retain-modified-dates" not in profile.options:
        return "Dates and times are removed, or replaced by dummies where the object type demands one."
    times = "moved around the clock likewise" if profile.times == "shift" else "removed"
    return (
        f"Dates are moved by a secret number of days for each patient, intervals exact to the day; times are {times}."
    )


def limits(*, pixel_policy: str, pixels: Mapping[str, int] | None, faces: Mapping[str, int] | None) -> tuple[str, ...]:
    """What this report does not promise, given what was looked at."""
    found = [KEY_LIMIT, RARE_LIMIT]
    found.insert(0, FACES_LOOKED_FOR if _some_looked_at(faces) else FACES_NOT_LOOKED_FOR)
    if _some_passed_over(pixels):
        found.insert(0, PIXELS_IGNORED if pixel_policy == "ignore" else PIXELS_BY_KIND)
    if _some_looked_at(pixels):
        found.insert(0, PIXELS_READ)
    return tuple(found)


def _some_looked_at(outcomes: Mapping[str, int] | None) -> bool:
    return any(count and not outcome.startswith(NOT_LOOKED_AT) for outcome, count in (outcomes or {}).items())


def _some_passed_over(outcomes: Mapping[str, int] | None) -> bool:
    if outcomes is None:
        return True
    return any(count and outcome.startswith(NOT_LOOKED_AT) for outcome, count in outcomes.items())


KEPT_FROM_DICOM = KEPT | GROUPING
KEPT_FROM_NIFTI = {"voxels": "the image", "affine": "place, direction and size of voxels"}
KEPT_FROM_PICTURES = {"pixels": "the image, as grey values", "orientation": "applied to the pixels, then dropped"}
KEPT_ATTRIBUTES = {
    "sex": "F, M or O; for evaluation by subgroup",
    "age_band": "ten years, above 89 one band; for evaluation by subgroup",
    "scanner": "one word for the maker; for evaluation by subgroup",
    "site": "a keyed pseudonym of the institution; for evaluation by subgroup",
    "study_day": "days since the patient's first study; for evaluation over time",
}
"""Of these the manifest holds what the profile names and the input says."""
