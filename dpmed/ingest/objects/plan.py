"""What is to be written of an input that stays DICOM: every file looked at, sorted into batches. Writes nothing."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from dpmed.core.errors import ConfigError
from dpmed.core.events import Note, Progress
from dpmed.ingest.detect import Detected, Kind, detect
from dpmed.ingest.faces.policy import FacePolicy
from dpmed.ingest.objects.batches import Batch, Paint, batches, series_of, without_copies
from dpmed.ingest.objects.facts import Facts, look_at
from dpmed.ingest.objects.heads import Head, HeadInspector, Slice
from dpmed.ingest.pixels.inspect import Policy, Verdict, inspector
from dpmed.ingest.pixels.risk import risk
from dpmed.ingest.pool import Crew, workers_for
from dpmed.ingest.pseudonyms import Pseudonyms
from dpmed.ingest.reasons import Reason
from dpmed.ingest.request import IngestRequest
from dpmed.ingest.roster import Roster, read_roster
from dpmed.ingest.rules.profile import Profile, load_profile
from dpmed.ingest.sources import Source, inventory

AT_ONCE = 64
HEADS = frozenset({"CT", "MR"})
"""Modalities whose slices make volumes that can show a face."""


@dataclass(frozen=True)
class Plan:
    """All that writing needs, and the counts of the input."""

    request: IngestRequest
    profile: Profile
    pseudonyms: Pseudonyms = field(repr=False)
    batches: tuple[Batch, ...]
    held: Mapping[Source, Reason] = field(repr=False)
    verdicts: Mapping[Source, Verdict] = field(repr=False)
    heads: tuple[Head, ...] = field(repr=False)
    labels: Mapping[str, Literal[0, 1]]
    identities: Mapping[str, str] = field(repr=False)
    files: int
    ignored: int
    missing: int
    copies: int
    labels_unmatched: int


def plan(
    request: IngestRequest, pseudonyms: Pseudonyms, scratch: Path, crew: Crew
) -> Generator[Progress | Note, None, Plan]:
    """Yield progress while looking at every file; the value of `yield from` is the `Plan`."""
    profile = load_profile(request.profile)
    listed = inventory(request.source, scratch=scratch)
    detected = _dicom(detect(listed.files))
    yield Note(f"{detected.kind}: {len(detected.files)} image files of {len(listed.files)}")
    facts: dict[Source, Facts] = {}
    held, indexes = dict(detected.refused), 0
    crew.workers = workers_for(len(detected.files), request.workers)
    looks = chain.from_iterable(crew.map(look_at, _some(detected.files)))
    for number, (source, looked) in enumerate(zip(detected.files, looks, strict=True), start=1):
        if isinstance(looked, Reason):
            held[source] = looked
        elif looked.is_index:
            indexes += 1
        else:
            facts[source] = looked
        yield Progress("reading headers", number, len(detected.files))
    facts, copies = without_copies(facts)
    verdicts = yield from _inspect(facts, request, crew)
    held |= {source: verdict.reason for source, verdict in verdicts.items() if verdict.reason}
    facts = {source: fact for source, fact in facts.items() if source not in held}
    heads = yield from _look_for_faces(facts, request, crew)
    held |= {source: head.reason for source, head in heads.items() if head.reason}
    facts = {source: fact for source, fact in facts.items() if source not in held}
    planned = batches(facts, _paint(facts, verdicts, heads), pseudonyms)
    roster = read_roster(request.labels, with_labels=True) if request.labels else None
    return Plan(
        request=request,
        profile=profile,
        pseudonyms=pseudonyms,
        batches=planned,
        held=held,
        verdicts=verdicts,
        heads=tuple(dict.fromkeys(heads.values())),
        labels=_labels(planned, facts, roster) if roster else {},
        identities={pseudonyms.patient(fact.identity): fact.identity for fact in facts.values()},
        files=len(listed.files),
        ignored=detected.ignored + indexes,
        missing=listed.missing,
        copies=copies,
        labels_unmatched=roster.unmatched if roster else 0,
    )


def _inspect(
    facts: Mapping[Source, Facts], request: IngestRequest, crew: Crew
) -> Generator[Progress | Note, None, dict[Source, Verdict]]:
    """What the pixels of every object say, series by series."""
    look_into = inspector(Policy(request.pixels))
    if look_into.policy is not Policy.IGNORE and not look_into.reads:
        yield Note("pixels are judged by the kind of object alone: the extra `ocr`, which reads them, is not installed")
    series = list(series_of(facts).values())
    tasks = [[(source.path, risk(facts[source].values), facts[source].has_pixels) for source in one] for one in series]
    verdicts: dict[Source, Verdict] = {}
    for number, (sources, found) in enumerate(zip(series, crew.map(look_into, tasks), strict=True), start=1):
        verdicts |= zip(sources, found, strict=True)
        if look_into.reads:
            yield Progress("looking for text in pixels", number, len(series))
    return verdicts


def _look_for_faces(
    facts: Mapping[Source, Facts], request: IngestRequest, crew: Crew
) -> Generator[Progress, None, dict[Source, Head]]:
    """What every series of CT and MR shows of a face, by file."""
    pictures = {source: fact for source, fact in facts.items() if fact.has_pixels and fact.modality in HEADS}
    series = list(series_of(pictures).values())
    tasks = [[Slice(one, facts[one].position, facts[one].is_defaced) for one in sources] for sources in series]
    heads: dict[Source, Head] = {}
    look_for = HeadInspector(FacePolicy(request.faces))
    for number, (sources, head) in enumerate(zip(series, crew.map(look_for, tasks), strict=True), start=1):
        heads |= dict.fromkeys(sources, head)
        if look_for.policy is not FacePolicy.IGNORE:
            yield Progress("looking for faces", number, len(series))
    return heads


def _paint(
    facts: Mapping[Source, Facts], verdicts: Mapping[Source, Verdict], heads: Mapping[Source, Head]
) -> dict[Source, Paint]:
    return {
        source: Paint(verdicts[source], heads[source].boxes.get(source, ()) if source in heads else (), fact.is_defaced)
        for source, fact in facts.items()
    }


def _some(files: Sequence[Source]) -> list[list[Path]]:
    return [[one.path for one in files[start : start + AT_ONCE]] for start in range(0, len(files), AT_ONCE)]


def _dicom(detected: Detected) -> Detected:
    if detected.kind is not Kind.DICOM:
        raise ConfigError(f"--format dicom needs DICOM, and this is {detected.kind}", hint="use --format nifti")
    return detected


def _labels(planned: tuple[Batch, ...], facts: Mapping[Source, Facts], roster: Roster) -> dict[str, Literal[0, 1]]:
    """The label of each series that the label file names by path or by PatientID, unless it names two."""
    found: dict[str, set[Literal[0, 1]]] = {}
    for batch in planned:
        for source in batch.files:
            rows = roster.of_path(source.name) or roster.of_patient(facts[source]["patient"])
            found.setdefault(batch.case, set()).update(row.label for row in rows if row.label is not None)
    return {case: next(iter(labels)) for case, labels in found.items() if len(labels) == 1}
