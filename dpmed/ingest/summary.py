"""Counts and records of an ingest: the result, the report and the manifest. All without original names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import get_args

from dpmed.core.manifest import DATALIST_KEYS, Attributes, Case, Geometry, Intensity, Manifest, ScrubSummary, Split
from dpmed.ingest import report
from dpmed.ingest.convert import Outcome
from dpmed.ingest.detect import Kind
from dpmed.ingest.jobs import HeldBack, Job, first_of
from dpmed.ingest.linkage import Generalised, anonymity, generalised
from dpmed.ingest.origin import Scan, attributes_of
from dpmed.ingest.pseudonyms import Pseudonyms
from dpmed.ingest.reasons import Reason
from dpmed.ingest.report import HeldLine, ScrubReport
from dpmed.ingest.request import IngestRequest, IngestResult
from dpmed.ingest.rules.profile import Profile, load_profile
from dpmed.ingest.survey import Survey
from dpmed.ingest.verify import Searched

KEPT = {
    Kind.DICOM: report.KEPT_FROM_DICOM,
    Kind.PICTURES: report.KEPT_FROM_PICTURES,
}


@dataclass(frozen=True)
class Finished:
    """Everything an ingest knows at its end. `outcomes` follow `planned`; both are empty where nothing was written."""

    request: IngestRequest
    seen: Survey
    planned: Sequence[Job]
    outcomes: Sequence[Outcome]
    splits: Mapping[str, Split]
    pseudonyms: Pseudonyms | None
    searched: Searched | None = None

    @cached_property
    def profile(self) -> Profile:
        """What the user asked to be kept."""
        return load_profile(self.request.profile)

    @cached_property
    def attributes(self) -> tuple[dict[str, Attributes], Generalised | None]:
        """The attributes of every case, and what was given up to reach the k that was asked for."""
        assert self.pseudonyms is not None
        scans = [Scan(job.case, job.identity, job.candidate.origin) for job, _ in self.written]
        kept = self.profile.attributes
        found = attributes_of(scans, kept, self.pseudonyms, age_cap=self.profile.age_cap)
        if self.request.k_anonymity is None:
            return found, None
        return generalised(found, {job.case: job.patient for job, _ in self.written}, self.request.k_anonymity)

    @property
    def held(self) -> tuple[HeldBack, ...]:
        """What was held back before and during conversion."""
        jobs = {job.case: job for job in self.planned}
        late = [
            HeldBack("case", jobs[outcome.case].candidate.files, outcome.reason)
            for outcome in self.outcomes
            if outcome.reason and outcome.case in jobs
        ]
        return (*self.seen.layout.held, *late)

    @property
    def written(self) -> tuple[tuple[Job, Outcome], ...]:
        """The jobs that became cases; in a dry run, those that would be tried."""
        if self.request.dry_run:
            return tuple((job, Outcome(case=job.case)) for job in self.planned)
        pairs = zip(self.planned, self.outcomes, strict=True)
        return tuple((job, outcome) for job, outcome in pairs if outcome.reason is None)

    def quarantined_by_reason(self) -> dict[str, int]:
        """Image files held back, by reason, most frequent first."""
        counts: Counter[str] = Counter()
        for held in self.held:
            counts[held.reason.value] += len(held.files)
        if self.seen.missing:
            counts[Reason.MISSING_FILE.value] += self.seen.missing
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def why_held(self) -> Counter[str]:
        """How many files before conversion, and cases in it, each reason holds back."""
        early = replace(self, planned=(), outcomes=()).quarantined_by_reason()
        late: Counter[str] = Counter(outcome.reason.value for outcome in self.outcomes if outcome.reason)
        return Counter(early) + late

    def declared_words(self) -> bytes:
        """Words of the manifest that come from its form or the user's declarations, and not from the data."""
        scheme = self.request.label_scheme.to_json() if self.request.label_scheme else ""
        parts = (part.modality for job in self.planned for part in job.candidate.parts)
        records = (Case, Manifest, ScrubSummary, Geometry, Attributes)
        form = [name for record in records for name in record.model_fields]
        form += [*get_args(Split), *get_args(Intensity), *DATALIST_KEYS, "image", "null", "true", "false", "unknown"]
        return " ".join((scheme, *form, *parts, self.seen.kind, self.seen.task, self.profile.name)).encode()


