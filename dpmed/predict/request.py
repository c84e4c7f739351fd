"""What is asked of a prediction, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from dpmed.core.choices import Device
from dpmed.core.folders import RunFolder
from dpmed.core.specs import Statement, TaskSpec
from dpmed.ingest.jobs import Candidate
from dpmed.ingest.pseudonyms import SEPARATOR


@dataclass(frozen=True)
class PredictRequest:
    """A run, an input, a place for the answers.

    `modality` says what the images are where they do not say it themselves; `patients` is a CSV of whose they are.
    `dicom` also writes DICOM: a segmentation of every series, or a report of every patient's probability.
    """

    run: RunFolder
    source: Path
    out: Path
    modality: str | None = None
    patients: Path | None = None
    dicom: bool = False
    device: Device = "auto"


class Unfit(StrEnum):
    """Why a scan that can be read is not one for this model; the value is what the user reads."""

    MODALITY = "another modality than the run was trained on"
    SEQUENCE = "a sequence that the run was trained with is missing"
    UNDECLARED = "which sequence it is, it does not say"
    UNIT = "CT whose numbers are not Hounsfield units"
    SINGLE = "a single slice, where the run looks at volumes"
    PICTURE = "a picture, where the run outlines regions in volumes"


CURES = {
    Unfit.MODALITY: "give scans of the run's modality: it answers for no other",
    Unfit.SEQUENCE: "name the files as BraTS does (CASE_t1.nii.gz, CASE_flair.nii.gz, ...), all of the run's sequences",
    Unfit.UNDECLARED: "declare it: --modality NAME, if you are sure of it",
    Unfit.UNIT: "convert it anew from DICOM, with rescale slope and intercept applied",
    Unfit.SINGLE: "give the whole series",
    Unfit.PICTURE: "give the series as DICOM or NIfTI",
}


@dataclass(frozen=True)
class Answer:
    """What the model says of one scan. Names what the input names: it stays with the input's owner.

    `probability` for classification; for segmentation `volumes_ml` by region and the `files` that were written, named
    inside the output folder.
    """

    scan: str
    candidate: Candidate = field(repr=False)
    probability: float | None = None
    volumes_ml: dict[str, float] | None = None
    files: tuple[str, ...] = ()
    remark: str = ""

    @property
    def patient(self) -> str:
        """The original patient, as header or CSV have it."""
        return self.candidate.identity.rpartition(SEPARATOR)[2]


@dataclass(frozen=True)
class Refusal:
    """A scan, or a file, without an answer."""

    scan: str
    reason: str


@dataclass(frozen=True)
class PredictDone:
    """The end of a prediction. `patients` holds each patient's mean probability, for classification."""

    out: Path
    task: TaskSpec
    statement: Statement
    device: str
    answers: tuple[Answer, ...]
    refusals: tuple[Refusal, ...]
    patients: dict[str, float]
    seconds: float

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason kept a scan from an answer."""
        return Counter(refusal.reason for refusal in self.refusals)
