"""What is to be made of the input: candidates for cases, then jobs that a worker can do alone."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from dpmed.core.manifest import Intensity, Split, Task
from dpmed.ingest.dicom import SliceHeader
from dpmed.ingest.geometry import Stack
from dpmed.ingest.origin import NOT_KNOWN, Origin
from dpmed.ingest.pseudonyms import SEPARATOR, Pseudonyms
from dpmed.ingest.reasons import Reason
from dpmed.ingest.segments import Segments
from dpmed.ingest.sources import Source


@dataclass(frozen=True)
class Part:
    """One image or mask of a case: a NIfTI (or one channel of it), a picture, or DICOM slices in order."""

    modality: str
    files: tuple[Source, ...]
    channel: int | None = None
    headers: tuple[SliceHeader, ...] = ()
    stack: Stack | None = None
    segments: Segments | None = None


@dataclass(frozen=True)
class Candidate:
    """A scan of an original patient, as the layout found it. `scan` tells the scans of one patient apart."""

    identity: str
    scan: str
    parts: tuple[Part, ...]
    mask: Part | None = None
    label: Literal[0, 1] | None = None
    split: Split | None = None
    intensity: Intensity | None = None
    origin: Origin = NOT_KNOWN

    @property
    def is_defaced(self) -> bool:
        """Whether every DICOM header of the scan says that its visual features have been cleaned."""
        headers = [header for part in self.parts for header in part.headers]
        return bool(headers) and all(header.is_defaced for header in headers)

    @property
    def files(self) -> tuple[Source, ...]:
        """Every input file of the scan, each once."""
        parts = (*self.parts, self.mask) if self.mask else self.parts
        return tuple(dict.fromkeys(file for part in parts for file in part.files))


@dataclass(frozen=True)
class HeldBack:
    """Input files that belong together and cannot be used."""

    what: Literal["file", "series", "case"]
    files: tuple[Source, ...]
    reason: Reason


@dataclass(frozen=True)
class Layout:
    """What a layout made of the input."""

    candidates: tuple[Candidate, ...]
    held: tuple[HeldBack, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One case to write, named by pseudonyms; `short` is what the report calls its first file."""

    case: str
    patient: str
    short: str
    identity: str = field(repr=False)
    candidate: Candidate = field(repr=False)


def admitted(layout: Layout, task: Task) -> Layout:
    """Hold back what the task cannot use: no patient, and for classification no label or both labels."""
    labels = defaultdict(set)
    for candidate in layout.candidates:
        if candidate.label is not None:
            labels[candidate.identity].add(candidate.label)
    kept, held = [], list(layout.held)
    for candidate in layout.candidates:
        reason = _objection(candidate, task, both=len(labels[candidate.identity]) > 1)
        if reason:
            held.append(HeldBack("case", candidate.files, reason))
        else:
            kept.append(candidate if task == "covid-ct" else replace(candidate, label=None))
    return replace(layout, candidates=tuple(kept), held=tuple(held))


def _objection(candidate: Candidate, task: Task, *, both: bool) -> Reason | None:
    if not candidate.identity:
        return Reason.NO_PATIENT
    if task == "covid-ct" and candidate.label is None:
        return Reason.NO_LABEL
    return Reason.LABEL_CONFLICT if task == "covid-ct" and both else None


def jobs(candidates: Sequence[Candidate], pseudonyms: Pseudonyms) -> tuple[Job, ...]:
    """Candidates under their pseudonyms, in the order of the case names, which says nothing about the input."""
    made = [
        Job(
            case=pseudonyms.case(candidate.identity, candidate.scan),
            patient=pseudonyms.patient(candidate.identity),
            short=pseudonyms.file(first_of(candidate.files).name),
            identity=candidate.identity,
            candidate=candidate,
        )
        for candidate in candidates
    ]
    return tuple(sorted(made, key=lambda job: job.case))


def first_of(files: Sequence[Source]) -> Source:
    """The file by which the report tells where a case lies."""
    return min(files, key=lambda file: file.ordinal)


def fingerprint(job: Job) -> str:
    """Everything that the result of a job depends on, as text for a keyed digest: files by size and time."""
    files = []
    for file in job.candidate.files:
        status = file.path.stat()
        files.append(f"{file.name}:{status.st_size}:{status.st_mtime_ns}")
    candidate = job.candidate
    return SEPARATOR.join((job.case, str(candidate.label), candidate.split or "", *files))
