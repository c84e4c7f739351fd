"""Counts and records of an ingest that stayed DICOM: the result, the report and the manifest. No original name."""

from collections import Counter
from collections.abc import Sequence

from dpmed.core.dicomset import DicomManifest, Series
from dpmed.core.manifest import ScrubSummary
from dpmed.ingest import report
from dpmed.ingest.detect import Kind
from dpmed.ingest.identifiers import FILE_NAMES
from dpmed.ingest.linkage import anonymity
from dpmed.ingest.objects.exporter import Written
from dpmed.ingest.objects.plan import Plan
from dpmed.ingest.objects.traits import rows_of_traits
from dpmed.ingest.reasons import Reason
from dpmed.ingest.report import HeldLine, ScrubReport
from dpmed.ingest.request import IngestResult
from dpmed.ingest.rules.compile import Action, rules_for
from dpmed.ingest.rules.table import allowed
from dpmed.ingest.sources import Source
from dpmed.ingest.verify import Searched

KEPT_BY = {
    Action.KEEP: ("as they are", "of numbers, geometry and coded terms"),
    Action.CLEAN: ("texts", "kept word by word where the vocabulary of imaging knows the word"),
    Action.SHIFT: ("dates", "moved by the patient's own shift, times by profile"),
    Action.REMAP: ("UIDs", "each replaced by a keyed one, so that references hold"),
    Action.DESCEND: ("sequences", "whose items go by the same rules"),
}


def held_of(plan: Plan, outcomes: Sequence[Written]) -> dict[Source, Reason]:
    """Every file that was held back, before and during writing."""
    late = {ordinal: reason for outcome in outcomes for ordinal, reason in outcome.held.items()}
    sources = {source.ordinal: source for batch in plan.batches for source in batch.files}
    return {**plan.held, **{sources[ordinal]: reason for ordinal, reason in late.items()}}


def result_of(plan: Plan, outcomes: Sequence[Written], *, seconds: float) -> IngestResult:
    """The counts that the front door shows; in a dry run, of what would be tried."""
    held = held_of(plan, outcomes)
    tried = list(plan.batches) if plan.request.dry_run else [one for one in outcomes if one.sha256]
    written = sum(len(batch.objects) for batch in plan.batches) if plan.request.dry_run else _objects(outcomes)
    by_reason = Counter(reason.value for reason in held.values())
    if plan.missing:
        by_reason[Reason.MISSING_FILE.value] += plan.missing
    cases = {one.case: one.modality or "other" for one in tried}
    return IngestResult(
        task=None,
        kind=f"{Kind.DICOM.value}, kept as DICOM",
        patients=len({one.patient for one in tried}),
        cases=len(cases),
        images_in=written + plan.copies + len(held) + plan.missing,
        images_out=written,
        duplicates=plan.copies,
        quarantined=len(held) + plan.missing,
        quarantined_by_reason=dict(by_reason.most_common()),
        identifiers_removed=_removed(outcomes),
        labels_unmatched=plan.labels_unmatched,
        splits={},
        modalities=dict(sorted(Counter(cases.values()).items())),
        seconds=round(seconds, 3),
        verified=True if plan.request.verify and not plan.request.dry_run else None,
        out=plan.request.out,
        dry_run=plan.request.dry_run,
    )


def report_of(plan: Plan, outcomes: Sequence[Written], *, searched: Searched | None = None) -> ScrubReport:
    """The audit. Assumes `verify`, if asked for, has passed: otherwise nothing stays written."""
    result = result_of(plan, outcomes, seconds=0)
    actions = Counter(entry.action for entry in rules_for(plan.profile).entries.values())
    return ScrubReport(
        profile=plan.profile.name,
        profile_sha256=report.sha256(plan.profile.to_json()),
        rules=report.rules(allowed()),
        manifest_sha256=report.sha256(manifest_of(plan, outcomes).to_json()),
        kind=result.kind,
        files=plan.files,
        ignored=plan.ignored,
        images_in=result.images_in,
        images_out=result.images_out,
        duplicates=result.duplicates,
        quarantined=result.quarantined,
        patients=result.patients,
        cases=result.cases,
        labels_unmatched=result.labels_unmatched,
        identifiers_removed=result.identifiers_removed,
        kept={what: f"{actions[action]} attributes {how}" for action, (what, how) in KEPT_BY.items()},
        dates=report.dates_in_objects(plan.profile),
        crosswalk=plan.request.crosswalk is not None,
        linkage=anonymity(
            rows_of_traits((one.patient, one.traits, plan.labels.get(one.case)) for one in outcomes if one.sha256)
        ),
        pixel_policy=plan.request.pixels,
        pixels=(pixels := dict(Counter(verdict.outcome.value for verdict in plan.verdicts.values()).most_common())),
        face_policy=plan.request.faces,
        faces=(faces := dict(Counter(head.outcome for head in plan.heads).most_common()) or None),
        limits=report.limits(pixel_policy=plan.request.pixels, pixels=pixels, faces=faces),
        quarantine=tuple(_line(plan, source, reason) for source, reason in held_of(plan, outcomes).items()),
        verified=result.verified,
        searched=searched,
    )


def manifest_of(plan: Plan, outcomes: Sequence[Written]) -> DicomManifest:
    """The series of the dataset, sorted by folder."""
    result = result_of(plan, outcomes, seconds=0)
    series: dict[str, Series] = {}
    for outcome in outcomes:
        if not outcome.sha256:
            continue
        earlier = series[outcome.folder].sha256 if outcome.folder in series else {}
        series[outcome.folder] = Series(
            case=outcome.case,
            patient=outcome.patient,
            folder=outcome.folder,
            modality=outcome.modality,
            label=plan.labels.get(outcome.case),
            sha256={**earlier, **outcome.sha256},
        )
    return DicomManifest(
        series=tuple(series[folder] for folder in sorted(series)),
        scrub=ScrubSummary(
            profile=plan.profile.name,
            identifiers_removed=result.identifiers_removed,
            images_in=result.images_in,
            images_out=result.images_out,
            quarantined=result.quarantined,
        ),
    )


def _objects(outcomes: Sequence[Written]) -> int:
    return sum(len(outcome.sha256) for outcome in outcomes)


def _removed(outcomes: Sequence[Written]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts.update(outcome.removed)
        counts[FILE_NAMES] += len(outcome.sha256)
    # Equals by name: a resumed ingest has counted them in another order.
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _line(plan: Plan, source: Source, reason: Reason) -> HeldLine:
    what = f"file {source.ordinal} of {plan.files}"
    return HeldLine(what=what, short=plan.pseudonyms.file(source.name), files=1, reason=reason.value)
