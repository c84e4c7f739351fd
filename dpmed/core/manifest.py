"""A dataset: the cases that `dpmed ingest` wrote and every other command reads. Holds no identifier by type."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

from dpmed.core.choices import Task as Task
from dpmed.core.errors import ConfigError, MismatchError, NoInputError
from dpmed.core.labels import LabelScheme
from dpmed.core.record import Record

Split = Literal["train", "val", "test"]
Intensity = Literal["hounsfield", "display", "arbitrary"]
"""hounsfield: CT numbers; display: already windowed 8-bit grey; arbitrary: MR, no physical unit."""

PatientId = Annotated[str, StringConstraints(pattern=r"^p-[0-9a-f]{12}$")]
CaseId = Annotated[str, StringConstraints(pattern=r"^c-[0-9a-f]{12}$")]
DatasetPath = Annotated[str, StringConstraints(pattern=r"^(images|labels)/[A-Za-z0-9_.-]+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
MANIFEST_SCHEMA = "dpmed.manifest/1"
DICOM_SCHEMA = "dpmed.dicom/1"
DATALIST_KEYS: dict[str, Split] = {"training": "train", "validation": "val", "test": "test"}


class Geometry(Record):
    """Voxel grid of a case: `shape` and `spacing_mm` in array order, `orientation` as axis codes such as RAS."""

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    orientation: str


class Attributes(Record):
    """What a privacy officer may admit beside the image, for evaluation by subgroup. All optional; training ignores it.

    `age_band` in years, with one band for all above 89; `scanner` the maker's word; `site` a keyed pseudonym;
    `study_day` days since the patient's first study in the dataset, exact, without any date.
    """

    sex: Literal["F", "M", "O"] | None = None
    age_band: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,2}(-[0-9]{1,2}|\+)$")] | None = None
    scanner: Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[a-z]+)*$", max_length=24)] | None = None
    site: Annotated[str, StringConstraints(pattern=r"^s-[0-9a-f]{12}$")] | None = None
    study_day: Annotated[int, Field(ge=0)] | None = None

    @model_serializer(mode="wrap")
    def _only_what_is_known(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}


class Case(Record):
    """One scan of one patient, de-identified: images by modality, with a mask (segmentation) or a label."""

    case: CaseId
    patient: PatientId
    images: Annotated[dict[str, DatasetPath], Field(min_length=1)]
    mask: DatasetPath | None = None
    label: Literal[0, 1] | None = None
    split: Split
    intensity: Intensity
    geometry: Geometry
    attributes: Attributes = Attributes()
    sha256: dict[DatasetPath, Sha256]


class ScrubSummary(Record):
    """Counts alone: identifiers removed by class, and how many images came in, went out or were held back."""

    profile: str
    identifiers_removed: dict[str, int]
    images_in: int
    images_out: int
    quarantined: int


class Manifest(Record):
    """Everything a training run may know about a dataset.

    On disk it also carries the keys `training`, `validation` and `test` of a Decathlon datalist, derived from the
    cases, so that `monai.data.load_decathlon_datalist` reads the same file.
    """

    schema_: Literal["dpmed.manifest/1"] = Field(default="dpmed.manifest/1", alias="schema")
    task: Task
    label_scheme: LabelScheme | None = None
    cases: tuple[Case, ...]
    scrub: ScrubSummary

    @field_validator("cases")
    @classmethod
    def _cases_are_distinct(cls, cases: tuple[Case, ...]) -> tuple[Case, ...]:
        if len({case.case for case in cases}) != len(cases):
            raise ValueError("two cases share one name")
        return cases

    @model_validator(mode="after")
    def _splits_are_patient_wise(self) -> "Manifest":
        seen: dict[str, str] = {}
        for case in self.cases:
            if seen.setdefault(case.patient, case.split) != case.split:
                raise ValueError("a patient is in two splits")
        return self

    def patients(self, split: Split) -> tuple[PatientId, ...]:
        """The patients of a split, each once, sorted."""
        return tuple(sorted({case.patient for case in self.cases if case.split == split}))

    def of_patient(self, patient: PatientId) -> tuple[Case, ...]:
        """All cases of one patient, in manifest order."""
        return tuple(case for case in self.cases if case.patient == patient)

    def datalist(self, split: Split) -> list[dict[str, Any]]:
        """The cases of a split as Decathlon datalist items."""
        return [
            {
                "image": list(case.images.values()) if len(case.images) > 1 else next(iter(case.images.values())),
                "label": case.mask if case.mask is not None else case.label,
            }
            for case in self.cases
            if case.split == split
        ]

    def to_json(self) -> str:
        """JSON text with the derived datalist keys beside the record's own."""
        record = self.model_dump(mode="json", by_alias=True)
        lists = {key: self.datalist(split) for key, split in DATALIST_KEYS.items()}
        return json.dumps(record | lists, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read a manifest; the derived datalist keys are dropped, anything else unknown is refused."""
        try:
            record = json.loads(text)
        except json.JSONDecodeError:
            record = None
        if not isinstance(record, dict):
            raise MismatchError("manifest.json is not valid JSON", hint="run dpmed ingest again")
        if record.get("schema") == DICOM_SCHEMA:
            raise ConfigError(
                "this dataset holds DICOM objects, to hand on and not to train on",
                hint="make one for training: dpmed ingest SOURCE --format nifti --out DIR",
            )
        own = {key: value for key, value in record.items() if key not in DATALIST_KEYS}
        return super().from_json(json.dumps(own))

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """The manifest of a dataset folder."""
        try:
            return cls.from_json((folder / "manifest.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise NoInputError(
                "no manifest.json in the dataset folder", hint="make a dataset first: dpmed ingest SOURCE --out DIR"
            ) from None