def result_of(finished: Finished, *, seconds: float) -> IngestResult:
    """The counts that the front door shows."""
    written, by_reason = finished.written, finished.quarantined_by_reason()
    duplicates = sum(outcome.duplicates for _, outcome in written)
    return IngestResult(
        task=finished.seen.task,
        kind=finished.seen.kind.value,
        patients=len({job.patient for job, _ in written}),
        cases=len(written),
        images_in=finished.seen.images_in,
        images_out=sum(len(job.candidate.files) for job, _ in written) - duplicates,
        duplicates=duplicates,
        quarantined=sum(by_reason.values()),
        quarantined_by_reason=by_reason,
        identifiers_removed=_removed(finished),
        labels_unmatched=finished.seen.labels_unmatched,
        splits=dict(sorted(Counter(finished.splits.values()).items())),
        modalities=dict(sorted(Counter(part.modality for job, _ in written for part in job.candidate.parts).items())),
        seconds=round(seconds, 3),
        verified=True if finished.request.verify and not finished.request.dry_run else None,
        out=finished.request.out,
        dry_run=finished.request.dry_run,
    )


def _removed(finished: Finished) -> dict[str, int]:
    return dict(sorted(finished.seen.removed.items(), key=lambda item: (-item[1], item[0])))


def report_of(finished: Finished) -> ScrubReport:
    """The audit. Assumes `verify`, if asked for, has passed: otherwise nothing is written."""
    result = result_of(finished, seconds=0)
    attributes, given_up = finished.attributes
    linkage = anonymity(
        {"patient": job.patient, "label": job.candidate.label, **dict(attributes[job.case])}
        for job, _ in finished.written
    )
    return ScrubReport(
        profile=finished.profile.name,
        profile_sha256=report.sha256(finished.profile.to_json()),
        rules=report.rules(),
        manifest_sha256=report.sha256(manifest_of(finished).to_json()),
        kind=result.kind,
        task=result.task,
        files=finished.seen.files,
        ignored=finished.seen.ignored,
        images_in=result.images_in,
        images_out=result.images_out,
        duplicates=result.duplicates,
        quarantined=result.quarantined,
        patients=result.patients,
        cases=result.cases,
        labels_unmatched=result.labels_unmatched,
        identifiers_removed=result.identifiers_removed,
        kept=KEPT.get(finished.seen.kind, report.KEPT_FROM_NIFTI)
        | {name: why for name, why in report.KEPT_ATTRIBUTES.items() if name in linkage.columns},
        dates=report.dates_in_manifest(counted="study_day" in linkage.columns),
        crosswalk=finished.request.crosswalk is not None,
        linkage=linkage,
        generalised=given_up.steps if given_up else (),
        patients_suppressed=given_up.suppressed if given_up else 0,
        pixel_policy=finished.request.pixels,
        pixels=(pixels := dict(Counter(outcome.pixels for outcome in finished.outcomes if outcome.pixels)) or None),
        face_policy=finished.request.faces,
        faces=(faces := dict(Counter(outcome.faces for outcome in finished.outcomes if outcome.faces)) or None),
        limits=report.limits(pixel_policy=finished.request.pixels, pixels=pixels, faces=faces),
        quarantine=(*(_line(held, finished) for held in finished.held), *_missing(finished.seen.missing)),
        notes=finished.seen.layout.notes,
        verified=result.verified,
        searched=finished.searched,
    )


def _missing(count: int) -> tuple[HeldLine, ...]:
    if not count:
        return ()
    return (HeldLine(what="entries of the DICOMDIR", short="", files=count, reason=Reason.MISSING_FILE.value),)


def _line(held: HeldBack, finished: Finished) -> HeldLine:
    """Where to find it without naming it: the place in the sorted input, and a keyed name."""
    assert finished.pseudonyms is not None
    first = first_of(held.files)
    place = f"file {first.ordinal} of {finished.seen.files}"
    what = place if len(held.files) == 1 else f"{held.what} of {len(held.files)} files, the first is {place}"
    return HeldLine(
        what=what, short=finished.pseudonyms.file(first.name), files=len(held.files), reason=held.reason.value
    )


def manifest_of(finished: Finished) -> Manifest:
    """The dataset's manifest, sorted by case name."""
    result = result_of(finished, seconds=0)
    segments = any(outcome.mask for _, outcome in finished.written)
    return Manifest.model_validate(
        {
            "schema": "dpmed.manifest/1",
            "task": result.task,
            "label_scheme": finished.request.label_scheme if segments else None,
            "cases": [_case(job, outcome, finished) for job, outcome in finished.written],
            "scrub": ScrubSummary(
                profile=finished.profile.name,
                identifiers_removed=result.identifiers_removed,
                images_in=result.images_in,
                images_out=result.images_out,
                quarantined=result.quarantined,
            ),
        }
    )


def _case(job: Job, outcome: Outcome, finished: Finished) -> Case:
    return Case.model_validate(
        {
            "case": job.case,
            "patient": job.patient,
            "images": outcome.images,
            "mask": outcome.mask,
            "label": job.candidate.label,
            "split": finished.splits[job.identity],
            "intensity": outcome.intensity,
            "geometry": outcome.geometry,
            "attributes": finished.attributes[0][job.case],
            "sha256": outcome.sha256,
        }
    )
