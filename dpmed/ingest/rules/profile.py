"""A profile: which options of PS3.15 Annex E are taken, and the user's own exceptions. Shipped ones and files alike."""

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydicom.datadict import keyword_dict

from dpmed.core.errors import ConfigError
from dpmed.core.recipe import did_you_mean
from dpmed.core.record import Record, describe

Option = Literal[
    "clean-descriptors",
    "clean-structured-content",
    "clean-graphics",
    "retain-safe-private",
    "retain-uids",
    "retain-device-identity",
    "retain-institution-identity",
    "retain-patient-characteristics",
    "retain-modified-dates",
    "retain-full-dates",
]
BASIC_CODE = ("113100", "Basic Application Confidentiality Profile")
Attribute = Literal["sex", "age_band", "scanner", "site", "study_day"]
"""What of a patient and a scan may stand in the manifest of a dataset to train on, for evaluation by subgroup."""
OPTION_CODES: Mapping[Option, tuple[str, str]] = {
    "clean-graphics": ("113103", "Clean Graphics Option"),
    "clean-structured-content": ("113104", "Clean Structured Content Option"),
    "clean-descriptors": ("113105", "Clean Descriptors Option"),
    "retain-full-dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "retain-modified-dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "retain-patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "retain-device-identity": ("113109", "Retain Device Identity Option"),
    "retain-uids": ("113110", "Retain UIDs Option"),
    "retain-safe-private": ("113111", "Retain Safe Private Option"),
    "retain-institution-identity": ("113112", "Retain Institution Identity Option"),
}
"""PS3.16, CID 7050."""
TELLING_OPTIONS = frozenset(
    {"retain-uids", "retain-full-dates", "retain-device-identity", "retain-institution-identity"}
)
"""Options under which the result is no longer de-identified by HIPAA Safe Harbor."""
MOST_BYTES = 1 << 20
MOST_BASES = 4
"""How long a chain of `based_on` may be."""
WORD = re.compile(r"[^\W_]{2,32}")
HINT = "dpmed ships basic, training and research-longitudinal; docs/deidentification.md shows how to write your own"


class Profile(Record):
    """What becomes of headers. `keep` and `remove` name attributes by keyword; `remove` wins.

    What `keep` names stays as it is, unchecked, hence only with `accept_risk`.
    """

    name: str = Field(max_length=32, pattern=r"^[A-Za-z0-9 _.-]+$")
    options: tuple[Option, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    times: Literal["drop", "shift"] = "drop"
    documents: Literal["hold", "keep"] = "hold"
    age_cap: int = Field(default=89, ge=1, le=89)
    zip3: bool = False
    keep: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    accept_risk: bool = False

    @property
    def kept_tags(self) -> tuple[int, ...]:
        """`keep` as tags."""
        return tuple(_tag(keyword) for keyword in self.keep)

    @property
    def removed_tags(self) -> tuple[int, ...]:
        """`remove` as tags."""
        return tuple(_tag(keyword) for keyword in self.remove)

    @field_validator("vocabulary")
    @classmethod
    def _are_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not all(WORD.fullmatch(word) for word in words):
            raise ValueError("each is one word of 2 to 32 letters and digits")
        return tuple(word.casefold() for word in words)

    @model_validator(mode="after")
    def _is_known_and_admitted(self) -> "Profile":
        for keyword in (*self.keep, *self.remove):
            _tag(keyword)
        telling = [*self.keep, *(option for option in self.options if option in TELLING_OPTIONS)]
        if (telling or self.documents == "keep") and not self.accept_risk:
            what = ", ".join(telling) or "documents"
            raise ValueError(f"{what} can identify a patient; write accept_risk = true to keep it all the same")
        if {"retain-full-dates", "retain-modified-dates"} <= set(self.options):
            raise ValueError("dates stay as they are or move, not both")
        return self


def load_profile(name_or_file: str) -> Profile:
    """A shipped profile by name, or one from a TOML file, which may say `based_on = "training"`.

    What the base says is inherited, except its name and its `accept_risk`: who writes a file answers for it.
    Raises `ConfigError` for an unknown name, key or attribute, with the nearest known one.
    """
    content = _content(name_or_file)
    if name_or_file not in shipped_profiles() and content.get("name") in shipped_profiles():
        raise ConfigError(
            f"the name {content['name']!r} is taken by a profile of dpmed", hint="give yours another name"
        )
    unknown = [key for key in content if key not in Profile.model_fields]
    if unknown:
        raise ConfigError(
            f"unknown profile key {unknown[0]!r}{did_you_mean(unknown[0], Profile.model_fields)}", hint=HINT
        )
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"profile: {describe(error)}", hint=HINT) from None


def shipped_profiles() -> tuple[str, ...]:
    """The names of the profiles that come with dpmed."""
    folder = resources.files("dpmed.ingest.rules").joinpath("profiles")
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml")))


def method_codes(profile: Profile) -> tuple[tuple[str, str], ...]:
    """Code value and meaning of what was done, for the De-identification Method Code Sequence (PS3.16, CID 7050)."""
    return (BASIC_CODE, *(code for option, code in OPTION_CODES.items() if option in profile.options))


def _content(name_or_file: str, depth: int = 0) -> dict[str, Any]:
    """The keys of a profile with those of its base."""
    if depth > MOST_BASES:
        raise ConfigError("profiles are based on each other in a circle", hint=HINT)
    try:
        content = tomllib.loads(_text(name_or_file))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the profile is not valid TOML: {error}", hint=HINT) from None
    except OSError as error:
        raise ConfigError(f"the profile cannot be read: {error.strerror}", hint=HINT) from None
    if "based_on" not in content:
        return content
    base = _content(str(content.pop("based_on")), depth + 1)
    return {key: value for key, value in base.items() if key not in {"name", "accept_risk"}} | content


def _text(name_or_file: str) -> str:
    if name_or_file in shipped_profiles():
        return resources.files("dpmed.ingest.rules").joinpath("profiles", f"{name_or_file}.toml").read_text("utf-8")
    path = Path(name_or_file)
    if path.suffix != ".toml" or not path.is_file():
        raise ConfigError(f"no profile {name_or_file!r}{did_you_mean(name_or_file, shipped_profiles())}", hint=HINT)
    if path.stat().st_size > MOST_BYTES:
        raise ConfigError("the profile is larger than 1 MiB", hint=HINT)
    return path.read_text("utf-8")


def _tag(keyword: str) -> int:
    tag = keyword_dict.get(keyword)
    if tag is None:
        raise ValueError(f"no attribute {keyword!r}{did_you_mean(keyword, keyword_dict)}")
    return int(tag)
