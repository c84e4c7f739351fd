"""The label file: which image or case belongs to which patient, with which label and split.

Columns `patient`, `image` and/or `case`, `label`, `split`, `modality`, `mask`, `sex`, `age`; others are ignored.
Messages count rows and name columns, never their content.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, cast, get_args

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.core.manifest import Split
from dpmed.ingest import limits
from dpmed.ingest.origin import SEXES, Sex, age_in_years

HINT = "columns: image or case, patient, label, and if you like split; one row per image or case (docs/cli.md)"
UNKNOWN = frozenset({"", "NAN", "NA", "N/A", "NONE", "U", "UNKNOWN"})
"""How tables write that a sex or an age is not known."""
SUFFIXES = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm")


@dataclass(frozen=True)
class Row:
    """One line of the label file; `number` is its place, for use in memory."""

    number: int
    patient: str
    image: str
    case: str
    label: Literal[0, 1] | None
    split: Split | None
    modality: str
    mask: str
    sex: Sex | None = None
    age: int | None = None


class Person(TypedDict):
    """What rows say of the patient beside the label."""

    sex: Sex | None
    age: int | None


def of_rows(rows: Sequence[Row]) -> Person:
    """Sex and age, where the rows of one scan give one and not two."""
    sexes, ages = {row.sex for row in rows if row.sex}, {row.age for row in rows if row.age is not None}
    return {"sex": sexes.pop() if len(sexes) == 1 else None, "age": ages.pop() if len(ages) == 1 else None}


class Roster:
    """The rows, findable by patient or by name. Remembers which were used."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)
        self._used: set[int] = set()
        self._by_name: dict[str, list[Row]] = defaultdict(list)
        self._by_patient: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            self._by_patient[row.patient].append(row)
            for name in dict.fromkeys(name for name in (row.image, row.case) if name):
                self._by_name[name].append(row)
        self._require_one_patient_per_name()

    @property
    def has_labels(self) -> bool:
        """Whether any row carries a label."""
        return any(row.label is not None for row in self.rows)

    @property
    def unmatched(self) -> int:
        """Rows that named nothing in the input."""
        return len(self.rows) - len(self._used)

    def of_patient(self, patient: str) -> tuple[Row, ...]:
        """All rows of an original patient."""
        return self._take(self._by_patient.get(patient, ()))

    def of_name(self, name: str) -> tuple[Row, ...]:
        """Rows whose `image` or `case` is this name, a trailing part of it, or either without its file suffix."""
        for candidate in _forms(name):
            if candidate in self._by_name:
                return self._take(self._by_name[candidate])
        return ()

    def of_path(self, name: str) -> tuple[Row, ...]:
        """Rows whose `image` or `case` is this very path or a folder above it."""
        parts = name.split("/")
        for length in range(len(parts), 0, -1):
            rows = self._by_name.get("/".join(parts[:length]))
            if rows:
                return self._take(rows)
        return ()

    def _take(self, rows: Iterable[Row]) -> tuple[Row, ...]:
        taken = tuple(rows)
        self._used.update(row.number for row in taken)
        return taken

    def _require_one_patient_per_name(self) -> None:
        torn = sum(len({(row.patient, row.label) for row in rows}) > 1 for rows in self._by_name.values())
        if torn:
            raise ConfigError(f"the label file gives {torn} images or cases two patients or two labels", hint=HINT)
        splits = defaultdict(set)
        for row in self.rows:
            if row.split:
                splits[row.patient].add(row.split)
        torn = sum(len(names) > 1 for names in splits.values())
        if torn:
            raise ConfigError(
                f"the label file puts {torn} patients into two splits", hint="a patient belongs to one split alone"
            )


def read_roster(path: Path, *, with_labels: bool) -> Roster:
    """Read a label file; without labels its column `label` is not looked at.

    Raises `ConfigError` where a column is missing or a value is not one of those allowed.
    """
    if not path.is_file():
        raise NoInputError("the label file does not exist", hint="check the path after --labels")
    if path.stat().st_size > limits.MAX_CSV_BYTES:
        raise ConfigError("the label file is too large", hint=HINT)
    try:
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        if "patient" not in columns:
            raise ConfigError("the label file has no column `patient`", hint=HINT)
        if not with_labels:
            columns.pop("label", None)
        rows = [_row(number, record, columns) for number, record in enumerate(reader, start=2)]
    except (UnicodeDecodeError, csv.Error):
        raise ConfigError("the label file is not a CSV in UTF-8", hint=HINT) from None
    if not rows:
        raise ConfigError("the label file has no rows", hint=HINT)
    return Roster(rows)


def _row(number: int, record: dict[str, str], columns: dict[str, str]) -> Row:
    def cell(column: str) -> str:
        return (record.get(columns.get(column, "")) or "").strip()

    if not cell("patient"):
        raise ConfigError(f"line {number} of the label file has no patient", hint=HINT)
    label, split = cell("label"), cell("split").lower()
    if label not in {"", "0", "1"}:
        raise ConfigError(f"line {number} of the label file has a label other than 0 or 1", hint=HINT)
    if split not in {"", *get_args(Split)}:
        raise ConfigError(f"line {number} of the label file has a split other than train, val or test", hint=HINT)
    sex, age = cell("sex").upper(), cell("age")
    if sex not in UNKNOWN | set(SEXES):
        raise ConfigError(f"line {number} of the label file has a sex other than F, M, O or nothing", hint=HINT)
    if age.upper() not in UNKNOWN and age_in_years(age) is None:
        raise ConfigError(f"line {number} of the label file has an age that is not a number of years", hint=HINT)
    return Row(
        number=number,
        patient=cell("patient"),
        image=_normal(cell("image")),
        case=_normal(cell("case")),
        label=cast(Literal[0, 1], int(label)) if label else None,
        split=cast(Split, split) if split else None,
        modality=cell("modality").lower(),
        mask=_normal(cell("mask")),
        sex=SEXES.get(sex),
        age=age_in_years(age),
    )


def _normal(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./").strip("/")


def _forms(name: str) -> Iterable[str]:
    """The path, then ever shorter tails of it, each also without its suffix."""
    parts = name.split("/")
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        yield tail
        bare = next((tail[: -len(suffix)] for suffix in SUFFIXES if tail.lower().endswith(suffix)), tail)
        if bare != tail:
            yield bare
