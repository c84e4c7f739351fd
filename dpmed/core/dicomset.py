"""A de-identified dataset that stays DICOM: series of objects, for a PACS or another team. Training reads NIfTI."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dpmed.core.manifest import CaseId, PatientId, ScrubSummary, Sha256
from dpmed.core.record import Record

Place = r"images/p-[0-9a-f]{12}/st-[0-9a-f]{16}/se-[0-9a-f]{16}"
SeriesFolder = Annotated[str, StringConstraints(pattern=rf"^{Place}$")]
ObjectPath = Annotated[str, StringConstraints(pattern=rf"^{Place}/in-[0-9a-f]{{16}}\.dcm$")]
Modality = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{0,16}$")]


class Series(Record):
    """The objects of one Series of one patient, with their digests."""

    case: CaseId
    patient: PatientId
    folder: SeriesFolder
    modality: Modality
    label: Literal[0, 1] | None = None
    sha256: Annotated[dict[ObjectPath, Sha256], Field(min_length=1)]


class DicomManifest(Record):
    """Everything that lies in a dataset of DICOM objects."""

    schema_: Literal["dpmed.dicom/1"] = Field(default="dpmed.dicom/1", alias="schema")
    series: tuple[Series, ...]
    scrub: ScrubSummary

    def to_json(self) -> str:
        """JSON text, with the schema under its public name."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"
